use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

#[cfg(feature = "issue")]
use super::{
    Client, ClientStore, KeyStore, RefreshGrant, RefreshStore, RevocationStore, Rotation, StoredKey,
};
use super::{PersonalToken, Revocations, Stored, TokenDigest, TokenStore};
#[cfg(feature = "issue")]
use crate::error::BoxError;
use crate::eventual::Eventual;

/// A store that forgets everything with the process. A clone is the same store.
#[derive(Clone, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    revocations: Revocations,
}

#[derive(Default)]
struct State {
    tokens: HashMap<TokenDigest, PersonalToken>,
    /// The digest of each token's id.
    ids: HashMap<String, TokenDigest>,
    /// What was revoked, so that it can never be kept again.
    revoked: HashSet<TokenDigest>,
    #[cfg(feature = "issue")]
    issued: Issued,
}

#[cfg(feature = "issue")]
#[derive(Default)]
struct Issued {
    clients: Vec<Client>,
    refresh: HashMap<TokenDigest, RefreshGrant>,
    void: HashMap<TokenDigest, SystemTime>,
    once: HashMap<TokenDigest, SystemTime>,
    keys: Vec<StoredKey>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// A panic elsewhere leaves the state whole: each change of it is one step.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn done<T>(value: T) -> Stored<T> {
        Eventual::now(Ok(value))
    }
}

impl TokenStore for MemoryStore {
    fn find(&self, digest: TokenDigest) -> Stored<Option<PersonalToken>> {
        Self::done(self.lock().tokens.get(&digest).cloned())
    }

    fn insert(&self, digest: TokenDigest, token: PersonalToken) -> Stored<()> {
        let mut state = self.lock();
        let known = state.tokens.contains_key(&digest) || state.revoked.contains(&digest);
        if known || state.ids.contains_key(&token.id) {
            return Eventual::now(Err("a token of this digest or id is there, or was".into()));
        }
        state.ids.insert(token.id.clone(), digest);
        state.tokens.insert(digest, token);
        Self::done(())
    }

    fn list(&self, owner: &str) -> Stored<Vec<PersonalToken>> {
        let mut list: Vec<_> =
            self.lock().tokens.values().filter(|token| token.owner == owner).cloned().collect();
        list.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Self::done(list)
    }

    fn revoke(&self, owner: &str, id: &str) -> Stored<bool> {
        let mut state = self.lock();
        let digest = state.ids.get(id).copied();
        let digest = digest.filter(|digest| state.tokens.get(digest).is_some_and(|own| own.owner == owner));
        let Some(digest) = digest else { return Self::done(false) };
        state.ids.remove(id);
        state.tokens.remove(&digest);
        state.revoked.insert(digest);
        drop(state);
        self.revocations.announce(digest);
        Self::done(true)
    }

    fn touch(&self, id: &str, at: SystemTime) -> Stored<()> {
        let mut state = self.lock();
        if let Some(digest) = state.ids.get(id).copied()
            && let Some(token) = state.tokens.get_mut(&digest)
            && token.is_use_news(at)
        {
            token.last_used = Some(at);
        }
        Self::done(())
    }

    fn revocations(&self) -> Revocations {
        self.revocations.clone()
    }
}

#[cfg(feature = "issue")]
impl MemoryStore {
    /// Registers a client, in the place of the one of the same system and id.
    pub fn put_client(&self, client: Client) -> Stored<()> {
        let clients = &mut self.lock().issued.clients;
        clients.retain(|own| (&own.system, &own.id) != (&client.system, &client.id));
        clients.push(client);
        Self::done(())
    }

    /// Registers these clients and no others.
    pub fn set_clients(&self, clients: Vec<Client>) -> Stored<()> {
        self.lock().issued.clients = clients;
        Self::done(())
    }

    fn end_grant(&self, state: &mut State, grant_id: &str, void_until: SystemTime) -> Result<(), BoxError> {
        let digest = RefreshGrant::digest_of(grant_id)?;
        state.issued.refresh.retain(|_, grant| grant.grant_id != grant_id);
        state.issued.void.insert(digest, void_until);
        self.revocations.announce(digest);
        Ok(())
    }
}

#[cfg(feature = "issue")]
impl ClientStore for MemoryStore {
    fn find(&self, id: &str) -> Stored<Vec<Client>> {
        Self::done(self.lock().issued.clients.iter().filter(|client| client.id == id).cloned().collect())
    }

    fn find_by_digest(&self, digest: TokenDigest) -> Stored<Vec<Client>> {
        let has = |client: &&Client| client.secret().and_then(super::ClientSecret::digest) == Some(digest);
        Self::done(self.lock().issued.clients.iter().filter(has).cloned().collect())
    }

    fn may_hold_passwords(&self) -> bool {
        let is_password = |client: &Client| client.secret().is_some_and(super::ClientSecret::is_password);
        self.lock().issued.clients.iter().any(is_password)
    }
}

#[cfg(feature = "issue")]
impl RefreshStore for MemoryStore {
    fn begin(&self, digest: TokenDigest, grant: RefreshGrant) -> Stored<()> {
        self.lock().issued.refresh.insert(digest, grant);
        Self::done(())
    }

    fn find(&self, digest: TokenDigest) -> Stored<Option<RefreshGrant>> {
        Self::done(self.lock().issued.refresh.get(&digest).cloned())
    }

    fn rotate(
        &self,
        spent: TokenDigest,
        successor: TokenDigest,
        expires_at: SystemTime,
        void_until: SystemTime,
    ) -> Stored<Rotation> {
        let mut state = self.lock();
        let Some(grant) = state.issued.refresh.get_mut(&spent) else {
            return Self::done(Rotation::Unknown);
        };
        if grant.spent {
            let grant_id = grant.grant_id.clone();
            let ended = self.end_grant(&mut state, &grant_id, void_until);
            return Eventual::now(ended.map(|()| Rotation::Reused));
        }
        let next = RefreshGrant { expires_at, ..grant.clone() };
        grant.spent = true;
        state.issued.refresh.insert(successor, next);
        Self::done(Rotation::Rotated)
    }

    fn end(&self, grant_id: &str, void_until: SystemTime) -> Stored<()> {
        Eventual::now(self.end_grant(&mut self.lock(), grant_id, void_until))
    }
}

#[cfg(feature = "issue")]
impl RevocationStore for MemoryStore {
    fn revoke(&self, digest: TokenDigest, until: SystemTime) -> Stored<()> {
        self.lock().issued.void.insert(digest, until);
        self.revocations.announce(digest);
        Self::done(())
    }

    fn is_revoked(&self, digests: Vec<TokenDigest>) -> Stored<bool> {
        let state = self.lock();
        Self::done(digests.iter().any(|digest| state.issued.void.contains_key(digest)))
    }

    fn use_once(&self, digest: TokenDigest, until: SystemTime) -> Stored<bool> {
        Self::done(self.lock().issued.once.insert(digest, until).is_none())
    }

    fn revocations(&self) -> Revocations {
        self.revocations.clone()
    }
}

#[cfg(feature = "issue")]
impl KeyStore for MemoryStore {
    fn keys(&self, ring: &str) -> Stored<Vec<StoredKey>> {
        let mut keys: Vec<_> =
            self.lock().issued.keys.iter().filter(|key| key.ring == ring).cloned().collect();
        keys.sort_by_key(|key| key.number);
        Self::done(keys)
    }

    fn add_key(&self, key: StoredKey) -> Stored<bool> {
        let keys = &mut self.lock().issued.keys;
        let taken = keys.iter().any(|own| (&own.ring, own.number) == (&key.ring, key.number));
        if !taken {
            keys.push(key);
        }
        Self::done(!taken)
    }

    fn remove_keys_below(&self, ring: &str, number: u32) -> Stored<()> {
        self.lock().issued.keys.retain(|key| key.ring != ring || key.number >= number);
        Self::done(())
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("tokens", &self.lock().tokens.len()).finish_non_exhaustive()
    }
}
