//! What an issuer publishes: its keys (RFC 7517) and where its endpoints are (RFC 8414).

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Map, Value, json};

use super::fault::Fault;
use super::http::{READING, is_reading, service};
use super::keyring::KeyRing;
use crate::contract::ErrorForm;
use crate::error::{BoxError, ConfigError};

/// Ten minutes: a key is published for much longer before it signs, so nobody has to ask more often.
const CACHEABLE: &str = "public, max-age=600";

/// Serves the public keys of rings as one JSON Web Key set. A clone is the same endpoint.
///
/// Give it to [`Keys::remote`](crate::verify::Keys::remote), over a
/// [`ServiceTransport`](crate::transport::ServiceTransport), to verify in the process that issues: then a rotation,
/// on this machine or another, is nothing that a verifier has to be told.
#[derive(Clone)]
#[must_use]
pub struct JwksEndpoint {
    rings: Arc<[KeyRing]>,
}

impl JwksEndpoint {
    /// The keys of these rings.
    pub fn new(rings: impl IntoIterator<Item = KeyRing>) -> Self {
        Self { rings: rings.into_iter().collect() }
    }

    async fn set(&self) -> Result<Value, BoxError> {
        let mut keys = Vec::new();
        for ring in &*self.rings {
            keys.extend(ring.published().await?);
        }
        Ok(json!({ "keys": keys }))
    }
}

service!(JwksEndpoint, without a body);

impl JwksEndpoint {
    async fn answer(self, head: Parts) -> Response<Full<Bytes>> {
        if !is_reading(&head.method) {
            return document(&head.method, "", Bytes::new());
        }
        match self.set().await {
            Ok(keys) => document(&head.method, "application/jwk-set+json", keys.to_string().into()),
            Err(error) => {
                Fault::Unavailable(error).respond(ErrorForm::OAuth, StatusCode::SERVICE_UNAVAILABLE)
            }
        }
    }
}

impl fmt::Debug for JwksEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwksEndpoint").field("rings", &self.rings).finish()
    }
}

/// Serves an issuer's metadata (RFC 8414 §3.2), at `/.well-known/oauth-authorization-server` and, for clients of
/// OpenID Connect, `/.well-known/openid-configuration`. A clone is the same endpoint.
///
/// ```
/// use http::Request;
/// use tower::ServiceExt;
/// use tower_bearer::issue::MetadataEndpoint;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_bearer::ConfigError> {
/// let metadata = MetadataEndpoint::new("https://issuer.example")?
///     .with("token_endpoint", "https://issuer.example/oauth2/token")
///     .with("grant_types_supported", vec!["client_credentials"])
///     .with("scopes_supported", Vec::<String>::new());
/// let document = metadata.json();
/// assert_eq!(document["issuer"], "https://issuer.example");
/// assert_eq!(document.get("scopes_supported"), None, "an empty list is left out");
/// assert!(MetadataEndpoint::new("https://issuer.example/?a=b").is_err());
/// let paths = MetadataEndpoint::new("https://issuer.example/tenant")?.paths();
/// assert_eq!(paths[0], "/.well-known/oauth-authorization-server/tenant");
/// assert_eq!(paths[1], "/tenant/.well-known/openid-configuration");
///
/// let response = metadata.oneshot(Request::new(())).await.unwrap();
/// assert_eq!(response.headers()["content-type"], "application/json");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct MetadataEndpoint {
    members: Arc<Map<String, Value>>,
}

impl MetadataEndpoint {
    /// The metadata of this issuer.
    ///
    /// # Errors
    ///
    /// When it is no URL without a query and a fragment (RFC 8414 §2).
    pub fn new(issuer: &str) -> Result<Self, ConfigError> {
        let is_url =
            issuer.parse::<http::Uri>().is_ok_and(|uri| uri.scheme().is_some() && uri.query().is_none());
        if !is_url || issuer.contains('#') {
            return Err(ConfigError::new("issuer", "expected a URL without a query and a fragment"));
        }
        let members = Map::from_iter([("issuer".to_owned(), issuer.into())]);
        Ok(Self { members: Arc::new(members) })
    }

    /// Adds a member (RFC 8414 §2). A list that is empty is left out (§3.2).
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        let value = value.into();
        if value.as_array().is_none_or(|list| !list.is_empty()) {
            Arc::make_mut(&mut self.members).insert(name.into(), value);
        }
        self
    }

    /// The paths at which clients look for it: RFC 8414 §3.1 puts the well-known part in front of the issuer's own
    /// path, OpenID Connect Discovery 1.0 §4.1 behind it.
    pub fn paths(&self) -> [String; 2] {
        let issuer = self.members.get("issuer").and_then(Value::as_str).unwrap_or_default();
        let path = issuer.parse::<http::Uri>().map(|uri| uri.path().to_owned()).unwrap_or_default();
        let path = path.trim_end_matches('/');
        [
            format!("/.well-known/oauth-authorization-server{path}"),
            format!("{path}/.well-known/openid-configuration"),
        ]
    }

    /// The document.
    pub fn json(&self) -> Value {
        Value::Object((*self.members).clone())
    }
}

service!(MetadataEndpoint, without a body);

impl MetadataEndpoint {
    async fn answer(self, head: Parts) -> Response<Full<Bytes>> {
        document(&head.method, "application/json", self.json().to_string().into())
    }
}

fn document(method: &Method, content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    if !is_reading(method) {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(READING));
        return response;
    }
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(CACHEABLE));
    if *method == Method::GET {
        *response.body_mut() = Full::from(body);
    }
    response
}
