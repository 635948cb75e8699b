//! The strings and numbers of JSON: where each ends, and what an escape stands for.

use wide::u8x16;

/// Finds what may end a run of plain characters in a string: a quote, a backslash, a control character.
///
/// It looks at 64 bytes at a time, and remembers what it saw of the last ones: it is asked for one place after
/// the other.
pub(super) struct Stops {
    /// Where the last block begins.
    begin: usize,
    /// A bit for each byte of it.
    mask: u64,
}

const BLOCK: usize = 64;

impl Stops {
    pub(super) fn new() -> Self {
        // No place is in this one.
        Self { begin: usize::MAX - BLOCK, mask: 0 }
    }

    /// The first one at `from` or behind it.
    #[inline]
    pub(super) fn next(&mut self, bytes: &[u8], from: usize) -> Option<usize> {
        let offset = from.wrapping_sub(self.begin);
        let ahead = if offset < BLOCK { self.mask >> offset } else { 0 };
        if ahead == 0 { self.look(bytes, from) } else { Some(from + ahead.trailing_zeros() as usize) }
    }

    #[inline(never)]
    fn look(&mut self, bytes: &[u8], from: usize) -> Option<usize> {
        for begin in (from..bytes.len()).step_by(BLOCK) {
            let mask = stops_of(&bytes[begin..]);
            if mask != 0 {
                *self = Self { begin, mask };
                return Some(begin + mask.trailing_zeros() as usize);
            }
        }
        None
    }
}

/// Of the first block, as far as there is one.
#[inline]
fn stops_of(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(block) => stops_of_block(block),
        None => stops_of_last(bytes),
    }
}

fn stops_of_last(bytes: &[u8]) -> u64 {
    let mut block = [b' '; BLOCK];
    block[..bytes.len()].copy_from_slice(bytes);
    stops_of_block(&block)
}

#[inline]
fn stops_of_block(block: &[u8; BLOCK]) -> u64 {
    let (parts, _) = block.as_chunks();
    parts.iter().rev().fold(0, |mask, part| mask << 16 | u64::from(stops_of_part(part)))
}

fn stops_of_part(part: &[u8; 16]) -> u16 {
    let bytes = u8x16::new(*part);
    let control = bytes.cmp_eq(bytes.min(u8x16::splat(0x1f)));
    let stops = bytes.cmp_eq(u8x16::splat(b'"')) | bytes.cmp_eq(u8x16::splat(b'\\')) | control;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sixteen bits")]
    let mask = stops.move_mask() as u16;
    mask
}

/// The character that stands behind a backslash, and of how many bytes.
pub(super) fn escaped(bytes: &[u8]) -> Option<(char, usize)> {
    let char = match bytes.first()? {
        byte @ (b'"' | b'\\' | b'/') => char::from(*byte),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return escaped_unit(&bytes[1..]),
        _ => return None,
    };
    Some((char, 1))
}

/// A UTF-16 unit, or two of them (RFC 8259 §7).
fn escaped_unit(bytes: &[u8]) -> Option<(char, usize)> {
    let unit = hex4(bytes)?;
    if !(0xd800..=0xdbff).contains(&unit) {
        return Some((char::from_u32(unit)?, 5));
    }
    let low = hex4(bytes[4..].strip_prefix(b"\\u")?).filter(|low| (0xdc00..=0xdfff).contains(low))?;
    Some((char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00))?, 11))
}

fn hex4(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.first_chunk::<4>()?.iter();
    digits.map(|digit| char::from(*digit).to_digit(16)).try_fold(0, |value, digit| Some(value << 4 | digit?))
}

/// The number that begins at `start`, if an `f64` can hold it and is not about to overflow: `serde_json` reads in
/// fewer steps, and does a little earlier.
#[inline]
pub(super) fn number(text: &str, start: usize) -> Option<&str> {
    let bytes = &text.as_bytes()[start..];
    let digits = |from: usize| {
        let count = bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        (count > 0).then_some(from + count)
    };
    let mut end = usize::from(bytes.first() == Some(&b'-'));
    end = if bytes.get(end) == Some(&b'0') { end + 1 } else { digits(end)? };
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1)?;
    }
    let has_exponent = matches!(bytes.get(end), Some(b'e' | b'E'));
    if has_exponent {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        end = digits(end + 1 + sign)?;
    }
    let number = &text[start..start + end];
    // Up to 18 characters without an exponent are in range whatever they say.
    let is_small = number.len() <= 18 && !has_exponent;
    (is_small || number.parse::<f64>().is_ok_and(|value| value.abs() < 1e308)).then_some(number)
}

/// The value of ten digits that are a whole number: as most dates are, from 2001 to 2286.
#[inline]
pub(super) fn ten_digits(bytes: &[u8]) -> Option<i64> {
    let [high @ .., ninth, tenth, behind] = bytes.first_chunk::<11>()?;
    let high = eight_digits(*high)?;
    let is_number = high >= 10_000_000
        && ninth.is_ascii_digit()
        && tenth.is_ascii_digit()
        && !matches!(behind, b'0'..=b'9' | b'.' | b'e' | b'E');
    is_number.then(|| 100 * high + i64::from(ninth - b'0') * 10 + i64::from(tenth - b'0'))
}

/// The value of eight digits: of each two next to each other, of each four, of all, at once.
fn eight_digits(digits: [u8; 8]) -> Option<i64> {
    let each = u64::from_le_bytes(digits) ^ 0x3030_3030_3030_3030;
    let is_digits = (each | each.wrapping_add(0x0606_0606_0606_0606)) & 0xf0f0_f0f0_f0f0_f0f0 == 0;
    let twos = each.wrapping_mul(10).wrapping_add(each >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = twos.wrapping_mul(100).wrapping_add(twos >> 16) & 0x0000_ffff_0000_ffff;
    let all = fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xffff_ffff;
    is_digits.then_some(all as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Stops, number, stops_of_part, ten_digits};

    #[test]
    fn every_byte_at_every_place() {
        for byte in 0..=u8::MAX {
            for at in 0..16 {
                let mut part = [b'!'; 16];
                part[at] = byte;
                let is_stop = matches!(byte, b'"' | b'\\' | ..0x20);
                assert_eq!(stops_of_part(&part), u16::from(is_stop) << at, "{byte} at {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn ten_digits_are_what_a_number_of_ten_is(text in "[0-9a/:.eE-]{9,12}", digits in "[0-9]{9,11}", behind in "[,}. e5]{1,2}") {
            for text in [text, format!("{digits}{behind}")] {
                let usual = number(&text, 0).filter(|number| number.len() == 10 && !number.starts_with('-'));
                let usual = usual.and_then(|number| number.parse().ok());
                // At the end of the document, the usual way has to do.
                let expected = usual.filter(|_| text.len() > 10);
                prop_assert_eq!(ten_digits(text.as_bytes()), expected, "{}", text);
            }
        }

        #[test]
        fn the_next_one_wherever_it_is(text in r#"["\\a\n~é]{0,300}"#, steps in prop::collection::vec(0..90_usize, 0..20)) {
            let mut stops = Stops::new();
            let mut from = 0;
            for step in steps {
                let behind = text.as_bytes().iter().skip(from);
                let expected = behind.clone().position(|byte| matches!(byte, b'"' | b'\\' | b'\n'));
                prop_assert_eq!(stops.next(text.as_bytes(), from), expected.map(|at| from + at));
                from += step;
            }
        }
    }
}
