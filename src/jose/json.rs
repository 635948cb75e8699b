//! JSON as RFC 8259 defines it, read once and strictly: what a general reader forgives is refused.
//!
//! 1. A member name may appear once in an object, at every depth, escapes decoded (RFC 7519 §4).
//! 2. Depth and number of members and elements are bounded before they cost anything.
//! 3. A number of 10^308 or more is refused, so that what is accepted here reads everywhere.
//!
//! A property test holds it against `serde_json`: whatever this accepts, that accepts, and the other
//! way round but for the three rules.

use std::borrow::Cow;
use std::ops::Range;

use super::compact::Malformed;
use super::names::{MemberName, Names};
use super::words::{Stops, escaped, number, ten_digits};

/// Deeper than any real claims set; serde_json's own guard is 128.
const MAX_DEPTH: u8 = 32;
/// Members of all objects and elements of all arrays of a text together.
const MAX_MEMBERS: usize = 512;

/// One value, without what is inside of arrays and objects.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar<'a> {
    Bool(bool),
    Composite,
    Null,
    Number(&'a str),
    String(Cow<'a, str>),
}

/// Walks over a text, value by value.
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: u8,
    members: usize,
    max_members: usize,
    stops: Stops,
    names: Names<'a>,
}

impl<'a> Reader<'a> {
    /// Reads a text that is one object. `member` is given each top-level name and must read its value.
    pub(crate) fn object(
        text: &'a str,
        member: impl FnMut(MemberName<'_>, &mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        Self::new(text, MAX_MEMBERS).document(member)
    }

    /// Checks a whole document, a key set for example, that has a size limit of its own.
    pub(crate) fn check_object(text: &'a str) -> Result<(), Malformed> {
        Self::new(text, text.len()).document(|_, reader| reader.pass())
    }

    fn new(text: &'a str, max_members: usize) -> Self {
        let (stops, names) = (Stops::new(), Names::new());
        Self { text, at: 0, depth: 0, members: 0, max_members, stops, names }
    }

    fn document<F>(&mut self, member: F) -> Result<(), Malformed>
    where
        F: FnMut(MemberName<'_>, &mut Self) -> Result<(), Malformed>,
    {
        self.skip_space();
        self.members(member)?;
        self.skip_space();
        if self.at == self.text.len() { Ok(()) } else { Err(Malformed::Json) }
    }

    /// Reads one value; what is inside of an array or an object is checked and passed over.
    pub(crate) fn scalar(&mut self) -> Result<Scalar<'a>, Malformed> {
        match self.peek() {
            Some(b'"') => self.string().map(Scalar::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(Scalar::Number),
            Some(b'{' | b'[') => self.pass().map(|()| Scalar::Composite),
            Some(b't') => self.literal("true").map(|()| Scalar::Bool(true)),
            Some(b'f') => self.literal("false").map(|()| Scalar::Bool(false)),
            Some(b'n') => self.literal("null").map(|()| Scalar::Null),
            _ => Err(Malformed::Json),
        }
    }

    /// Checks one value that nobody wants.
    #[inline]
    pub(crate) fn pass(&mut self) -> Result<(), Malformed> {
        if self.plain_string().is_some() { Ok(()) } else { self.pass_other() }
    }

    #[inline(never)]
    fn pass_other(&mut self) -> Result<(), Malformed> {
        match self.peek() {
            Some(b'{') => self.members(|_, reader| reader.pass()),
            Some(b'[') => self.elements(Self::pass_some),
            _ => self.scalar().map(drop),
        }
    }

    /// Checks an element, and those behind it up to the last of a row of plain strings.
    fn pass_some(&mut self) -> Result<(), Malformed> {
        while self.plain_string().is_some() {
            // Another one, without a space before it.
            if self.bytes()[self.at..].first_chunk() != Some(b",\"") {
                return Ok(());
            }
            self.at += 1;
            self.count()?;
        }
        self.pass_other()
    }

    /// Reads a string, or fails naming the member.
    pub(crate) fn string_of(&mut self, name: &'static &'static str) -> Result<Cow<'a, str>, Malformed> {
        if self.peek() == Some(b'"') {
            return self.string();
        }
        self.pass()?;
        Err(Malformed::WrongType(name))
    }

    /// Reads a string or an array of strings, or fails naming the member.
    pub(crate) fn strings_of(
        &mut self,
        name: &'static &'static str,
        mut each: impl FnMut(Cow<'a, str>),
    ) -> Result<(), Malformed> {
        if self.is_array() {
            self.elements(|reader| reader.string_of(name).map(&mut each))
        } else {
            self.string_of(name).map(each)
        }
    }

    pub(crate) fn is_array(&self) -> bool {
        self.peek() == Some(b'[')
    }

    fn members(
        &mut self,
        mut member: impl FnMut(MemberName<'_>, &mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.open(b'{')?;
        let object = self.names.begin();
        let mut more = !self.take(b'}');
        while more {
            self.count()?;
            if let Some(range) = self.plain_string() {
                let name = MemberName::at(self.bytes(), range.clone());
                self.names.add(&object, self.text, name.key(), range)?;
                self.colon()?;
                member(name, self)?;
            } else {
                let name = self.escaped_string()?;
                self.names.add_decoded(name.clone());
                self.colon()?;
                member(MemberName::new(name.as_bytes()), self)?;
            }
            more = self.is_followed(b'}')?;
        }
        self.names.end(&object, self.text)?;
        self.depth -= 1;
        Ok(())
    }

    fn elements<F: FnMut(&mut Self) -> Result<(), Malformed>>(
        &mut self,
        mut element: F,
    ) -> Result<(), Malformed> {
        self.open(b'[')?;
        let mut more = !self.take(b']');
        while more {
            self.count()?;
            element(self)?;
            more = self.is_followed(b']')?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// Behind a member or an element: true before another one, false behind the bracket.
    #[inline]
    fn is_followed(&mut self, bracket: u8) -> Result<bool, Malformed> {
        if self.steps_over(b',') {
            return Ok(true);
        }
        self.skip_space();
        if self.take(b',') {
            self.skip_space();
            return Ok(true);
        }
        self.expect(bracket).map(|()| false)
    }

    fn colon(&mut self) -> Result<(), Malformed> {
        if self.steps_over(b':') {
            return Ok(());
        }
        self.skip_space();
        self.expect(b':')?;
        self.skip_space();
        Ok(())
    }

    /// True behind this byte, if it is next and no space follows: most issuers write none.
    #[inline]
    fn steps_over(&mut self, byte: u8) -> bool {
        let is_next = matches!(self.bytes()[self.at..], [next, behind, ..] if next == byte && behind > b' ');
        self.at += usize::from(is_next);
        is_next
    }

    fn count(&mut self) -> Result<(), Malformed> {
        self.members += 1;
        if self.members > self.max_members { Err(Malformed::Many) } else { Ok(()) }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Malformed> {
        match self.plain_string() {
            Some(range) => Ok(Cow::Borrowed(&self.text[range])),
            None => self.escaped_string().map(Cow::Owned),
        }
    }

    /// Reads a string without escapes, and gives its place. Nothing is read if there is none.
    #[inline]
    fn plain_string(&mut self) -> Option<Range<usize>> {
        let bytes = self.bytes();
        if bytes.get(self.at) != Some(&b'"') {
            return None;
        }
        let start = self.at + 1;
        let stop = self.stops.next(bytes, start).filter(|stop| bytes[*stop] == b'"')?;
        self.at = stop + 1;
        Some(start..stop)
    }

    fn escaped_string(&mut self) -> Result<String, Malformed> {
        self.expect(b'"')?;
        let mut string = String::new();
        loop {
            let stop = self.stops.next(self.bytes(), self.at).ok_or(Malformed::Json)?;
            string.push_str(&self.text[self.at..stop]);
            self.at = stop + 1;
            match self.bytes()[stop] {
                b'"' => return Ok(string),
                b'\\' => {
                    let (char, len) = escaped(&self.bytes()[self.at..]).ok_or(Malformed::Json)?;
                    string.push(char);
                    self.at += len;
                }
                _ => return Err(Malformed::Json),
            }
        }
    }

    /// Reads a date of ten digits, as most are. Nothing is read if it is another number, or none.
    #[inline]
    pub(crate) fn date(&mut self) -> Option<i64> {
        let date = ten_digits(&self.bytes()[self.at..])?;
        self.at += 10;
        Some(date)
    }

    /// Reads a number, or fails naming the member.
    pub(crate) fn number_of(&mut self, name: &'static &'static str) -> Result<&'a str, Malformed> {
        if let Some(b'-' | b'0'..=b'9') = self.peek() {
            return self.number();
        }
        self.pass()?;
        Err(Malformed::WrongType(name))
    }

    fn number(&mut self) -> Result<&'a str, Malformed> {
        let number = number(self.text, self.at).ok_or(Malformed::Json)?;
        self.at += number.len();
        Ok(number)
    }

    fn literal(&mut self, word: &str) -> Result<(), Malformed> {
        if !self.bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(Malformed::Json);
        }
        self.at += word.len();
        Ok(())
    }

    fn open(&mut self, bracket: u8) -> Result<(), Malformed> {
        self.expect(bracket)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Malformed::Deep);
        }
        self.skip_space();
        Ok(())
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.take(byte) { Ok(()) } else { Err(Malformed::Json) }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn peek(&self) -> Option<u8> {
        self.bytes().get(self.at).copied()
    }

    #[inline]
    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::{MAX_DEPTH, MAX_MEMBERS, Malformed, Reader};

    fn read(text: &str) -> Result<(), Malformed> {
        Reader::object(text, |_, reader| reader.scalar().map(drop))
    }

    #[test]
    fn duplicates_at_every_depth_atk_17_m_jose_2() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"exp":1,"\u0065xp":2}"#,
            r#"{"a":{"b":1,"b":1}}"#,
            r#"{"a":[{"b":1,"b":1}]}"#,
            r#"{"a":[1,{"b":{"c":0,"\u0063":0}}]}"#,
            r#"{"":1,"":2}"#,
        ] {
            assert_eq!(read(text), Err(Malformed::Duplicate), "{text}");
        }
        assert_eq!(read(r#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}"#), Ok(()));
    }

    #[test]
    fn duplicates_among_many_names() {
        let members = |last: &str| {
            let names = (0..100).map(|n| format!("\"n{n}\":{{\"x\":{n}}}")).collect::<Vec<_>>();
            format!("{{{},\"{last}\":0}}", names.join(","))
        };
        assert_eq!(read(&members("fresh")), Ok(()));
        assert_eq!(read(&members("n0")), Err(Malformed::Duplicate));
        assert_eq!(read(&members("n99")), Err(Malformed::Duplicate));
    }

    #[test]
    fn bounds_atk_16() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(read(&nested(usize::from(MAX_DEPTH) - 1)), Ok(()));
        assert_eq!(read(&nested(usize::from(MAX_DEPTH))), Err(Malformed::Deep));
        assert_eq!(read(&nested(100_000)), Err(Malformed::Deep));
        let wide = |count: usize| {
            let names = (0..count).map(|n| format!("\"{n}\":0")).collect::<Vec<_>>();
            format!("{{{}}}", names.join(","))
        };
        assert_eq!(read(&wide(MAX_MEMBERS)), Ok(()));
        assert_eq!(read(&wide(MAX_MEMBERS + 1)), Err(Malformed::Many));
        let long = |count: usize| format!("{{\"a\":[{}]}}", vec!["0"; count].join(","));
        assert_eq!(read(&long(MAX_MEMBERS - 1)), Ok(()));
        assert_eq!(read(&long(MAX_MEMBERS)), Err(Malformed::Many));
    }

    #[test]
    fn what_is_not_one_json_object() {
        for text in [
            "",
            " ",
            "null",
            "[]",
            "\"a\"",
            "1",
            "{",
            "{}}",
            "{} {}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{'a':1}",
            "{\"a\":01}",
            "{\"a\":1.}",
            "{\"a\":.5}",
            "{\"a\":+1}",
            "{\"a\":1e}",
            "{\"a\":1e400}",
            "{\"a\":1.797693134862315769e308}",
            "{\"a\":-}",
            "{\"a\":NaN}",
            "{\"a\":tru}",
            "{\"a\":\"\n\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\\udc00\\ud800\"}",
            "{\"a\":\"\\u12\"}",
            "{\"a\":1 2}",
            "\u{feff}{}",
            "{\"a\":[1,]}",
            "{\"a\":[1 2]}",
            "{\"a\":\"",
            "{\"a\":\"\\",
            "{\"a\" 1}",
            "{,}",
        ] {
            assert_eq!(read(text), Err(Malformed::Json), "{text:?}");
            assert!(serde_json::from_str::<serde_json::Map<String, Value>>(text).is_err(), "{text:?}");
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e308..1e308).prop_map(Value::from),
            prop::num::f64::SUBNORMAL.prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn reads_what_serde_writes(members in prop::collection::btree_map(any::<String>(), value(), 0..24)) {
            let object = Value::Object(members.into_iter().collect());
            prop_assert_eq!(read(&object.to_string()), Ok(()));
            prop_assert_eq!(read(&serde_json::to_string_pretty(&object).unwrap()), Ok(()));
        }

        /// Near-JSON: whatever we accept, serde_json accepts; what only it accepts breaks one of our rules.
        #[test]
        fn agrees_with_serde_on_near_json(text in r#"\{("[ab\\u006]{0,2}":[-0-9.eE"\[\]{}:, tnul]{0,6},?){0,3}\}"#) {
            let theirs = serde_json::from_str::<serde_json::Map<String, Value>>(&text).is_ok();
            match read(&text) {
                Ok(()) => prop_assert!(theirs, "only we accept {text:?}"),
                Err(Malformed::Json) => prop_assert!(!theirs, "only serde accepts {text:?}"),
                Err(_) => {}
            }
        }

        #[test]
        fn strings_decode_as_serde_decodes_them(text in any::<String>(), escaped in "(\\\\[bfnrt/]|\\\\u00[2-7][0-9a-f]|\\\\ud83d\\\\ude0[0-9]|[a-z]){0,8}") {
            for quoted in [serde_json::to_string(&text).unwrap(), format!("\"{escaped}\"")] {
                let document = format!("{{\"a\":{quoted}}}");
                let mut ours = String::new();
                Reader::object(&document, |_, reader| {
                    reader.string_of(&"a").map(|string| ours = string.into_owned())
                }).unwrap();
                prop_assert_eq!(ours, serde_json::from_str::<String>(&quoted).unwrap());
            }
        }

        #[test]
        fn never_panics_m_x_1(text in any::<String>(), bytes in r#"[\[{"\\u0-9a-f:,}\]]{0,40}"#) {
            let _ = read(&text);
            let _ = read(&bytes);
        }
    }
}
