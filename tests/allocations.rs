//! A token that is at hand costs no allocation beyond the header map's own.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{Request, Response};
use tower::{Layer, Service};
use tower_bearer::source::{CachedSource, StaticToken, TokenSource};
use tower_bearer::test_util::ManualClock;
use tower_bearer::{AttachLayer, Clock, Eventual, Scheme, Token, TokenError};

struct Hour(ManualClock);

impl TokenSource for Hour {
    fn token(&self) -> Eventual<Result<Token, TokenError>> {
        let token = Token::new(Scheme::Bearer, "a".repeat(800)).unwrap();
        Eventual::now(Ok(token.expiring(self.0.now(), Duration::from_secs(3600))))
    }
}

fn send(_: Request<()>) -> Ready<Result<Response<()>, Infallible>> {
    ready(Ok(Response::new(())))
}

fn request() -> Request<()> {
    Request::get("https://api.example/orders").body(()).unwrap()
}

#[tokio::test]
async fn attaching_allocates_nothing_of_its_own() {
    let clock = ManualClock::at(1_700_000_000);
    let cached = CachedSource::new(Hour(clock.clone())).with_clock(clock);
    let token = cached.token().await.unwrap();
    let fixed = StaticToken::new(Scheme::Bearer, "abc").unwrap();

    let mut bare = tower::service_fn(send);
    let mut by_hand = request();
    let by_hand = allocation_counter::measure(|| {
        by_hand.headers_mut().insert(AUTHORIZATION, token.header_value().clone());
        tokio_test::assert_ready_ok!(tokio_test::task::spawn(bare.call(by_hand)).poll());
    });
    assert!(by_hand.count_total > 0, "the header map has its own");

    let mut cached = AttachLayer::to("https://api.example", cached).unwrap().layer(tower::service_fn(send));
    let mut fixed = AttachLayer::to("https://api.example", fixed).unwrap().layer(tower::service_fn(send));
    for _ in 0..3 {
        let (one, other) = (request(), request());
        let kept = allocation_counter::measure(|| {
            tokio_test::assert_ready_ok!(tokio_test::task::spawn(cached.call(one)).poll());
        });
        let constant = allocation_counter::measure(|| {
            tokio_test::assert_ready_ok!(tokio_test::task::spawn(fixed.call(other)).poll());
        });
        assert_eq!((kept.count_total, constant.count_total), (by_hand.count_total, by_hand.count_total));
    }
}
