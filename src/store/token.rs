use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{Revocations, Stored, TokenDigest};
use crate::scope::Scopes;

/// How exact `last_used` is: NetBird's gRPC interceptor writes it once a minute at most.
pub const LAST_USED_RESOLUTION: Duration = Duration::from_secs(60);

/// What is known of a personal access token, but for the token.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct PersonalToken {
    /// Names it in the management API; no secret.
    pub id: String,
    /// Whom it speaks for.
    pub owner: String,
    /// What its owner calls it.
    pub name: String,
    /// What it grants.
    pub scopes: Scopes,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: SystemTime,
    /// The first moment at which it is no longer valid.
    pub expires_at: SystemTime,
    /// When it was last used, to the minute.
    pub last_used: Option<SystemTime>,
}

impl PersonalToken {
    /// A token that its owner made.
    pub fn new(
        id: impl Into<String>,
        owner: impl Into<String>,
        name: impl Into<String>,
        created_at: SystemTime,
        expires_at: SystemTime,
    ) -> Self {
        let owner = owner.into();
        Self {
            id: id.into(),
            created_by: owner.clone(),
            owner,
            name: name.into(),
            scopes: Scopes::none(),
            created_at,
            expires_at,
            last_used: None,
        }
    }

    /// What it grants.
    #[must_use]
    pub fn with_scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self
    }

    /// Who made it, if not the owner.
    #[must_use]
    pub fn with_created_by(mut self, created_by: impl Into<String>) -> Self {
        self.created_by = created_by.into();
        self
    }

    /// True if a use at this time is to be written down: the last one is [`LAST_USED_RESOLUTION`] ago.
    pub fn is_use_news(&self, at: SystemTime) -> bool {
        self.last_used.is_none_or(|last| last.checked_add(LAST_USED_RESOLUTION).is_some_and(|due| due <= at))
    }
}

/// Where personal access tokens live.
///
/// A store knows digests, never tokens. What it cannot say now is an error, which the caller sees as a 503;
/// `None` means that there is no such token.
pub trait TokenStore: Send + Sync + 'static {
    /// The token with this digest, unless it was revoked. One that has expired is found.
    fn find(&self, digest: TokenDigest) -> Stored<Option<PersonalToken>>;

    /// Keeps a token. It is durable before this answers.
    fn insert(&self, digest: TokenDigest, token: PersonalToken) -> Stored<()>;

    /// The tokens of an owner that were not revoked, the oldest first.
    fn list(&self, owner: &str) -> Stored<Vec<PersonalToken>>;

    /// Revokes a token for good, and announces it. `false` if its owner has no such token.
    fn revoke(&self, owner: &str, id: &str) -> Stored<bool>;

    /// Writes down a use, unless one less than [`LAST_USED_RESOLUTION`] before it was written down: by this
    /// process or another.
    fn touch(&self, id: &str, at: SystemTime) -> Stored<()>;

    /// Where this store announces what it revoked.
    fn revocations(&self) -> Revocations;
}

impl<S: TokenStore + ?Sized> TokenStore for Arc<S> {
    fn find(&self, digest: TokenDigest) -> Stored<Option<PersonalToken>> {
        (**self).find(digest)
    }

    fn insert(&self, digest: TokenDigest, token: PersonalToken) -> Stored<()> {
        (**self).insert(digest, token)
    }

    fn list(&self, owner: &str) -> Stored<Vec<PersonalToken>> {
        (**self).list(owner)
    }

    fn revoke(&self, owner: &str, id: &str) -> Stored<bool> {
        (**self).revoke(owner, id)
    }

    fn touch(&self, id: &str, at: SystemTime) -> Stored<()> {
        (**self).touch(id, at)
    }

    fn revocations(&self) -> Revocations {
        (**self).revocations()
    }
}

/// `TokenStore` stays dyn-safe.
const _: fn(&dyn TokenStore) = |_| {};

impl fmt::Debug for dyn TokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenStore")
    }
}
