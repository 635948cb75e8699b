//! Signed JWTs: read once, judged from cheap to dear, verified with exactly one key.

use std::cell::LazyCell;
use std::fmt;
use std::sync::Arc;

use super::Verify;
use super::claims::Claims;
use super::headers::Headers;
use super::jwt_builder::JwtVerifierBuilder;
use super::keys::{ChosenKey, Keys, is_same};
use super::rules::{Refused, Rules};
use crate::clock::Window;
use crate::credential::{Credential, Scheme};
use crate::decisions::{Decisions, Remembered};
use crate::eventual::Eventual;
use crate::identity::{Evidence, Found, Identity, Known, Proof};
use crate::jose::{Buffers, Compact, Header, KeySet};
use crate::rejection::Rejection;
use crate::secret::Wiped;

/// Verifies signed JWTs (RFC 7519) by the rules of RFC 8725.
///
/// See the [module](super) for the rules and examples. A clone costs a reference count.
#[derive(Clone)]
pub struct JwtVerifier {
    inner: Arc<Inner>,
}

struct Inner {
    keys: Keys,
    rules: Rules,
    max_token_bytes: usize,
    /// What was found of a token: the same as would be found now, within its window and under the same keys.
    decisions: Decisions<Known>,
    headers: Headers,
}

impl Remembered for Known {
    fn token(&self) -> &[u8] {
        self.proof().map_or(&[], |proof| proof.token.expose())
    }

    fn weight(&self) -> usize {
        self.weight()
    }
}

impl JwtVerifier {
    /// Starts a verifier; [`build`](JwtVerifierBuilder::build) demands an issuer and an audience.
    pub fn builder(keys: impl Into<Keys>) -> JwtVerifierBuilder {
        JwtVerifierBuilder::new(keys.into())
    }

    pub(super) fn new(keys: Keys, rules: Rules, max_token_bytes: usize, decisions: [usize; 2]) -> Self {
        let decisions = Decisions::new(decisions[0], decisions[1]);
        let headers = Headers::default();
        Self { inner: Arc::new(Inner { keys, rules, max_token_bytes, decisions, headers }) }
    }

    pub(super) fn issuer(&self) -> Option<&str> {
        self.inner.rules.issuer.as_deref()
    }

    pub(super) fn max_token_bytes(&self) -> usize {
        self.inner.max_token_bytes
    }
}

impl Verify for JwtVerifier {
    fn verify(&self, credential: &Credential<'_>) -> Eventual<Result<Identity, Rejection>> {
        let token = credential.expose().as_bytes();
        self.recall(token).map_or_else(|| self.judge(token), |identity| Eventual::now(Ok(identity)))
    }

    fn verify_bytes(&self, scheme: Scheme, token: &[u8]) -> Eventual<Result<Identity, Rejection>> {
        let judge = || formed(scheme, token, self.judge(token));
        self.recall(token).map_or_else(judge, |identity| Eventual::now(Ok(identity)))
    }
}

impl JwtVerifier {
    fn judge(&self, token: &[u8]) -> Eventual<Result<Identity, Rejection>> {
        verify_with(token, self.inner.max_token_bytes, &self.inner.headers, |_| Ok(self))
    }

    /// What was decided about exactly these bytes, if it would be decided now.
    pub(super) fn recall(&self, token: &[u8]) -> Option<Identity> {
        let inner = &*self.inner;
        inner.decisions.get(token, |known| {
            let is_good = |proof: &Proof| {
                proof.window.is_open(&inner.rules.clock) && inner.keys.are_current(&proof.keys)
            };
            known.proof().is_some_and(is_good).then(|| known.identity())
        })
    }
}

/// The verdict about a token of whose form nothing was known. Three parts in base64url have it; of what was
/// refused it is found out now.
pub(super) fn formed(
    scheme: Scheme,
    token: &[u8],
    verdict: Eventual<Result<Identity, Rejection>>,
) -> Eventual<Result<Identity, Rejection>> {
    match verdict.try_now() {
        Ok(Ok(identity)) => Eventual::now(Ok(identity)),
        Ok(Err(rejection)) => Eventual::now(Err(Credential::refusal_of(scheme, token, rejection))),
        // All parts are decoded before a key is waited for.
        Err(later) => later,
    }
}

/// Reads a token once, lets `choose` pick its verifier by what it claims, and judges it there.
pub(super) fn verify_with<'v>(
    token: &[u8],
    max_bytes: usize,
    headers: &Headers,
    choose: impl FnOnce(&Claims<'_>) -> Result<&'v JwtVerifier, Refused>,
) -> Eventual<Result<Identity, Rejection>> {
    try_verify(token, max_bytes, headers, choose).unwrap_or_else(|rejection| Eventual::now(Err(rejection)))
}

fn try_verify<'v>(
    token: &[u8],
    max_bytes: usize,
    headers: &Headers,
    choose: impl FnOnce(&Claims<'_>) -> Result<&'v JwtVerifier, Refused>,
) -> Result<Eventual<Result<Identity, Rejection>>, Rejection> {
    let compact = Compact::split(token, max_bytes)?;
    let known = headers.look();
    let known = known.of(compact.header);
    let mut buffers = Buffers::new();
    let (text, parsed);
    let header = match known {
        Some(known) => known,
        None => {
            text = compact.decode_header(&mut buffers.header)?;
            parsed = Header::parse(&text)?;
            &parsed
        }
    };
    let payload = compact.decode_payload(&mut buffers.payload)?;
    let mut claims = Claims::default();
    claims.add(&payload)?;
    let verifier = choose(&claims)?;
    let inner = &*verifier.inner;
    let window = claims.window(inner.rules.leeway);
    inner.rules.check(header, &claims, &window)?;
    // Before a key is asked for: a token that has none cannot be good, whatever comes of that.
    let signature = compact.decode_signature(&mut buffers.signature)?;
    match inner.keys.find(header, &payload).try_now() {
        Ok(key) => {
            let key = key?;
            let found = inner.prove(&key, compact.signing_input, signature, &claims, &payload)?;
            let identity = match key.into_lasting_set().filter(|_| !inner.decisions.is_off()) {
                Some(keys) => inner.remember(token, found, window, &keys),
                None => Identity::found(found, Evidence::Text(&payload)),
            };
            if known.is_none() {
                headers.learn(compact.header, header);
            }
            Ok(Eventual::now(Ok(identity)))
        }
        Err(later) => {
            let (verifier, token) = (verifier.clone(), token.to_vec());
            Ok(Eventual::later(async move { verifier.inner.resume(&later.await?, &token) }))
        }
    }
}

impl Inner {
    /// The signature, then what only an authentic token is asked.
    fn prove<'c>(
        &self,
        key: &ChosenKey,
        message: &[u8],
        signature: &[u8],
        claims: &'c Claims<'_>,
        payload: &str,
    ) -> Result<Found<'c>, Rejection> {
        if !key.verify(message, signature) {
            return Err(Refused::Signature.into());
        }
        let mut found = self.rules.identify(claims, payload)?;
        if let Some(scopes) = &key.scopes {
            found.scopes = scopes.clone();
        }
        Ok(found)
    }

    /// An entry knows the key set that it was decided by, and no other is taken for it while it does.
    fn remember(&self, token: &[u8], found: Found<'_>, window: Window, keys: &Arc<KeySet>) -> Identity {
        let known_keys = Arc::downgrade(keys);
        let proof = Proof { token: Wiped::new(token), window, keys: known_keys, read_claims };
        let identity = Identity::found(found, Evidence::Proof(proof));
        let known = identity.known();
        let now = LazyCell::new(|| self.rules.clock.unix_nanos());
        // No others count now, unless these were replaced meanwhile.
        let are_last = LazyCell::new(|| known.proof().is_some_and(|own| self.keys.are_current(&own.keys)));
        let is_good =
            |other: &Proof| other.window.contains(*now) && (is_same(keys, &other.keys) || !*are_last);
        self.decisions.insert(known.clone(), |other| !other.proof().is_some_and(is_good));
        identity
    }

    /// Goes on with a token whose key had to be waited for; it is read and judged again, since time
    /// went by.
    fn resume(&self, key: &ChosenKey, token: &[u8]) -> Result<Identity, Rejection> {
        let compact = Compact::split(token, self.max_token_bytes)?;
        let mut buffers = Buffers::new();
        let header = compact.decode_header(&mut buffers.header)?;
        let header = Header::parse(&header)?;
        let payload = compact.decode_payload(&mut buffers.payload)?;
        let signature = compact.decode_signature(&mut buffers.signature)?;
        let claims = Claims::read(&payload)?;
        self.rules.check(&header, &claims, &claims.window(self.rules.leeway))?;
        let found = self.prove(key, compact.signing_input, signature, &claims, &payload)?;
        Ok(Identity::found(found, Evidence::Text(&payload)))
    }
}

/// The claims of a token that was read before; what fails here would be none.
fn read_claims(token: &[u8]) -> Vec<u8> {
    Compact::split(token, token.len()).and_then(|token| token.decode_payload_bytes()).unwrap_or_default()
}

/// Shows the rules and the keys' names, so that a loosened rule is seen in a log.
impl fmt::Debug for JwtVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = &self.inner.rules;
        f.debug_struct("JwtVerifier")
            .field("issuer", &rules.issuer.as_deref().unwrap_or("(insecure: any)"))
            .field(
                "audiences",
                if rules.audiences.is_empty() { &"(insecure: any)" } else { &rules.audiences },
            )
            .field("types", &rules.types)
            .field("demand_expiry", &rules.demand_expiry)
            .field("leeway", &rules.leeway)
            .field("max_token_bytes", &self.inner.max_token_bytes)
            .field("keys", &self.inner.keys)
            .finish_non_exhaustive()
    }
}
