#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
//! x
mod algorithm;
mod clock;
mod credential;
mod error;
mod eventual;
mod identity;
#[cfg(feature = "jwt")]
mod jose;
mod rejection;
mod request_head;
mod scope;
mod secret;
pub mod verify;
pub use self::algorithm::Algorithm;
pub use self::clock::{Clock, SystemClock};
pub use self::credential::{Credential, Scheme};
pub use self::error::ConfigError;
pub use self::eventual::Eventual;
pub use self::identity::{Identity, IdentityBuilder};
pub use self::rejection::{Rejection, RejectionKind};
pub use self::request_head::RequestHead;
pub use self::scope::{InvalidScope, Scopes};
pub use self::secret::Secret;
