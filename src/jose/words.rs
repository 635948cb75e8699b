//! The names, strings and numbers of JSON: where each ends, and whether a name is there twice.

use std::borrow::Cow;
use std::ops::Range;

use wide::u8x16;

use super::compact::Malformed;

/// Up to here a new name is compared with each earlier one, where a bit does not tell that it is new; beyond, the
/// names are sorted once. Claims sets have about half as many.
const FEW_NAMES: usize = 24;

/// The names of the objects that are open, the outermost first: each may be there once.
pub(super) struct Names<'a> {
    few: [Name; FEW_NAMES],
    few_len: usize,
    /// One bit for each name of the innermost object, perhaps the same for two: most names are new by that.
    bits: u64,
    /// Those that do not fit, and those that had to be decoded.
    more: Vec<Cow<'a, str>>,
}

/// Where the names of an object begin, and the bits of the one around it.
pub(super) struct Mark {
    few_len: usize,
    more_len: usize,
    bits: u64,
}

impl<'a> Names<'a> {
    pub(super) fn new() -> Self {
        Self { few: [Name::default(); FEW_NAMES], few_len: 0, bits: 0, more: Vec::new() }
    }

    pub(super) fn begin(&mut self) -> Mark {
        let bits = std::mem::take(&mut self.bits);
        Mark { few_len: self.few_len, more_len: self.more.len(), bits }
    }

    /// A name that stands there in the document, of the object that began at the mark.
    #[inline]
    pub(super) fn add(
        &mut self,
        object: &Mark,
        document: &'a str,
        place: Range<usize>,
    ) -> Result<(), Malformed> {
        let name = Name::new(document.as_bytes(), place);
        let bit = name.bit();
        if self.few_len == FEW_NAMES || self.bits & bit != 0 {
            return self.add_slowly(object, document, name);
        }
        self.bits |= bit;
        self.few[self.few_len] = name;
        self.few_len += 1;
        Ok(())
    }

    #[inline(never)]
    fn add_slowly(&mut self, object: &Mark, document: &'a str, name: Name) -> Result<(), Malformed> {
        if self.few_len == FEW_NAMES {
            self.more.push(Cow::Borrowed(&document[name.place()]));
            return Ok(());
        }
        let is_same =
            |other: &Name| other.key == name.key && document[other.place()] == document[name.place()];
        if self.few[object.few_len..self.few_len].iter().any(is_same) {
            return Err(Malformed::Duplicate);
        }
        self.few[self.few_len] = name;
        self.few_len += 1;
        Ok(())
    }

    /// A name that had escapes in it; it is compared at the end of its object.
    pub(super) fn add_decoded(&mut self, name: String) {
        self.more.push(Cow::Owned(name));
    }

    /// The end of an object: the comparison that was put off, if some names were no few or not plain.
    pub(super) fn end(&mut self, object: &Mark, document: &str) -> Result<(), Malformed> {
        let (few, more) = (&self.few[object.few_len..self.few_len], &self.more[object.more_len..]);
        if !more.is_empty() {
            let few = few.iter().map(|name| &document[name.place()]);
            let mut names: Vec<&str> = few.chain(more.iter().map(|name| &**name)).collect();
            names.sort_unstable();
            if names.windows(2).any(|pair| pair[0] == pair[1]) {
                return Err(Malformed::Duplicate);
            }
        }
        self.few_len = object.few_len;
        self.more.truncate(object.more_len);
        self.bits = object.bits;
        Ok(())
    }
}

/// A name that is written without escapes.
#[derive(Clone, Copy, Default)]
struct Name {
    /// Two that differ are of different names.
    key: u64,
    start: usize,
    len: usize,
}

impl Name {
    #[inline]
    fn new(document: &[u8], place: Range<usize>) -> Self {
        let (start, len) = (place.start, place.end - place.start);
        // What stands behind a short one is shifted out; at the end of the document nothing may stand there.
        let first = match document[start..].first_chunk() {
            Some(chunk) if len >= 8 => u64::from_le_bytes(*chunk),
            Some(chunk) => u64::from_le_bytes(*chunk) << (8 * (7 - len)) << 8,
            None => Self::first_of_last(&document[place]),
        };
        Self { key: first ^ len as u64, start, len }
    }

    #[cold]
    fn first_of_last(name: &[u8]) -> u64 {
        name.iter().rev().fold(0, |key, byte| key << 8 | u64::from(*byte)) << (8 * (7 - name.len())) << 8
    }

    #[inline]
    fn bit(&self) -> u64 {
        // The fractional part of the golden ratio spreads what differs in few bits.
        1 << (self.key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58)
    }

    fn place(&self) -> Range<usize> {
        self.start..self.start + self.len
    }
}

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
fn stops_of(bytes: &[u8]) -> u64 {
    let mut last = [b' '; BLOCK];
    let block = bytes.first_chunk().unwrap_or_else(|| {
        last[..bytes.len()].copy_from_slice(bytes);
        &last
    });
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Stops, stops_of_part};

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
