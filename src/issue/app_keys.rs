//! The secrets of apps that sign their own tokens.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::error::BoxError;
use crate::eventual::Eventual;
use crate::secret::Secret;
use crate::store::{Client, ClientStore};
use crate::verify::KeyLookup;

const MAX_REMEMBERED: usize = 10_000;

/// Finds the key that an app's tokens are signed with in a [`ClientStore`]; for
/// [`Keys::by_claim`](crate::verify::Keys::by_claim).
///
/// A key is remembered for `max_age`: the time for which an app that was removed may still be believed. An
/// app that is unknown is looked up each time. A clone is the same lookup.
#[derive(Clone)]
pub struct AppKeys {
    clients: Arc<dyn ClientStore>,
    system: String,
    max_age: Duration,
    known: Arc<Cache<String, (Secret, Instant)>>,
}

impl AppKeys {
    /// The apps of a [system](Client::system).
    pub fn new(clients: impl ClientStore, system: impl Into<String>, max_age: Duration) -> Self {
        let known = Arc::new(Cache::new(MAX_REMEMBERED));
        Self { clients: Arc::new(clients), system: system.into(), max_age, known }
    }
}

impl KeyLookup for AppKeys {
    fn find(&self, value: &str) -> Eventual<Result<Option<Secret>, BoxError>> {
        if let Some((secret, until)) = self.known.get(value)
            && until > Instant::now()
        {
            return Eventual::now(Ok(Some(secret)));
        }
        let (keys, app) = (self.clone(), value.to_owned());
        let found = self.clients.find(value);
        Eventual::later(async move {
            let found = found.await?;
            let own = found.iter().find(|client| client.system == keys.system);
            let secret = own.and_then(Client::secret).and_then(|secret| secret.signing_secret().cloned());
            if let Some(secret) = &secret {
                keys.known.insert(app, (secret.clone(), Instant::now() + keys.max_age));
            }
            Ok(secret)
        })
    }
}

impl fmt::Debug for AppKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppKeys").field("system", &self.system).finish_non_exhaustive()
    }
}
