//! A ready-made transport (feature `https`): hyper over TLS, HTTP/1.1 and HTTP/2.
//!
//! 1. Certificates are checked as the platform checks them, with `aws-lc-rs` underneath.
//! 2. A connection is there within a second or not at all.
//! 3. No proxy is used, whatever the environment says, no redirect is followed, and nothing is decompressed.
//!
//! # Caveat
//!
//! It is for the small requests of this crate: connections are kept, but nothing limits their number.
//!
//! # Examples
//!
//! ```
//! use tower_bearer::integrations::https::https;
//! use tower_bearer::transport::Transport;
//!
//! # if let Ok(transport) = https() {
//! assert!(!transport.allows_http_loopback());
//! # }
//! # Ok::<(), tower_bearer::ConfigError>(())
//! ```
//!
//! For tests, and for sidecars on the same machine:
//!
//! ```
//! use tower_bearer::integrations::https::https;
//! use tower_bearer::transport::Transport;
//!
//! # if let Ok(transport) = https() {
//! let transport = transport.insecure_allow_http_loopback();
//! assert!(transport.allows_http_loopback());
//! # }
//! # Ok::<(), tower_bearer::ConfigError>(())
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt;

use crate::error::{BoxError, ConfigError};
use crate::eventual::Eventual;
use crate::transport::{ServiceTransport, Transport};
#[cfg(feature = "remote")]
use crate::verify::{JwtVerifier, Keys};

/// A host that does not take the connection by then is tried again later.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection that went dead without a word is found out by then, and not used again.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(3);

/// The ready-made transport; see the [module](self).
#[derive(Clone)]
#[must_use]
pub struct Https(ServiceTransport<Client<HttpsConnector<HttpConnector>, Full<Bytes>>>);

/// A ready-made transport.
///
/// # Errors
///
/// When the platform has no certificates to check others with.
pub fn https() -> Result<Https, ConfigError> {
    let bad = |error| ConfigError::new("https", "expected certificates on this platform").with_source(error);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier)
        .map_err(bad)?
        .with_no_client_auth();
    let mut tcp = HttpConnector::new();
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(tcp);
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .build(connector);
    Ok(Https(ServiceTransport::new(client)))
}

impl Https {
    /// Allows plain `http` to loopback addresses and `localhost`: for tests, and for sidecars on the
    /// same machine.
    pub fn insecure_allow_http_loopback(self) -> Self {
        Self(self.0.insecure_allow_http_loopback())
    }
}

impl Transport for Https {
    fn send(&self, request: Request<Bytes>) -> Eventual<Result<Response<Bytes>, BoxError>> {
        self.0.send(request)
    }

    fn allows_http_loopback(&self) -> bool {
        self.0.allows_http_loopback()
    }
}

#[cfg(feature = "remote")]
impl JwtVerifier {
    /// A verifier for the access tokens of an issuer, with the keys that its metadata names, over the
    /// ready-made transport.
    ///
    /// The keys are fetched now if the issuer can be reached. If not, nothing is lost: the verifier fetches
    /// them when it needs them, and until then its answer is
    /// [`Unavailable`](crate::RejectionKind::Unavailable). For more say, build one over
    /// [`Keys::discover`].
    ///
    /// # Errors
    ///
    /// When the issuer is not an absolute `https` URL, the audience is empty, or the platform has no
    /// certificates to check others with.
    pub async fn discover(issuer: &str, audience: &str) -> Result<Self, ConfigError> {
        let keys = Keys::discover(issuer, https()?)?;
        let verifier = Self::builder(keys.clone()).issuer(issuer).audience(audience).build()?;
        // An outage is gone through later; health and events tell of it meanwhile.
        let _ = keys.ready().await;
        Ok(verifier)
    }
}

impl fmt::Debug for Https {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Https").field("http_loopback", &self.allows_http_loopback()).finish_non_exhaustive()
    }
}
