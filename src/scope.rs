//! Scope values: the grammar of RFC 6749 §3.3 and the set operations that policies need.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// A set of scope values.
///
/// Each value is one or more of the characters `%x21 / %x23-5B / %x5D-7E` (RFC 6749 §3.3); values are
/// compared exactly, order and repetition do not matter, and the empty set is allowed. A clone costs a reference
/// count.
///
/// ```
/// use tower_bearer::Scopes;
///
/// let granted = Scopes::parse("orders:read profile")?;
/// assert!(granted.contains("profile"));
/// assert!(granted.contains_all(&Scopes::parse("profile orders:read")?));
/// assert!(!granted.contains("orders"));
/// assert_eq!(Scopes::parse("read \"all\"").unwrap_err().position(), 5);
/// # Ok::<(), tower_bearer::InvalidScope>(())
/// ```
#[derive(Clone, Default)]
pub struct Scopes(Option<Arc<str>>);

impl Scopes {
    /// The empty set.
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads a space-separated list. Extra spaces are ignored.
    ///
    /// # Errors
    ///
    /// [`InvalidScope`] gives the position of the first byte that no scope value may have.
    pub fn parse(text: &str) -> Result<Self, InvalidScope> {
        match text.bytes().position(|byte| byte != b' ' && !is_scope_byte(byte)) {
            Some(position) => Err(InvalidScope { position }),
            None => Ok(Self::written(text)),
        }
    }

    /// The set of these values. What is no scope value, one with a space in it for example, is left out.
    pub fn from_values<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let is_value = |value: &&str| !value.is_empty() && value.bytes().all(is_scope_byte);
        Self::written(&Vec::from_iter(values.into_iter().filter(is_value)).join(" "))
    }

    /// The values, in the order they were given.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.text().split(' ').filter(|value| !value.is_empty())
    }

    /// The list as it was read.
    pub(crate) fn text(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    fn written(text: &str) -> Self {
        Self((!text.is_empty()).then(|| text.into()))
    }

    /// True if there is no value.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// True if `value` is in the set.
    pub fn contains(&self, value: &str) -> bool {
        self.iter().any(|own| own == value)
    }

    /// True if every value of `required` is in the set.
    pub fn contains_all(&self, required: &Self) -> bool {
        required.iter().all(|value| self.contains(value))
    }

    /// True if at least one value of `required` is in the set.
    pub fn contains_any(&self, required: &Self) -> bool {
        required.iter().any(|value| self.contains(value))
    }
}

/// The values of both sets.
impl FromIterator<Self> for Scopes {
    fn from_iter<I: IntoIterator<Item = Self>>(sets: I) -> Self {
        let mut text = String::new();
        for set in sets {
            for value in set.iter() {
                if !text.is_empty() {
                    text.push(' ');
                }
                text.push_str(value);
            }
        }
        Self::written(&text)
    }
}

impl PartialEq for Scopes {
    fn eq(&self, other: &Self) -> bool {
        self.contains_all(other) && other.contains_all(self)
    }
}

impl Eq for Scopes {}

/// The list as RFC 6749 writes it: values separated by one space.
impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, value) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(value)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// A byte that no scope value may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidScope {
    position: usize,
}

impl InvalidScope {
    /// Where the byte is, counted from 0.
    pub fn position(self) -> usize {
        self.position
    }
}

impl fmt::Display for InvalidScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {} is not allowed in a scope value", self.position)
    }
}

impl Error for InvalidScope {}

const fn is_scope_byte(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Scopes;

    #[test]
    fn grammar_m_6750_7() {
        for bad in ["a\"b", "a\\b", "a\tb", "a\u{7f}", "é", "a\nb"] {
            assert_eq!(
                Scopes::parse(bad).unwrap_err().position(),
                bad.len().min(1) * usize::from(bad.starts_with('a')),
                "{bad:?}"
            );
        }
        assert!(Scopes::parse("").unwrap().is_empty());
        assert!(Scopes::parse("  ").unwrap().is_empty());
        assert_eq!(Scopes::parse(" b  a a ").unwrap(), Scopes::parse("a b").unwrap());
        assert_eq!(Scopes::parse(" b  a ").unwrap().to_string(), "b a");
    }

    #[test]
    fn one_value_stays_one() {
        let scopes = Scopes::from_values(["a", "b admin", "", "\u{c9}quipe", "c"]);
        assert_eq!(scopes.to_string(), "a c");
    }

    #[test]
    fn an_empty_requirement() {
        let some = Scopes::parse("a").unwrap();
        assert!(some.contains_all(&Scopes::none()));
        assert!(!some.contains_any(&Scopes::none()));
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(text in "[ !#-\\[\\]-~]{0,40}") {
            let scopes = Scopes::parse(&text).unwrap();
            prop_assert_eq!(Scopes::parse(&scopes.to_string()).unwrap(), scopes);
        }

        #[test]
        fn a_union_contains_both(a in "[a-c ]{0,8}", b in "[a-c ]{0,8}") {
            let (a, b) = (Scopes::parse(&a).unwrap(), Scopes::parse(&b).unwrap());
            let union: Scopes = [a.clone(), b.clone()].into_iter().collect();
            prop_assert!(union.contains_all(&a) && union.contains_all(&b));
        }
    }
}
