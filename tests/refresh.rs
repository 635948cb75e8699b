//! A token that is kept: when another is asked for, who waits, and who fails together with whom.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::{Instant, advance, sleep};
use tower_bearer::contract::{Credentials, TokenContract};
use tower_bearer::source::{CachedSource, FetchedSource, TokenSource};
use tower_bearer::test_util::ManualClock;
use tower_bearer::transport::ServiceTransport;
use tower_bearer::{Clock, Eventual, Scheme, Secret, Token, TokenError};

const NOW: i64 = 1_700_000_000;
const HOUR: u64 = 3600;

type Outcome = Result<Token, TokenError>;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Answers as it is told, and counts.
struct Endpoint<F> {
    asked: Arc<AtomicUsize>,
    clock: ManualClock,
    answer: F,
}

impl<F> TokenSource for Endpoint<F>
where
    F: Fn(usize, ManualClock) -> Eventual<Outcome> + Send + Sync + 'static,
{
    fn token(&self) -> Eventual<Outcome> {
        let number = self.asked.fetch_add(1, SeqCst) + 1;
        (self.answer)(number, self.clock.clone())
    }
}

struct Story<F> {
    asked: Arc<AtomicUsize>,
    clock: ManualClock,
    source: CachedSource<Endpoint<F>>,
}

impl<F> Story<F>
where
    F: Fn(usize, ManualClock) -> Eventual<Outcome> + Send + Sync + 'static,
{
    fn new(answer: F) -> Self {
        let (asked, clock) = (Arc::default(), ManualClock::at(NOW));
        let endpoint = Endpoint { asked: Arc::clone(&asked), clock: clock.clone(), answer };
        Self { asked, clock: clock.clone(), source: CachedSource::new(endpoint).with_clock(clock) }
    }

    async fn token(&self) -> Result<String, String> {
        match self.source.token().await {
            Ok(token) => Ok(token.expose().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The answer if it is there without waiting.
    fn now(&self) -> Option<Result<String, String>> {
        let outcome = self.source.token().try_now().ok()?;
        Some(outcome.map(|token| token.expose().to_owned()).map_err(|error| error.to_string()))
    }

    fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }

    /// Both clocks move.
    async fn pass(&self, seconds: u64) {
        self.clock.advance(secs(seconds));
        advance(secs(seconds)).await;
    }
}

fn numbered(number: usize, clock: &ManualClock, lifetime: u64) -> Token {
    Token::new(Scheme::Bearer, number.to_string()).unwrap().expiring(clock.now(), secs(lifetime))
}

/// A token of an hour, a second later.
fn slow_hour(number: usize, clock: ManualClock) -> Eventual<Outcome> {
    let token = numbered(number, &clock, HOUR);
    Eventual::later(async move {
        sleep(secs(1)).await;
        Ok(token)
    })
}

fn fails(error: TokenError) -> Eventual<Outcome> {
    Eventual::later(async move { Err(error) })
}

/// Lets the tasks that can run do so.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_of_an_empty_source_cause_one_fetch() {
    let story = Story::new(slow_hour);
    let callers: Vec<_> = (0..1000).map(|_| tokio::spawn(story.source.token())).collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap().expose(), "1");
    }
    assert_eq!(story.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_calls_in_a_lifetime_cause_one_fetch_s3_c4() {
    let story = Story::new(slow_hour);
    for _ in 0..10_000 {
        assert_eq!(story.token().await, Ok("1".into()));
        advance(Duration::from_millis(300)).await;
    }
    assert_eq!(story.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stale_token_is_given_out_while_one_refresh_runs() {
    let story = Story::new(slow_hour);
    story.token().await.unwrap();
    story.pass(HOUR - 200).await;
    for _ in 0..100 {
        assert_eq!(story.now(), Some(Ok("1".into())), "no call waits");
    }
    settle().await;
    assert_eq!(story.asked(), 2);
    sleep(secs(1)).await;
    settle().await;
    assert_eq!(story.now(), Some(Ok("2".into())));
    assert_eq!(story.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn in_the_last_seconds_callers_wait_for_the_next_token() {
    let story = Story::new(slow_hour);
    story.token().await.unwrap();
    story.pass(HOUR - 9).await;
    assert_eq!(story.now(), None);
    assert_eq!(story.token().await, Ok("2".into()));
    assert_eq!(story.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn short_lived_tokens_are_not_fetched_for_each_call() {
    let story = Story::new(|number, clock| Eventual::now(Ok(numbered(number, &clock, 2))));
    for _ in 0..200 {
        story.token().await.unwrap();
        settle().await;
        advance(Duration::from_millis(50)).await;
    }
    // Ten seconds, of which each token serves one at least.
    assert!(story.asked() <= 11, "{}", story.asked());
}

#[tokio::test(start_paused = true)]
async fn a_hanging_endpoint_fails_everybody_within_one_budget() {
    let story = Story::new(|_, _| Eventual::later(std::future::pending()));
    let began = Instant::now();
    let callers: Vec<_> = (0..1000).map(|_| tokio::spawn(story.source.token())).collect();
    for caller in callers {
        let error = caller.await.unwrap().unwrap_err();
        assert!(error.is_transient() && error.to_string() == "no token came in time");
    }
    assert_eq!(began.elapsed(), secs(10));
    assert_eq!(story.asked(), 1);
    assert!(story.now().unwrap().is_err(), "and who comes right after fails at once");
    assert_eq!(story.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn transient_failures_are_tried_again_within_the_budget_s0_c6() {
    let story = Story::new(|number, clock| match number {
        1 | 2 => fails(TokenError::transient("the endpoint is down")),
        _ => Eventual::now(Ok(numbered(number, &clock, HOUR))),
    });
    let began = Instant::now();
    assert_eq!(story.token().await, Ok("3".into()));
    assert!(began.elapsed() >= Duration::from_millis(2700) && began.elapsed() <= Duration::from_millis(3300));
}

#[tokio::test(start_paused = true)]
async fn a_dead_endpoint_is_asked_five_times_in_a_budget_at_most() {
    let story = Story::new(|_, _| fails(TokenError::transient("the endpoint is down")));
    let began = Instant::now();
    let callers: Vec<_> = (0..100).map(|_| tokio::spawn(story.source.token())).collect();
    for caller in callers {
        assert!(caller.await.unwrap().is_err());
    }
    assert!(began.elapsed() <= secs(10));
    assert!((2..=5).contains(&story.asked()), "{}", story.asked());
    // For a quarter of an hour: one fetch each 30 s, give or take the jitter, and the first few.
    for _ in 0..900 {
        assert!(story.token().await.is_err());
        advance(secs(1)).await;
    }
    assert!((30..=42).contains(&story.asked()), "{}", story.asked());
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_waited_for_s3_c3() {
    let story = Story::new(|number, clock| match number {
        1 => fails(TokenError::transient("too many requests").with_retry_after(secs(60))),
        _ => Eventual::now(Ok(numbered(number, &clock, HOUR))),
    });
    assert_eq!(story.token().await, Err("too many requests".into()));
    for _ in 0..59 {
        advance(secs(1)).await;
        assert_eq!(story.now(), Some(Err("too many requests".into())));
    }
    assert_eq!(story.asked(), 1);
    advance(secs(2)).await;
    assert_eq!(story.token().await, Ok("2".into()));
}

#[tokio::test(start_paused = true)]
async fn wrong_credentials_are_not_tried_again_in_a_burst_nor_given_up_for_good_s1_c5() {
    let story = Story::new(|number, clock| match number {
        1 => fails(TokenError::permanent("unknown client")),
        _ => Eventual::now(Ok(numbered(number, &clock, HOUR))),
    });
    for _ in 0..100 {
        assert_eq!(story.token().await, Err("unknown client".into()));
        advance(Duration::from_millis(50)).await;
    }
    assert_eq!(story.asked(), 1);
    advance(secs(12)).await;
    assert_eq!(story.token().await, Ok("2".into()));
}

#[tokio::test(start_paused = true)]
async fn a_good_token_survives_failed_refreshes_s3_c3() {
    let story = Story::new(|number, clock| match number {
        1 => Eventual::now(Ok(numbered(number, &clock, HOUR))),
        2 => fails(TokenError::permanent("unknown client")),
        _ => fails(TokenError::transient("the endpoint is down")),
    });
    story.token().await.unwrap();
    story.pass(HOUR - 250).await;
    for _ in 0..240 {
        assert_eq!(story.now(), Some(Ok("1".into())));
        settle().await;
        story.pass(1).await;
    }
    for _ in 0..9 {
        assert_eq!(story.token().await, Ok("1".into()), "in the hard window too");
    }
    story.pass(10).await;
    assert!(story.token().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_thousand_refusals_of_one_token_cause_one_more_fetch_s3_c2_atk_56() {
    let story = Story::new(slow_hour);
    let refused = story.source.token().await.unwrap();
    let callers: Vec<_> = (0..1000)
        .map(|_| {
            let (source, refused) = (story.source.clone(), refused.clone());
            tokio::spawn(async move {
                source.reject(&refused);
                source.token().await
            })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap().expose(), "2");
    }
    // One that comes late cannot throw the new token away, whenever that is.
    story.pass(600).await;
    story.source.reject(&refused);
    assert_eq!(story.now(), Some(Ok("2".into())));
    let look_alike = Token::new(Scheme::Bearer, "2").unwrap();
    story.source.reject(&look_alike);
    assert_eq!(story.now(), Some(Ok("2".into())));
    assert_eq!(story.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_everything_costs_a_fetch_each_cool_off_atk_62() {
    let story = Story::new(slow_hour);
    for _ in 0..1000 {
        let token = story.source.token().await.unwrap();
        story.source.reject(&token);
        advance(Duration::from_millis(100)).await;
    }
    // 100 s and the waiting; the first token and its replacement came in one.
    assert!((9..=12).contains(&story.asked()), "{}", story.asked());
}

#[tokio::test(start_paused = true)]
async fn short_lives_do_not_shorten_the_cool_off_atk_62() {
    let story = Story::new(|number, clock| Eventual::now(Ok(numbered(number, &clock, 2))));
    for _ in 0..200 {
        let token = story.source.token().await.unwrap();
        story.source.reject(&token);
        settle().await;
        advance(Duration::from_millis(50)).await;
    }
    // Ten seconds: what the lifetimes take, and two more.
    assert!(story.asked() <= 13, "{}", story.asked());
}

#[tokio::test(start_paused = true)]
async fn the_first_token_is_replaced_at_once_when_it_is_refused() {
    let story = Story::new(slow_hour);
    let first = story.source.token().await.unwrap();
    story.source.reject(&first);
    assert_eq!(story.token().await, Ok("2".into()));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_takes_nothing_with_it_atk_57() {
    let story = Story::new(slow_hour);
    drop(story.source.token());
    settle().await;
    assert_eq!(story.asked(), 1);
    sleep(secs(2)).await;
    assert_eq!(story.now(), Some(Ok("1".into())));
    assert_eq!(story.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_source_ends_its_refresh() {
    struct Flag(Arc<AtomicBool>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.store(true, SeqCst);
        }
    }
    let ended = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&ended);
    let story = Story::new(move |_, _| {
        let flag = Flag(Arc::clone(&flag));
        Eventual::later(async move {
            let _flag = flag;
            std::future::pending().await
        })
    });
    let waiting = story.source.token();
    settle().await;
    assert_eq!(story.asked(), 1);
    drop(story);
    settle().await;
    assert!(ended.load(SeqCst), "no task is left behind");
    assert!(waiting.await.unwrap_err().is_transient());
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_is_a_failure_like_any_other() {
    let story = Story::new(|number, clock| match number {
        1 => Eventual::later(async { panic!("on purpose") }),
        _ => Eventual::now(Ok(numbered(number, &clock, HOUR))),
    });
    for _ in 0..100 {
        assert_eq!(story.token().await, Err("the refresh ended without an outcome".into()));
    }
    assert_eq!(story.asked(), 1);
    advance(secs(2)).await;
    assert_eq!(story.token().await, Ok("2".into()));
}

#[test]
fn no_runtime_is_needed_until_there_is_something_to_wait_for() {
    let story = Story::new(slow_hour);
    let waiting = story.source.token();
    assert_eq!(story.asked(), 0);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    assert_eq!(runtime.block_on(waiting).unwrap().expose(), "1");
    assert_eq!(story.now(), Some(Ok("1".into())));

    let nowhere = Story::new(slow_hour);
    let error = nowhere.source.token().now_or_never().expect("it cannot wait").unwrap_err();
    assert!(error.is_transient());
    assert_eq!(nowhere.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_jumps_is_noticed() {
    let story = Story::new(slow_hour);
    story.token().await.unwrap();
    story.clock.set(NOW - 1_000_000);
    assert_eq!(story.now(), Some(Ok("1".into())));
    advance(secs(HOUR)).await;
    assert_eq!(story.token().await, Ok("2".into()), "set back: the timer counts");
    story.clock.advance(secs(HOUR));
    assert_eq!(story.token().await, Ok("3".into()), "suspended: the clock counts");
}

/// A token endpoint that rotates: it takes the newest refresh token alone.
#[derive(Clone)]
struct Rotating {
    newest: Arc<Mutex<String>>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Rotating {
    fn new() -> Self {
        Self { newest: Arc::new(Mutex::new("r1".into())), seen: Arc::default() }
    }

    fn source(&self, clock: &ManualClock) -> FetchedSource {
        let endpoint = self.clone();
        let service = tower::service_fn(move |request: Request<Full<Bytes>>| {
            let endpoint = endpoint.clone();
            async move {
                sleep(secs(1)).await;
                endpoint.answer(request).await
            }
        });
        let contract =
            TokenContract::refresh_token().with_client_auth(tower_bearer::contract::ClientAuth::None);
        let credentials = Credentials::refresh_token("r1");
        FetchedSource::new(contract, "https://id.example/token", credentials, ServiceTransport::new(service))
            .unwrap()
            .with_clock(clock.clone())
    }

    async fn answer(&self, request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, std::io::Error> {
        use http_body_util::BodyExt;
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let sent = String::from_utf8(body.to_vec()).unwrap();
        let sent = sent.split('&').find_map(|pair| pair.strip_prefix("refresh_token=")).unwrap().to_owned();
        self.seen.lock().unwrap().push(sent.clone());
        let mut newest = self.newest.lock().unwrap();
        if *newest != sent {
            let refused = Response::builder().status(400).body(Full::from(r#"{"error":"invalid_grant"}"#));
            return Ok(refused.unwrap());
        }
        *newest = format!("r{}", self.seen.lock().unwrap().len() + 1);
        let body = format!(
            r#"{{"access_token":"for-{sent}","token_type":"bearer","expires_in":60,"refresh_token":"{newest}"}}"#
        );
        Ok(Response::new(Full::from(body)))
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_refresh_token_is_saved_before_anything_is_used_s2_c6_atk_57() {
    let (endpoint, clock) = (Rotating::new(), ManualClock::at(NOW));
    let saved = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&saved);
    let source = endpoint.source(&clock).with_saver(move |token: &Secret| {
        let (log, text) = (Arc::clone(&log), String::from_utf8(token.expose().to_vec()).unwrap());
        Eventual::later(async move {
            sleep(secs(1)).await;
            log.lock().unwrap().push(text);
            Ok(())
        })
    });
    let source = CachedSource::new(source).with_clock(clock.clone());
    // Whoever asked goes away in the middle of it.
    drop(source.token());
    sleep(Duration::from_millis(1500)).await;
    assert!(saved.lock().unwrap().is_empty() && source.token().try_now().is_err(), "not saved, not used");
    sleep(secs(1)).await;
    assert_eq!(*saved.lock().unwrap(), ["r2"]);
    assert_eq!(source.token().await.unwrap().expose(), "for-r1");
    advance(secs(60)).await;
    assert_eq!(source.token().await.unwrap().expose(), "for-r2");
    assert_eq!(
        (&**endpoint.seen.lock().unwrap(), &**saved.lock().unwrap()),
        (&["r1".into(), "r2".into()][..], &["r2".into(), "r3".into()][..])
    );
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_saved_is_not_used_and_not_lost() {
    let (endpoint, clock) = (Rotating::new(), ManualClock::at(NOW));
    let tries = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&tries);
    let source = endpoint.source(&clock).with_saver(move |_: &Secret| {
        let full = counter.fetch_add(1, SeqCst) < 2;
        Eventual::now(if full { Err("the disk is full".into()) } else { Ok(()) })
    });
    for _ in 0..2 {
        let error = source.token().await.unwrap_err();
        assert!(error.is_transient());
        assert_eq!(error.to_string(), "the new refresh token could not be saved");
    }
    assert_eq!(*endpoint.seen.lock().unwrap(), ["r1"], "the second try began with saving, and ended there");
    assert_eq!(source.token().await.unwrap().expose(), "for-r2");
}

#[tokio::test(start_paused = true)]
async fn a_rotating_refresh_token_is_used_by_one_request_at_a_time() {
    let (endpoint, clock) = (Rotating::new(), ManualClock::at(NOW));
    let source = endpoint.source(&clock);
    let callers: Vec<_> = (0..50).map(|_| tokio::spawn(source.token())).collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap().expose(), "for-r1");
    }
    assert_eq!(*endpoint.seen.lock().unwrap(), ["r1"]);
}
