//! The names of JSON members: which are looked for, and whether one is there twice.

use std::borrow::Cow;
use std::ops::{Deref, Range};

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

/// The name of a member, decoded.
#[derive(Clone, Copy)]
pub(crate) struct MemberName<'n> {
    name: &'n [u8],
    key: u64,
}

impl<'n> MemberName<'n> {
    pub(super) fn new(name: &'n [u8]) -> Self {
        Self { name, key: key_of(name) }
    }

    /// One that stands in a document as it is: its bytes are read at once where some follow it.
    #[inline]
    pub(super) fn at(document: &'n [u8], place: Range<usize>) -> Self {
        let len = place.end - place.start;
        let Some(chunk) = document[place.start..].first_chunk() else { return Self::new(&document[place]) };
        let first = u64::from_le_bytes(*chunk) & ((1 << (8 * len.min(KEY_BYTES))) - 1);
        Self { name: &document[place], key: with_len(first, len) }
    }

    /// See [`key_of`].
    pub(crate) fn key(self) -> u64 {
        self.key
    }
}

impl Deref for MemberName<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.name
    }
}

/// A name as one number: two that differ in it are not the same, and two of at most [`KEY_BYTES`] that do not are.
pub(crate) const fn key_of(name: &[u8]) -> u64 {
    let mut first = 0;
    let mut at = if name.len() < KEY_BYTES { name.len() } else { KEY_BYTES };
    while at > 0 {
        at -= 1;
        first = first << 8 | name[at] as u64;
    }
    with_len(first, name.len())
}

/// The bytes of a name that are in its key.
const KEY_BYTES: usize = 7;

/// The last byte is the length, or the most that it can be: a long name is none of the short ones.
const fn with_len(first: u64, len: usize) -> u64 {
    let len = if len < 0xff { len as u64 } else { 0xff };
    first | len << (8 * KEY_BYTES)
}

fn bit_of(key: u64) -> u64 {
    // The last multiplier of MurmurHash3 spreads what differs in few bits, and the names of usual claims sets well.
    1 << (key.wrapping_mul(0xc4ce_b9fe_1a85_ec53) >> 58)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{KEY_BYTES, MemberName, key_of};

    #[test]
    fn names_with_one_key_are_one_or_long() {
        let long = [3, 254, 255, 256, 259, 515].map(|len| format!("iss{}", "\0".repeat(len - 3)));
        let names =
            ["", "a", "b", "aa", "a\0", "iss", "nss\0", "client_id", "client_xy", "abcdefg", "abcdefgh"];
        let names: Vec<&str> = names.into_iter().chain(long.iter().map(|name| &**name)).collect();
        for one in &names {
            for other in &names {
                let is_same = key_of(one.as_bytes()) == key_of(other.as_bytes());
                let are_long = one.len().min(other.len()) > KEY_BYTES;
                assert!(if is_same { one == other || are_long } else { one != other }, "{one:?} {other:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_key_of_a_name_wherever_it_stands(before in "[a-z]{0,9}", name in "[a-zé\0]{0,12}", behind in "[a-z]{0,9}") {
            let document = format!("{before}{name}{behind}");
            let place = before.len()..before.len() + name.len();
            prop_assert_eq!(MemberName::at(document.as_bytes(), place).key(), key_of(name.as_bytes()));
        }
    }
}
