//! Rounds of everybody in turn, so that a slow moment of the machine hits all alike.

use std::time::Instant;

use crate::alloc;

/// One batch, made ready outside of the clock. Gives how many requests came through.
pub type Batch = Box<dyn FnMut() -> usize>;

/// Somebody who is measured.
pub struct Contestant {
    pub name: &'static str,
    /// Whose time is taken off: the bare service of the same types. `None` for a bare service itself and
    /// for a raw limit.
    pub over: Option<&'static str>,
    pub prepare: Box<dyn FnMut() -> Batch>,
}

impl Contestant {
    pub fn new(
        name: &'static str,
        over: Option<&'static str>,
        prepare: impl FnMut() -> Batch + 'static,
    ) -> Self {
        Self { name, over, prepare: Box::new(prepare) }
    }
}

/// What a contestant costs for each request.
#[derive(Clone)]
pub struct Cost {
    pub name: &'static str,
    pub over: Option<&'static str>,
    /// Nanoseconds of each round, sorted.
    pub rounds: Vec<f64>,
    pub allocations: f64,
}

impl Cost {
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// How far the middle half of the rounds reaches from one end to the other, as a part of the median.
    pub fn spread(&self) -> f64 {
        (self.quantile(0.75) - self.quantile(0.25)) / self.median()
    }

    fn quantile(&self, part: f64) -> f64 {
        self.rounds[((self.rounds.len() - 1) as f64 * part).round() as usize]
    }
}

/// Runs `A B C`, `A B C`, … with `size` requests to a batch, all of which must come through.
pub fn interleaved(contestants: &mut [Contestant], size: usize, rounds: usize) -> Vec<Cost> {
    let mut costs: Vec<_> = contestants
        .iter_mut()
        .map(|contestant| {
            let Contestant { name, over, prepare } = contestant;
            // The first batch warms up, the second is counted.
            run(name, &mut prepare(), size);
            let mut batch = prepare();
            let allocations = alloc::count(|| run(name, &mut batch, size)) as f64 / size as f64;
            Cost { name, over: *over, rounds: Vec::with_capacity(rounds), allocations }
        })
        .collect();
    for _ in 0..rounds {
        for (contestant, cost) in contestants.iter_mut().zip(&mut costs) {
            let mut batch = (contestant.prepare)();
            let start = Instant::now();
            run(contestant.name, &mut batch, size);
            cost.rounds.push(start.elapsed().as_nanos() as f64 / size as f64);
        }
    }
    for cost in &mut costs {
        cost.rounds.sort_by(f64::total_cmp);
    }
    costs
}

/// What a contestant costs over the bare service that it belongs to: nanoseconds and allocations.
pub fn net(cost: &Cost, all: &[Cost]) -> (f64, f64) {
    let bare = cost.over.and_then(|name| all.iter().find(|cost| cost.name == name));
    bare.map_or((cost.median(), cost.allocations), |bare| {
        (cost.median() - bare.median(), cost.allocations - bare.allocations)
    })
}

fn run(name: &str, batch: &mut Batch, size: usize) {
    let through = batch();
    assert_eq!(through, size, "{name}: every request comes through");
}
