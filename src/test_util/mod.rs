//! Doubles for tests (feature `test-util`): a clock that stands still, a transport that answers as told,
//! an issuer in the same process, and that issuer on a bad day.
//!
//! 1. Nothing here sleeps: time moves when a test says so, and a provider that hangs waits on the test's
//!    paused clock.
//! 2. Nothing here needs a socket. `MockIssuer` is a tower service too, if you want to put one in front.
//! 3. Every request is counted.
//!
//! # Caveat
//!
//! Keep the feature out of production builds: name it in `[dev-dependencies]`.
//!
//! # Examples
//!
//! "My identity provider is down", in ten lines (features `remote`, `issue`):
//!
//! ```
//! # #[cfg(all(feature = "remote", feature = "issue", feature = "aws-lc-rs"))] {
//! use tower_bearer::test_util::{Misbehaviour, MockIssuer};
//! use tower_bearer::verify::{JwtVerifier, Keys, Verify};
//! use tower_bearer::{Credential, RejectionKind, Scheme};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let issuer = MockIssuer::new("https://issuer.example");
//! let keys = Keys::discover(issuer.name(), issuer.transport()).unwrap();
//! let verifier = JwtVerifier::builder(keys).issuer(issuer.name()).audience("orders").build().unwrap();
//! let token = Credential::new(Scheme::Bearer, issuer.token("alice", "orders", "read"));
//!
//! issuer.misbehave(Misbehaviour::ServerError);
//! assert_eq!(verifier.verify(&token).await.unwrap_err().kind(), RejectionKind::Unavailable);
//! # }
//! # main();
//! # }
//! ```
//!
//! A clock that is moved:
//!
//! ```
//! use std::time::{Duration, UNIX_EPOCH};
//! use tower_bearer::Clock;
//! use tower_bearer::test_util::ManualClock;
//!
//! let clock = ManualClock::at(1_700_000_000);
//! clock.advance(Duration::from_secs(60));
//! assert_eq!(clock.now(), UNIX_EPOCH + Duration::from_secs(1_700_000_060));
//! clock.set(0);
//! assert_ne!(clock.now(), UNIX_EPOCH + Duration::from_secs(1_700_000_060));
//! ```

#[cfg(all(feature = "issue", feature = "remote"))]
mod body;
mod clock;
#[cfg(all(feature = "issue", feature = "remote"))]
mod issuer;
#[cfg(all(feature = "issue", feature = "remote"))]
mod misbehaviour;
#[cfg(feature = "remote")]
mod stub;

#[cfg(all(feature = "issue", feature = "remote"))]
pub use self::body::MockBody;
pub use self::clock::ManualClock;
#[cfg(all(feature = "issue", feature = "remote"))]
pub use self::issuer::MockIssuer;
#[cfg(all(feature = "issue", feature = "remote"))]
pub use self::misbehaviour::Misbehaviour;
#[cfg(feature = "remote")]
pub use self::stub::StubTransport;
