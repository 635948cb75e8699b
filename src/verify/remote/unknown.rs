//! What unknown key ids led to lately: the time until which none may cause a fetch, and which ids a fetch
//! did not bring.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::schedule::UNKNOWN_KEY_COOLDOWN;

/// Past that many the absent ids are forgotten together; a flood of them then costs no more memory.
const MAX_ABSENT: usize = 1024;

#[derive(Default)]
pub(super) struct Unknown {
    cooldown_until: Option<Instant>,
    absent: HashMap<Box<str>, Instant>,
}

impl Unknown {
    pub(super) fn is_absent(&self, key_id: &str, now: Instant) -> bool {
        self.absent.get(key_id).is_some_and(|until| *until > now)
    }

    /// What is left until an unknown id may cause a fetch again.
    pub(super) fn cooldown(&self, now: Instant) -> Option<Duration> {
        let left = self.cooldown_until?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// Counts from the beginning of a fetch, so that one that fails counts as well.
    pub(super) fn start_cooldown(&mut self, now: Instant) {
        self.cooldown_until = Some(now + UNKNOWN_KEY_COOLDOWN);
    }

    /// Remembers an id for as long as no fetch may be begun for it.
    pub(super) fn remember(&mut self, key_id: Box<str>, now: Instant) {
        let Some(until) = self.cooldown_until.filter(|until| *until > now) else { return };
        if self.absent.len() >= MAX_ABSENT {
            self.absent.clear();
        }
        self.absent.insert(key_id, until);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::{MAX_ABSENT, UNKNOWN_KEY_COOLDOWN, Unknown};

    #[test]
    fn memory_is_bounded_and_ends_with_the_cooldown_atk_40() {
        let now = Instant::now();
        let mut unknown = Unknown::default();
        unknown.remember("before".into(), now);
        assert!(!unknown.is_absent("before", now), "there is no cooldown to last as long as");
        unknown.start_cooldown(now);
        for index in 0..100_000 {
            unknown.remember(index.to_string().into(), now);
            assert!(unknown.absent.len() <= MAX_ABSENT);
        }
        assert!(unknown.is_absent("99999", now) && unknown.cooldown(now) == Some(UNKNOWN_KEY_COOLDOWN));
        let later = now + UNKNOWN_KEY_COOLDOWN;
        assert!(!unknown.is_absent("99999", later) && unknown.cooldown(later).is_none());
    }
}
