//! Introspection: what each answer of the endpoint comes to, and how many calls are made.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::time::{Instant, advance};
use tower_bearer::contract::{AssertionKey, ClientAuth, Credentials};
use tower_bearer::issue::JwtSigner;
use tower_bearer::test_util::{ManualClock, Misbehaviour, MockIssuer, StubTransport};
use tower_bearer::transport::ServiceTransport;
use tower_bearer::verify::{CachedVerifier, Introspection, IntrospectionBuilder, Keys, Verify, verify_fn};
use tower_bearer::{Algorithm, Credential, Identity, Rejection, RejectionKind, Scheme};

use common::{AUDIENCE, ISSUER, NOW};

const URL: &str = "https://issuer.example/introspect";

fn client() -> Credentials {
    Credentials::client("orders-api", "hunter2")
}

fn over(transport: StubTransport) -> IntrospectionBuilder {
    let builder = Introspection::builder(URL, transport).client(ClientAuth::Basic, client());
    builder.audience(AUDIENCE).issuer(ISSUER).with_clock(ManualClock::at(NOW))
}

fn answering(status: u16, body: impl Into<String>) -> StubTransport {
    answering_as("application/json", status, body)
}

fn answering_as(content_type: &'static str, status: u16, body: impl Into<String>) -> StubTransport {
    let body = body.into();
    StubTransport::new(move |_| {
        let response = Response::builder().status(status).header("content-type", content_type);
        Ok(response.header("retry-after", "7").body(body.clone().into()).unwrap())
    })
}

async fn ask(verifier: &impl Verify, token: &str) -> Result<Identity, Rejection> {
    verifier.verify(&Credential::new(Scheme::Bearer, token)).await
}

fn active() -> Value {
    json!({ "active": true, "sub": "alice", "aud": AUDIENCE, "iss": ISSUER, "scope": "read", "exp": NOW + 600, "client_id": "web" })
}

async fn verdict(answer: impl ToString) -> Result<Identity, RejectionKind> {
    let verifier = over(answering(200, answer.to_string())).build().unwrap();
    ask(&verifier, "abc").await.map_err(|rejection| rejection.kind())
}

fn with(name: &str, value: Value) -> Value {
    let mut answer = active();
    answer[name] = value;
    answer
}

fn without(name: &str) -> Value {
    let mut answer = active();
    answer.as_object_mut().unwrap().remove(name);
    answer
}

#[tokio::test]
async fn an_active_token_tells_who_it_is() {
    let identity = verdict(active()).await.unwrap();
    assert_eq!((identity.subject(), identity.issuer()), ("alice", Some(ISSUER)));
    assert_eq!(identity.scopes().to_string(), "read");
    assert_eq!(identity.claim("client_id"), Some(&json!("web")));
    assert!(identity.expires_at().is_some());
    assert_eq!(verdict(without("sub")).await.unwrap().subject(), "web");
    assert_eq!(verdict(without("iss")).await.unwrap().issuer(), Some(ISSUER));
    assert!(verdict(without("exp")).await.is_ok());
}

#[tokio::test]
async fn what_is_the_callers_fault_m_7662_2_atk_51() {
    for answer in [
        json!({ "active": false }),
        json!({ "active": false, "sub": "alice" }),
        without("aud"),
        with("aud", json!("other")),
        with("aud", json!([])),
        with("iss", json!("https://other.example")),
        with("exp", json!(NOW)),
        with("exp", json!(NOW - 1)),
        with("nbf", json!(NOW + 31)),
        with("cnf", json!({ "jkt": "x" })),
        with("token_type", json!("DPoP")),
    ] {
        assert_eq!(verdict(&answer).await.err(), Some(RejectionKind::InvalidToken), "{answer}");
    }
    assert!(verdict(with("aud", json!(["other", AUDIENCE]))).await.is_ok());
    assert!(verdict(with("token_type", json!("bearer"))).await.is_ok());
}

#[tokio::test]
async fn what_is_our_outage_m_7662_3_m_7662_4_atk_51() {
    for body in [
        "",
        "null",
        "[]",
        "not json",
        "<html></html>",
        "{}",
        r#"{"active":"true"}"#,
        r#"{"active":1}"#,
        r#"{"active":null}"#,
        r#"{"active":true,"active":false}"#,
        r#"{"active":true,"exp":"1"}"#,
        r#"{"active":true,"aud":7}"#,
        r#"{"active":true,"aud":"orders","scope":"a\"b"}"#,
    ] {
        assert_eq!(verdict(body).await.err(), Some(RejectionKind::Unavailable), "{body}");
    }
    for (status, body) in [
        (401, "{}"),
        (403, "{}"),
        (404, ""),
        (429, ""),
        (500, r#"{"active":true}"#),
        (503, ""),
        (204, ""),
        (302, ""),
        (400, r#"{"error":"invalid_client"}"#),
        (400, r#"{"error":"invalid_request"}"#),
        (400, "junk"),
    ] {
        let rejection = ask(&over(answering(status, body)).build().unwrap(), "abc").await.unwrap_err();
        assert_eq!(rejection.kind(), RejectionKind::Unavailable, "{status} {body}");
        let stated = (status != 302).then_some(Duration::from_secs(7));
        assert_eq!(rejection.retry_after(), stated, "{status}");
    }
    let page = over(answering_as("text/html", 200, active().to_string())).build().unwrap();
    assert_eq!(ask(&page, "abc").await.unwrap_err().kind(), RejectionKind::Unavailable);
    let about_it = over(answering(400, r#"{"error":"unsupported_token_type"}"#)).build().unwrap();
    assert_eq!(ask(&about_it, "a.b.c").await.unwrap_err().kind(), RejectionKind::InvalidToken);
}

#[tokio::test(start_paused = true)]
async fn a_provider_on_a_bad_day_atk_43() {
    for misbehaviour in Misbehaviour::ALL {
        let issuer = MockIssuer::new(ISSUER);
        let token = issuer.opaque_token("alice", AUDIENCE, "read");
        let verifier = Introspection::builder(URL, issuer.transport()).client(ClientAuth::Basic, client());
        let verifier = verifier.audience(AUDIENCE).build().unwrap();
        issuer.misbehave(misbehaviour);
        let before = Instant::now();
        let refused = ask(&verifier, &token).await.unwrap_err();
        assert_eq!(refused.kind(), RejectionKind::Unavailable, "{misbehaviour:?}");
        assert!(before.elapsed() <= Duration::from_secs(3), "{misbehaviour:?}");
        issuer.behave();
        assert_eq!(ask(&verifier, &token).await.unwrap().subject(), "alice");
        issuer.revoke(&token);
        assert_eq!(ask(&verifier, &token).await.unwrap_err().kind(), RejectionKind::InvalidToken);
    }
}

#[tokio::test]
async fn each_way_to_prove_who_we_are_m_7662_1_m_7523_1() {
    let seen = Arc::new(Mutex::new(None));
    let log = seen.clone();
    let transport = StubTransport::new(move |request: Request<Bytes>| {
        *log.lock().unwrap() = Some(request);
        Ok(Response::new(Bytes::from_static(br#"{"active":false}"#)))
    });
    let sent = async |auth, credentials| {
        let builder = Introspection::builder(URL, transport.clone()).client(auth, credentials);
        let verifier = builder.insecure_any_audience().build().unwrap();
        let _ = ask(&verifier, "a+b/c=").await;
        let request = seen.lock().unwrap().take().unwrap();
        assert_eq!((request.method().as_str(), request.uri().to_string().as_str()), ("POST", URL));
        assert_eq!(request.headers()["content-type"], "application/x-www-form-urlencoded");
        let form = String::from_utf8(request.body().to_vec()).unwrap();
        let authorization = request
            .headers()
            .get("authorization")
            .map(|value| (value.is_sensitive(), value.to_str().unwrap().to_owned()));
        (form, authorization)
    };
    let odd = || Credentials::client("a:b", "c d");
    let (form, authorization) = sent(ClientAuth::Basic, odd()).await;
    assert_eq!(form, "token=a%2Bb%2Fc%3D&token_type_hint=access_token");
    assert_eq!(authorization, Some((true, "Basic YSUzQWI6Yytk".to_owned())), "a%3Ab:c+d, form-encoded first");
    let (form, authorization) = sent(ClientAuth::Post, odd()).await;
    assert_eq!(form, "token=a%2Bb%2Fc%3D&token_type_hint=access_token&client_id=a%3Ab&client_secret=c+d");
    assert_eq!(authorization, None);
    let key = AssertionKey::generate(Algorithm::ES256).unwrap();
    let (first, _) =
        sent(ClientAuth::PrivateKeyJwt, Credentials::client_key("orders-api", key.clone())).await;
    let (second, _) = sent(ClientAuth::PrivateKeyJwt, Credentials::client_key("orders-api", key)).await;
    assert!(
        first.contains(
            "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
        )
    );
    assert!(first.contains("client_id=orders-api&") && first != second);
}

#[tokio::test]
async fn signed_answers_m_7662_6() {
    let signer = JwtSigner::generate(Algorithm::ES256).unwrap();
    let jwks = signer.jwks();
    let answer = |claims: Value, typ: &str| {
        let token = signer.sign_claims(typ, &claims).unwrap();
        over(answering_as("application/token-introspection+jwt", 200, token))
            .with_signed_answers(Keys::jwks(jwks.as_bytes()).unwrap())
            .build()
            .unwrap()
    };
    let good = json!({ "iss": ISSUER, "aud": "orders-api", "iat": NOW, "token_introspection": active() });
    let typ = "token-introspection+jwt";
    assert_eq!(ask(&answer(good.clone(), typ), "abc").await.unwrap().subject(), "alice");
    let mut inactive = good.clone();
    inactive["token_introspection"] = json!({ "active": false });
    assert_eq!(ask(&answer(inactive, typ), "abc").await.unwrap_err().kind(), RejectionKind::InvalidToken);
    for (name, value, typ) in [
        ("iss", json!("https://other.example"), typ),
        ("aud", json!("another-api"), typ),
        ("token_introspection", json!("x"), typ),
        ("iat", json!(NOW), "JWT"),
    ] {
        let mut claims = good.clone();
        claims[name] = value;
        let refused = ask(&answer(claims, typ), "abc").await.unwrap_err();
        assert_eq!(refused.kind(), RejectionKind::Unavailable, "{name}");
    }
    let unsigned =
        over(answering(200, active().to_string())).with_signed_answers(Keys::jwks(jwks.as_bytes()).unwrap());
    assert_eq!(ask(&unsigned.build().unwrap(), "abc").await.unwrap_err().kind(), RejectionKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_requests_with_one_token_are_one_call() {
    let issuer = MockIssuer::new(ISSUER);
    let token = issuer.opaque_token("alice", AUDIENCE, "read");
    let verifier = Introspection::builder(URL, issuer.transport()).client(ClientAuth::Basic, client());
    let verifier = verifier.audience(AUDIENCE).build().unwrap();
    let verdicts = join_all((0..1000).map(|_| ask(&verifier, &token))).await;
    assert!(verdicts.iter().all(Result::is_ok));
    assert_eq!(issuer.requests(), 1);

    let cached = CachedVerifier::new(verifier, Duration::from_secs(30)).unwrap();
    assert!(join_all((0..1000).map(|_| ask(&cached, &token))).await.iter().all(Result::is_ok));
    assert_eq!(issuer.requests(), 2);
    issuer.revoke(&token);
    advance(Duration::from_secs(29)).await;
    assert!(ask(&cached, &token).await.is_ok(), "the age is the revocation lag");
    advance(Duration::from_secs(1)).await;
    assert!(ask(&cached, &token).await.is_err());
    assert_eq!(issuer.requests(), 3);
}

/// Counts a call for as long as it is not dropped.
struct InTheAir(Arc<AtomicUsize>);

impl InTheAir {
    fn new(now: Arc<AtomicUsize>, most: &AtomicUsize) -> Self {
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        Self(now)
    }
}

impl Drop for InTheAir {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_tokens_is_bounded_atk_52() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counters = (now, most.clone());
    let service = tower::service_fn(move |request: Request<Full<Bytes>>| {
        let (now, most) = counters.clone();
        async move {
            let _guard = InTheAir::new(now, &most);
            tokio::time::sleep(Duration::from_secs(1)).await;
            let _ = request.into_body().collect().await;
            let response = Response::builder().header("content-type", "application/json");
            Ok::<_, std::io::Error>(response.body(Full::<Bytes>::from(r#"{"active":false}"#)).unwrap())
        }
    });
    let verifier =
        Introspection::builder(URL, ServiceTransport::new(service)).client(ClientAuth::Basic, client());
    let verifier = verifier.audience(AUDIENCE).build().unwrap();
    let before = Instant::now();
    let tokens: Vec<_> = (0..1000).map(|index| format!("opaque-{index}")).collect();
    let verdicts = join_all(tokens.iter().map(|token| ask(&verifier, token))).await;
    assert_eq!(most.load(Ordering::SeqCst), 64);
    assert_eq!(before.elapsed(), Duration::from_secs(3), "whoever had no turn by then is told so");
    let kinds: Vec<_> = verdicts.iter().map(|verdict| verdict.as_ref().unwrap_err().kind()).collect();
    let refused = kinds.iter().filter(|kind| **kind == RejectionKind::InvalidToken).count();
    assert!((128..=192).contains(&refused), "{refused}");
    assert!(
        kinds.iter().all(|kind| matches!(kind, RejectionKind::InvalidToken | RejectionKind::Unavailable))
    );
}

/// Answers with what it is told, and counts.
#[derive(Clone)]
struct Directory {
    calls: Arc<AtomicUsize>,
    answer: Arc<Mutex<Result<Identity, Rejection>>>,
}

impl Directory {
    fn new(answer: Result<Identity, Rejection>) -> Self {
        Self { calls: Arc::default(), answer: Arc::new(Mutex::new(answer)) }
    }

    fn verifier(&self) -> impl Verify + use<> {
        let directory = self.clone();
        verify_fn(move |_| {
            directory.calls.fetch_add(1, Ordering::SeqCst);
            let answer = directory.answer.lock().unwrap().clone();
            async move { answer }
        })
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_never_outlives_the_token_atk_37_m_7662_5() {
    let exp = std::time::UNIX_EPOCH + Duration::from_secs(NOW.unsigned_abs() + 10);
    let directory = Directory::new(Ok(Identity::builder("alice").expires_at(exp).build()));
    let clock = ManualClock::at(NOW);
    let cached = CachedVerifier::new(directory.verifier(), Duration::from_secs(3600))
        .unwrap()
        .with_clock(clock.clone());
    for _ in 0..3 {
        assert!(ask(&cached, "abc").await.is_ok());
    }
    assert_eq!(directory.calls(), 1);
    clock.advance(Duration::from_secs(10));
    *directory.answer.lock().unwrap() = Err(Rejection::invalid_token());
    assert!(ask(&cached, "abc").await.is_err());
    assert_eq!(directory.calls(), 2);
    clock.set(NOW);
    assert!(ask(&cached, "abc").await.is_err(), "a clock that goes back revives nothing");
}

#[tokio::test(start_paused = true)]
async fn refusals_are_short_and_outages_not_at_all() {
    let directory = Directory::new(Err(Rejection::invalid_token()));
    let cached = CachedVerifier::new(directory.verifier(), Duration::from_secs(30)).unwrap();
    for _ in 0..100 {
        assert_eq!(ask(&cached, "abc").await.unwrap_err().kind(), RejectionKind::InvalidToken);
    }
    assert_eq!(directory.calls(), 1);
    advance(Duration::from_secs(5)).await;
    *directory.answer.lock().unwrap() = Err(Rejection::unavailable());
    for _ in 0..3 {
        assert_eq!(ask(&cached, "abc").await.unwrap_err().kind(), RejectionKind::Unavailable);
    }
    assert_eq!(directory.calls(), 4);

    let forever = CachedVerifier::new(directory.verifier(), Duration::MAX).unwrap();
    let forever = forever.with_refusal_age(Duration::MAX);
    *directory.answer.lock().unwrap() = Ok(Identity::builder("alice").build());
    assert!(ask(&forever, "abc").await.is_ok());
    assert_eq!(directory.calls(), 5);

    let none =
        CachedVerifier::new(directory.verifier(), Duration::ZERO).unwrap().with_refusal_age(Duration::ZERO);
    *directory.answer.lock().unwrap() = Ok(Identity::builder("alice").build());
    for _ in 0..3 {
        assert!(ask(&none, "abc").await.is_ok());
    }
    assert_eq!(directory.calls(), 8);
}

#[tokio::test(start_paused = true)]
async fn whoever_began_may_go_away_and_schemes_are_apart() {
    let directory = Directory::new(Ok(Identity::builder("alice").build()));
    let cached = CachedVerifier::new(directory.verifier(), Duration::from_secs(30)).unwrap();
    let credential = Credential::new(Scheme::Bearer, "abc");
    drop(cached.verify(&credential));
    tokio::task::yield_now().await;
    assert!(ask(&cached, "abc").await.is_ok());
    assert_eq!(directory.calls(), 1);
    assert!(cached.verify(&Credential::new(Scheme::Token, "abc")).await.is_ok());
    assert_eq!(directory.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_in_entries_and_bytes() {
    let big = Identity::builder("alice").claim("text", "x".repeat(10_000)).build();
    let directory = Directory::new(Ok(big));
    let cached = CachedVerifier::new(directory.verifier(), Duration::from_secs(30))
        .unwrap()
        .with_capacity(1000, 100_000);
    for index in 0..500 {
        assert!(ask(&cached, &format!("t{index}")).await.is_ok());
    }
    let before = directory.calls();
    for index in 0..500 {
        assert!(ask(&cached, &format!("t{index}")).await.is_ok());
    }
    let again = directory.calls() - before;
    assert!(again >= 485, "at most ten of ten kilobytes fit into a hundred: {again} were asked again");
}

#[test]
fn what_a_builder_demands() {
    let stub = || answering(200, "{}");
    let field = |builder: IntrospectionBuilder| builder.build().map(drop).map_err(|error| error.field());
    let builder =
        |url: &str| Introspection::builder(url, stub()).client(ClientAuth::Basic, client()).audience("a");
    assert_eq!(field(builder(URL)), Ok(()));
    assert_eq!(field(builder("http://issuer.example/introspect")), Err("introspection_endpoint"));
    assert_eq!(field(Introspection::builder(URL, stub()).audience("a")), Err("client"));
    assert_eq!(field(builder(URL).insecure_any_audience()), Err("audience"));
    assert_eq!(
        field(Introspection::builder(URL, stub()).client(ClientAuth::Basic, client())),
        Err("audience")
    );
    assert_eq!(field(builder(URL).with_max_calls(0)), Err("max_calls"));
    assert_eq!(
        field(builder(URL).client(ClientAuth::Post, Credentials::public_client("a"))),
        Err("credentials")
    );
    let keys = Keys::jwks(JwtSigner::generate(Algorithm::ES256).unwrap().jwks().as_bytes()).unwrap();
    assert_eq!(field(builder(URL).with_signed_answers(keys)), Err("issuer"));
    assert!(!format!("{:?}", builder(URL).build().unwrap()).contains("hunter2"));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_is_answered_though_the_verifier_is_gone() {
    let issuer = MockIssuer::new(ISSUER);
    let token = issuer.opaque_token("alice", AUDIENCE, "read");
    let credential = Credential::new(Scheme::Bearer, token);
    let introspection = || {
        let builder = Introspection::builder(URL, issuer.transport()).client(ClientAuth::Post, client());
        builder.audience(AUDIENCE).build().unwrap()
    };
    let plain = introspection();
    let waiting = plain.verify(&credential);
    drop(plain);
    assert_eq!(waiting.await.unwrap().subject(), "alice");
    let cached = CachedVerifier::new(introspection(), Duration::from_secs(30)).unwrap();
    let waiting = cached.verify(&credential);
    drop(cached);
    assert_eq!(waiting.await.unwrap().subject(), "alice");
}

/// On several threads a call lands between one look at the memory and the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_call_for_one_token_on_several_threads() {
    let issuer = MockIssuer::new(ISSUER);
    let builder = Introspection::builder(URL, issuer.transport()).client(ClientAuth::Basic, client());
    let introspection = builder.audience(AUDIENCE).build().unwrap();
    let verifier = Arc::new(CachedVerifier::new(introspection, Duration::from_secs(3600)).unwrap());
    for round in 1..=100 {
        let token = issuer.opaque_token("alice", AUDIENCE, "read");
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let (verifier, token) = (verifier.clone(), token.clone());
                tokio::spawn(async move { ask(&verifier, &token).await })
            })
            .collect();
        for verdict in join_all(tasks).await {
            assert!(verdict.unwrap().is_ok());
        }
        assert_eq!(issuer.requests(), round);
    }
}
