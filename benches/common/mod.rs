//! Services polled by hand, timed in turn: what a layer costs over the bare service, beside what that is compared
//! with. A slow moment of the machine hits all alike.

#![allow(dead_code, reason = "each bench uses a part")]

use std::env;
use std::fmt::Debug;
use std::future::Future;
use std::pin::pin;
use std::sync::Barrier;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use criterion::measurement::{Measurement, WallTime};
use criterion::{Criterion, Throughput};
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use tower::Service;

/// Requests that are made ready at a time.
pub(crate) const BATCH: usize = 1024;

/// `Authorization` lines, one to a request.
pub(crate) type Lines = Vec<Option<String>>;

/// A batch, made ready and taken down outside of the clock.
pub(crate) type Round = Box<dyn FnMut() -> Duration + Send>;

/// Somebody who is timed.
pub(crate) struct Contestant {
    name: String,
    round: Round,
    /// Whose time is taken off, by place in the list.
    over: Option<usize>,
    /// With whose time it is compared, and the most that it should be of that, if anybody said so.
    aim: Option<(usize, Option<f64>)>,
}

impl Contestant {
    pub(crate) fn new(name: impl Into<String>, round: Round) -> Self {
        Self { name: name.into(), round, over: None, aim: None }
    }

    pub(crate) fn over(mut self, bare: usize) -> Self {
        self.over = Some(bare);
        self
    }

    pub(crate) fn at_most(mut self, times: impl Into<Option<f64>>, of: usize) -> Self {
        self.aim = Some((of, times.into()));
        self
    }
}

pub(crate) fn round<T>(
    mut ready: impl FnMut() -> T + Send + 'static,
    mut run: impl FnMut(&mut T) + Send + 'static,
) -> Round {
    Box::new(move || {
        let mut batch = ready();
        let start = WallTime.start();
        run(&mut batch);
        WallTime.end(start)
    })
}

/// One request with each of the lines, to a service that `make` makes anew for each round; all must be answered
/// with this status.
pub(crate) fn driven<S>(
    lines: &Lines,
    status: StatusCode,
    mut make: impl FnMut() -> S + Send + 'static,
) -> Round
where
    S: Service<Request<()>, Response = Response<()>, Error: Debug> + 'static,
{
    let lines = lines.clone();
    round(
        move || (make(), requests(&lines)),
        move |(service, requests)| {
            let count = requests.len();
            assert_eq!(send(service, requests.drain(..), status), count, "all are answered with {status}");
        },
    )
}

pub(crate) fn requests(lines: &Lines) -> Vec<Request<()>> {
    let request = |line: &Option<String>| {
        let request = Request::get("https://api.example/orders");
        let request = line.iter().fold(request, |request, line| request.header(AUTHORIZATION, line));
        request.body(()).expect("a request")
    };
    lines.iter().map(request).collect()
}

/// How many of the requests are answered with this status. There is no runtime, and nothing to wait for.
pub(crate) fn send<S>(
    service: &mut S,
    requests: impl IntoIterator<Item = Request<()>>,
    status: StatusCode,
) -> usize
where
    S: Service<Request<()>, Response = Response<()>, Error: Debug>,
{
    let mut context = Context::from_waker(Waker::noop());
    let mut answered = 0;
    for request in requests {
        assert!(service.poll_ready(&mut context).is_ready(), "the service is ready");
        match pin!(service.call(request)).poll(&mut context) {
            Poll::Ready(answer) => answered += usize::from(answer.expect("an answer").status() == status),
            Poll::Pending => panic!("there is nothing to wait for"),
        }
    }
    answered
}

/// Measures each for Criterion, then all in turn, and prints what one of `size` costs and how they compare. Gives
/// the nanoseconds that one costs each of them.
pub(crate) fn measure(
    c: &mut Criterion,
    name: &str,
    size: usize,
    mut contestants: Vec<Contestant>,
) -> Vec<f64> {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(size as u64));
    group.sample_size(if size > BATCH { 10 } else { 100 });
    for contestant in &mut contestants {
        let round = &mut contestant.round;
        group
            .bench_function(&contestant.name, |b| b.iter_custom(|rounds| (0..rounds).map(|_| round()).sum()));
    }
    group.finish();
    if is_smoke_test() {
        println!("one round: no measurement");
    }
    let rounds = (ROUNDS * BATCH / size).clamp(9, ROUNDS);
    let times = medians(rounds, contestants.iter_mut().map(|own| &mut own.round).collect());
    let net = |index: usize| {
        let off = contestants[index].over.map_or(0.0, |bare| times[bare]);
        (times[index] - off) / size as f64
    };
    for (index, contestant) in contestants.iter().enumerate() {
        let over = contestant.over.map_or(String::new(), |bare| format!(" over {}", contestants[bare].name));
        print!("{}: {:.1} ns{over}", contestant.name, net(index));
        if let Some((of, most)) = contestant.aim {
            print!(", {:.2} × {}", net(index) / net(of), contestants[of].name);
            print!("{}", most.map_or(String::new(), |most| format!(" (aim: {most} or less)")));
        }
        println!();
    }
    (0..contestants.len()).map(net).collect()
}

/// How much more two threads do than one, for a layer as a part of that for the bare service; each thread has a
/// stack of its own.
pub(crate) fn two_threads(name: &str, bare: impl Fn() -> Round + Sync, layered: impl Fn() -> Round + Sync) {
    let (bare, layered) = (gain(bare), gain(layered));
    println!(
        "two threads, {name}: {layered:.2} × one, {:.2} × what bare gains (aim: 0.9 or more)",
        layered / bare
    );
}

fn gain(stack: impl Fn() -> Round + Sync) -> f64 {
    let rate = |threads: usize| -> f64 {
        let (barrier, stack) = (Barrier::new(threads), &stack);
        let run = || {
            let mut round = stack();
            1.0 / medians(ROUNDS, vec![|| (barrier.wait(), round()).1])[0]
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
            threads.into_iter().map(|thread| thread.join().expect("a rate")).sum()
        })
    };
    // By turns, since a machine is not the same twice.
    let mut gains: Vec<_> = (0..5).map(|_| rate(2) / rate(1)).collect();
    gains.sort_by(f64::total_cmp);
    gains[gains.len() / 2]
}

/// `cargo bench -- --test`
fn is_smoke_test() -> bool {
    env::args().any(|argument| argument == "--test")
}

/// Of a batch.
const ROUNDS: usize = 201;

/// The median of each, in nanoseconds, of rounds in turn. As a test, one round is enough.
fn medians(rounds: usize, mut contestants: Vec<impl FnMut() -> Duration>) -> Vec<f64> {
    let rounds = if is_smoke_test() { 1 } else { rounds };
    let mut times = vec![Vec::with_capacity(rounds); contestants.len()];
    for _ in 0..rounds {
        times.iter_mut().zip(&mut contestants).for_each(|(times, round)| times.push(round()));
    }
    let median = |mut times: Vec<Duration>| {
        times.sort();
        times[rounds / 2].as_nanos() as f64
    };
    times.into_iter().map(median).collect()
}
