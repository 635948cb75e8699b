//! A token that is taken where its source published it: services that hold one see each change of it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use tokio::sync::oneshot;
use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt};
use tower_bearer::attach::{AttachError, CloneBody};
use tower_bearer::source::{CachedSource, Published, StaticToken, TokenSource};
use tower_bearer::test_util::ManualClock;
use tower_bearer::{AttachLayer, Clock, Eventual, Scheme, Token, TokenError};
use tower_test::mock;

const HOUR: u64 = 3600;

type Outcome = Result<Token, TokenError>;

/// Gives the tokens 1, 2, 3 and so on, of an hour each, and counts what it is asked and told.
#[derive(Clone)]
struct Numbers {
    clock: ManualClock,
    asked: Arc<AtomicUsize>,
    told: Arc<AtomicUsize>,
}

impl Numbers {
    fn new() -> Self {
        Self { clock: ManualClock::at(1_700_000_000), asked: Arc::default(), told: Arc::default() }
    }

    fn cached(&self) -> CachedSource<Self> {
        CachedSource::new(self.clone()).with_clock(self.clock.clone())
    }

    fn number(&self, number: usize) -> Token {
        let token = Token::new(Scheme::Bearer, number.to_string()).unwrap();
        token.expiring(self.clock.now(), Duration::from_secs(HOUR))
    }

    /// Both clocks move.
    async fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        advance(Duration::from_secs(seconds)).await;
    }

    fn counts(&self) -> (usize, usize) {
        (self.asked.load(SeqCst), self.told.load(SeqCst))
    }
}

impl TokenSource for Numbers {
    fn token(&self) -> Eventual<Outcome> {
        Eventual::now(Ok(self.number(self.asked.fetch_add(1, SeqCst) + 1)))
    }

    fn reject(&self, _: &Token) {
        self.told.fetch_add(1, SeqCst);
    }
}

/// A source around another that wants to know of each token.
struct Nosy<S> {
    inner: S,
    given: Arc<AtomicUsize>,
}

impl<S: TokenSource> TokenSource for Nosy<S> {
    fn token(&self) -> Eventual<Outcome> {
        self.given.fetch_add(1, SeqCst);
        self.inner.token()
    }

    fn reject(&self, token: &Token) {
        self.inner.reject(token);
    }
}

fn to(source: impl TokenSource) -> AttachLayer {
    AttachLayer::to("https://api.example", source).unwrap()
}

fn get() -> Request<()> {
    Request::get("https://api.example/orders").body(()).unwrap()
}

fn sent<B>(request: &Request<B>) -> String {
    request.headers()["authorization"].to_str().unwrap().replace("Bearer ", "")
}

/// Says which token it was sent, with a 401 if it is number 1 and `picky`.
fn api(
    picky: bool,
) -> impl Service<Request<()>, Response = Response<String>, Error = Infallible, Future: Send> + Clone {
    tower::service_fn(move |request: Request<()>| async move {
        let token = sent(&request);
        let status = if picky && token == "1" { 401 } else { 200 };
        Ok(Response::builder().status(status).body(token).unwrap())
    })
}

async fn call<S>(service: &mut S) -> (u16, String)
where
    S: Service<Request<()>, Response = Response<String>, Error = AttachError<Infallible>>,
{
    let response = service.ready().await.unwrap().call(get()).await.unwrap();
    (response.status().as_u16(), response.into_body())
}

async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_token_is_seen_by_a_service_that_holds_the_last_and_by_its_clones() {
    let numbers = Numbers::new();
    let layer = to(numbers.cached());
    let (mut one, mut other) = (layer.layer(api(false)), layer.layer(api(false)));
    assert_eq!((call(&mut one).await.1, call(&mut other).await.1), ("1".into(), "1".into()));
    let mut clone = one.clone();

    numbers.pass(HOUR - 200).await;
    assert_eq!(call(&mut one).await.1, "1", "stale, and given out");
    settle().await;
    let mut late = one.clone();
    for service in [&mut one, &mut other, &mut clone, &mut late] {
        assert_eq!(call(service).await.1, "2");
    }
    let elsewhere = std::thread::spawn(move || tokio_test::block_on(call(&mut late)).1);
    assert_eq!(elsewhere.join().unwrap(), "2");
    assert_eq!(numbers.counts(), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_given_to_nobody_any_more() {
    let numbers = Numbers::new();
    let mut one = to(numbers.cached()).layer(api(true));
    let mut clone = one.clone();
    assert_eq!(call(&mut clone).await, (401, "1".into()));
    assert_eq!(call(&mut one).await, (200, "2".into()));
    assert_eq!(call(&mut clone).await, (200, "2".into()), "the one that held it");
    assert_eq!(numbers.counts(), (2, 1));
}

/// Tokens come when somebody sends them.
#[derive(Clone, Default)]
struct Slots(Arc<Mutex<VecDeque<oneshot::Receiver<Token>>>>);

impl Slots {
    fn expect(&self) -> oneshot::Sender<Token> {
        let (sender, receiver) = oneshot::channel();
        self.0.lock().unwrap().push_back(receiver);
        sender
    }
}

impl TokenSource for Slots {
    fn token(&self) -> Eventual<Outcome> {
        let slot = self.0.lock().unwrap().pop_front().unwrap();
        Eventual::later(async move { Ok(slot.await.unwrap()) })
    }
}

#[tokio::test(start_paused = true)]
async fn fresh_then_stale_then_waited_for_then_gone() {
    let (numbers, slots) = (Numbers::new(), Slots::default());
    let (first, second) = (slots.expect(), slots.expect());
    let source = CachedSource::new(slots.clone()).with_clock(numbers.clock.clone());
    let mut service = to(source).layer(api(false));
    first.send(numbers.number(1)).unwrap();
    assert_eq!(call(&mut service).await.1, "1");

    // The clock alone moves, so that the refresh has time for ever.
    let left = |seconds| numbers.clock.set(1_700_000_000 + i64::try_from(HOUR - seconds).unwrap());
    for (seconds, waiting) in [(3500, 1), (340, 1), (260, 0), (11, 0)] {
        left(seconds);
        let response = assert_ready_ok!(task::spawn(service.call(get())).poll());
        assert_eq!(response.into_body(), "1", "at once, with {seconds} s left");
        settle().await;
        assert_eq!(slots.0.lock().unwrap().len(), waiting, "one refresh began, or none");
    }
    let mut responses = Vec::new();
    for seconds in [9, 1, 0] {
        left(seconds);
        responses.push(task::spawn(service.call(get())));
        assert_pending!(responses.last_mut().unwrap().poll(), "{seconds} s left");
    }
    second.send(numbers.number(2)).unwrap();
    settle().await;
    for mut response in responses {
        assert_eq!(assert_ready_ok!(response.poll()).into_body(), "2");
    }
    assert_eq!(assert_ready_ok!(task::spawn(service.call(get())).poll()).into_body(), "2");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_comes_when_the_token_was_replaced_already_does_nothing() {
    for retries in [false, true] {
        let numbers = Numbers::new();
        let layer = to(numbers.cached());
        // The answer to the first request is held back until the token is another, and nothing cools off.
        let (release, held) = oneshot::channel::<()>();
        let held = Arc::new(Mutex::new(Some(held)));
        let late = tower::service_fn(move |request: Request<()>| {
            let held = held.lock().unwrap().take();
            async move {
                let token = sent(&request);
                if let Some(held) = held {
                    held.await.unwrap();
                }
                let status = if token == "1" { 401 } else { 200 };
                Ok::<_, Infallible>(Response::builder().status(status).body(token).unwrap())
            }
        });
        let mut quick = layer.layer(api(true));
        assert_eq!(layer.clone().layer(api(false)).oneshot(get()).await.unwrap().into_body(), "1");
        let answer = if retries {
            tokio::spawn(layer.retry_unauthorized(CloneBody).layer(late).oneshot(get()))
        } else {
            tokio::spawn(layer.layer(late).oneshot(get()))
        };
        settle().await;
        assert_eq!(call(&mut quick).await.0, 401);
        assert_eq!(call(&mut quick).await, (200, "2".into()));
        numbers.pass(600).await;
        release.send(()).unwrap();
        let expected = if retries { "2" } else { "1" };
        assert_eq!(answer.await.unwrap().unwrap().into_body(), expected);
        assert_eq!(call(&mut quick).await, (200, "2".into()));
        assert_eq!(numbers.counts(), (2, 1), "nothing was dropped, and nobody was told");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_in_time_is_told_once_for_all() {
    let numbers = Numbers::new();
    let service = to(numbers.cached()).retry_unauthorized(CloneBody).layer(api(true));
    let calls: Vec<_> = (0..100).map(|_| tokio::spawn(service.clone().oneshot(get()))).collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().into_body(), "2");
    }
    assert_eq!(numbers.counts(), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_source_around_another_is_asked_each_time_unless_it_hands_out_what_that_one_publishes() {
    struct Discreet(Nosy<CachedSource<Numbers>>);
    impl TokenSource for Discreet {
        fn token(&self) -> Eventual<Outcome> {
            self.0.token()
        }
        fn reject(&self, token: &Token) {
            self.0.reject(token);
        }
        fn published(&self) -> Option<Published> {
            self.0.inner.published()
        }
    }
    let (numbers, given) = (Numbers::new(), Arc::new(AtomicUsize::new(0)));
    let nosy = || Nosy { inner: numbers.cached(), given: Arc::clone(&given) };
    let mut service = to(nosy()).layer(api(false));
    for calls in 1..=5 {
        assert_eq!(call(&mut service).await.1, "1");
        assert_eq!(given.load(SeqCst), calls);
    }
    let mut service = to(Arc::new(Discreet(nosy()))).layer(api(false));
    for _ in 0..5 {
        assert_eq!(call(&mut service).await.1, "2");
    }
    assert_eq!(given.load(SeqCst), 6, "once, when there was none");
}

#[tokio::test]
async fn by_the_systems_clock() {
    struct Lasting(Duration, AtomicUsize);
    impl TokenSource for Lasting {
        fn token(&self) -> Eventual<Outcome> {
            let number = self.1.fetch_add(1, SeqCst) + 1;
            let now = tower_bearer::SystemClock::new().now();
            Eventual::now(Ok(Token::new(Scheme::Bearer, number.to_string()).unwrap().expiring(now, self.0)))
        }
    }
    for (lifetime, last) in [(HOUR, "1"), (0, "100")] {
        let source = CachedSource::new(Lasting(Duration::from_secs(lifetime), AtomicUsize::new(0)));
        let mut service = to(source).layer(api(false));
        let mut token = String::new();
        for _ in 0..100 {
            token = call(&mut service).await.1;
        }
        assert_eq!(token, last, "{lifetime} s");
    }
}

#[tokio::test]
async fn the_header_is_sensitive_and_debug_has_no_token_atk_60() {
    let source = StaticToken::new(Scheme::Bearer, "canary").unwrap();
    let published = source.published().unwrap();
    assert!(format!("{published:?}").contains("Token") && !format!("{published:?}").contains("canary"));
    let client = tower::service_fn(|request: Request<()>| async move {
        Ok::<_, Infallible>(Response::new(request.headers()["authorization"].is_sensitive()))
    });
    let mut service = to(source).layer(client);
    for _ in 0..2 {
        assert!(service.ready().await.unwrap().call(get()).await.unwrap().into_body());
    }
    assert!(!format!("{service:?}").contains("canary"));
}

#[tokio::test]
async fn the_service_that_was_ready_is_the_one_called() {
    let source = StaticToken::new(Scheme::Bearer, "1").unwrap();
    let (mut service, mut handle) = mock::spawn_layer::<Request<()>, Response<()>, _>(to(source));
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    let mut response = task::spawn(service.call(get()));
    let (request, answer) = handle.next_request().await.unwrap();
    assert_eq!(sent(&request), "1");
    answer.send_response(Response::new(()));
    assert_ready_ok!(response.poll());
}
