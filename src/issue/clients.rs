//! Who asks: clients by a secret or by a key, told from strangers in one time.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::thread::available_parallelism;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::fault::Fault;
use super::form::Form;
use crate::clock::{Clock, SharedClock};
use crate::credential::{Credential, Scheme};
use crate::flight::blocking;
use crate::identity::Identity;
use crate::jose::{Buffers, Compact, Reader, Scalar};
use crate::secret::Secret;
use crate::store::{Client, ClientSecret, ClientStore, RevocationStore, TokenDigest};
use crate::verify::{JwtVerifier, Keys, Verify};

/// RFC 7523 §2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// An assertion that is good for longer has to be remembered for longer.
const MAX_ASSERTION_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The clients of an endpoint, and how they prove who they are.
#[derive(Clone)]
pub(super) struct Clients {
    store: Arc<dyn ClientStore>,
    /// Empty: of all systems.
    systems: Vec<String>,
    /// Where used assertions are written down; without it, none is accepted.
    once: Option<Arc<dyn RevocationStore>>,
    audiences: Vec<String>,
    clock: SharedClock,
    /// Password hashes computed at a time: each takes a core, and 19 MiB.
    turns: Arc<Semaphore>,
    decoy: Arc<OnceLock<Option<ClientSecret>>>,
}

impl Clients {
    pub(super) fn new(store: Arc<dyn ClientStore>) -> Self {
        Self {
            store,
            systems: Vec::new(),
            once: None,
            audiences: Vec::new(),
            clock: SharedClock::default(),
            turns: Arc::new(Semaphore::new(available_parallelism().map_or(1, usize::from))),
            decoy: Arc::default(),
        }
    }

    pub(super) fn of_systems(&mut self, systems: impl IntoIterator<Item = impl Into<String>>) {
        self.systems = systems.into_iter().map(Into::into).collect();
    }

    pub(super) fn accept_assertions(
        &mut self,
        audiences: impl IntoIterator<Item = impl Into<String>>,
        once: Arc<dyn RevocationStore>,
    ) {
        self.audiences = audiences.into_iter().map(Into::into).collect();
        self.once = Some(once);
    }

    pub(super) fn with_clock(&mut self, clock: impl Clock) {
        self.clock = SharedClock::new(clock);
    }

    pub(super) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// The three ways of RFC 6749 §2.3.1 and RFC 7523 §2.2, one of them in a request (RFC 6749 §2.3).
    pub(super) async fn authenticate(&self, headers: &HeaderMap, form: &Form) -> Result<Client, Fault> {
        let by_header = headers.contains_key(AUTHORIZATION);
        // RFC 9110 §5.3: the field is not a list.
        if headers.get_all(AUTHORIZATION).iter().nth(1).is_some() {
            return Err(Fault::Request("expected one Authorization header"));
        }
        let by_secret = form.get("client_secret").is_some();
        let assertion = form.get("client_assertion");
        let by_key = assertion.is_some() || form.get("client_assertion_type").is_some();
        if [by_header, by_secret, by_key].into_iter().filter(|way| *way).count() > 1 {
            return Err(Fault::Request("expected one way of client authentication"));
        }
        let named = form.get("client_id");
        if by_header {
            return self.by_basic(headers, named).await;
        }
        if by_key {
            let kind = form.get("client_assertion_type");
            let assertion = assertion.filter(|_| kind == Some(ASSERTION_TYPE));
            let assertion = assertion.ok_or(Fault::Request("expected an assertion that is a JWT"))?;
            return self.by_key(named, assertion).await;
        }
        match (named, form.get("client_secret")) {
            (Some(id), Some(secret)) => self.by_secret(id, secret.into()).await,
            _ => Err(Fault::Client),
        }
    }

    /// RFC 6749 §2.3.1 has id and secret form-encoded before; many clients leave that out.
    async fn by_basic(&self, headers: &HeaderMap, named: Option<&str>) -> Result<Client, Fault> {
        let plain = basic(headers).ok_or(Fault::Client)?;
        let decoded = (form_decoded(&plain.0), form_decoded(&plain.1));
        let spellings = if decoded == plain { vec![plain] } else { vec![decoded, plain] };
        let mut outcome = Err(Fault::Client);
        for (id, secret) in spellings {
            let Ok(id) = std::str::from_utf8(&id) else { continue };
            if named.is_some_and(|named| named != id) {
                outcome = Err(Fault::Request("client_id is another than the one that authenticates"));
                continue;
            }
            outcome = self.by_secret(id, secret.as_slice().into()).await;
            if !matches!(outcome, Err(Fault::Client)) {
                break;
            }
        }
        outcome
    }

    /// The client of this id and secret. A stranger costs what a wrong secret costs.
    pub(super) async fn by_secret(&self, id: &str, secret: Secret) -> Result<Client, Fault> {
        let found = self.store.find(id).await.map_err(Fault::Unavailable)?;
        let (passwords, others): (Vec<_>, Vec<_>) =
            self.own(found).partition(|client| client.secret().is_some_and(ClientSecret::is_password));
        // All are compared, so that the time does not tell which one it was.
        let matched =
            others.into_iter().filter(|client| client.secret().is_some_and(|own| own.matches(&secret)));
        if let Some(client) = matched.collect::<Vec<_>>().pop() {
            return Ok(client);
        }
        if !passwords.is_empty() || self.store.may_hold_passwords() {
            return self.by_password(passwords, secret).await.ok_or(Fault::Client);
        }
        Err(Fault::Client)
    }

    async fn by_password(&self, candidates: Vec<Client>, secret: Secret) -> Option<Client> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok()?;
        let decoy = Arc::clone(&self.decoy);
        let compared = blocking(move || {
            // It ends with the work, whether or not somebody still waits.
            let _turn = turn;
            if candidates.is_empty() {
                let decoy = decoy.get_or_init(|| ClientSecret::password(&Secret::from("decoy")).ok());
                decoy.as_ref().map(|decoy| decoy.matches(&secret));
            }
            candidates.into_iter().find(|client| client.secret().is_some_and(|own| own.matches(&secret)))
        });
        compared.await?
    }

    /// The client of which this secret is all that it presents.
    pub(super) async fn by_secret_alone(&self, secret: &str) -> Result<Client, Fault> {
        let digest = TokenDigest::of(secret)?;
        let found = self.store.find_by_digest(digest).await.map_err(Fault::Unavailable)?;
        self.own(found).next().ok_or(Fault::Grant)
    }

    /// RFC 7523 §3: `iss` and `sub` are the client, `aud` is us, and the assertion is used once.
    async fn by_key(&self, named: Option<&str>, assertion: &str) -> Result<Client, Fault> {
        let once = self.once.as_ref().ok_or(Fault::Client)?;
        let id = subject_of(assertion).ok_or(Fault::Client)?;
        if named.is_some_and(|named| named != id) {
            return Err(Fault::Request("client_id is another than the one that authenticates"));
        }
        let found = self.store.find(&id).await.map_err(Fault::Unavailable)?;
        for client in self.own(found) {
            let Some(identity) = self.verify(&client, assertion).await else { continue };
            let now = self.clock.now();
            let expires = identity.expires_at().ok_or(Fault::Client)?;
            let too_long = expires.duration_since(now).is_ok_and(|left| left > MAX_ASSERTION_LIFETIME);
            let jti = identity.claim("jti").and_then(|jti| jti.as_str()).filter(|_| !too_long);
            let jti = jti.ok_or(Fault::Client)?;
            let digest = TokenDigest::of(&format!("assertion:{}:{id}:{jti}", id.len()))?;
            // As long as the leeway lets it pass.
            let until = expires.checked_add(MAX_ASSERTION_LIFETIME).unwrap_or(expires);
            let fresh = once.use_once(digest, until).await.map_err(Fault::Unavailable)?;
            return if fresh { Ok(client) } else { Err(Fault::Client) };
        }
        Err(Fault::Client)
    }

    async fn verify(&self, client: &Client, assertion: &str) -> Option<Identity> {
        let keys = Keys::jwks(client.jwks()?.as_bytes()).ok()?;
        let clock = self.clock.clone();
        let mut rules = JwtVerifier::builder(keys)
            .issuer(&client.id)
            .with_claim("sub", client.id.as_str())
            .with_types(["JWT", "client-authentication+jwt"])
            .with_clock(move || clock.now());
        for audience in &self.audiences {
            rules = rules.audience(audience);
        }
        let verifier = rules.build().ok()?;
        verifier.verify(&Credential::new(Scheme::Bearer, assertion)).await.ok()
    }

    fn own(&self, found: Vec<Client>) -> impl Iterator<Item = Client> {
        found.into_iter().filter(|client| self.systems.is_empty() || self.systems.contains(&client.system))
    }
}

type Octets = Zeroizing<Vec<u8>>;

/// The two halves of HTTP Basic (RFC 7617 §2), as they came.
fn basic(headers: &HeaderMap) -> Option<(Octets, Octets)> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return None };
    let (scheme, rest) = line.to_str().ok()?.split_once(' ')?;
    let pair =
        scheme.eq_ignore_ascii_case("Basic").then(|| STANDARD.decode(rest.trim_matches(' ')).ok())??;
    let pair = Zeroizing::new(pair);
    let colon = pair.iter().position(|byte| *byte == b':')?;
    let half = |part: &[u8]| Zeroizing::new(part.to_vec());
    Some((half(&pair[..colon]), half(&pair[colon + 1..])))
}

/// A plus is a space, and a percent sign begins an octet.
fn form_decoded(part: &[u8]) -> Octets {
    let spaced = part.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte });
    let spaced = Zeroizing::new(spaced.collect::<Vec<_>>());
    Zeroizing::new(percent_encoding::percent_decode(&spaced).collect())
}

/// Whom an assertion claims to come from: read to find the key that it must be signed with.
fn subject_of(assertion: &str) -> Option<String> {
    let token = Compact::split(assertion.as_bytes(), super::http::MAX_BODY_BYTES).ok()?;
    let mut buffers = Buffers::new();
    let payload = token.decode_payload(&mut buffers.payload).ok()?;
    let mut subject = None;
    Reader::object(&payload, |name, reader| {
        if let (Scalar::String(value), b"sub") = (reader.scalar()?, &*name) {
            subject = Some(value.into_owned());
        }
        Ok(())
    })
    .ok()?;
    subject
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients")
            .field("systems", &self.systems)
            .field("audiences", &self.audiences)
            .finish_non_exhaustive()
    }
}
