use std::time::Duration;

/// How a [`RemoteKeys`](super::RemoteKeys) is doing, at one moment.
#[derive(Clone, Debug)]
pub struct KeysHealth {
    pub(super) generation: u64,
    pub(super) age: Option<Duration>,
    pub(super) keys: usize,
    pub(super) last_error: Option<String>,
    pub(super) last_known_good: bool,
}

impl KeysHealth {
    /// The number of the current set; 0 before the first, one more with each that differs.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How long ago the provider confirmed the current set.
    pub fn age(&self) -> Option<Duration> {
        self.age
    }

    /// How many keys the current set has.
    pub fn keys(&self) -> usize {
        self.keys
    }

    /// What went wrong with the last fetch; `None` after a good one.
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// True if the set in use is older than its lifetime, and kept because there is no newer one.
    pub fn last_known_good(&self) -> bool {
        self.last_known_good
    }
}
