//! Doubles for tests (feature `test-util`).
//!
//! 1. Nothing here sleeps: time moves when a test says so.
//!
//! ```
//! use std::time::{Duration, UNIX_EPOCH};
//! use tower_bearer::Clock;
//! use tower_bearer::test_util::ManualClock;
//!
//! let clock = ManualClock::at(1_700_000_000);
//! clock.advance(Duration::from_secs(60));
//! assert_eq!(clock.now(), UNIX_EPOCH + Duration::from_secs(1_700_000_060));
//! clock.set(0);
//! assert_ne!(clock.now(), UNIX_EPOCH + Duration::from_secs(1_700_000_060));
//! ```

mod clock;

pub use self::clock::ManualClock;
