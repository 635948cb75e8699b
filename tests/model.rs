//! The cached source as a state machine: each state with each event, and any sequence of events.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderValue, Request, Response};
use proptest::prelude::*;
use tokio::time::{Instant, advance, sleep};
use tower::{Layer, Service, ServiceExt};
use tower_bearer::source::{CachedSource, TokenSource};
use tower_bearer::test_util::ManualClock;
use tower_bearer::{AttachLayer, Clock, Eventual, Phase, Scheme, Token, TokenError};

const LIFETIME: u64 = 3600;

/// What the endpoint does when it is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mood {
    Good,
    Permanent,
    Transient,
}

#[derive(Clone)]
struct Endpoint {
    clock: ManualClock,
    mood: Arc<Mutex<Mood>>,
    asked: Arc<AtomicUsize>,
    /// When each request began, and whether one began while another ran.
    began: Arc<Mutex<Vec<Instant>>>,
    running: Arc<AtomicBool>,
    overlapped: Arc<AtomicBool>,
}

/// Ends when the request does, however it does.
struct Running(Arc<AtomicBool>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(false, SeqCst);
    }
}

impl TokenSource for Endpoint {
    fn token(&self) -> Eventual<Result<Token, TokenError>> {
        let this = self.clone();
        let number = self.asked.fetch_add(1, SeqCst) + 1;
        self.began.lock().unwrap().push(Instant::now());
        if self.running.swap(true, SeqCst) {
            self.overlapped.store(true, SeqCst);
        }
        let running = Running(Arc::clone(&self.running));
        Eventual::later(async move {
            let _running = running;
            let asked = this.clock.now();
            sleep(Duration::from_millis(100)).await;
            match *this.mood.lock().unwrap() {
                Mood::Good => {
                    let token = Token::new(Scheme::Bearer, number.to_string()).unwrap();
                    Ok(token.expiring(asked, Duration::from_secs(LIFETIME)))
                }
                Mood::Permanent => Err(TokenError::permanent("unknown client")),
                Mood::Transient => Err(TokenError::transient("the endpoint is down")),
            }
        })
    }
}

struct Machine {
    endpoint: Endpoint,
    source: CachedSource<Endpoint>,
}

impl Machine {
    fn new() -> Self {
        let endpoint = Endpoint {
            clock: ManualClock::at(1_700_000_000),
            mood: Arc::new(Mutex::new(Mood::Good)),
            asked: Arc::default(),
            began: Arc::default(),
            running: Arc::default(),
            overlapped: Arc::default(),
        };
        let source = CachedSource::new(endpoint.clone()).with_clock(endpoint.clock.clone());
        Self { endpoint, source }
    }

    fn set(&self, mood: Mood) {
        *self.endpoint.mood.lock().unwrap() = mood;
    }

    async fn pass(&self, seconds: u64) {
        self.endpoint.clock.advance(Duration::from_secs(seconds));
        advance(Duration::from_secs(seconds)).await;
        self.settle().await;
    }

    /// Lets a refresh in the background come to its end.
    async fn settle(&self) {
        sleep(Duration::from_millis(200)).await;
    }

    async fn call(&self) -> Option<Token> {
        let token = self.source.token().await.ok();
        self.settle().await;
        token
    }

    fn asked(&self) -> usize {
        self.endpoint.asked.load(SeqCst)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Empty,
    Fresh,
    Soft,
    Hard,
    Gone,
    EmptyFailed,
    SoftFailed,
    HardFailed,
    GoneFailed,
    Replaced,
}

impl State {
    const ALL: [Self; 10] = [
        Self::Empty,
        Self::Fresh,
        Self::Soft,
        Self::Hard,
        Self::Gone,
        Self::EmptyFailed,
        Self::SoftFailed,
        Self::HardFailed,
        Self::GoneFailed,
        Self::Replaced,
    ];

    /// A machine in this state, and the token it has.
    async fn reach(self) -> (Machine, Option<Token>) {
        let machine = Machine::new();
        if self == Self::EmptyFailed {
            machine.set(Mood::Permanent);
            assert!(machine.call().await.is_none());
            return (machine, None);
        }
        if self == Self::Empty {
            return (machine, None);
        }
        let mut token = machine.call().await.unwrap();
        if self == Self::Replaced {
            machine.source.reject(&token);
            token = machine.call().await.unwrap();
        }
        machine
            .pass(match self {
                Self::Soft | Self::SoftFailed => LIFETIME - 200,
                Self::Hard | Self::HardFailed => LIFETIME - 5,
                Self::Gone | Self::GoneFailed => LIFETIME + 5,
                _ => 1,
            })
            .await;
        if matches!(self, Self::SoftFailed | Self::HardFailed | Self::GoneFailed) {
            machine.set(Mood::Permanent);
            machine.call().await;
        }
        (machine, Some(token))
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Event {
    Call,
    CallInAMinute,
    RejectThenCall,
    RejectAnotherThenCall,
    TenCalls,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Gives {
    Current,
    Failure,
    New,
}

/// The whole of it: what a caller gets, and how many fetches that takes.
fn expected(state: State, event: Event, mood: Mood) -> (Gives, usize) {
    use Gives::{Current, Failure, New};
    let fetched = if mood == Mood::Good { (New, 1) } else { (Failure, 1) };
    let kept = if mood == Mood::Good { (New, 1) } else { (Current, 1) };
    match (state, event) {
        // A minute later every token but a fresh one is gone, and every pause is over.
        (State::Fresh | State::Replaced, Event::CallInAMinute) => (Current, 0),
        (State::Soft | State::SoftFailed, Event::CallInAMinute) => (Current, 1),
        (_, Event::CallInAMinute) => fetched,
        (State::Fresh | State::Soft | State::Hard | State::Gone, Event::RejectThenCall) => fetched,
        (State::SoftFailed | State::HardFailed, Event::RejectThenCall) => (Failure, 0),
        (State::Empty | State::Gone, _) => fetched,
        (State::Fresh | State::Replaced | State::SoftFailed | State::HardFailed, _) => (Current, 0),
        (State::Soft, _) => (Current, 1),
        (State::Hard, _) => kept,
        (State::EmptyFailed | State::GoneFailed, _) => (Failure, 0),
    }
}

#[tokio::test(start_paused = true)]
async fn each_state_with_each_event() {
    use Event::{Call, CallInAMinute, RejectAnotherThenCall, RejectThenCall, TenCalls};
    for state in State::ALL {
        for event in [Call, CallInAMinute, RejectThenCall, RejectAnotherThenCall, TenCalls] {
            for mood in [Mood::Good, Mood::Permanent] {
                let (machine, current) = state.reach().await;
                machine.set(mood);
                let before = machine.asked();
                let another = Token::new(Scheme::Bearer, "1").unwrap();
                match event {
                    CallInAMinute => machine.pass(60).await,
                    RejectThenCall => machine.source.reject(current.as_ref().unwrap_or(&another)),
                    RejectAnotherThenCall => machine.source.reject(&another),
                    Call | TenCalls => {}
                }
                let together: Vec<_> = match event {
                    TenCalls => (0..9).map(|_| tokio::spawn(machine.source.token())).collect(),
                    _ => Vec::new(),
                };
                let token = machine.call().await;
                let gives = |token: &Option<Token>| match (token, &current) {
                    (None, _) => Gives::Failure,
                    (Some(token), Some(current)) if token.is_same(current) => Gives::Current,
                    (Some(_), _) => Gives::New,
                };
                let case = format!("{state:?} {event:?} {mood:?}");
                assert_eq!((gives(&token), machine.asked() - before), expected(state, event, mood), "{case}");
                for other in together {
                    let other = other.await.unwrap().ok();
                    assert_eq!(gives(&other), gives(&token), "{case}: all get the same");
                }
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Call,
    DropCall,
    Mood(Mood),
    Pass(u64),
    RejectLast,
    RejectOlder,
    SetBack(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Call),
        1 => Just(Step::DropCall),
        2 => prop_oneof![Just(Mood::Good), Just(Mood::Permanent), Just(Mood::Transient)].prop_map(Step::Mood),
        2 => prop_oneof![0..20u64, 0..400u64, 0..4000u64].prop_map(Step::Pass),
        1 => Just(Step::RejectLast),
        1 => Just(Step::RejectOlder),
        1 => (0..10_000u64).prop_map(Step::SetBack),
    ]
}

async fn sent(request: Request<()>) -> Result<Response<HeaderValue>, Infallible> {
    Ok(Response::new(request.headers()["authorization"].clone()))
}

async fn play(steps: Vec<Step>) {
    let machine = Machine::new();
    let mut service = AttachLayer::to_connection(machine.source.clone()).layer(tower::service_fn(sent));
    let mut given: Vec<Token> = Vec::new();
    let mut troubled = false;
    for step in steps {
        match step {
            Step::Call => {
                let began = Instant::now();
                let outcome = machine.source.token().await;
                assert!(began.elapsed() <= Duration::from_millis(10_001), "nobody waits beyond the budget");
                match outcome {
                    Ok(token) => {
                        // Fetches take 100 ms, in which nothing else moves the clock.
                        assert_ne!(token.phase(machine.endpoint.clock.now()), Phase::Expired);
                        let request = Request::new(());
                        let attached = service.ready().await.unwrap().call(request).await.unwrap();
                        assert_eq!(attached.body(), token.header_value(), "what is published is no other");
                        if given.last().is_none_or(|last| !last.is_same(&token)) {
                            given.push(token);
                        }
                    }
                    Err(error) => assert!(troubled, "{error}, out of nowhere"),
                }
            }
            Step::DropCall => drop(machine.source.token()),
            Step::Mood(mood) => {
                troubled |= mood != Mood::Good;
                machine.set(mood);
            }
            Step::Pass(seconds) => machine.pass(seconds).await,
            Step::RejectLast => given.last().into_iter().for_each(|token| machine.source.reject(token)),
            Step::RejectOlder => given.iter().rev().skip(1).for_each(|token| machine.source.reject(token)),
            Step::SetBack(seconds) => {
                let now =
                    machine.endpoint.clock.now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
                machine.endpoint.clock.set(i64::try_from(now - seconds).unwrap());
            }
        }
    }
    assert!(!machine.endpoint.overlapped.load(SeqCst), "one fetch at a time");
    // Failures are a second apart at least, but for jitter; so are five fetches of any kind.
    let began = machine.endpoint.began.lock().unwrap();
    for five in began.windows(5) {
        assert!(five[4] - five[0] >= Duration::from_millis(400), "{began:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_sequence(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(play(steps));
    }
}
