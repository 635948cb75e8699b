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

    /// A name that stands there in the document, of the object that began at the mark; with its key.
    #[inline]
    pub(super) fn add(
        &mut self,
        object: &Mark,
        document: &'a str,
        key: u64,
        place: Range<usize>,
    ) -> Result<(), Malformed> {
        let bit = bit_of(key);
        let is_new = self.bits & bit == 0;
        self.bits |= bit;
        if let Some(name) = self.few.get_mut(self.few_len).filter(|_| is_new) {
            // Part by part: put together elsewhere and read from there, it would have to be waited for.
            name.key = key;
            name.start = place.start;
            name.end = place.end;
            self.few_len += 1;
            return Ok(());
        }
        self.add_slowly(object, document, key, place)
    }

    #[inline(never)]
    fn add_slowly(
        &mut self,
        object: &Mark,
        document: &'a str,
        key: u64,
        place: Range<usize>,
    ) -> Result<(), Malformed> {
        let text = &document[place.clone()];
        if self.few_len == FEW_NAMES {
            self.more.push(Cow::Borrowed(text));
            return Ok(());
        }
        let is_same = |other: &Name| other.key == key && document[other.place()] == *text;
        if self.few[object.few_len..self.few_len].iter().any(is_same) {
            return Err(Malformed::Duplicate);
        }
        self.few[self.few_len] = Name { key, start: place.start, end: place.end };
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
    key: u64,
    start: usize,
    end: usize,
}

impl Name {
    fn place(&self) -> Range<usize> {
        self.start..self.end
    }
}

/// Of two names with different keys, no bytes are the same; two of at most [`KEY_BYTES`] with one key are one.
pub(crate) const fn key_of(name: &[u8]) -> u64 {
    let len = if name.len() < KEY_BYTES { name.len() } else { KEY_BYTES };
    let mut first = 0;
    let mut at = len;
    while at > 0 {
        at -= 1;
        first = first << 8 | name[at] as u64;
    }
    first | (name.len() as u64) << (8 * KEY_BYTES)
}

/// The same of a name in a document, whose bytes are read at once where some follow it.
#[inline]
pub(super) fn key_at(document: &[u8], place: Range<usize>) -> u64 {
    let len = place.end - place.start;
    match document[place.start..].first_chunk() {
        Some(chunk) => {
            let first = u64::from_le_bytes(*chunk) & ((1 << (8 * len.min(KEY_BYTES))) - 1);
            first | (len as u64) << (8 * KEY_BYTES)
        }
        None => key_of(&document[place]),
    }
}

/// The bytes of a name that are in its key. The last one has its length.
pub(crate) const KEY_BYTES: usize = 7;

fn bit_of(key: u64) -> u64 {
    // The last multiplier of MurmurHash3 spreads what differs in few bits, and the names of usual claims sets well.
    1 << (key.wrapping_mul(0xc4ce_b9fe_1a85_ec53) >> 58)
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

    use super::{KEY_BYTES, Stops, key_at, key_of, number, stops_of_part, ten_digits};

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

    #[test]
    fn names_with_one_key_are_one_or_long() {
        let names =
            ["", "a", "b", "aa", "a\0", "iss", "nss\0", "client_id", "client_xy", "abcdefg", "abcdefgh"];
        for one in names {
            for other in names {
                let is_same = key_of(one.as_bytes()) == key_of(other.as_bytes());
                let is_long = one.len() == other.len() && one.len() > KEY_BYTES;
                assert!(if is_same { one == other || is_long } else { one != other }, "{one:?} {other:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_key_of_a_name_wherever_it_stands(before in "[a-z]{0,9}", name in "[a-zé\0]{0,12}", behind in "[a-z]{0,9}") {
            let document = format!("{before}{name}{behind}");
            let place = before.len()..before.len() + name.len();
            prop_assert_eq!(key_at(document.as_bytes(), place), key_of(name.as_bytes()));
        }

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
