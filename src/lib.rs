#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
//! x
mod algorithm;
#[cfg(feature = "client")]
pub mod attach;
pub mod authenticate;
mod clock;
#[cfg(feature = "client")]
pub mod contract;
mod credential;
mod error;
mod eventual;
#[cfg(any(feature = "client", feature = "remote"))]
mod flight;
mod identity;
pub mod integrations;
#[cfg(feature = "issue")]
pub mod issue;
#[cfg(feature = "jwt")]
mod jose;
mod rejection;
mod request_head;
pub mod require;
pub mod respond;
mod scope;
mod secret;
#[cfg(feature = "client")]
pub mod source;
#[cfg(feature = "test-util")]
pub mod test_util;
#[cfg(feature = "client")]
mod token;
#[cfg(any(feature = "client", feature = "remote"))]
pub mod transport;
pub mod verify;
pub use self::algorithm::Algorithm;
#[cfg(feature = "client")]
pub use self::attach::AttachLayer;
pub use self::authenticate::AuthenticateLayer;
pub use self::clock::{Clock, SystemClock};
pub use self::credential::{Credential, Scheme};
pub use self::error::ConfigError;
#[cfg(feature = "client")]
pub use self::error::TokenError;
pub use self::eventual::Eventual;
pub use self::identity::{Identity, IdentityBuilder};
pub use self::rejection::{Rejection, RejectionKind};
pub use self::request_head::RequestHead;
pub use self::require::RequireLayer;
pub use self::scope::{InvalidScope, Scopes};
pub use self::secret::Secret;
#[cfg(feature = "client")]
pub use self::token::{Phase, Token};
