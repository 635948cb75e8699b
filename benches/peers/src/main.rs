//! Measures the crate's layers beside their peers.
//!
//! `peers layers FILE PLOTS` puts the tables into FILE between their markers, and plots into a folder.
//! `peers put NAME FILE` puts what it reads from its input between the markers of that name.

use std::io::Read;
use std::path::Path;

use peers::measure::interleaved;
use peers::{alloc, inbound, outbound, plot, report, tokens};
use tower_bearer::Algorithm;

#[global_allocator]
static ALLOCATOR: alloc::Counting = alloc::Counting;

const INBOUND_ROUNDS: usize = 41;
const OUTBOUND_ROUNDS: usize = 1001;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["layers", file, plots] => layers(Path::new(file), Path::new(plots)),
        ["put", name, file] => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).expect("text");
            report::put(name, Path::new(file), &text);
        }
        _ => panic!("expected: layers FILE PLOTS, or: put NAME FILE"),
    }
}

fn layers(file: &Path, plots: &Path) {
    // Peers that have both backends of jsonwebtoken want to be told which.
    jsonwebtoken10::crypto::aws_lc::DEFAULT_PROVIDER.install_default().expect("the first to say so");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // Some want a runtime around them, but not its budget, which would make them wait now and then.
    let _inside = runtime.enter();

    let mut columns: Vec<(Algorithm, Vec<_>)> = Vec::new();
    for algorithm in tokens::ALGORITHMS {
        let corpus = tokens::Corpus::new(algorithm);
        let mut contestants = runtime.block_on(inbound::contestants(&corpus));
        let costs = interleaved(&mut contestants, tokens::DISTINCT, INBOUND_ROUNDS);
        columns.push((algorithm, costs));
    }
    let mut contestants = runtime.block_on(outbound::contestants());
    let out = interleaved(&mut contestants, outbound::BATCH, OUTBOUND_ROUNDS);

    let (inbound, outbound) = (report::inbound(&columns), report::outbound(&out));
    println!("{inbound}\n{outbound}");
    report::put("inbound", file, &inbound);
    report::put("outbound", file, &outbound);
    std::fs::create_dir_all(plots).expect("a folder for plots");
    plot::inbound(&columns, &plots.join("inbound.svg")).expect("a plot");
    plot::outbound(&out, &plots.join("outbound.svg")).expect("a plot");
}
