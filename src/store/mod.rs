//! Where tokens, clients and keys live: what a store is asked, and three that answer.
//!
//! 1. A store sees digests ([`TokenDigest`]), never tokens. Secrets of clients are kept as digests or password
//!    hashes; what signs, a key or the secret of an app that signs its own tokens, is the one thing kept as it
//!    is.
//! 2. What a store says it keeps is durable when it says so. What was revoked never comes back.
//! 3. `Ok(None)` means "there is none". What cannot be told now is an error, and ends in a 503.
//! 4. A revocation is announced ([`Revocations`]) to whoever remembers answers, in the process that made it
//!    and, where machines share a store, in all of them.
//!
//! | store | feature | for |
//! |---|---|---|
//! | [`MemoryStore`] | `pat` | tests, and servers that may forget |
//! | `SqlStore` on SQLite | `sqlite` | one machine; a file |
//! | `SqlStore` on PostgreSQL | `postgres` | many machines |
//!
//! Each is all of [`TokenStore`] and, with the feature `issue`, `ClientStore`, `RefreshStore`,
//! `RevocationStore` and `KeyStore`; a store of yours may be any of them.
//!
//! # Caveat
//!
//! Whoever can read the store of an issuer has its signing keys, and whoever can write it can make tokens.
//! Guard it like the keys.
//!
//! # Examples
//!
//! A token is found by its digest until it is revoked:
//!
//! ```
//! # #[cfg(feature = "aws-lc-rs")] {
//! use std::time::{Duration, UNIX_EPOCH};
//! use tower_bearer::store::{MemoryStore, PersonalToken, TokenDigest, TokenStore};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let store = MemoryStore::new();
//! let digest = TokenDigest::of("nbp_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA0uCPlr")?;
//! let day = Duration::from_secs(24 * 60 * 60);
//! store.insert(digest, PersonalToken::new("t1", "alice", "ci", UNIX_EPOCH, UNIX_EPOCH + day)).await?;
//! assert_eq!(store.find(digest).await?.unwrap().owner, "alice");
//!
//! assert!(!store.revoke("bob", "t1").await?);
//! assert!(store.revoke("alice", "t1").await?);
//! assert_eq!(store.find(digest).await?, None);
//! # Ok(())
//! # }
//! # main().unwrap();
//! # }
//! ```
//!
//! Who remembers an answer hears that it is void:
//!
//! ```
//! # #[cfg(feature = "aws-lc-rs")] {
//! use std::time::UNIX_EPOCH;
//! use tower_bearer::store::{MemoryStore, PersonalToken, TokenDigest, TokenStore};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let store = MemoryStore::new();
//! let (one, other) = (TokenDigest::of("one")?, TokenDigest::of("other")?);
//! store.insert(one, PersonalToken::new("t1", "alice", "ci", UNIX_EPOCH, UNIX_EPOCH)).await?;
//! let asked = store.revocations().moment();
//! store.revoke("alice", "t1").await?;
//! assert!(!store.revocations().allow(&[one], asked));
//! assert!(store.revocations().allow(&[other], asked));
//! # Ok(())
//! # }
//! # main().unwrap();
//! # }
//! ```

#[cfg(feature = "issue")]
mod client;
mod digest;
#[cfg(feature = "issue")]
mod key;
mod memory;
#[cfg(feature = "issue")]
mod refresh;
#[cfg(feature = "issue")]
mod revocation;
mod revocations;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sql;
mod token;

#[cfg(feature = "issue")]
pub use self::client::{Client, ClientSecret, ClientStore};
pub use self::digest::TokenDigest;
#[cfg(feature = "issue")]
pub use self::key::{KeyStore, StoredKey};
pub use self::memory::MemoryStore;
#[cfg(feature = "issue")]
pub use self::refresh::{RefreshGrant, RefreshStore, Rotation};
#[cfg(feature = "issue")]
pub use self::revocation::RevocationStore;
pub use self::revocations::{Moment, Revocations};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "postgres", feature = "sqlite"))))]
pub use self::sql::SqlStore;
pub use self::token::{LAST_USED_RESOLUTION, PersonalToken, TokenStore};

use crate::error::BoxError;
use crate::eventual::Eventual;

/// What a store answers, now or later.
pub type Stored<T> = Eventual<Result<T, BoxError>>;
