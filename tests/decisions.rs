//! What a JWT verifier remembers is invisible: with it and without it, every answer is the same.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{AUDIENCE, HEADER, ISSUER, NOW, SECRET, claims_with, good_claims, raw, raw_with, reason, rules};
use http::{Request, Response};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt};
use tower_bearer::issue::JwtSigner;
use tower_bearer::store::MemoryStore;
use tower_bearer::test_util::{ManualClock, StubTransport};
use tower_bearer::verify::{
    Issuers, JwtVerifier, JwtVerifierBuilder, Keys, RevocableVerifier, Schemes, Verify,
};
use tower_bearer::{
    Algorithm, AuthenticateLayer, Credential, Identity, Rejection, RejectionKind, Scheme, Scopes,
};

type Verdict = Result<Identity, Rejection>;

/// The same rules, with and without a memory.
struct Pair([JwtVerifier; 2]);

impl Pair {
    fn new(build: impl Fn() -> JwtVerifierBuilder) -> Self {
        Self([build().build().unwrap(), build().with_remembered(0, 0).build().unwrap()])
    }

    async fn ask(&self, token: &str) -> [Verdict; 2] {
        let ask =
            |verifier: &JwtVerifier| verifier.verify(&Credential::new(Scheme::Bearer, token.to_owned()));
        let [remembering, forgetful] = &self.0;
        [ask(remembering).await, ask(forgetful).await]
    }

    async fn agree(&self, token: &str) -> Result<String, (RejectionKind, String)> {
        let [a, b] = self.ask(token).await.map(|verdict| match verdict {
            Ok(identity) => Ok(shown(&identity)),
            // Of an outage, whoever asks first learns more.
            Err(rejection) if rejection.kind() == RejectionKind::Unavailable => {
                Err((rejection.kind(), String::new()))
            }
            Err(rejection) => Err((rejection.kind(), reason(&rejection))),
        });
        assert_eq!(a, b);
        a
    }
}

fn shown(identity: &Identity) -> String {
    let all: Value = identity.claims_as().unwrap();
    format!("{identity:?} {:?} {all}", identity.expires_at())
}

fn claims(subject: usize, nbf: i64, exp: i64) -> String {
    let mut claims = good_claims();
    claims["sub"] = format!("user-{subject}").into();
    claims["nbf"] = nbf.into();
    claims["iat"] = nbf.into();
    claims["exp"] = exp.into();
    claims.to_string()
}

fn run(future: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(future);
}

/// An issuer of which the keys are told from here.
#[derive(Clone)]
struct Provider {
    signers: Vec<JwtSigner>,
    published: Arc<Mutex<Vec<usize>>>,
}

impl Provider {
    fn new() -> Self {
        let signers = (0..3).map(|_| JwtSigner::generate(Algorithm::EdDSA).unwrap()).collect();
        Self { signers, published: Arc::new(Mutex::new(vec![0, 1])) }
    }

    fn transport(&self) -> StubTransport {
        let provider = self.clone();
        StubTransport::new(move |_| {
            let published = provider.published.lock().unwrap().clone();
            if published.is_empty() {
                return Err("no route".into());
            }
            let keys: Vec<Value> = published
                .iter()
                .map(|index| {
                    let set: Value = serde_json::from_str(&provider.signers[*index].jwks()).unwrap();
                    set["keys"][0].clone()
                })
                .collect();
            let body = json!({ "keys": keys }).to_string();
            Ok(Response::builder().header("content-type", "application/json").body(body.into()).unwrap())
        })
    }
}

#[derive(Clone, Debug)]
enum Step {
    Ask(usize),
    Clock(i64),
    Publish(Vec<usize>),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0_usize..12).prop_map(Step::Ask),
        2 => (-400_i64..400).prop_map(Step::Clock),
        1 => prop::sample::subsequence(vec![0_usize, 1, 2], 0..=3).prop_map(Step::Publish),
        1 => (0_u64..1_000).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Tokens of all times and keys, a clock that goes both ways, keys that come and go, and outages.
    #[test]
    fn remembered_or_not_is_the_same(history in steps(), leeway in 0_u64..60) {
        run(async move {
            let provider = Provider::new();
            let clock = ManualClock::at(NOW);
            // One source for both: two would refresh at times of their own.
            let keys = Keys::remote("https://issuer.example/jwks", provider.transport()).unwrap();
            let pair = Pair::new(|| {
                JwtVerifier::builder(keys.clone())
                    .issuer(ISSUER)
                    .audience(AUDIENCE)
                    .with_leeway(Duration::from_secs(leeway))
                    .with_clock(clock.clone())
            });
            let tokens: Vec<String> = (0..12_usize)
                .map(|number| {
                    let nbf = NOW - 100 + 50 * (number % 4) as i64;
                    let claims: Value = serde_json::from_str(&claims(number, nbf, nbf + 300)).unwrap();
                    provider.signers[number % 3].sign_claims("JWT", &claims).unwrap()
                })
                .collect();
            let mut now = NOW;
            for step in history {
                match step {
                    Step::Ask(number) => drop(pair.agree(&tokens[number]).await),
                    Step::Clock(seconds) => {
                        now += seconds;
                        clock.set(now);
                    }
                    Step::Publish(keys) => *provider.published.lock().unwrap() = keys,
                    Step::Wait(seconds) => {
                        tokio::time::advance(Duration::from_secs(seconds)).await;
                        // What is due begins, and lands before the next question.
                        drop(pair.ask(&tokens[0]).await);
                        for _ in 0..10 {
                            tokio::task::yield_now().await;
                        }
                    }
                }
            }
        });
    }

    /// The edges of a token's times, to the second and beyond.
    #[test]
    fn the_edges_of_time(moves in prop::collection::vec(-70_i64..70, 1..40), leeway in 0_u64..40) {
        run(async move {
            let clock = ManualClock::at(NOW);
            let pair = Pair::new(|| {
                let keys = Keys::hmac(Algorithm::HS256, SECRET).unwrap();
                let rules = JwtVerifier::builder(keys).issuer(ISSUER).audience(AUDIENCE);
                rules.with_leeway(Duration::from_secs(leeway)).with_clock(clock.clone())
            });
            let token = raw(HEADER, &claims(1, NOW, NOW + 60));
            let mut now = NOW;
            for step in moves {
                now += step;
                clock.set(now);
                let verdict = pair.agree(&token).await;
                let leeway = i64::try_from(leeway).unwrap();
                assert_eq!(verdict.is_ok(), now + leeway >= NOW && now < NOW + 60 + leeway, "{now}");
            }
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_decision_goes_with_its_key_atk_37_atk_39() {
    let provider = Provider::new();
    let keys = Keys::remote("https://issuer.example/jwks", provider.transport()).unwrap();
    let verifier =
        JwtVerifier::builder(keys).issuer(ISSUER).audience(AUDIENCE).with_clock(ManualClock::at(NOW));
    let verifier = verifier.build().unwrap();
    let value: Value = serde_json::from_str(&claims(1, NOW, NOW + 100_000)).unwrap();
    let token = provider.signers[1].sign_claims("JWT", &value).unwrap();
    let ask = async || verifier.verify(&Credential::new(Scheme::Bearer, token.clone())).await.is_ok();
    assert!(ask().await && ask().await);
    *provider.published.lock().unwrap() = vec![0];
    // Long enough for a refresh, which a remembered answer has to begin, too.
    tokio::time::advance(Duration::from_secs(600)).await;
    assert!(ask().await, "the set is not replaced yet");
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(!ask().await, "the key is gone, and so is what it decided");
}

#[tokio::test]
async fn through_every_decorator_the_answer_is_the_same() {
    let rules = || {
        let keys = Keys::hmac(Algorithm::HS256, SECRET).unwrap();
        JwtVerifier::builder(keys).issuer(ISSUER).audience(AUDIENCE).with_clock(ManualClock::at(NOW))
    };
    let issuers = Issuers::new([rules().build().unwrap()]).unwrap();
    let personal = tower_bearer::verify::verify_fn(|_| async { Ok(Identity::builder("personal").build()) });
    let schemes = Schemes::new().bearer_jwt(issuers).bearer_prefixed("pat_", personal);
    let service =
        AuthenticateLayer::new(schemes).layer(tower::service_fn(|request: Request<()>| async move {
            let identity = request.extensions().get::<Identity>().unwrap();
            let seen = (identity.subject().to_owned(), identity.scheme(), identity.scopes().clone());
            Ok::<_, std::convert::Infallible>(Response::new(Some(seen)))
        }));
    let token = raw(HEADER, &good_claims().to_string());
    let ask = async |value: String| {
        let request = Request::builder().header("authorization", value).body(()).unwrap();
        let response: Response<Option<(String, Option<Scheme>, Scopes)>> =
            service.clone().oneshot(request).await.unwrap();
        (response.status().as_u16(), response.into_body())
    };
    let expected = Some(("alice".to_owned(), Some(Scheme::Bearer), Scopes::parse("read").unwrap()));
    for value in [format!("Bearer {token}"), format!("bearer   {token}"), format!("Bearer {token}")] {
        assert_eq!(ask(value).await, (200, expected.clone()));
    }
    // What is remembered is the very token, under its own scheme.
    for (value, status) in [
        (format!("Token {token}"), 401),
        (format!("Bearer {token} "), 400),
        (format!("Bearer {token}="), 401),
        (format!("Bearer x{token}"), 401),
        (format!("Bearer {}", token.to_lowercase()), 401),
        (format!("Bearer {}", &token[1..]), 401),
    ] {
        assert_eq!(ask(value.clone()).await.0, status, "{value}");
    }
    assert_eq!(ask("Bearer pat_1".into()).await.1.unwrap().0, "personal");
}

/// Counts how often the claims of a token were read in full, which is done for an accepted token alone.
#[derive(Deserialize)]
#[serde(from = "Value")]
struct Read;

static READS: AtomicUsize = AtomicUsize::new(0);

impl From<Value> for Read {
    fn from(_: Value) -> Self {
        READS.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

#[tokio::test]
async fn a_decorator_that_remembers_nothing_keeps_nobody_from_it() {
    let keys = Keys::hmac(Algorithm::HS256, SECRET).unwrap();
    let rules = JwtVerifier::builder(keys).issuer(ISSUER).audience(AUDIENCE);
    let verifier = rules.with_clock(ManualClock::at(NOW)).with_detail::<Read>().build().unwrap();
    let issuers = Issuers::new([verifier]).unwrap();
    let revocable = RevocableVerifier::new(issuers, MemoryStore::new(), Duration::from_secs(30));
    let service = AuthenticateLayer::new(revocable).layer(tower::service_fn(|_: Request<()>| async {
        Ok::<_, std::convert::Infallible>(Response::new(String::new()))
    }));
    let authorization = format!("Bearer {}", raw(HEADER, &good_claims().to_string()));
    for _ in 0..3 {
        let request = Request::builder().header("authorization", &authorization).body(()).unwrap();
        assert_eq!(service.clone().oneshot(request).await.unwrap().status(), 200);
    }
    assert_eq!(READS.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_is_refused_is_not_remembered() {
    let clock = ManualClock::at(NOW);
    let keys = Keys::hmac(Algorithm::HS256, SECRET).unwrap();
    let verifier = JwtVerifier::builder(keys).issuer(ISSUER).audience(AUDIENCE).with_clock(clock.clone());
    let verifier = verifier.build().unwrap();
    let token = raw(HEADER, &claims(1, NOW + 100, NOW + 200));
    let ask = |token: &str| {
        let verdict = verifier.verify(&Credential::new(Scheme::Bearer, token.to_owned())).try_now();
        verdict.unwrap().is_ok()
    };
    assert!(!ask(&token));
    clock.set(NOW + 150);
    assert!(ask(&token) && ask(&token));
    let forged = format!("{}A{}", &token[..token.len() - 20], &token[token.len() - 19..]);
    for _ in 0..3 {
        assert!(!ask(&forged));
    }
    let ask_bytes = |token: &str| verifier.verify_bytes(Scheme::Bearer, token.as_bytes()).try_now().unwrap();
    assert_eq!(ask_bytes(&token).unwrap().subject(), "user-1");
    assert_eq!(ask_bytes(&forged).unwrap_err().kind(), RejectionKind::InvalidToken);
    assert_eq!(ask_bytes(&format!("{token}!")).unwrap_err().kind(), RejectionKind::MalformedCredential);
}

#[test]
fn what_a_clone_remembers_elsewhere_is_not_recalled_for_another_issuer_atk_38() {
    let other = b"fedcba9876543210fedcba9876543210";
    let nameless = JwtVerifier::builder(Keys::hmac(Algorithm::HS256, &other[..]).unwrap())
        .insecure_any_issuer()
        .audience(AUDIENCE)
        .with_clock(ManualClock::at(NOW))
        .build()
        .unwrap();
    let issuers =
        Issuers::new([rules().build().unwrap()]).unwrap().or_without_issuer(nameless.clone()).unwrap();
    let ask = |verifier: &dyn Verify, token: &str| {
        verifier.verify_bytes(Scheme::Bearer, token.as_bytes()).try_now().unwrap().is_ok()
    };
    for issuer in [ISSUER, "https://unknown.example"] {
        let token = raw_with(other, HEADER, &claims_with("iss", Some(issuer.into())));
        assert!(!ask(&issuers, &token));
        assert!(ask(&nameless, &token) && ask(&nameless, &token), "it takes any issuer by itself");
        assert!(!ask(&issuers, &token), "{issuer} does not vouch for it");
    }
    let token = raw_with(other, HEADER, &claims_with("iss", None));
    assert!(ask(&issuers, &token) && ask(&issuers, &token), "this one is sent to it");
}
