//! What is counted. Each scenario gives a batch that is ready to be sent.

use std::convert::Infallible;
use std::fmt::Debug;
use std::future::{Ready, ready};
use std::ops::Range;
use std::sync::{Arc, Barrier};
use std::time::{Duration, SystemTime};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Request, Response, StatusCode};
use tower::{Layer, Service};
use tower_bearer::issue::JwtSigner;
use tower_bearer::pat::PatFormat;
use tower_bearer::source::{CachedSource, StaticToken, TokenSource};
use tower_bearer::verify::{JwtVerifier, Keys, PatVerifier};
use tower_bearer::{
    Algorithm, AttachLayer, AuthenticateLayer, Clock, Eventual, Identity, Scheme, SystemClock, Token,
    TokenError,
};

use crate::common::{Lines, requests, send};
use crate::tokens::{ISSUER, SECRET, sign};

pub(crate) const REQUESTS: usize = 512;

type Batch = Box<dyn FnMut() -> usize>;
type Scenario = (&'static str, fn() -> Batch);

/// The names are those of the baseline.
pub(crate) const SCENARIOS: [Scenario; 12] = [
    ("in-bare", || through(requests(&bearer(0..REQUESTS)), service())),
    ("signature", signature),
    ("in-fresh", || fresh(in_use())),
    ("in-fresh-crowd", || fresh(crowded(in_use()))),
    ("in-seen", seen),
    ("in-missing", || refused(&vec![None; REQUESTS], jwt())),
    ("in-malformed", || refused(&vec![Some("Bearer not-a-jwt".to_owned()); REQUESTS], jwt())),
    ("in-pat-seen", personal_seen),
    ("in-pat-malformed", || refused(&vec![Some("Token nbp_0123".to_owned()); REQUESTS], personal().0)),
    ("out-bare", || through(requests(&vec![None; REQUESTS]), service())),
    ("out-static", || through(requests(&vec![None; REQUESTS]), attach(fixed()).layer(service()))),
    ("out-cached", || through(requests(&vec![None; REQUESTS]), attach(cached()).layer(service()))),
];

fn service()
-> impl Service<Request<()>, Response = Response<()>, Error = Infallible, Future: Send> + Clone + Send {
    tower::service_fn(|request: Request<()>| -> Ready<Result<Response<()>, Infallible>> {
        std::hint::black_box(request.extensions().get::<Identity>());
        ready(Ok(Response::new(())))
    })
}

/// All of them come through.
fn through<S>(requests: Vec<Request<()>>, mut service: S) -> Batch
where
    S: Service<Request<()>, Response = Response<()>, Error: Debug> + 'static,
{
    let mut requests = Some(requests);
    Box::new(move || {
        let good = send(&mut service, requests.take().expect("one batch"), StatusCode::OK);
        assert_eq!(good, REQUESTS, "all come through");
        good
    })
}

/// None of them comes through.
fn refused(authorization: &Lines, layer: AuthenticateLayer) -> Batch {
    let (mut requests, mut service) = (Some(requests(authorization)), layer.layer(service()));
    Box::new(move || {
        let good = send(&mut service, requests.take().expect("one batch"), StatusCode::OK);
        assert_eq!(good, 0, "none comes through");
        good
    })
}

fn tokens(numbers: Range<usize>) -> impl Iterator<Item = String> {
    let signer = JwtSigner::hmac(Algorithm::HS256, SECRET).expect("a signer").with_key_id("key-1");
    numbers.map(move |number| sign(&signer, number))
}

fn bearer(numbers: Range<usize>) -> Lines {
    tokens(numbers).map(|token| Some(format!("Bearer {token}"))).collect()
}

/// It remembers four times as many as there are requests.
fn jwt() -> AuthenticateLayer {
    let keys = Keys::hmac(Algorithm::HS256, SECRET).expect("keys");
    let rules = JwtVerifier::builder(keys).issuer(ISSUER).audience("orders");
    let verifier = rules.with_remembered(4 * REQUESTS, 64 * 1024 * 1024).build();
    AuthenticateLayer::new(verifier.expect("a verifier"))
}

fn fresh<S>(service: S) -> Batch
where
    S: Service<Request<()>, Response = Response<()>, Error: Debug> + 'static,
{
    through(requests(&bearer(0..REQUESTS)), service)
}

/// Its memory was full of others before, so that it has its size, and forgot half of them: there is room for all
/// requests, and a little more.
fn in_use() -> impl Service<Request<()>, Response = Response<()>, Error = Infallible> + Clone + Send {
    let (mut service, others) = (jwt().layer(service()), bearer(REQUESTS..6 * REQUESTS - 64));
    let good = send(&mut service, requests(&others), StatusCode::OK);
    assert_eq!(good, others.len(), "all come through");
    service
}

/// Many threads at a time have looked into its memory, as those of a large machine do.
fn crowded<S>(service: S) -> S
where
    S: Service<Request<()>, Response = Response<()>, Error: Debug> + Clone + Send,
{
    const THREADS: usize = 64;
    let (authorization, together) = (bearer(REQUESTS..REQUESTS + 1), Barrier::new(THREADS));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            let mut service = service.clone();
            let (authorization, together) = (&authorization, &together);
            scope.spawn(move || {
                assert_eq!(send(&mut service, requests(authorization), StatusCode::OK), 1, "it is good");
                together.wait();
            });
        }
    });
    service
}

/// The limit: the signature alone.
fn signature() -> Batch {
    let split = |token: String| {
        let (signed, signature) = token.rsplit_once('.').expect("a signature");
        (signed.to_owned(), URL_SAFE_NO_PAD.decode(signature).expect("base64url"))
    };
    let tokens: Vec<_> = tokens(0..REQUESTS).map(split).collect();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    Box::new(move || {
        let good = |(signed, signature): &&(String, Vec<u8>)| {
            hmac::verify(&key, signed.as_bytes(), signature).is_ok()
        };
        tokens.iter().filter(good).count()
    })
}

fn seen() -> Batch {
    let (authorization, mut service) = (bearer(0..REQUESTS), jwt().layer(service()));
    // The table grows while it fills, and may lose one then.
    for _ in 0..2 {
        assert_eq!(send(&mut service, requests(&authorization), StatusCode::OK), REQUESTS, "the first sight");
    }
    through(requests(&authorization), service)
}

fn personal() -> (AuthenticateLayer, Lines) {
    let (store, authorization) = crate::tokens::personal(REQUESTS);
    let verifier = PatVerifier::new(PatFormat::netbird(), store).cached(Duration::from_secs(300));
    (AuthenticateLayer::new(verifier.expect("random numbers")), authorization)
}

fn personal_seen() -> Batch {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let (layer, authorization) = personal();
    let mut service = layer.layer(service());
    runtime.block_on(async {
        for request in requests(&authorization) {
            assert_eq!(service.call(request).await.expect("infallible").status(), 200, "the first sight");
        }
    });
    let mut batch = through(requests(&authorization), service);
    Box::new(move || {
        let _entered = runtime.enter();
        batch()
    })
}

fn attach(source: Arc<dyn TokenSource>) -> AttachLayer {
    AttachLayer::to("https://api.example", source).expect("an origin")
}

fn fixed() -> Arc<dyn TokenSource> {
    Arc::new(StaticToken::new(Scheme::Bearer, "a".repeat(800)).expect("a token"))
}

fn cached() -> Arc<dyn TokenSource> {
    struct Hour(SystemTime);

    impl TokenSource for Hour {
        fn token(&self) -> Eventual<Result<Token, TokenError>> {
            let token = Token::new(Scheme::Bearer, "a".repeat(800)).expect("a token");
            Eventual::now(Ok(token.expiring(self.0, Duration::from_secs(3600))))
        }
    }

    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let source = CachedSource::new(Hour(SystemClock::new().now()));
    runtime.block_on(source.token()).expect("a token");
    Arc::new(source)
}
