//! The names and the strings of JSON, eight bytes at a time.

use std::borrow::Cow;

use super::compact::Malformed;

/// Up to here a new name is compared with each earlier one, by eight of its bytes; beyond, the names are sorted
/// once. Claims sets have about half as many.
const FEW_NAMES: usize = 24;

/// The names of the objects that are open, the outermost first: each may be there once.
pub(super) struct Names<'a> {
    few: [Name<'a>; FEW_NAMES],
    few_len: usize,
    /// Those that do not fit, and those that had to be decoded.
    more: Vec<Cow<'a, str>>,
}

/// Where the names of an object begin.
#[derive(Clone, Copy)]
pub(super) struct Mark(usize, usize);

impl<'a> Names<'a> {
    pub(super) fn new() -> Self {
        Self { few: [Name { key: 0, text: "" }; FEW_NAMES], few_len: 0, more: Vec::new() }
    }

    pub(super) fn mark(&self) -> Mark {
        Mark(self.few_len, self.more.len())
    }

    /// A name that begins at `start`, of the object that began at the mark.
    pub(super) fn add(
        &mut self,
        object: Mark,
        text: &'a str,
        document: &[u8],
        start: usize,
    ) -> Result<(), Malformed> {
        if self.few_len == FEW_NAMES {
            self.more.push(Cow::Borrowed(text));
            return Ok(());
        }
        let name = Name::new(text, document, start);
        let earlier = &self.few[object.0..self.few_len];
        if earlier.iter().any(|other| other.key == name.key && other.text == text) {
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
    pub(super) fn end(&mut self, object: Mark) -> Result<(), Malformed> {
        let (few, more) = (&self.few[object.0..self.few_len], &self.more[object.1..]);
        if !more.is_empty() {
            let few = few.iter().map(|name| name.text);
            let mut names: Vec<&str> = few.chain(more.iter().map(|name| &**name)).collect();
            names.sort_unstable();
            if names.windows(2).any(|pair| pair[0] == pair[1]) {
                return Err(Malformed::Duplicate);
            }
        }
        self.few_len = object.0;
        self.more.truncate(object.1);
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Name<'a> {
    /// Two that differ are of different names.
    key: u64,
    text: &'a str,
}

impl<'a> Name<'a> {
    /// The name is the part of `document` that begins at `start`.
    fn new(text: &'a str, document: &[u8], start: usize) -> Self {
        // What stands behind a short one is masked; at the end of the document nothing may stand there.
        let first = match document[start..].first_chunk() {
            Some(chunk) if text.len() < 8 => u64::from_le_bytes(*chunk) & !(u64::MAX << (8 * text.len())),
            Some(chunk) => u64::from_le_bytes(*chunk),
            None => text.bytes().rev().fold(0, |key, byte| key << 8 | u64::from(byte)),
        };
        Self { key: first ^ (text.len() as u64).rotate_right(16), text }
    }
}

/// Where the next quote is, eight bytes at a time: most strings are short.
pub(super) fn quote(bytes: &[u8], start: usize) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    const QUOTES: u64 = u64::from_le_bytes([b'"'; 8]);
    let mut at = start;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        // A byte of zeros is a quote; the lowest of them is found exactly.
        let word = u64::from_le_bytes(*chunk) ^ QUOTES;
        let found = word.wrapping_sub(ONES) & !word & HIGH;
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    let rest = bytes.get(at..)?.iter().position(|byte| *byte == b'"')?;
    Some(at + rest)
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn the_next_quote_wherever_it_is() {
        for len in 0..40 {
            for at in 0..len {
                let mut text = vec![b'!'; len];
                text[at] = b'"';
                for start in 0..len {
                    let expected = (start <= at).then_some(at);
                    assert_eq!(quote(&text, start), expected, "{len} {at} {start}");
                }
            }
        }
        assert_eq!(quote("\u{a2}\u{22}".as_bytes(), 0), Some(2));
        assert_eq!(quote(b"##########\"\"", 0), Some(10));
        assert_eq!(quote(b"", 0), None);
        assert_eq!(quote(b"\"", 2), None);
    }
}
