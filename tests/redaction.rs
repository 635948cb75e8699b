//! A canary that is in every secret never shows: not in `Debug`, `Display`, error chains, or events.

mod common;

use std::error::Error;
use std::fmt::{Debug, Write as _};
use std::io::Write;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use tower::{Layer, ServiceExt};
use tower_bearer::contract::{Credentials, TokenContract};
use tower_bearer::issue::{
    AppKeys, AuthTypeEndpoint, IntrospectionEndpoint, JwksEndpoint, JwtSigner, KeyRing, Mint, PatEndpoint,
    RevocationEndpoint, TokenEndpoint,
};
use tower_bearer::pat::PatFormat;
use tower_bearer::source::{CachedSource, FetchedSource, StaticToken, TokenSource};
use tower_bearer::store::{
    Client, ClientSecret, KeyStore, MemoryStore, PersonalToken, RefreshGrant, RefreshStore, StoredKey,
    TokenDigest, TokenStore,
};
use tower_bearer::transport::ServiceTransport;
use tower_bearer::verify::{
    Issuers, JwtVerifier, KeyLookup, Keys, PatVerifier, RevocableVerifier, Schemes, Verify,
};
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

/// A personal token: all of its 30 secret characters are the canary.
const PAT: &str = "nbp_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA0uCPlr";

fn forms(secret: &str) -> Vec<String> {
    let digest = TokenDigest::of(secret).unwrap();
    let hex: String = digest.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let bytes = format!("{:?}", &digest.as_bytes()[..8]);
    vec![secret.to_owned(), digest.to_base64(), hex, bytes.trim_matches(['[', ']']).to_owned()]
}

#[tokio::test]
async fn nothing_of_an_issuer_shows_a_secret_atk_47_m_x_3() {
    let store = MemoryStore::new();
    let secret = Secret::from(CANARY);
    let kept = [
        ClientSecret::hmac_key(CANARY),
        ClientSecret::random(&secret).unwrap(),
        ClientSecret::password(&secret).unwrap(),
    ];
    let hash = String::from_utf8(kept[2].to_stored().expose().to_vec()).unwrap();
    let clients = kept.clone().map(|kept| Client::new("app", kept).or_key(CANARY));
    for (client, system) in clients.iter().zip(["key", "digest", "password"]) {
        store.put_client(client.clone().of_system(system)).await.unwrap();
    }
    let digest = TokenDigest::of(PAT).unwrap();
    let row = PersonalToken::new("t1", "alice", "ci", std::time::UNIX_EPOCH, std::time::UNIX_EPOCH);
    store.insert(digest, row.clone()).await.unwrap();
    let grant = RefreshGrant::new("g1", "app", "alice", std::time::UNIX_EPOCH);
    store.begin(TokenDigest::of(CANARY).unwrap(), grant.clone()).await.unwrap();
    let ring = KeyRing::new("main", Algorithm::ES256, store.clone());
    ring.refresh().await.unwrap();
    let stored: StoredKey = store.keys("main").await.unwrap().remove(0);
    let pem = String::from_utf8(stored.pem.expose().to_vec()).unwrap();
    let apps = AppKeys::new(store.clone(), "key", std::time::Duration::from_secs(60));
    assert_eq!(apps.find("app").await.unwrap(), Some(secret.clone()));
    let pats =
        PatVerifier::new(PatFormat::netbird(), store.clone()).cached(std::time::Duration::MAX).unwrap();
    let revocable = RevocableVerifier::new(pats.clone(), store.clone(), std::time::Duration::MAX);
    let credential = Credential::new(Scheme::Token, PAT);
    let rejection = revocable.verify(&credential).await.unwrap_err();
    let mint = Mint::access_tokens(ring.clone(), ISSUER, AUDIENCE);
    let hmac = JwtSigner::hmac(Algorithm::HS256, CANARY).unwrap();
    let tokens = TokenEndpoint::new(TokenContract::client_credentials(), mint.clone(), store.clone())
        .with_refresh_tokens(store.clone());
    let mut texts = vec![
        shown(&kept),
        shown(&clients),
        shown(&store),
        shown(&grant),
        shown(&row),
        shown(&digest),
        shown(&ring),
        shown(&ring.signer().unwrap()),
        shown(&stored),
        shown(&apps),
        shown(&pats),
        shown(&revocable),
        shown(&mint),
        shown(&Mint::access_tokens(hmac, ISSUER, AUDIENCE)),
        shown(&Mint::app_tokens()),
        shown(&tokens),
        shown(&PatEndpoint::new(PatFormat::netbird(), store.clone())),
        shown(&IntrospectionEndpoint::new(pats.clone(), store.clone()).with_refresh_tokens(store.clone())),
        shown(&RevocationEndpoint::new(pats.clone(), store.clone(), store.clone())),
        shown(&AuthTypeEndpoint::new(pats.clone())),
        shown(&JwksEndpoint::new([ring.clone()])),
        shown(&PatFormat::netbird().generate().unwrap()),
        shown(&Keys::by_claim("app", Algorithm::HS256, apps.clone()).unwrap()),
        shown(&TokenStore::revocations(&store)),
        shown(&rejection),
        chain(&rejection),
        chain(&ClientSecret::from_stored(&secret).unwrap_err()),
        chain(&TokenDigest::from_base64(CANARY).unwrap_err()),
        chain(&PatFormat::new(CANARY).unwrap_err()),
    ];
    texts.push(shown(&(stored, pats, tokens)));
    let mut secrets = [forms(CANARY), forms(PAT)].concat();
    secrets.extend(["canary", "Y2FuYXJ5", "PRIVATE KEY", "99, 97, 110"].map(String::from));
    secrets.push(hash);
    secrets.extend(pem.lines().filter(|line| line.len() > 20).map(String::from));
    for text in texts {
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{secret} in {text}");
        }
    }
}

#[tokio::test]
async fn no_event_shows_a_personal_token_atk_47() {
    let (log, subscriber) = Log::new();
    let guard = tracing::subscriber::set_default(subscriber);
    let store = MemoryStore::new();
    let year = std::time::Duration::from_secs(366 * 24 * 60 * 60);
    let at = std::time::UNIX_EPOCH;
    let good = String::from_utf8(PatFormat::netbird().generate().unwrap().expose().to_vec()).unwrap();
    let expired = String::from_utf8(PatFormat::netbird().generate().unwrap().expose().to_vec()).unwrap();
    for (token, id, until) in [(&good, "t1", at + 100 * year), (&expired, "t2", at)] {
        let row = PersonalToken::new(id, "alice", "ci", at, until);
        store.insert(TokenDigest::of(token).unwrap(), row).await.unwrap();
    }
    let verifier = PatVerifier::new(PatFormat::netbird(), store.clone()).cached(year).unwrap();
    let schemes = Schemes::new().token(verifier.clone()).bearer_prefixed("nbp_", verifier);
    let inner = tower::service_fn(|request: Request<()>| async move {
        tracing::info!(headers = ?request.headers(), extensions = ?request.extensions(), "it logs too much");
        let identity = request.extensions().get::<tower_bearer::Identity>().unwrap();
        tracing::info!(?identity, row = ?identity.detail::<PersonalToken>(), "and more");
        Ok::<_, std::convert::Infallible>(Response::new(String::new()))
    });
    let service = AuthenticateLayer::new(schemes).layer(inner);
    for _ in 0..2 {
        for scheme in ["Token", "Bearer"] {
            for token in [good.as_str(), expired.as_str(), PAT, &PAT[..39]] {
                let request = Request::builder().header("authorization", format!("{scheme} {token}"));
                service.clone().oneshot(request.body(()).unwrap()).await.unwrap();
            }
        }
        TokenStore::revoke(&store, "alice", "t1").await.unwrap();
    }
    drop(guard);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for reason in ["it logs too much", "and more", "unknown, or revoked", "expired", "not the form of"] {
        assert!(text.contains(reason), "{reason}: {text}");
    }
    for token in [good.as_str(), expired.as_str(), PAT] {
        for form in forms(token) {
            assert!(!text.contains(&form), "{text}");
        }
        assert!(!text.contains(&token[4..34]), "{text}");
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
