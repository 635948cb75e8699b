use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower_service::Service;

use super::body::MockBody;
use super::clock::ManualClock;
use super::misbehaviour::Misbehaviour;
use crate::algorithm::Algorithm;
use crate::clock::{Clock, SystemClock, unix_nanos};
use crate::error::BoxError;
use crate::issue::{AccessToken, JwtSigner};
use crate::scope::Scopes;
use crate::transport::{ServiceTransport, Transport};

/// How long minted tokens are good for.
const LIFETIME: Duration = Duration::from_secs(600);

/// An issuer in the same process: metadata, key set, tokens, introspection. Clones share everything.
///
/// It answers at these paths below its name: `/.well-known/openid-configuration`, `/jwks`,
/// `/introspect`. Use [`transport`](Self::transport) with [`Keys::discover`](crate::verify::Keys::discover)
/// and its like; as a tower service it can stand behind a socket.
///
/// ```
/// # #[cfg(feature = "aws-lc-rs")] {
/// use tower_bearer::test_util::MockIssuer;
/// use tower_bearer::verify::{JwtVerifier, Keys, Verify};
/// use tower_bearer::{Credential, Scheme};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let issuer = MockIssuer::new("https://issuer.example");
/// let keys = Keys::discover(issuer.name(), issuer.transport()).unwrap();
/// let verifier = JwtVerifier::builder(keys).issuer(issuer.name()).audience("orders").build().unwrap();
///
/// let token = issuer.token("alice", "orders", "read");
/// let identity = verifier.verify(&Credential::new(Scheme::Bearer, token)).await.unwrap();
/// assert_eq!(identity.subject(), "alice");
/// assert_eq!(issuer.requests(), 2);
///
/// let other = MockIssuer::new("https://issuer.example").token("alice", "orders", "read");
/// assert!(verifier.verify(&Credential::new(Scheme::Bearer, other)).await.is_err());
/// # }
/// # main();
/// # }
/// ```
#[derive(Clone)]
pub struct MockIssuer {
    name: Arc<str>,
    state: Arc<Mutex<State>>,
}

struct State {
    signers: Vec<JwtSigner>,
    clock: Option<ManualClock>,
    misbehaviour: Option<Misbehaviour>,
    cache_control: Option<String>,
    requests: HashMap<String, usize>,
    opaque: HashMap<String, Value>,
    minted: usize,
}

impl MockIssuer {
    /// An issuer with one ES256 key.
    ///
    /// # Panics
    ///
    /// When no crypto backend is enabled.
    pub fn new(name: &str) -> Self {
        let state = State {
            signers: vec![new_signer()],
            clock: None,
            misbehaviour: None,
            cache_control: None,
            requests: HashMap::new(),
            opaque: HashMap::new(),
            minted: 0,
        };
        Self { name: name.into(), state: Arc::new(Mutex::new(state)) }
    }

    /// Its name: the `iss` of its tokens.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A transport that leads here, whatever the host; plain `http` to loopback is allowed on it.
    pub fn transport(&self) -> impl Transport + Clone + use<> {
        ServiceTransport::new(self.clone()).insecure_allow_http_loopback()
    }

    /// A JWT of the newest key, good for ten minutes. `scopes` are separated by spaces.
    ///
    /// # Panics
    ///
    /// When a scope breaks the grammar.
    pub fn token(&self, subject: &str, audience: &str, scopes: &str) -> String {
        let scopes = Scopes::parse(scopes).expect("scopes by the grammar");
        let token = AccessToken::new(&*self.name, subject, "mock-client", audience, LIFETIME).scopes(scopes);
        let state = self.lock();
        let signer = state.signers.last().expect("there is always a key").clone();
        let signer = match state.clock.clone() {
            Some(clock) => signer.with_clock(clock),
            None => signer,
        };
        signer.sign(&token).expect("the backend signs")
    }

    /// An opaque token that introspection knows, good for ten minutes.
    pub fn opaque_token(&self, subject: &str, audience: &str, scopes: &str) -> String {
        let mut state = self.lock();
        state.minted += 1;
        let token = format!("opaque-{}", state.minted);
        let answer = json!({
            "active": true, "sub": subject, "aud": audience, "scope": scopes, "iss": &*self.name,
            "client_id": "mock-client", "exp": state.now() + 600,
        });
        state.opaque.insert(token.clone(), answer);
        token
    }

    /// Makes introspection answer this about a token, whatever it is.
    pub fn answer_introspection(&self, token: &str, answer: Value) {
        self.lock().opaque.insert(token.to_owned(), answer);
    }

    /// Forgets an opaque token.
    pub fn revoke(&self, token: &str) {
        self.lock().opaque.remove(token);
    }

    /// Adds a key and signs with it; the old ones stay published.
    pub fn rotate(&self) {
        self.lock().signers.push(new_signer());
    }

    /// Publishes the newest key alone.
    pub fn retire_old_keys(&self) {
        let signers = &mut self.lock().signers;
        signers.drain(..signers.len() - 1);
    }

    /// Sets `Cache-Control` on the key set.
    pub fn set_cache_control(&self, value: &str) {
        self.lock().cache_control = Some(value.to_owned());
    }

    /// Takes the time of tokens and answers from this clock, which the test may let jump.
    pub fn set_clock(&self, clock: ManualClock) {
        self.lock().clock = Some(clock);
    }

    /// From now on every answer is this.
    pub fn misbehave(&self, misbehaviour: Misbehaviour) {
        self.lock().misbehaviour = Some(misbehaviour);
    }

    /// From now on every answer is right.
    pub fn behave(&self) {
        self.lock().misbehaviour = None;
    }

    /// How many requests came, in all.
    pub fn requests(&self) -> usize {
        self.lock().requests.values().sum()
    }

    /// How many requests came for this path, such as `/jwks`.
    pub fn requests_to(&self, path: &str) -> usize {
        let requests = &self.lock().requests;
        requests.iter().filter(|(own, _)| own.ends_with(path)).map(|(_, count)| count).sum()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, uri: &Uri) -> Option<Misbehaviour> {
        let mut state = self.lock();
        *state.requests.entry(uri.path().to_owned()).or_default() += 1;
        state.misbehaviour
    }

    /// The right answer.
    fn answer(&self, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Response<Bytes> {
        let state = self.lock();
        let path = uri.path();
        if path.ends_with("/openid-configuration") {
            let name = &*self.name;
            let base = name.strip_suffix('/').unwrap_or(name);
            let document = json!({
                "issuer": name, "jwks_uri": format!("{base}/jwks"), "introspection_endpoint": format!("{base}/introspect"),
            });
            respond(200, &document)
        } else if path.ends_with("/jwks") {
            state.answer_jwks(headers)
        } else if path.ends_with("/introspect") {
            let proves_itself =
                ["client_secret", "client_assertion"].iter().any(|name| form_value(body, name).is_some());
            if !proves_itself && !headers.contains_key(http::header::AUTHORIZATION) {
                return respond(401, &json!({ "error": "invalid_client" }));
            }
            let token = form_value(body, "token").and_then(|token| state.opaque.get(&token));
            respond(200, token.unwrap_or(&json!({ "active": false })))
        } else {
            respond(404, &json!({ "error": "not_found" }))
        }
    }
}

impl State {
    fn now(&self) -> i64 {
        let now = self.clock.as_ref().map_or_else(|| SystemClock::new().now(), Clock::now);
        i64::try_from(unix_nanos(now) / 1_000_000_000).unwrap_or(i64::MAX)
    }

    fn answer_jwks(&self, headers: &HeaderMap) -> Response<Bytes> {
        let keys: Vec<Value> = self
            .signers
            .iter()
            .filter_map(|signer| serde_json::from_str::<Value>(&signer.jwks()).ok())
            .flat_map(|mut set| set["keys"].as_array_mut().map(std::mem::take).unwrap_or_default())
            .collect();
        let etag = format!("\"{}\"", self.signers.iter().filter_map(JwtSigner::key_id).collect::<String>());
        let mut response = respond(200, &json!({ "keys": keys }));
        if headers.get(IF_NONE_MATCH).is_some_and(|asked| asked == etag.as_str()) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.body_mut() = Bytes::new();
        }
        let headers = response.headers_mut();
        headers.extend(etag.parse().map(|etag| (ETAG, etag)));
        let cache_control = self.cache_control.as_ref().and_then(|value| value.parse().ok());
        headers.extend(cache_control.map(|value| (CACHE_CONTROL, value)));
        response
    }
}

fn new_signer() -> JwtSigner {
    JwtSigner::generate(Algorithm::ES256).expect("a crypto backend")
}

fn respond(status: u16, document: &Value) -> Response<Bytes> {
    let response = Response::builder().status(status).header(CONTENT_TYPE, "application/json");
    response.body(document.to_string().into()).expect("a status and a header")
}

/// The value of a form's field; the tokens here need no decoding.
fn form_value(body: &[u8], name: &str) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    text.split('&').find_map(|pair| Some(pair.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
}

impl<B> Service<Request<B>> for MockIssuer
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<MockBody>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let issuer = self.clone();
        Box::pin(async move {
            let (mut head, body) = request.into_parts();
            let misbehaviour = issuer.note(&head.uri);
            if misbehaviour.is_some() {
                // "Not modified" has no body to spoil.
                head.headers.remove(IF_NONE_MATCH);
            }
            let body = body.collect().await.map_err(Into::into)?.to_bytes();
            let answer = issuer.answer(&head.uri, &head.headers, &body);
            match misbehaviour {
                None => Ok(answer.map(MockBody::whole)),
                Some(Misbehaviour::HangBeforeHeaders) => {
                    std::future::pending::<Result<_, Infallible>>().await.map_err(Into::into)
                }
                Some(misbehaviour) => misbehaviour.spoil(answer).ok_or_else(|| "connection dropped".into()),
            }
        })
    }
}

impl fmt::Debug for MockIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockIssuer").field("name", &self.name).finish_non_exhaustive()
    }
}
