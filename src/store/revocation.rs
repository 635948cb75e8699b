use std::sync::Arc;
use std::time::SystemTime;

use super::{Revocations, Stored, TokenDigest};

/// Where it is written which signed tokens are void before they expire, and which assertions were used.
pub trait RevocationStore: Send + Sync + 'static {
    /// Writes that what this digest stands for is void, and announces it. After `until`, when the token has
    /// expired anyway, that may be forgotten. It is durable before this answers.
    fn revoke(&self, digest: TokenDigest, until: SystemTime) -> Stored<()>;

    /// True if one of these is void.
    fn is_revoked(&self, digests: Vec<TokenDigest>) -> Stored<bool>;

    /// Writes down a thing that may be used once, such as the `jti` of an assertion (RFC 7523 §3). `false`
    /// if it was written down before: by this process or another.
    fn use_once(&self, digest: TokenDigest, until: SystemTime) -> Stored<bool>;

    /// Where this store announces what it revoked.
    fn revocations(&self) -> Revocations;
}

impl<S: RevocationStore + ?Sized> RevocationStore for Arc<S> {
    fn revoke(&self, digest: TokenDigest, until: SystemTime) -> Stored<()> {
        (**self).revoke(digest, until)
    }

    fn is_revoked(&self, digests: Vec<TokenDigest>) -> Stored<bool> {
        (**self).is_revoked(digests)
    }

    fn use_once(&self, digest: TokenDigest, until: SystemTime) -> Stored<bool> {
        (**self).use_once(digest, until)
    }

    fn revocations(&self) -> Revocations {
        (**self).revocations()
    }
}

/// `RevocationStore` stays dyn-safe.
const _: fn(&dyn RevocationStore) = |_| {};
