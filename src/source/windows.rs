//! When a cached token is fresh, stale, all but gone, and gone, counted from the time it was asked for.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::clock::{SharedClock, coarse};
use crate::token::{Token, soft_window};

/// How long before a token's end callers wait for the next.
const HARD_WINDOW: Duration = Duration::from_secs(10);
/// The hard window is at most this part of the lifetime.
const HARD_PART: u32 = 10;
/// A hundred ticks of the slowest coarse clocks. What is shorter is measured precisely.
const LONG_ENOUGH: Duration = Duration::from_secs(1);

/// A time on both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    wall: SystemTime,
    timer: Instant,
}

impl Moment {
    pub(super) fn now(clock: &SharedClock) -> Self {
        Self { wall: clock.now(), timer: Instant::now() }
    }

    /// How long ago this was at `now`, by the clock that ran further: a wall clock that was set back does
    /// not prolong anything, and the timers of a suspended machine do not either.
    fn elapsed(self, now: Self) -> Duration {
        let wall = now.wall.duration_since(self.wall).unwrap_or_default();
        wall.max(now.timer.saturating_duration_since(self.timer))
    }
}

/// When a token was asked for, on each clock that may be read later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    at: Moment,
    running: Option<i64>,
}

impl Asked {
    pub(super) fn now(clock: &SharedClock) -> Self {
        Self { at: Moment::now(clock), running: coarse::running() }
    }
}

/// What to do with a token at some time.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Stage {
    Fresh,
    /// Give it out, and get another.
    Soft,
    /// Wait for another; give it out if there is none.
    Hard,
    Gone,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    /// Never, for a token that does not expire.
    ends: Option<Ends>,
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    asked: Moment,
    /// Where `fresh` ends on the coarse clocks, if they can tell.
    coarse: Option<Coarse>,
    fresh: Duration,
    soft: Duration,
    usable: Duration,
}

/// A time on both coarse clocks.
#[derive(Clone, Copy, Debug)]
struct Coarse {
    wall: i64,
    running: i64,
}

/// The last tick of the coarse clocks at which a token was found fresh.
pub(super) type Tick = Option<i64>;

impl Windows {
    /// Those of a token that does not expire.
    pub(super) const NONE: Self = Self { ends: None };

    pub(super) fn new(token: &Token, asked: Asked) -> Self {
        let Asked { at: asked, running } = asked;
        let ends = token.expires_at().map(|expires| {
            let left = expires.duration_since(asked.wall).unwrap_or_default();
            let soft = jitter(soft_window(left)).min(left / 2);
            let hard = HARD_WINDOW.min(left / HARD_PART);
            let fresh = left - soft;
            let coarse = running.filter(|_| fresh >= LONG_ENOUGH).and_then(|running| {
                let fresh = i64::try_from(fresh.as_nanos()).ok()?;
                let asked = i64::try_from(asked.wall.duration_since(UNIX_EPOCH).ok()?.as_nanos()).ok()?;
                Some(Coarse { wall: asked.checked_add(fresh)?, running: running.checked_add(fresh)? })
            });
            Ends { asked, coarse, fresh, soft: left - hard, usable: left }
        });
        Self { ends }
    }

    pub(super) fn stage(&self, now: Moment) -> Stage {
        let Some(ends) = self.ends else { return Stage::Fresh };
        match ends.asked.elapsed(now) {
            elapsed if elapsed >= ends.usable => Stage::Gone,
            elapsed if elapsed >= ends.soft => Stage::Hard,
            elapsed if elapsed >= ends.fresh => Stage::Soft,
            _ => Stage::Fresh,
        }
    }

    /// True in the first stage. The system's clocks are read coarsely where that is possible and the stage is
    /// long enough, and both of them once for each tick.
    #[inline]
    pub(super) fn are_fresh(&self, clock: &SharedClock, last: &mut Tick) -> bool {
        let Some(ends) = &self.ends else { return true };
        let end = ends.coarse.as_ref().filter(|_| clock.is_system());
        let Some((end, running)) = end.and_then(|end| Some((end, coarse::running()?))) else {
            return self.stage(Moment::now(clock)) == Stage::Fresh;
        };
        if *last == Some(running) {
            return true;
        }
        let fresh = running < end.running && coarse::wall().is_some_and(|wall| wall < end.wall);
        *last = fresh.then_some(running);
        fresh
    }
}

/// 10 % more or less, so that a fleet does not refresh in step.
pub(super) fn jitter(duration: Duration) -> Duration {
    let permille = u32::try_from(random() % 201).unwrap_or_default() + 900;
    duration * permille / 1000
}

/// A number that differs each time; nobody's secret.
pub(super) fn random() -> u64 {
    // Each state has keys of its own.
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::{Asked, Moment, Stage, Windows, jitter};
    use crate::clock::{SharedClock, coarse};
    use crate::credential::Scheme;
    use crate::token::Token;

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    struct Story {
        asked: Moment,
        windows: Windows,
    }

    impl Story {
        fn new(lifetime: f64) -> Self {
            let asked = Moment { wall: UNIX_EPOCH + secs(1e9), timer: Instant::now() };
            let token = Token::new(Scheme::Bearer, "abc").unwrap().expiring(asked.wall, secs(lifetime));
            Self { asked, windows: Windows::new(&token, Asked { at: asked, running: None }) }
        }

        fn after(&self, wall: f64, timer: f64) -> Stage {
            let base = self.asked.wall - secs(1e6);
            self.windows
                .stage(Moment { wall: base + secs(1e6 + wall), timer: self.asked.timer + secs(timer) })
        }
    }

    #[test]
    fn an_hour() {
        let story = Story::new(3600.0);
        for (at, stage) in [
            (0.0, Stage::Fresh),
            (3269.0, Stage::Fresh),
            (3331.0, Stage::Soft),
            (3589.9, Stage::Soft),
            (3590.0, Stage::Hard),
            (3600.0, Stage::Gone),
        ] {
            assert_eq!(story.after(at, at), stage, "{at}");
        }
    }

    #[test]
    fn a_short_life_has_short_windows() {
        let story = Story::new(2.0);
        for (at, stage) in [
            (0.0, Stage::Fresh),
            (0.9, Stage::Fresh),
            (1.5, Stage::Soft),
            (1.8, Stage::Hard),
            (2.0, Stage::Gone),
        ] {
            assert_eq!(story.after(at, at), stage, "{at}");
        }
    }

    #[test]
    fn the_clock_that_ran_further_counts() {
        let story = Story::new(3600.0);
        assert_eq!(story.after(-100_000.0, 3600.0), Stage::Gone, "set back");
        assert_eq!(story.after(3600.0, 1.0), Stage::Gone, "suspended");
        assert_eq!(story.after(-100_000.0, 10.0), Stage::Fresh);
    }

    #[test]
    fn the_coarse_clock_that_ran_further_counts() {
        let clock = SharedClock::default();
        let windows = |wall: f64, running: f64, lifetime: f64| {
            // Asked that long ago, by each clock.
            let mut asked = Asked::now(&clock);
            asked.at.wall = asked.at.wall + secs(1e6) - secs(1e6 + wall);
            asked.running = asked.running.map(|at| at - (running * 1e9) as i64);
            let token = Token::new(Scheme::Bearer, "abc").unwrap().expiring(asked.at.wall, secs(lifetime));
            Windows::new(&token, asked)
        };
        let are_fresh = |windows: Windows| {
            let mut tick = None;
            let fresh = windows.are_fresh(&clock, &mut tick);
            assert_eq!(windows.are_fresh(&clock, &mut tick), fresh, "at this tick, or the next");
            fresh
        };
        assert!(are_fresh(windows(0.0, 0.0, 3600.0)) && are_fresh(windows(3000.0, 3000.0, 3600.0)));
        assert!(are_fresh(windows(-100_000.0, 10.0, 3600.0)), "set back, and soon after");
        assert!(!are_fresh(windows(3400.0, 3400.0, 3600.0)), "stale");
        assert!(!are_fresh(windows(3400.0, 10.0, 3600.0)), "suspended");
        assert!(
            !are_fresh(windows(0.0, 0.0, 0.0)) && !are_fresh(windows(-1.0, 0.0, 0.0)),
            "gone from the start"
        );
        if coarse::running().is_some() {
            assert!(!are_fresh(windows(-100_000.0, 3400.0, 3600.0)), "set back");
        }
    }

    #[test]
    fn a_given_clock_is_the_one_that_is_read() {
        let story = Story::new(3600.0);
        let (wall, mut tick) = (story.asked.wall, None);
        let mut after = |seconds| {
            let clock = SharedClock::new(move || wall + secs(seconds));
            story.windows.are_fresh(&clock, &mut tick)
        };
        assert!(after(0.0) && after(3000.0) && !after(3400.0) && after(10.0));
    }

    proptest! {
        #[test]
        fn stages_come_in_order(lifetime in 0.001..1e6f64, a in 0.0..2e6f64, b in 0.0..2e6f64) {
            let story = Story::new(lifetime);
            let (early, late) = (a.min(b), a.max(b));
            prop_assert!(story.after(early, early) <= story.after(late, late));
            prop_assert_eq!(story.after(0.0, 0.0), Stage::Fresh);
            prop_assert!(story.after(lifetime * 0.499, lifetime * 0.499) == Stage::Fresh);
        }

        #[test]
        fn jitter_is_a_tenth(ms in 0..1_000_000u64) {
            let duration = Duration::from_millis(ms);
            let jittered = jitter(duration);
            prop_assert!(jittered >= duration * 9 / 10 && jittered <= duration * 11 / 10);
        }
    }
}
