//! What is allocated: nothing to attach a token that is at hand, five times for one that is new, three
//! times for one that was seen before.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use http::{Request, Response};
use tower::{Layer, Service};
use tower_bearer::issue::{AccessToken, JwtSigner};
use tower_bearer::source::{CachedSource, StaticToken, TokenSource};
use tower_bearer::test_util::ManualClock;
use tower_bearer::verify::{JwtVerifier, Keys};
use tower_bearer::{
    Algorithm, AttachLayer, AuthenticateLayer, Clock, Eventual, Identity, Scheme, Scopes, Token, TokenError,
};

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
        let another = request();
        let cloned = allocation_counter::measure(|| {
            let mut clone = cached.clone();
            tokio_test::assert_ready_ok!(tokio_test::task::spawn(clone.call(another)).poll());
        });
        assert_eq!(cloned.count_total, by_hand.count_total);
    }
}

/// What a request through the layer allocates beyond the bare service.
fn beyond_the_bare_service(layer: &AuthenticateLayer, authorization: &str) -> u64 {
    let request = || Request::get("/orders").header(AUTHORIZATION, authorization).body(()).unwrap();
    let mut bare = tower::service_fn(send);
    let mut layered = layer.layer(tower::service_fn(send));
    let (one, other) = (request(), request());
    let without = allocation_counter::measure(|| {
        tokio_test::assert_ready_ok!(tokio_test::task::spawn(bare.call(one)).poll());
    });
    let with = allocation_counter::measure(|| {
        tokio_test::assert_ready_ok!(tokio_test::task::spawn(layered.call(other)).poll());
    });
    with.count_total - without.count_total
}

#[test]
fn a_token_costs_five_allocations_and_three_when_it_was_seen() {
    let secret = "0123456789abcdef0123456789abcdef";
    let signer = JwtSigner::hmac(Algorithm::HS256, secret).unwrap();
    let keys = Keys::hmac(Algorithm::HS256, secret).unwrap();
    let rules = JwtVerifier::builder(keys).issuer("https://issuer.example").audience("orders");
    let verifier = rules.build().unwrap();
    let layer = AuthenticateLayer::new(verifier);
    let mut fresh = Vec::new();
    for number in 0..200 {
        let lifetime = Duration::from_secs(600);
        let subject = format!("user-{number}");
        let token = AccessToken::new("https://issuer.example", subject, "web", "orders", lifetime)
            .scopes(Scopes::parse("read write").unwrap())
            .claim("tenant", "a".repeat(number))
            .claim("roles", vec!["admin", "editor"]);
        let authorization = format!("Bearer {}", signer.sign(&token).unwrap());
        fresh.push(beyond_the_bare_service(&layer, &authorization));
        for _ in 0..3 {
            assert_eq!(beyond_the_bare_service(&layer, &authorization), 3, "what the extensions need");
        }
    }
    // The other backend allocates for each signature.
    let usual = if cfg!(feature = "aws-lc-rs") { 5 } else { 15 };
    assert!(fresh[0] <= usual + 9, "the first, whose header and scopes are kept: {fresh:?}");
    assert!(
        fresh[1..].iter().all(|count| *count <= usual + 2),
        "where a part of the memory begins: {fresh:?}"
    );
    let more = fresh.iter().filter(|count| **count > usual).count();
    assert!(more <= 32 + 1, "each part does so once: {fresh:?}");
}

#[test]
fn what_is_remembered_does_not_grow_when_claims_are_read() {
    const MOST: usize = 1 << 20;
    let secret = "0123456789abcdef0123456789abcdef";
    let signer = JwtSigner::hmac(Algorithm::HS256, secret).unwrap();
    let keys = Keys::hmac(Algorithm::HS256, secret).unwrap();
    let rules = JwtVerifier::builder(keys).issuer("https://issuer.example").audience("orders");
    let layer = AuthenticateLayer::new(rules.with_remembered(10_000, MOST).build().unwrap());
    let tokens: Vec<_> = (0..2_000)
        .map(|number| {
            let subject = format!("user-{number}");
            let token = AccessToken::new(
                "https://issuer.example",
                subject,
                "web",
                "orders",
                Duration::from_secs(600),
            );
            format!("Bearer {}", signer.sign(&token.claim("roles", vec!["r"; 100])).unwrap())
        })
        .collect();
    let kept = allocation_counter::measure(|| {
        let mut layered = layer.layer(tower::service_fn(|request: Request<()>| {
            let identity = request.extensions().get::<Identity>().unwrap();
            assert_eq!(identity.claim("roles").and_then(|roles| roles.as_array()).unwrap().len(), 100);
            send(request)
        }));
        for authorization in tokens.iter().chain(&tokens) {
            let request = Request::get("/").header(AUTHORIZATION, authorization).body(()).unwrap();
            tokio_test::assert_ready_ok!(tokio_test::task::spawn(layered.call(request)).poll());
        }
    });
    let kept = usize::try_from(kept.bytes_current).unwrap();
    assert!(kept > MOST / 2 && kept < MOST + MOST / 2, "{kept} bytes");
}

#[test]
fn a_refused_token_allocates_nothing_in_proportion() {
    let keys = Keys::hmac(Algorithm::HS256, "0123456789abcdef0123456789abcdef").unwrap();
    let verifier = JwtVerifier::builder(keys).issuer("https://issuer.example").audience("orders").build();
    let layer = AuthenticateLayer::new(verifier.unwrap());
    let bytes = |token: &str| {
        let request = Request::get("/").header(AUTHORIZATION, format!("Bearer {token}")).body(()).unwrap();
        let mut layered = layer.layer(tower::service_fn(send));
        let refused = allocation_counter::measure(|| {
            tokio_test::assert_ready_ok!(tokio_test::task::spawn(layered.call(request)).poll());
        });
        refused.bytes_total
    };
    let short = bytes("abc");
    let stranger = JwtSigner::hmac(Algorithm::HS256, "fedcba9876543210fedcba9876543210").unwrap();
    let forged = |len: usize| {
        let token =
            AccessToken::new("https://issuer.example", "user", "web", "orders", Duration::from_secs(600));
        stranger.sign(&token.claim("data", "a".repeat(len))).unwrap()
    };
    let with_header = |len: usize| {
        let header = format!(r#"{{"alg":"HS256","typ":"at+jwt","x5c":["{}"]}}"#, "a".repeat(len));
        let token = forged(100);
        let (_, rest) = token.split_once('.').unwrap();
        format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header))
    };
    // What has this form is looked at until its signature is found wrong.
    let short = short.max(bytes(&forged(100)));
    let long = ["a".repeat(16_000), ".".repeat(16_000), format!("a.{}.b", "-".repeat(15_000))];
    for token in long.into_iter().chain([forged(11_500), with_header(11_500)]) {
        assert!(bytes(&token) <= short + 512, "{} bytes of {}", token.len(), &token[..3]);
    }
}
