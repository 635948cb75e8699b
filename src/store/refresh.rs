use std::sync::Arc;
use std::time::SystemTime;

use super::{Stored, TokenDigest};
use crate::scope::Scopes;

/// What a refresh token stands for.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RefreshGrant {
    /// The grant that began it all; every refresh token that came of it, by rotation, has the same.
    pub grant_id: String,
    /// The [system](super::Client::system) of the client that it was given to.
    pub system: String,
    /// To whom it was given.
    pub client_id: String,
    /// Whom its tokens speak of.
    pub subject: String,
    /// What it may be granted.
    pub scopes: Scopes,
    /// The first moment at which it is no longer valid.
    pub expires_at: SystemTime,
    /// True if it was used: the next use ends the grant.
    pub spent: bool,
}

impl RefreshGrant {
    /// The claim of the access tokens that came of a grant: with it, they end.
    pub(crate) const CLAIM: &str = "grant_id";

    /// A grant of nothing yet.
    pub fn new(
        grant_id: impl Into<String>,
        client_id: impl Into<String>,
        subject: impl Into<String>,
        expires_at: SystemTime,
    ) -> Self {
        let (grant_id, client_id, subject) = (grant_id.into(), client_id.into(), subject.into());
        Self {
            grant_id,
            system: String::new(),
            client_id,
            subject,
            scopes: Scopes::none(),
            expires_at,
            spent: false,
        }
    }

    /// The system of the client.
    #[must_use]
    pub fn of_system(mut self, system: impl Into<String>) -> Self {
        self.system = system.into();
        self
    }

    /// True if it was given to this client.
    pub(crate) fn is_of(&self, client: &super::Client) -> bool {
        (&self.system, &self.client_id) == (&client.system, &client.id)
    }

    /// What it may be granted.
    #[must_use]
    pub fn with_scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self
    }

    /// What stands for the whole grant where it is revoked.
    pub(crate) fn digest_of(grant_id: &str) -> Result<TokenDigest, crate::error::ConfigError> {
        TokenDigest::of(&format!("grant:{grant_id}"))
    }
}

/// What became of a refresh token that was presented.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Rotation {
    /// It was used before: somebody has a copy. Its whole grant is revoked now.
    Reused,
    /// It is spent, and the new one stands in its place.
    Rotated,
    /// It was never issued, or its grant was revoked.
    Unknown,
}

/// Where refresh tokens live, as digests.
///
/// Each is good for one use (RFC 9700 §4.14.2). A second use of one means that two hold it, and ends the grant
/// for both.
pub trait RefreshStore: Send + Sync + 'static {
    /// Keeps the first refresh token of a grant. It is durable before this answers.
    fn begin(&self, digest: TokenDigest, grant: RefreshGrant) -> Stored<()>;

    /// The grant of a refresh token, used or not, unless the grant was revoked.
    fn find(&self, digest: TokenDigest) -> Stored<Option<RefreshGrant>>;

    /// Spends a refresh token and keeps its successor, in one step: both or neither. At a second use,
    /// revokes the grant and, until `void_until`, the access tokens that came of it, and announces that.
    fn rotate(
        &self,
        spent: TokenDigest,
        successor: TokenDigest,
        expires_at: SystemTime,
        void_until: SystemTime,
    ) -> Stored<Rotation>;

    /// Revokes a grant with all its refresh tokens and, until `void_until`, the access tokens that came of
    /// it, and announces that.
    fn end(&self, grant_id: &str, void_until: SystemTime) -> Stored<()>;
}

impl<S: RefreshStore + ?Sized> RefreshStore for Arc<S> {
    fn begin(&self, digest: TokenDigest, grant: RefreshGrant) -> Stored<()> {
        (**self).begin(digest, grant)
    }

    fn find(&self, digest: TokenDigest) -> Stored<Option<RefreshGrant>> {
        (**self).find(digest)
    }

    fn rotate(
        &self,
        spent: TokenDigest,
        successor: TokenDigest,
        expires_at: SystemTime,
        void_until: SystemTime,
    ) -> Stored<Rotation> {
        (**self).rotate(spent, successor, expires_at, void_until)
    }

    fn end(&self, grant_id: &str, void_until: SystemTime) -> Stored<()> {
        (**self).end(grant_id, void_until)
    }
}

/// `RefreshStore` stays dyn-safe.
const _: fn(&dyn RefreshStore) = |_| {};
