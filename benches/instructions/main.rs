//! One request after the other through a layer, for a counter of instructions: see `run` beside this file.
//!
//! `instructions SCENARIO` makes everything ready and then sends `REQUESTS` requests from within `measured`,
//! which is what is counted. Without a scenario, each is run once.

#[path = "../common/mod.rs"]
mod common;
mod scenarios;
#[path = "../common/tokens.rs"]
mod tokens;

use std::env;

use scenarios::{REQUESTS, SCENARIOS};

fn main() {
    let wanted = env::args().nth(1).filter(|name| !name.starts_with('-'));
    let mut found = false;
    for (name, prepare) in SCENARIOS {
        if wanted.as_ref().is_none_or(|wanted| wanted == name) {
            // What the scenario holds is dropped outside.
            let mut batch = prepare();
            let come_through = measured(&mut *batch);
            println!("{name}: {come_through} of {REQUESTS} come through");
            found = true;
        }
    }
    assert!(found, "no scenario of that name");
}

/// The name is what the counter looks for.
#[inline(never)]
fn measured(batch: &mut dyn FnMut() -> usize) -> usize {
    batch()
}
