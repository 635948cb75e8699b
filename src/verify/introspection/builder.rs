use std::fmt;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::super::digest::DigestKey;
use super::super::jwt::JwtVerifier;
use super::super::keys::Keys;
use super::{Endpoint, Introspection};
use crate::clock::{Clock, SharedClock};
use crate::contract::{ClientAuth, Credentials};
use crate::error::ConfigError;
use crate::flight::Flights;
use crate::transport::Door;

/// Enough for a busy service, few enough not to bury an endpoint.
const DEFAULT_MAX_CALLS: usize = 64;

/// Builds an [`Introspection`].
#[must_use]
pub struct IntrospectionBuilder {
    url: String,
    door: Door,
    client: Option<(ClientAuth, Credentials)>,
    audiences: Vec<Box<str>>,
    any_audience: bool,
    issuer: Option<Box<str>>,
    signer: Option<Keys>,
    max_calls: usize,
    clock: SharedClock,
}

impl IntrospectionBuilder {
    pub(super) fn new(url: String, door: Door) -> Self {
        Self {
            url,
            door,
            client: None,
            audiences: Vec::new(),
            any_audience: false,
            issuer: None,
            signer: None,
            max_calls: DEFAULT_MAX_CALLS,
            clock: SharedClock::default(),
        }
    }

    /// How this service proves to the endpoint who it is.
    pub fn client(mut self, auth: ClientAuth, credentials: Credentials) -> Self {
        self.client = Some((auth, credentials));
        self
    }

    /// An audience that is us: the answer's `aud` must be there and hold one of those given.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into().into());
        self
    }

    /// Accepts tokens for any audience. A token meant for another service is then accepted too.
    pub fn insecure_any_audience(mut self) -> Self {
        self.any_audience = true;
        self
    }

    /// The issuer: an answer with another `iss` is refused. Demanded for signed answers.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into().into());
        self
    }

    /// Demands signed answers (RFC 9701), verified with these keys, from the [`issuer`](Self::issuer), for
    /// the client's id.
    pub fn with_signed_answers(mut self, keys: impl Into<Keys>) -> Self {
        self.signer = Some(keys.into());
        self
    }

    /// How many calls may be in the air; 64 unless said otherwise.
    pub fn with_max_calls(mut self, calls: usize) -> Self {
        self.max_calls = calls;
        self
    }

    /// The clock that times are judged by.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = SharedClock::new(clock);
        self
    }

    /// The verifier.
    ///
    /// # Errors
    ///
    /// When the URL is not an absolute `https` one; no client was given, or one without what its way to
    /// prove itself needs; neither an audience nor [`insecure_any_audience`](Self::insecure_any_audience)
    /// was given, or both; signed answers are demanded without an issuer; no call is allowed.
    pub fn build(self) -> Result<Introspection, ConfigError> {
        let url = self.door.url("introspection_endpoint", &self.url)?;
        let (auth, credentials) =
            self.client.ok_or_else(|| ConfigError::new("client", "expected how to prove who we are"))?;
        if self.audiences.is_empty() != self.any_audience {
            let message = "expected either audience(…) or insecure_any_audience()";
            return Err(ConfigError::new("audience", message));
        }
        if self.max_calls == 0 {
            return Err(ConfigError::new("max_calls", "expected at least one"));
        }
        let signed = match self.signer {
            None => None,
            Some(keys) => {
                let issuer = self.issuer.as_deref();
                let issuer =
                    issuer.ok_or_else(|| ConfigError::new("issuer", "expected one, for signed answers"))?;
                let client =
                    credentials.id().ok_or_else(|| ConfigError::new("client", "expected a client id"))?;
                let verifier = JwtVerifier::builder(keys)
                    .issuer(issuer)
                    .audience(client)
                    .with_types(["token-introspection+jwt"])
                    .insecure_allow_missing_expiry()
                    .with_shared_clock(self.clock.clone());
                Some(verifier.build()?)
            }
        };
        let endpoint = Endpoint {
            url,
            door: self.door,
            auth,
            credentials,
            audiences: self.audiences,
            issuer: self.issuer,
            signed,
            calls: Semaphore::new(self.max_calls),
            clock: self.clock,
        };
        // Finds what is missing from the credentials now, and not at the first request.
        endpoint.request("")?;
        Ok(Introspection {
            endpoint: Arc::new(endpoint),
            flights: Arc::new(Flights::new()),
            digests: DigestKey::generate()?,
        })
    }
}

impl fmt::Debug for IntrospectionBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectionBuilder").field("audiences", &self.audiences).finish_non_exhaustive()
    }
}
