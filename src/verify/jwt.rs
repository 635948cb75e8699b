//! Signed JWTs: read once, judged from cheap to dear, verified with exactly one key.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::Verify;
use super::claims::Claims;
use super::jwt_builder::JwtVerifierBuilder;
use super::keys::{ChosenKey, Keys};
use super::rules::{Refused, Rules};
use crate::clock::unix_nanos;
use crate::credential::{Credential, Scheme};
use crate::decisions::Decisions;
use crate::eventual::Eventual;
use crate::identity::{Identity, IdentityBuilder};
use crate::jose::{Compact, HEADER_BYTES, Header, KeySet};
use crate::rejection::Rejection;

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
    decisions: Decisions<Decision>,
    headers: Headers,
}

/// The headers of tokens that were accepted, as they are encoded: those of one key are all the same, and need
/// not be read again.
pub(super) struct Headers(Decisions<Arc<Header<'static>>>);

/// What was found of a token: the same as would be found now, within the window and under the same keys.
struct Decision {
    identity: Identity,
    /// From the first nanosecond since the epoch at which the claims allow it up to the one at which they do
    /// not any more.
    window: Range<i128>,
    keys: Arc<KeySet>,
}

impl JwtVerifier {
    /// Starts a verifier; [`build`](JwtVerifierBuilder::build) demands an issuer and an audience.
    pub fn builder(keys: impl Into<Keys>) -> JwtVerifierBuilder {
        JwtVerifierBuilder::new(keys.into())
    }

    pub(super) fn new(keys: Keys, rules: Rules, max_token_bytes: usize, decisions: [usize; 2]) -> Self {
        let decisions = Decisions::new(decisions[0], decisions[1]);
        let headers = Headers::new();
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
        let token = credential.expose();
        match self.recall(credential.scheme(), token.as_bytes()) {
            Some(identity) => Eventual::now(Ok(identity)),
            None => verify_with(token, self.inner.max_token_bytes, &self.inner.headers, |_| Ok(self)),
        }
    }

    fn recall(&self, _: Scheme, token: &[u8]) -> Option<Identity> {
        let inner = &*self.inner;
        inner.decisions.get(token, |decision| {
            let now = unix_nanos(inner.rules.clock.now());
            let good = decision.window.contains(&now) && inner.keys.is_current(&decision.keys);
            good.then(|| decision.identity.clone())
        })
    }
}

/// Reads a token once, lets `choose` pick its verifier by what it claims, and judges it there.
pub(super) fn verify_with<'v>(
    token: &str,
    max_bytes: usize,
    headers: &Headers,
    choose: impl FnOnce(&Claims<'_>) -> Result<&'v JwtVerifier, Refused>,
) -> Eventual<Result<Identity, Rejection>> {
    try_verify(token, max_bytes, headers, choose).unwrap_or_else(|rejection| Eventual::now(Err(rejection)))
}

fn try_verify<'v>(
    token: &str,
    max_bytes: usize,
    headers: &Headers,
    choose: impl FnOnce(&Claims<'_>) -> Result<&'v JwtVerifier, Refused>,
) -> Result<Eventual<Result<Identity, Rejection>>, Rejection> {
    let compact = Compact::split(token, max_bytes)?;
    let known = headers.of(&compact);
    let (mut buffer, text, parsed);
    let header = match &known {
        Some(header) => &**header,
        None => {
            buffer = [0; HEADER_BYTES];
            text = compact.decode_header(&mut buffer)?;
            parsed = Header::parse(&text)?;
            &parsed
        }
    };
    let payload = compact.decode_payload()?;
    let claims = Claims::read(&payload)?;
    let verifier = choose(&claims)?;
    let inner = &*verifier.inner;
    inner.rules.check(header, &claims)?;
    match inner.keys.find(header, &payload).try_now() {
        Ok(key) => {
            let (key, window) = (key?, claims.window(inner.rules.leeway));
            let identity = inner.prove(&key, &compact, claims, &payload)?.claims_json(payload).build();
            inner.remember(token, key, window, &identity);
            if known.is_none() {
                headers.learn(&compact, header);
            }
            Ok(Eventual::now(Ok(identity)))
        }
        Err(later) => {
            let (verifier, token) = (verifier.clone(), token.to_owned());
            Ok(Eventual::later(async move { verifier.inner.resume(&later.await?, &token) }))
        }
    }
}

impl Headers {
    /// Few, since a stranger cannot add one: it takes a good signature.
    const MAX_ENTRIES: usize = 16;
    const MAX_BYTES: usize = 16 * 1024;

    pub(super) fn new() -> Self {
        Self(Decisions::new(Self::MAX_ENTRIES, Self::MAX_BYTES))
    }

    fn of(&self, token: &Compact<'_>) -> Option<Arc<Header<'static>>> {
        self.0.get(token.header.as_bytes(), |header| Some(Arc::clone(header)))
    }

    fn learn(&self, token: &Compact<'_>, header: &Header<'_>) {
        let weight = token.header.len();
        self.0.insert(token.header.as_bytes(), Arc::new(header.to_owned()), weight, |_| false);
    }
}

impl Inner {
    /// The signature, then what only an authentic token is asked.
    fn prove(
        &self,
        key: &ChosenKey,
        token: &Compact<'_>,
        claims: Claims<'_>,
        payload: &str,
    ) -> Result<IdentityBuilder, Rejection> {
        if !key.verify(token) {
            return Err(Refused::Signature.into());
        }
        let identity = self.rules.identify(claims, payload)?;
        Ok(match &key.scopes {
            Some(scopes) => identity.scopes(scopes.clone()),
            None => identity,
        })
    }

    /// An entry holds the key set that it was decided by, so that no other is taken for it.
    fn remember(&self, token: &str, key: ChosenKey, window: Range<i128>, identity: &Identity) {
        let Some(keys) = key.into_lasting_set() else { return };
        let weight = identity.weight();
        let decision = Decision { identity: identity.clone(), window, keys };
        // Judged by the clock alone: it is asked for each place of a bucket.
        let now = unix_nanos(self.rules.clock.now());
        self.decisions.insert(token.as_bytes(), decision, weight, |other| !other.window.contains(&now));
    }

    /// Goes on with a token whose key had to be waited for; it is read and judged again, since time
    /// went by.
    fn resume(&self, key: &ChosenKey, token: &str) -> Result<Identity, Rejection> {
        let compact = Compact::split(token, self.max_token_bytes)?;
        let mut buffer = [0; HEADER_BYTES];
        let header = compact.decode_header(&mut buffer)?;
        let header = Header::parse(&header)?;
        let payload = compact.decode_payload()?;
        let claims = Claims::read(&payload)?;
        self.rules.check(&header, &claims)?;
        let identity = self.prove(key, &compact, claims, &payload)?;
        Ok(identity.claims_json(payload).build())
    }
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
