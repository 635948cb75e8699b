//! Services polled by hand, timed in turn: what a layer costs over the bare service, and how that compares.

#![allow(dead_code, reason = "each bench uses a part")]

use std::convert::Infallible;
use std::env;
use std::fmt::Debug;
use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::sync::Barrier;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use criterion::Criterion;
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use tower::Service;

/// Requests that are made ready at a time; tokens in turn.
pub(crate) const BATCH: usize = 1024;

/// Sends so many requests, and says how long it took. What is made ready before is not counted.
pub(crate) type Timed = Box<dyn FnMut(u64) -> Duration + Send>;

/// Somebody who is timed.
pub(crate) struct Contestant {
    pub(crate) name: String,
    /// Whose time is taken off, by place in the list.
    pub(crate) over: Option<usize>,
    /// With whose net time it is compared, and the most it should be of that.
    pub(crate) aim: Option<(usize, f64)>,
    pub(crate) timed: Timed,
}

impl Contestant {
    pub(crate) fn new(name: impl Into<String>, timed: Timed) -> Self {
        Self { name: name.into(), over: None, aim: None, timed }
    }

    pub(crate) fn over(mut self, bare: usize) -> Self {
        self.over = Some(bare);
        self
    }

    pub(crate) fn at_most(mut self, times: f64, of: usize) -> Self {
        self.aim = Some((of, times));
        self
    }
}

/// A handler that answers at once, after a look at the request.
pub(crate) fn handler(
    look: fn(&Request<()>) -> bool,
) -> impl Service<Request<()>, Response = Response<()>, Error = Infallible, Future: Send> + Clone + Send + 'static
{
    tower::service_fn(move |request: Request<()>| -> Ready<Result<Response<()>, Infallible>> {
        let mut response = Response::new(());
        if !black_box(look(&request)) {
            *response.status_mut() = StatusCode::IM_A_TEAPOT;
        }
        ready(Ok(response))
    })
}

/// A service that `make` makes anew for each batch, and the `Authorization` lines that it is sent in turn.
pub(crate) fn timed<S>(
    lines: &[Option<String>],
    status: StatusCode,
    mut make: impl FnMut() -> S + Send + 'static,
) -> Timed
where
    S: Service<Request<()>, Response = Response<()>, Error: Debug>,
{
    let lines = lines.to_vec();
    Box::new(move |count| {
        let mut lines = lines.iter().cycle();
        let mut left = usize::try_from(count).expect("not that many");
        let mut taken = Duration::ZERO;
        while left > 0 {
            let size = left.min(BATCH);
            let requests = requests(lines.by_ref().take(size));
            let mut service = make();
            let begin = Instant::now();
            let answered = send(&mut service, requests, status);
            taken += begin.elapsed();
            assert_eq!(answered, size, "all are answered with {status}");
            left -= size;
        }
        taken
    })
}

pub(crate) fn requests<'l>(lines: impl IntoIterator<Item = &'l Option<String>>) -> Vec<Request<()>> {
    let request = |line: &Option<String>| {
        let request = Request::get("https://api.example/orders");
        line.iter()
            .fold(request, |request, line| request.header(AUTHORIZATION, line))
            .body(())
            .expect("a request")
    };
    lines.into_iter().map(request).collect()
}

/// How many of the requests are answered with this status.
pub(crate) fn send<S>(service: &mut S, requests: Vec<Request<()>>, status: StatusCode) -> usize
where
    S: Service<Request<()>, Response = Response<()>, Error: Debug>,
{
    let mut context = Context::from_waker(Waker::noop());
    let mut answered = 0;
    for request in requests {
        assert!(service.poll_ready(&mut context).is_ready(), "the service is ready");
        match pin!(service.call(request)).poll(&mut context) {
            Poll::Ready(Ok(response)) => answered += usize::from(response.status() == status),
            other => panic!("there is nothing to wait for: {other:?}"),
        }
    }
    answered
}

/// Each on its own as Criterion does it, then all in turn for the ratios.
pub(crate) fn group(c: &mut Criterion, name: &str, mut contestants: Vec<Contestant>) {
    let mut group = c.benchmark_group(name);
    for contestant in &mut contestants {
        group.bench_function(&contestant.name, |b| b.iter_custom(|count| (contestant.timed)(count)));
    }
    group.finish();
    let rounds = if is_smoke_test() { 1 } else { 101 };
    let mut times = vec![Vec::with_capacity(rounds); contestants.len()];
    for _ in 0..rounds {
        for (contestant, times) in contestants.iter_mut().zip(&mut times) {
            times.push((contestant.timed)(BATCH as u64).as_nanos() as f64 / BATCH as f64);
        }
    }
    let medians: Vec<_> = times.into_iter().map(median).collect();
    let net = |index: usize| medians[index] - contestants[index].over.map_or(0.0, |bare| medians[bare]);
    println!("{name}, in turn, {rounds} rounds of {BATCH}:");
    for (index, contestant) in contestants.iter().enumerate() {
        let taken_off = contestant.over.map_or("", |_| " net");
        print!("  {:34} {:9.1} ns{taken_off}", contestant.name, net(index));
        if let Some((of, most)) = contestant.aim {
            print!(", {:.2} × {} (aim: {most})", net(index) / net(of), contestants[of].name);
        }
        println!();
    }
}

/// What one thread is to do.
pub(crate) type Work = Box<dyn FnOnce() + Send>;

/// Eight batches, made ready.
pub(crate) fn work<S>(lines: &[Option<String>], mut service: S) -> Work
where
    S: Service<Request<()>, Response = Response<()>, Error: Debug> + Send + 'static,
{
    let requests = requests(lines.iter().cycle().take(8 * BATCH));
    Box::new(move || assert_eq!(send(&mut service, requests, StatusCode::OK), 8 * BATCH, "all come through"))
}

/// How much of twice the work two threads do in the time of one, for the layer as a part of that for the bare
/// service. Each call of `bare` and `layered` gives the work of one thread.
pub(crate) fn two_threads(name: &str, bare: impl Fn() -> Work, layered: impl Fn() -> Work) {
    let rounds = if is_smoke_test() { 1 } else { 51 };
    let scale = |make: &dyn Fn() -> Work| {
        let alone = together(vec![make()]);
        alone.as_secs_f64() / together(vec![make(), make()]).as_secs_f64()
    };
    let (mut of_bare, mut of_layered) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        of_bare.push(scale(&bare));
        of_layered.push(scale(&layered));
    }
    let (bare, layered) = (median(of_bare), median(of_layered));
    println!(
        "{name}, two threads: {layered:.2} of twice the work in the time, the bare service {bare:.2}; \
         {:.2} of it (aim: 0.9 or more)",
        layered / bare
    );
}

/// From the first one that begins to the last one that ends.
fn together(work: Vec<Work>) -> Duration {
    let barrier = Barrier::new(work.len());
    let spans: Vec<_> = thread::scope(|scope| {
        let run = |work: Work| {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                let begin = Instant::now();
                work();
                (begin, Instant::now())
            })
        };
        let threads: Vec<_> = work.into_iter().map(run).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let begin = spans.iter().map(|span| span.0).min().expect("a thread");
    let end = spans.iter().map(|span| span.1).max().expect("a thread");
    end - begin
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// `cargo bench -- --test`: each once.
pub(crate) fn is_smoke_test() -> bool {
    env::args().any(|argument| argument == "--test")
}
