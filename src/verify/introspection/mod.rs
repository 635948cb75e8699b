//! Token introspection (RFC 7662): the issuer is asked about each token.

mod builder;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use form_urlencoded::Serializer;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, Uri};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

pub use self::builder::IntrospectionBuilder;
use super::Verify;
use super::claims::Claims;
use super::digest::{Digest, DigestKey};
use super::jwt::JwtVerifier;
use super::rules::Refused;
use crate::clock::SharedClock;
use crate::contract::{ClientAuth, Credentials};
use crate::credential::{Credential, Scheme};
use crate::error::ConfigError;
use crate::eventual::Eventual;
use crate::flight::Flights;
use crate::identity::{Evidence, Found, Identity};
use crate::jose::{Reader, Scalar};
use crate::rejection::Rejection;
use crate::transport::{Door, Transport, has_content_type, retry_after};

/// For one call, with the wait for its turn.
const DEADLINE: Duration = Duration::from_secs(3);
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// RFC 9701 §5.
const SIGNED_ANSWER: &str = "application/token-introspection+jwt";
/// As for JWTs.
const LEEWAY: Duration = Duration::from_secs(30);

/// Asks an issuer's introspection endpoint about each token.
///
/// One call is made for one token at a time, and at most 64 in all; who comes on top of that waits for at
/// most 3 s. Put it into a [`CachedVerifier`](super::CachedVerifier), which says for how long an answer
/// counts.
///
/// - The caller's token is refused if it is not active, expired, not valid yet, or for another audience or
///   issuer.
/// - Whatever keeps the endpoint from answering that question (its being down, our own credentials refused,
///   an answer that makes no sense) is our outage, never the caller's fault (RFC 7662 §2.3).
///
/// ```
/// # #[cfg(feature = "test-util")] {
/// use tower_bearer::contract::{ClientAuth, Credentials};
/// use tower_bearer::test_util::StubTransport;
/// use tower_bearer::verify::{Introspection, Verify};
/// use tower_bearer::{Credential, Scheme};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_bearer::ConfigError> {
/// let provider = StubTransport::new(|request| {
///     let active = request.body().windows(4).any(|word| word == b"good");
///     let answer = format!(r#"{{"active":{active},"sub":"alice","aud":"orders"}}"#);
///     let response = http::Response::builder().header("content-type", "application/json");
///     Ok(response.body(answer.into()).unwrap())
/// });
/// let verifier = Introspection::builder("https://issuer.example/introspect", provider)
///     .client(ClientAuth::Basic, Credentials::client("orders-api", "hunter2"))
///     .audience("orders")
///     .build()?;
///
/// let identity = verifier.verify(&Credential::new(Scheme::Bearer, "good")).await.unwrap();
/// assert_eq!(identity.subject(), "alice");
/// assert!(verifier.verify(&Credential::new(Scheme::Bearer, "bad")).await.is_err());
/// # Ok(())
/// # }
/// # main().unwrap();
/// # }
/// ```
#[derive(Clone)]
pub struct Introspection {
    endpoint: Arc<Endpoint>,
    flights: Arc<Flights<Digest, Result<Identity, Rejection>>>,
    digests: DigestKey,
}

struct Endpoint {
    url: Uri,
    door: Door,
    auth: ClientAuth,
    credentials: Credentials,
    audiences: Vec<Box<str>>,
    issuer: Option<Box<str>>,
    signed: Option<JwtVerifier>,
    calls: Semaphore,
    clock: SharedClock,
}

impl Introspection {
    /// Starts a verifier over the endpoint at `url`.
    pub fn builder(url: impl Into<String>, transport: impl Transport) -> IntrospectionBuilder {
        IntrospectionBuilder::new(url.into(), Door::new(transport, DEADLINE, MAX_ANSWER_BYTES))
    }
}

impl Verify for Introspection {
    fn verify(&self, credential: &Credential<'_>) -> Eventual<Result<Identity, Rejection>> {
        let digest = match self.digests.digest(credential) {
            Ok(digest) => digest,
            Err(error) => return Eventual::now(Err(Rejection::unavailable().with_source(error))),
        };
        let (endpoint, token) = (Arc::clone(&self.endpoint), Zeroizing::new(credential.expose().to_owned()));
        let landing = self.flights.join(digest, async move { endpoint.take_turn(&token).await });
        // The flights stay for as long as somebody waits.
        let flights = Arc::clone(&self.flights);
        Eventual::later(async move {
            let verdict = landing.await;
            drop(flights);
            verdict.unwrap_or_else(|| Err(outage("the call was given up")))
        })
    }

    fn schemes(&self) -> &[Scheme] {
        &[Scheme::Bearer]
    }
}

impl Endpoint {
    /// Waits for one of the calls that may be in the air. Whoever gets it too late makes none.
    async fn take_turn(&self, token: &str) -> Result<Identity, Rejection> {
        let deadline = Instant::now() + DEADLINE;
        let late = |_| outage("no answer came in time");
        let _turn = timeout_at(deadline, self.calls.acquire()).await.map_err(late)?.map_err(outage)?;
        if Instant::now() >= deadline {
            return Err(outage("no turn came in time"));
        }
        timeout_at(deadline, self.ask(token)).await.map_err(late)?
    }

    async fn ask(&self, token: &str) -> Result<Identity, Rejection> {
        let request = self.request(token).map_err(outage)?;
        let response = self.door.send(request).await.map_err(outage)?;
        match response.status().as_u16() {
            200 => self.read(&response).await,
            400 if is_about_the_token(response.body()) => {
                Err(Rejection::invalid_token().with_source("refused by the issuer"))
            }
            status => {
                let rejection = outage(format!("the answer has status {status}"));
                Err(match retry_after(response.headers(), self.clock.now()) {
                    Some(after) => rejection.with_retry_after(after),
                    None => rejection,
                })
            }
        }
    }

    /// RFC 7662 §2.1: a form, with `token`, from a client that proves who it is.
    fn request(&self, token: &str) -> Result<Request<Bytes>, ConfigError> {
        let mut form = Serializer::new(String::new());
        form.append_pair("token", token).append_pair("token_type_hint", "access_token");
        let mut request = Request::new(Bytes::new());
        let headers = request.headers_mut();
        match self.auth {
            ClientAuth::Basic | ClientAuth::BasicPlain => {
                let basic = self.credentials.basic(self.auth == ClientAuth::BasicPlain);
                let mut value = HeaderValue::from_str(&basic)
                    .map_err(|_| ConfigError::new("credentials", "expected what a header can hold"))?;
                value.set_sensitive(true);
                headers.insert(AUTHORIZATION, value);
            }
            _ => {
                for (name, value) in self.credentials.form_fields(self.auth, &self.url, self.clock.now())? {
                    form.append_pair(name, &value);
                }
            }
        }
        let accept = if self.signed.is_some() { SIGNED_ANSWER } else { "application/json" };
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        *request.body_mut() = form.finish().into();
        Ok(request)
    }

    async fn read(&self, response: &Response<Bytes>) -> Result<Identity, Rejection> {
        let expected = if self.signed.is_some() { SIGNED_ANSWER } else { "application/json" };
        if !has_content_type(response.headers(), &[expected]) {
            return Err(outage("the answer has another content type"));
        }
        let text = std::str::from_utf8(response.body()).map_err(outage)?;
        let answer = match &self.signed {
            None => text.to_owned(),
            Some(verifier) => unwrap_signed(verifier, text).await?,
        };
        self.judge(&answer)
    }

    fn judge(&self, answer: &str) -> Result<Identity, Rejection> {
        // On its own, since an answer that says "not active" need make no sense otherwise.
        let mut active = None;
        Reader::object(answer, |name, reader| {
            let value = reader.scalar()?;
            if *name == *b"active" {
                active = Some(value);
            }
            Ok(())
        })
        .map_err(outage)?;
        match active {
            Some(Scalar::Bool(true)) => {}
            Some(Scalar::Bool(false)) => {
                return Err(Rejection::invalid_token().with_source("the issuer says that it is not active"));
            }
            _ => return Err(outage("the answer does not say whether the token is active")),
        }
        let claims = Claims::read(answer).map_err(outage)?;
        self.check(&claims)?;
        let scopes = claims.scopes().map_err(outage)?;
        let found = Found {
            subject: claims.subject.or(claims.client_id).unwrap_or_default(),
            issuer: claims.issuer.as_deref().or(self.issuer.as_deref()).map(Into::into),
            scopes,
            expires_at: claims.expires.and_then(|expires| expires.to_system_time()),
            detail: None,
        };
        Ok(Identity::found(found, Evidence::Text(answer)))
    }

    fn check(&self, claims: &Claims<'_>) -> Result<(), Refused> {
        // RFC 9449 §7.2, RFC 8705 §3: nobody proved the key here.
        if claims.is_bound
            || claims.token_type.as_deref().is_some_and(|typ| !typ.eq_ignore_ascii_case("Bearer"))
        {
            return Err(Refused::Bound);
        }
        claims.check_audience(&self.audiences)?;
        if let (Some(expected), Some(actual)) = (&self.issuer, &claims.issuer)
            && **expected != **actual
        {
            return Err(Refused::Issuer);
        }
        let now = self.clock.unix_nanos();
        if claims.expires.is_some_and(|expires| !expires.is_after(now, Duration::ZERO)) {
            return Err(Refused::Expired);
        }
        if claims.not_before.is_some_and(|start| !start.is_reached(now, LEEWAY)) {
            return Err(Refused::NotYetValid);
        }
        Ok(())
    }
}

/// RFC 9701 §5: a JWT of its own type, from the issuer, for us, with the answer in `token_introspection`.
async fn unwrap_signed(verifier: &JwtVerifier, token: &str) -> Result<String, Rejection> {
    let verdict = verifier.verify(&Credential::new(Scheme::Bearer, token.trim())).await;
    let identity = verdict.map_err(outage)?;
    match identity.claim("token_introspection") {
        Some(answer @ Value::Object(_)) => Ok(answer.to_string()),
        _ => Err(outage("the signed answer holds none")),
    }
}

/// What kept us from an answer; the reason is for logs.
fn outage(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Rejection {
    Rejection::unavailable().with_source(reason)
}

/// Some providers refuse to look at a token of a form that they never issue, instead of calling it
/// inactive.
fn is_about_the_token(body: &[u8]) -> bool {
    let error = serde_json::from_slice::<Value>(body).ok();
    let error = error.as_ref().and_then(|body| body.get("error")).and_then(Value::as_str);
    matches!(error, Some("unsupported_token_type" | "invalid_token"))
}

impl fmt::Debug for Introspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspection")
            .field("host", &self.endpoint.url.host())
            .field("audiences", &self.endpoint.audiences)
            .field("issuer", &self.endpoint.issuer)
            .finish_non_exhaustive()
    }
}
