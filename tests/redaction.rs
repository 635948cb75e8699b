//! A canary that is in every secret never shows: not in `Debug`, `Display`, error chains, or events.

mod common;

use std::error::Error;
use std::fmt::{Debug, Write as _};
use std::io::Write;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use tower::{Layer, ServiceExt};
use tower_bearer::contract::{Credentials, TokenContract};
use tower_bearer::issue::JwtSigner;
use tower_bearer::source::{CachedSource, FetchedSource, StaticToken, TokenSource};
use tower_bearer::transport::ServiceTransport;
use tower_bearer::verify::{Issuers, JwtVerifier, Keys, Schemes};
use tower_bearer::{Algorithm, AttachLayer, AuthenticateLayer, Credential, Scheme, Secret, Token};

use common::*;

const CANARY: &str = "canary-0123456789-canary-0123456789-canary-0123456789-canary-0123456789";

fn shown(value: &(impl Debug + ?Sized)) -> String {
    format!("{value:?} {value:#?}")
}

fn chain(error: &impl Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        let _ = write!(text, " {error} {error:?}");
        source = error.source();
    }
    text
}

#[test]
fn no_debug_shows_a_secret_atk_47_m_x_3() {
    let keys = Keys::hmac(Algorithm::HS256, CANARY).unwrap();
    let jwt = rules_over(keys.clone()).build().unwrap();
    let lookup = Keys::by_claim("app", Algorithm::HS256, |_: &str| Some(CANARY.into())).unwrap();
    for text in [
        shown(&Secret::from(CANARY)),
        shown(&Credential::new(Scheme::Bearer, CANARY)),
        shown(&Credential::new(Scheme::Token, CANARY).into_owned()),
        shown(&keys),
        shown(&lookup),
        shown(&jwt),
        shown(&JwtVerifier::builder(keys)),
        shown(&Issuers::new([jwt.clone()]).unwrap()),
        shown(&Schemes::new().bearer_jwt(jwt.clone())),
        shown(&AuthenticateLayer::new(jwt.clone())),
        shown(&AuthenticateLayer::new(jwt).layer(())),
        shown(&JwtSigner::hmac(Algorithm::HS256, CANARY).unwrap()),
    ] {
        assert!(!text.contains("canary"), "{text}");
        assert!(!text.contains("Y2FuYXJ5"), "{text}");
        assert!(!text.contains("99, 97, 110"), "{text}");
    }
}

#[test]
fn nothing_outbound_shows_a_secret_m_x_3() {
    let service = tower::service_fn(|_: Request<http_body_util::Full<bytes::Bytes>>| async {
        Err::<Response<http_body_util::Full<bytes::Bytes>>, _>(std::io::Error::other("nobody is there"))
    });
    let credentials =
        Credentials::client("app", CANARY).with_refresh_token(CANARY).with_subject_token(CANARY);
    let fetched = |contract: TokenContract| {
        let transport = ServiceTransport::new(service);
        FetchedSource::new(contract, "https://id.example/token", credentials.clone(), transport).unwrap()
    };
    let fixed = StaticToken::new(Scheme::Token, CANARY).unwrap();
    let token = fixed.token().try_now().unwrap().unwrap();
    let layer = AttachLayer::to("https://api.example", fixed.clone()).unwrap();
    let mut request = Request::new(());
    request.headers_mut().insert("authorization", token.header_value().clone());
    for text in [
        shown(&token),
        shown(&token.clone().expiring(std::time::UNIX_EPOCH, std::time::Duration::from_secs(60))),
        shown(&request),
        shown(&fixed),
        shown(&credentials),
        shown(&fetched(TokenContract::two_bttns())),
        shown(&fetched(TokenContract::gifthub())),
        shown(&fetched(TokenContract::botlhale())),
        shown(&fetched(TokenContract::spotnana())),
        shown(&CachedSource::new(fetched(TokenContract::netbird()))),
        shown(&CachedSource::new(fixed)),
        shown(&layer.layer(())),
        shown(&layer),
        shown(&Token::new(Scheme::Bearer, format!("{CANARY}\n")).unwrap_err()),
        shown(&StaticToken::new(Scheme::Bearer, format!("{CANARY} {CANARY}")).unwrap_err()),
    ] {
        assert!(!text.contains("canary"), "{text}");
        assert!(!text.contains("Y2FuYXJ5"), "{text}");
        assert!(!text.contains("99, 97, 110"), "{text}");
    }
}

#[tokio::test]
async fn a_refresh_is_an_event_without_a_secret() {
    let (log, subscriber) = Log::new();
    // The runtime of this test has one thread, so the refresh runs under it too.
    let guard = tracing::subscriber::set_default(subscriber);
    for status in [200, 400] {
        let service = tower::service_fn(move |_: Request<http_body_util::Full<bytes::Bytes>>| async move {
            let body = format!(r#"{{"access_token":"{CANARY}","error":"{CANARY}"}}"#);
            Response::builder().status(status).body(http_body_util::Full::<bytes::Bytes>::from(body))
        });
        let (contract, transport) = (TokenContract::spotnana(), ServiceTransport::new(service));
        let credentials = Credentials::client("app", CANARY);
        let source =
            FetchedSource::new(contract, "https://id.example/token", credentials, transport).unwrap();
        assert_eq!(CachedSource::new(source).token().await.is_ok(), status == 200);
    }
    drop(guard);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("token refreshed") && text.contains("the token endpoint answered 400"), "{text}");
    assert!(!text.contains("canary"), "{text}");
}

#[tokio::test]
async fn no_outbound_failure_shows_a_secret_m_x_3() {
    let service = tower::service_fn(|_: Request<http_body_util::Full<bytes::Bytes>>| async {
        let body = http_body_util::Full::<bytes::Bytes>::from(format!(r#"{{"error":"{CANARY}"}}"#));
        Response::builder().status(400).header("location", CANARY).body(body)
    });
    for contract in [
        TokenContract::two_bttns(),
        TokenContract::gifthub(),
        TokenContract::botlhale(),
        TokenContract::spotnana(),
        TokenContract::refresh_token(),
        TokenContract::token_exchange("urn:x"),
    ] {
        let credentials =
            Credentials::client("app", CANARY).with_refresh_token(CANARY).with_subject_token(CANARY);
        let transport = ServiceTransport::new(service);
        let source =
            FetchedSource::new(contract, "https://id.example/token", credentials, transport).unwrap();
        let source = CachedSource::new(source);
        let error = source.token().await.unwrap_err();
        assert!(!chain(&error).contains("canary"), "{}", chain(&error));
        assert!(!shown(&source).contains("canary"), "{source:?}");
    }
}

#[test]
fn no_error_repeats_its_input() {
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{CANARY}\n-----END PUBLIC KEY-----\n");
    let jwks = format!(r#"{{"keys":[{{"kty":"oct","k":"{CANARY}!"}}]}}"#);
    let set = format!(r#"{{"keys":[{{"kty":"oct","k":"c2hvcnQ","kid":"{CANARY}"}}]}}"#);
    for error in [
        Keys::hmac(Algorithm::HS256, &CANARY[..20]).unwrap_err(),
        Keys::hmac(Algorithm::RS256, CANARY).unwrap_err(),
        Keys::hmac(Algorithm::HS256, pem.as_str()).unwrap_err(),
        Keys::pem(Algorithm::ES256, pem.as_bytes()).unwrap_err(),
        Keys::pem(Algorithm::RS256, CANARY.as_bytes()).unwrap_err(),
        Keys::jwks(jwks.as_bytes()).unwrap_err(),
        Keys::jwks(set.as_bytes()).unwrap_err(),
        Keys::jwks(CANARY.as_bytes()).unwrap_err(),
        JwtSigner::pem(Algorithm::EdDSA, pem.as_bytes()).unwrap_err(),
        JwtSigner::hmac(Algorithm::HS512, &CANARY[..40]).unwrap_err(),
    ] {
        assert!(!chain(&error).contains("canary"), "{}", chain(&error));
    }
}

#[test]
fn no_refusal_repeats_its_token() {
    let verifier = rules().build().unwrap();
    let header = format!(r#"{{"alg":"HS256","kid":"{CANARY}","typ":"{CANARY}"}}"#);
    for token in [
        CANARY.to_owned(),
        format!("{CANARY}.{CANARY}.{CANARY}"),
        raw(&header, &good_claims().to_string()),
        token_with("iss", CANARY.into()),
        token_with("aud", CANARY.into()),
        token_with("exp", CANARY.into()),
        token_with("token_use", CANARY.into()),
    ] {
        let rejection = verify(&verifier, token).unwrap_err();
        assert!(!chain(&rejection).contains("canary"), "{}", chain(&rejection));
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// A log, and what writes every event to it.
    fn new() -> (Self, impl tracing::Subscriber + Send + Sync) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
        (log, subscriber.with_writer(move || writer.clone()).finish())
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn events_give_the_reason_and_no_secret() {
    let (log, subscriber) = Log::new();
    let guard = tracing::subscriber::set_default(subscriber);
    let inner = tower::service_fn(|request: Request<()>| async move {
        tracing::info!(headers = ?request.headers(), "a handler that logs too much");
        Ok::<_, std::convert::Infallible>(Response::new(String::new()))
    });
    let service = AuthenticateLayer::new(rules().build().unwrap()).layer(inner);
    let good = good_token();
    for value in [
        format!("Bearer {CANARY}.a.b"),
        format!("Bearer {CANARY}"),
        format!("Basic {CANARY}"),
        format!("Bearer {good}"),
    ] {
        let request = Request::builder().header("authorization", value).body(()).unwrap();
        service.clone().oneshot(request).await.unwrap();
    }
    drop(guard);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        text.contains("request refused")
            && text.contains("invalid_token")
            && text.contains("not three parts"),
        "{text}"
    );
    assert!(text.contains("a handler that logs too much"));
    assert!(!text.contains("canary") && !text.contains(&good), "{text}");
}
