//! Lifetimes as the npm package `ms` reads them: `2 days`, `1.5h`, `90s`; a bare number is milliseconds.

use std::time::Duration;

/// What `ms` reads, in characters.
const MAX_CHARS: usize = 100;

/// Each unit with its length in milliseconds; a year is 365.25 days.
const UNITS: [(&[&str], f64); 7] = [
    (&["ms", "msec", "msecs", "millisecond", "milliseconds"], 1.0),
    (&["s", "sec", "secs", "second", "seconds"], 1e3),
    (&["m", "min", "mins", "minute", "minutes"], 60e3),
    (&["h", "hr", "hrs", "hour", "hours"], 3600e3),
    (&["d", "day", "days"], 86_400e3),
    (&["w", "week", "weeks"], 604_800e3),
    (&["y", "yr", "yrs", "year", "years"], 31_557_600e3),
];

/// The lifetime that a text says. `None` for what is no lifetime, and for one that is negative.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let unit = if unit.is_empty() { 1.0 } else { length(unit)? };
    let number: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64((number * unit / 1e3).max(0.0)).ok()
}

/// True if there is a unit behind the number.
pub(crate) fn has_unit(text: &str) -> bool {
    split(text).is_some_and(|(_, unit)| !unit.is_empty())
}

/// Digits with at most one point among them, spaces, and the rest.
fn split(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let digit_last = number.ends_with(|c: char| c.is_ascii_digit());
    let fits = text.len() <= MAX_CHARS && digit_last && number.matches('.').count() <= 1;
    // Spaces stand between the two, not behind a number alone.
    let bare = unit.trim_start_matches(' ');
    (fits && (unit.is_empty() || !bare.is_empty())).then_some((number, bare))
}

fn length(unit: &str) -> Option<f64> {
    let named = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(unit));
    UNITS.iter().find(|(names, _)| named(names)).map(|(_, length)| *length)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{has_unit, parse};

    #[test]
    fn as_ms_reads_them_s0_c5() {
        for (text, millis) in [
            ("1h", 3_600_000),
            ("2 days", 172_800_000),
            ("90s", 90_000),
            ("1.5h", 5_400_000),
            (".5m", 30_000),
            ("1 Week", 604_800_000),
            ("1y", 31_557_600_000),
            ("3600", 3600),
            ("0", 0),
            ("0.5", 0),
            ("500 MS", 500),
        ] {
            assert_eq!(parse(text).map(|life| life.as_millis()), Some(millis), "{text}");
        }
        let long = "1".repeat(101);
        for bad in [
            "",
            " ",
            "h",
            "1h ",
            " 1h",
            "-1h",
            "1 fortnight",
            "1h2",
            "1.",
            "1..5h",
            "1e3",
            "+1h",
            "1\u{a0}h",
            "1 ",
            "NaN",
            "Infinity",
            &long,
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
        assert_eq!(parse(&"9".repeat(90)), None, "more than a duration holds");
        assert!(parse("1000 years").unwrap() > Duration::from_secs(31_000_000_000));
        assert!(has_unit("1 h") && !has_unit("1") && !has_unit("h"));
    }
}
