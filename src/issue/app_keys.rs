//! The secrets of apps that sign their own tokens.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::time::{Instant, timeout};

use crate::clock::LONGEST_AGE;
use crate::error::BoxError;
use crate::eventual::Eventual;
use crate::scope::Scopes;
use crate::secret::Secret;
use crate::store::{Client, ClientStore};
use crate::verify::KeyLookup;

const MAX_REMEMBERED: usize = 10_000;
/// What the store may take to answer before what it said last counts.
const PATIENCE: Duration = Duration::from_secs(1);

/// Finds the key that an app's tokens are signed with in a [`ClientStore`]; for
/// [`Keys::by_claim`](crate::verify::Keys::by_claim).
///
/// The store is asked for each token, so that the time tells nobody which apps there are. While it does not
/// answer, what it said at most `max_age` ago counts: the time for which an app that was removed may still be
/// believed. A token grants what its app was registered with, whatever it says itself. A clone is the same
/// lookup.
#[derive(Clone)]
pub struct AppKeys {
    clients: Arc<dyn ClientStore>,
    system: String,
    max_age: Duration,
    known: Arc<Cache<String, App>>,
}

#[derive(Clone)]
struct App {
    secret: Secret,
    scopes: Scopes,
    until: Instant,
}

impl AppKeys {
    /// The apps of a [system](Client::system).
    pub fn new(clients: impl ClientStore, system: impl Into<String>, max_age: Duration) -> Self {
        let (clients, known) = (Arc::new(clients), Arc::new(Cache::new(MAX_REMEMBERED)));
        Self { clients, system: system.into(), max_age: max_age.min(LONGEST_AGE), known }
    }

    /// What the store said last, if that still counts.
    fn last(&self, name: &str) -> Option<Secret> {
        self.known.get(name).filter(|app| app.until > Instant::now()).map(|app| app.secret)
    }

    /// Takes note of what the store said.
    fn learn(&self, name: &str, found: Vec<Client>, asked: Instant) -> Option<Secret> {
        let own = found.into_iter().find(|client| client.system == self.system);
        let app = own.and_then(|client| {
            let secret = client.secret()?.signing_secret()?.clone();
            Some(App { secret, scopes: client.scopes, until: asked + self.max_age })
        });
        match app {
            Some(app) => {
                self.known.insert(name.to_owned(), app.clone());
                Some(app.secret)
            }
            None => {
                self.known.remove(name);
                None
            }
        }
    }
}

impl KeyLookup for AppKeys {
    fn find(&self, value: &str) -> Eventual<Result<Option<Secret>, BoxError>> {
        let (keys, name, asked) = (self.clone(), value.to_owned(), Instant::now());
        match self.clients.find(value).try_now() {
            Ok(Ok(found)) => Eventual::now(Ok(keys.learn(&name, found, asked))),
            Ok(Err(error)) => Eventual::now(keys.last(&name).map(Some).ok_or(error)),
            Err(later) => Eventual::later(async move {
                // The question goes on, for whoever has nothing to fall back to.
                let mut later = later;
                let error = match timeout(PATIENCE, &mut later).await {
                    Ok(Ok(found)) => return Ok(keys.learn(&name, found, asked)),
                    Ok(Err(error)) => Some(error),
                    Err(_) => None,
                };
                match (keys.last(&name), error) {
                    (Some(secret), _) => Ok(Some(secret)),
                    (None, Some(error)) => Err(error),
                    (None, None) => later.await.map(|found| keys.learn(&name, found, asked)),
                }
            }),
        }
    }

    fn scopes(&self, value: &str) -> Option<Scopes> {
        Some(self.known.get(value).map(|app| app.scopes).unwrap_or_default())
    }
}

impl fmt::Debug for AppKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppKeys").field("system", &self.system).finish_non_exhaustive()
    }
}
