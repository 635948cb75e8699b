//! Verifiers: from a credential to an [`Identity`] or a [`Rejection`].
//!
//! The rules that hold for every verifier here:
//!
//! 1. A credential goes to exactly one verifier, chosen by its scheme and form ([`Schemes`]) and, for
//!    JWTs, by its exact issuer (`Issuers`). A failure is final: nothing else is tried.
//! 2. What costs little is judged first: size and form, then times and names, then the signature.
//! 3. A key has one algorithm, and exactly one key answers for a token (RFC 8725 §3.1).
//! 4. Issuer and audience are demanded when a JWT verifier is built; leaving one out is spelled
//!    `insecure_any_…`.
//! 5. A claim of the wrong type refuses the token; it never counts as absent.
//! 6. What keeps a verifier from deciding is
//!    [`Unavailable`](crate::RejectionKind::Unavailable), never the caller's fault.
//!
//! # Caveat
//!
//! A verifier says who is calling. What the caller may do is [`require`](crate::require)'s business.
//!
//! # Examples
//!
//! A JWT verifier over a shared secret; a token of another issuer is refused.
//!
//! ```
//! # #[cfg(all(feature = "issue", feature = "aws-lc-rs"))] {
//! use std::time::Duration;
//! use tower_bearer::issue::{AccessToken, JwtSigner};
//! use tower_bearer::verify::{JwtVerifier, Keys, Verify};
//! use tower_bearer::{Algorithm, Credential, RejectionKind, Scheme};
//!
//! let secret = "0123456789abcdef0123456789abcdef";
//! let verifier = JwtVerifier::builder(Keys::hmac(Algorithm::HS256, secret)?)
//!     .issuer("https://issuer.example")
//!     .audience("orders")
//!     .build()?;
//!
//! let signer = JwtSigner::hmac(Algorithm::HS256, secret)?;
//! let token = |issuer: &str| AccessToken::new(issuer, "alice", "web", "orders", Duration::from_secs(60));
//! let check = |token: String| {
//!     verifier.verify(&Credential::new(Scheme::Bearer, token)).try_now().expect("keys are at hand")
//! };
//!
//! let identity = check(signer.sign(&token("https://issuer.example"))?).expect("a good token");
//! assert_eq!(identity.subject(), "alice");
//!
//! let refused = check(signer.sign(&token("https://other.example"))?).unwrap_err();
//! assert_eq!(refused.kind(), RejectionKind::InvalidToken);
//! # }
//! # Ok::<(), tower_bearer::ConfigError>(())
//! ```
//!
//! A verifier of your own, beside another scheme.
//!
//! ```
//! use tower_bearer::verify::{Schemes, Verify, verify_fn};
//! use tower_bearer::{Credential, Identity, Rejection, RejectionKind, Scheme};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let sessions = verify_fn(|credential: Credential<'static>| async move {
//!     match credential.expose() {
//!         "session-of-alice" => Ok(Identity::builder("alice").build()),
//!         _ => Err(Rejection::invalid_token()),
//!     }
//! });
//! let verifier = Schemes::new().bearer(sessions);
//!
//! let identity = verifier.verify(&Credential::new(Scheme::Bearer, "session-of-alice")).await;
//! assert_eq!(identity.unwrap().subject(), "alice");
//!
//! let refused = verifier.verify(&Credential::new(Scheme::Token, "session-of-alice")).await;
//! assert_eq!(refused.unwrap_err().kind(), RejectionKind::UnsupportedScheme);
//! # }
//! ```

#[cfg(any(feature = "pat", feature = "remote"))]
mod cached;
#[cfg(feature = "jwt")]
mod claims;
#[cfg(any(feature = "pat", feature = "remote"))]
mod digest;
#[cfg(feature = "jwt")]
mod headers;
#[cfg(feature = "remote")]
mod introspection;
#[cfg(feature = "jwt")]
mod issuers;
#[cfg(feature = "jwt")]
mod jwt;
#[cfg(feature = "jwt")]
mod jwt_builder;
#[cfg(feature = "jwt")]
mod keys;
#[cfg(feature = "pat")]
mod pat;
#[cfg(feature = "remote")]
mod remote;
#[cfg(feature = "issue")]
mod revocable;
#[cfg(feature = "jwt")]
mod rules;
mod schemes;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

#[cfg(any(feature = "pat", feature = "remote"))]
pub use self::cached::CachedVerifier;
#[cfg(feature = "remote")]
pub use self::introspection::{Introspection, IntrospectionBuilder};
#[cfg(feature = "jwt")]
pub use self::issuers::Issuers;
#[cfg(feature = "jwt")]
pub use self::jwt::JwtVerifier;
#[cfg(feature = "jwt")]
pub use self::jwt_builder::JwtVerifierBuilder;
#[cfg(feature = "jwt")]
pub use self::keys::{KeyLookup, Keys};
#[cfg(feature = "pat")]
pub use self::pat::PatVerifier;
#[cfg(feature = "remote")]
pub use self::remote::{KeysHealth, RemoteKeys};
#[cfg(feature = "issue")]
pub use self::revocable::RevocableVerifier;
pub use self::schemes::Schemes;

use crate::credential::{Credential, Scheme};
use crate::eventual::Eventual;
use crate::identity::Identity;
use crate::rejection::Rejection;

/// Turns a credential into an [`Identity`] or a [`Rejection`].
///
/// Answer with [`Eventual::now`] whenever nothing has to be waited for: it costs no allocation. There
/// is no fallback: who is asked gives the final answer.
pub trait Verify: Send + Sync + 'static {
    /// Judges one credential.
    fn verify(&self, credential: &Credential<'_>) -> Eventual<Result<Identity, Rejection>>;

    /// Judges what stands in a header behind the scheme's name: its form, and then as
    /// [`verify`](Self::verify) does.
    ///
    /// [`AuthenticateLayer`](crate::AuthenticateLayer) asks this, with any bytes up to its limit, UTF-8 or not.
    /// A verifier that can tell an answer from the bytes alone, or that reads a token so strictly that its form
    /// need not be looked at before, answers here itself. Then it is its duty to give the answer of the two
    /// steps: what it accepts must pass [`Credential::from_bytes`] and `verify`, and what it does not know it
    /// leaves to them.
    ///
    /// [`Schemes`] passes this on to the verifier that it chooses. One that adds a condition to another need not,
    /// and then loses no more than time.
    fn verify_bytes(&self, scheme: Scheme, token: &[u8]) -> Eventual<Result<Identity, Rejection>> {
        match Credential::from_bytes(scheme, token) {
            Ok(credential) => self.verify(&credential),
            Err(rejection) => Eventual::now(Err(rejection)),
        }
    }

    /// The schemes that this verifier speaks; each is offered to a caller without a credential, and
    /// a credential of any other scheme never gets here. `Bearer` unless said otherwise.
    fn schemes(&self) -> &[Scheme] {
        &[Scheme::Bearer]
    }
}

impl<V: Verify + ?Sized> Verify for Arc<V> {
    fn verify(&self, credential: &Credential<'_>) -> Eventual<Result<Identity, Rejection>> {
        (**self).verify(credential)
    }

    fn verify_bytes(&self, scheme: Scheme, token: &[u8]) -> Eventual<Result<Identity, Rejection>> {
        (**self).verify_bytes(scheme, token)
    }

    fn schemes(&self) -> &[Scheme] {
        (**self).schemes()
    }
}

impl<V: Verify + ?Sized> Verify for Box<V> {
    fn verify(&self, credential: &Credential<'_>) -> Eventual<Result<Identity, Rejection>> {
        (**self).verify(credential)
    }

    fn verify_bytes(&self, scheme: Scheme, token: &[u8]) -> Eventual<Result<Identity, Rejection>> {
        (**self).verify_bytes(scheme, token)
    }

    fn schemes(&self) -> &[Scheme] {
        (**self).schemes()
    }
}

/// A verifier made of an async function.
///
/// The function gets the credential as its own, since it may wait while holding it.
pub fn verify_fn<F, Fut>(function: F) -> VerifyFn<F>
where
    F: Fn(Credential<'static>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Identity, Rejection>> + Send + 'static,
{
    VerifyFn(function)
}

/// See [`verify_fn`].
#[derive(Clone, Copy)]
pub struct VerifyFn<F>(F);

impl<F, Fut> Verify for VerifyFn<F>
where
    F: Fn(Credential<'static>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Identity, Rejection>> + Send + 'static,
{
    fn verify(&self, credential: &Credential<'_>) -> Eventual<Result<Identity, Rejection>> {
        Eventual::later((self.0)(credential.clone().into_owned()))
    }
}

impl<F> fmt::Debug for VerifyFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifyFn(<fn>)")
    }
}

/// `Verify` stays dyn-safe.
const _: fn(&dyn Verify) = |_| {};
