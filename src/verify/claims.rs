//! The registered claims, read in one pass and strictly typed, and the dates among them.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::rules::Refused;
use crate::clock::Window;
use crate::jose::{Malformed, Reader, Scalar};
use crate::scope::Scopes;

/// What every verifier may want to know of a payload, borrowed from its text.
#[derive(Default)]
pub(super) struct Claims<'a> {
    pub(super) issuer: Option<Cow<'a, str>>,
    pub(super) subject: Option<Cow<'a, str>>,
    pub(super) audience: Option<Strings<'a>>,
    pub(super) expires: Option<NumericDate>,
    pub(super) not_before: Option<NumericDate>,
    pub(super) issued: Option<NumericDate>,
    pub(super) client_id: Option<Cow<'a, str>>,
    pub(super) has_id: bool,
    pub(super) scope: Option<Strings<'a>>,
    pub(super) token_use: Option<Cow<'a, str>>,
    /// Of an introspection answer (RFC 7662 §2.2).
    #[cfg(feature = "remote")]
    pub(super) token_type: Option<Cow<'a, str>>,
    /// Has a claim that only another kind of token has.
    pub(super) foreign: Option<&'static str>,
    /// Has `cnf`: whoever presents it has to prove that they hold a key (RFC 7800).
    pub(super) is_bound: bool,
}

/// The names that are looked for, each as one number. Those of more than seven bytes share theirs with others.
mod key {
    use crate::jose::key_of;

    pub(super) const AT_HASH: u64 = key_of(b"at_hash");
    pub(super) const AUD: u64 = key_of(b"aud");
    pub(super) const C_HASH: u64 = key_of(b"c_hash");
    pub(super) const CLIENT_ID: u64 = key_of(b"client_id");
    pub(super) const CNF: u64 = key_of(b"cnf");
    pub(super) const EVENTS: u64 = key_of(b"events");
    pub(super) const EXP: u64 = key_of(b"exp");
    pub(super) const IAT: u64 = key_of(b"iat");
    pub(super) const ISS: u64 = key_of(b"iss");
    pub(super) const JTI: u64 = key_of(b"jti");
    pub(super) const NBF: u64 = key_of(b"nbf");
    pub(super) const S_HASH: u64 = key_of(b"s_hash");
    pub(super) const SCOPE: u64 = key_of(b"scope");
    pub(super) const SUB: u64 = key_of(b"sub");
    #[cfg(feature = "remote")]
    pub(super) const TOKEN_TYPE: u64 = key_of(b"token_type");
    pub(super) const TOKEN_USE: u64 = key_of(b"token_use");
    pub(super) const TYP: u64 = key_of(b"typ");
}

/// What the claim `typ` of a Keycloak token says if it is not an access token.
const NO_ACCESS_TOKENS: [&str; 4] = ["ID", "Logout", "Offline", "Refresh"];

impl<'a> Claims<'a> {
    /// # Errors
    ///
    /// When the text is not one JSON object within the bounds, or a registered claim is of a wrong type.
    pub(super) fn read(payload: &'a str) -> Result<Self, Malformed> {
        let mut claims = Self::default();
        claims.add(payload)?;
        Ok(claims)
    }

    /// As [`read`](Self::read), where they stay: they are many to be moved.
    pub(super) fn add(&mut self, payload: &'a str) -> Result<(), Malformed> {
        Reader::object(payload, |name, reader| {
            match name.key() {
                key::ISS => self.issuer = Some(reader.string_of(&"iss")?),
                key::SUB => self.subject = Some(reader.string_of(&"sub")?),
                key::AUD => self.audience = Some(Strings::read(&"aud", reader)?),
                key::EXP => self.expires = Some(NumericDate::read(&"exp", reader)?),
                key::NBF => self.not_before = Some(NumericDate::read(&"nbf", reader)?),
                key::IAT => self.issued = Some(NumericDate::read(&"iat", reader)?),
                key::JTI => {
                    reader.string_of(&"jti")?;
                    self.has_id = true;
                }
                key::CLIENT_ID if *name == *b"client_id" => {
                    self.client_id = Some(reader.string_of(&"client_id")?);
                }
                key::SCOPE => self.scope = Some(Strings::read(&"scope", reader)?),
                #[cfg(feature = "remote")]
                key::TOKEN_TYPE if *name == *b"token_type" => {
                    if let Scalar::String(typ) = reader.scalar()? {
                        self.token_type = Some(typ);
                    }
                }
                key::TOKEN_USE if *name == *b"token_use" => {
                    self.token_use = Some(reader.string_of(&"token_use")?);
                }
                // OpenID Connect Core §2 and §3.3.2.11, FAPI 1.0 Part 2 §5.1.1, Back-Channel Logout §2.4.
                key::AT_HASH => self.note_foreign("at_hash", reader)?,
                key::C_HASH => self.note_foreign("c_hash", reader)?,
                key::S_HASH => self.note_foreign("s_hash", reader)?,
                key::EVENTS => self.note_foreign("events", reader)?,
                // Keycloak's own: an access token says "Bearer" here.
                key::TYP => match reader.scalar()? {
                    Scalar::String(typ) if NO_ACCESS_TOKENS.contains(&&*typ) => self.foreign = Some("typ"),
                    _ => {}
                },
                key::CNF => {
                    self.is_bound = true;
                    reader.pass()?;
                }
                _ => reader.pass()?,
            }
            Ok(())
        })
    }

    /// When `exp`, `nbf` and `iat` allow the token.
    pub(super) fn window(&self, leeway: Duration) -> Window {
        let (begin, leeway) = (self.not_before.max(self.issued), nanos(leeway));
        Window::new(
            begin.map_or(i128::MIN, |begin| begin.since_epoch().saturating_sub(leeway)),
            self.expires.map_or(i128::MAX, |end| end.since_epoch().saturating_add(leeway)),
        )
    }

    /// What the token grants by itself.
    ///
    /// # Errors
    ///
    /// See [`Strings::scopes`].
    pub(super) fn scopes(&self) -> Result<Scopes, Malformed> {
        self.scope.as_ref().map_or_else(|| Ok(Scopes::none()), Strings::scopes)
    }

    /// The same, of an authentic token: what is usual is read once.
    ///
    /// # Errors
    ///
    /// See [`Strings::scopes`].
    pub(super) fn scopes_among(&self, usual: &UsualScopes) -> Result<Scopes, Malformed> {
        match &self.scope {
            Some(Strings::One(text)) => usual.find(text).map_or_else(
                || self.scopes().inspect(|scopes| usual.learn(scopes)),
                |scopes| Ok(scopes.clone()),
            ),
            _ => self.scopes(),
        }
    }

    /// RFC 7519 §4.1.3: `aud` is there and holds one of ours. Where none is ours, any will do.
    pub(super) fn check_audience(&self, ours: &[Box<str>]) -> Result<(), Refused> {
        if ours.is_empty() {
            return Ok(());
        }
        let actual = self.audience.as_ref().ok_or(Refused::Missing("aud"))?;
        let fits = actual.as_slice().iter().any(|other| ours.iter().any(|own| **own == **other));
        if fits { Ok(()) } else { Err(Refused::Audience) }
    }

    fn note_foreign(&mut self, name: &'static str, reader: &mut Reader<'a>) -> Result<(), Malformed> {
        self.foreign = Some(name);
        reader.pass()
    }
}

/// One string or an array of strings: `aud` (RFC 7519 §4.1.3), and `scope`, of which RFC 8693 §4.2 has one string
/// and some issuers write an array.
pub(super) enum Strings<'a> {
    List(Vec<Cow<'a, str>>),
    One(Cow<'a, str>),
}

impl<'a> Strings<'a> {
    fn read(name: &'static &'static str, reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        if !reader.is_array() {
            return reader.string_of(name).map(Self::One);
        }
        let mut list = Vec::new();
        reader.strings_of(name, |value| list.push(value))?;
        Ok(Self::List(list))
    }

    fn as_slice(&self) -> &[Cow<'a, str>] {
        match self {
            Self::List(list) => list,
            Self::One(one) => std::slice::from_ref(one),
        }
    }

    /// Read as scopes.
    ///
    /// # Errors
    ///
    /// When one string breaks the grammar. Of an array, each element is one value or none.
    pub(super) fn scopes(&self) -> Result<Scopes, Malformed> {
        match self {
            Self::List(values) => Ok(Scopes::from_values(values.iter().map(|value| &**value))),
            Self::One(text) => Scopes::parse(text).map_err(|_| Malformed::WrongType(&"scope")),
        }
    }
}

/// What the first tokens granted. Most that follow grant the same, and share it.
#[derive(Clone, Default)]
pub(super) struct UsualScopes([OnceLock<Scopes>; 4]);

impl UsualScopes {
    /// Longer ones are no good to keep for as long as a verifier lives.
    const MAX_BYTES: usize = 256;

    fn find(&self, text: &str) -> Option<&Scopes> {
        self.0.iter().map_while(OnceLock::get).find(|usual| usual.text() == text)
    }

    fn learn(&self, scopes: &Scopes) {
        let free = self.0.iter().find(|usual| usual.get().is_none());
        if let Some(free) = free.filter(|_| scopes.text().len() <= Self::MAX_BYTES) {
            // Another may be first; then it is that which is usual.
            let _ = free.set(scopes.clone());
        }
    }
}

/// Seconds since the epoch, with or without a fraction (RFC 7519 §2). What lies outside of 64 bits is
/// held at their end, so that no arithmetic on it wraps.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct NumericDate {
    seconds: i64,
    /// What is to be added.
    nanos: u32,
}

impl NumericDate {
    fn read(name: &'static &'static str, reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        match reader.date() {
            Some(seconds) => Ok(Self { seconds, nanos: 0 }),
            None => Self::parse(reader.number_of(name)?).ok_or(Malformed::WrongType(name)),
        }
    }

    fn parse(number: &str) -> Option<Self> {
        if let Ok(seconds) = number.parse() {
            return Some(Self { seconds, nanos: 0 });
        }
        let seconds = number.parse::<f64>().ok().filter(|seconds| seconds.is_finite())?;
        // A float's conversion saturates; its fraction is exact to far less than a leeway.
        #[expect(clippy::cast_possible_truncation, reason = "saturates, as documented")]
        let whole = seconds.floor() as i64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 up to 10^9")]
        let nanos = ((seconds - seconds.floor()) * 1e9) as u32;
        Some(Self { seconds: whole, nanos: nanos.min(999_999_999) })
    }

    fn since_epoch(self) -> i128 {
        i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanos)
    }

    /// True if `now` is before this instant, allowing `leeway` more.
    pub(super) fn is_after(self, now: i128, leeway: Duration) -> bool {
        now < self.since_epoch().saturating_add(nanos(leeway))
    }

    /// True if `now` is at or past this instant, allowing `leeway` less.
    pub(super) fn is_reached(self, now: i128, leeway: Duration) -> bool {
        now.saturating_add(nanos(leeway)) >= self.since_epoch()
    }

    /// The instant, if the system's clock can hold it.
    pub(super) fn to_system_time(self) -> Option<SystemTime> {
        let seconds = Duration::from_secs(self.seconds.unsigned_abs());
        let whole =
            if self.seconds < 0 { UNIX_EPOCH.checked_sub(seconds) } else { UNIX_EPOCH.checked_add(seconds) };
        whole?.checked_add(Duration::from_nanos(u64::from(self.nanos)))
    }
}

fn nanos(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::{Claims, Malformed, NumericDate, UsualScopes};

    fn date(number: &str) -> NumericDate {
        NumericDate::parse(number).unwrap()
    }

    #[test]
    fn a_name_that_is_almost_one_is_another() {
        let nothing = r"\u0000".repeat(256);
        for name in
            ["is", "isss", r"iss\u0000", "client_ip", "client_idx", "scope ", "SUB", &format!("iss{nothing}")]
        {
            let payload = format!(r#"{{"{name}":"x"}}"#);
            let claims = Claims::read(&payload).unwrap();
            assert!(claims.issuer.is_none() && claims.client_id.is_none(), "{name}");
            assert!(claims.scope.is_none() && claims.subject.is_none(), "{name}");
        }
        let claims = Claims::read(r#"{"\u0069ss":"x","client_\u0069d":"y","scope":"z"}"#).unwrap();
        assert_eq!((claims.issuer.as_deref(), claims.client_id.as_deref()), (Some("x"), Some("y")));
    }

    #[test]
    fn dates_may_have_a_fraction_m_jose_6() {
        assert_eq!(date("1.5").since_epoch(), 1_500_000_000);
        assert_eq!(date("-1.5").since_epoch(), -1_500_000_000);
        assert_eq!(date("1e3"), date("1000"));
        assert_eq!(
            date("1700000000.25").to_system_time(),
            Some(UNIX_EPOCH + Duration::new(1_700_000_000, 250_000_000))
        );
        assert_eq!(date("-1.5").to_system_time(), Some(UNIX_EPOCH - Duration::from_millis(1500)));
    }

    #[test]
    fn no_number_wraps_atk_18() {
        let end = i128::from(i64::MAX) * 1_000_000_000;
        for huge in ["9223372036854775807", "9223372036854775808", "18446744073709551615", "1e300"] {
            let date = date(huge);
            assert!(date.is_after(0, Duration::MAX), "{huge}");
            assert!(!date.is_reached(0, Duration::ZERO), "{huge}");
            assert!(date.is_reached(end, Duration::MAX), "{huge}");
        }
        for tiny in ["-9223372036854775808", "-1e300"] {
            assert!(!date(tiny).is_after(0, Duration::from_secs(30)), "{tiny}");
            assert!(date(tiny).is_reached(0, Duration::ZERO), "{tiny}");
        }
    }

    #[test]
    fn the_edges_of_leeway() {
        let second = |seconds: i128| seconds * 1_000_000_000;
        let leeway = Duration::from_secs(30);
        assert!(date("100").is_after(second(130) - 1, leeway));
        assert!(!date("100").is_after(second(130), leeway));
        assert!(date("100").is_reached(second(70), leeway));
        assert!(!date("100").is_reached(second(70) - 1, leeway));
    }

    #[test]
    fn a_wrong_type_is_a_refusal_atk_18_atk_19() {
        let numbers = &["exp", "nbf", "iat"];
        let strings = &["iss", "sub", "jti", "client_id", "token_use"];
        for name in numbers {
            for value in ["\"1\"", "null", "true", "[]", "{}", "[1]", "\"\""] {
                let payload = format!("{{\"{name}\":{value}}}");
                assert_eq!(Claims::read(&payload).err(), Some(Malformed::WrongType(name)), "{payload}");
            }
        }
        for name in strings {
            for value in ["1", "null", "true", "[]", "{}", "[\"a\"]"] {
                let payload = format!("{{\"{name}\":{value}}}");
                assert_eq!(Claims::read(&payload).err(), Some(Malformed::WrongType(name)), "{payload}");
            }
        }
        for name in &["aud", "scope"] {
            for value in ["1", "null", "{}", "[1]", "[null]", "[[\"a\"]]", "[\"a\",2]"] {
                let payload = format!("{{\"{name}\":{value}}}");
                assert_eq!(Claims::read(&payload).err(), Some(Malformed::WrongType(name)), "{payload}");
            }
        }
    }

    #[test]
    fn scopes_that_are_usual_are_shared_and_few() {
        let usual = UsualScopes::default();
        let scopes = |text: &str| {
            let payload = format!(r#"{{"scope":"{text}"}}"#);
            Claims::read(&payload).unwrap().scopes_among(&usual).map(|scopes| scopes.to_string())
        };
        let long = "a".repeat(UsualScopes::MAX_BYTES + 1);
        for text in ["a b", "b a", &long, "", "c", "d", "e", "a b", "e"] {
            assert_eq!(scopes(text).as_deref(), Ok(text));
        }
        let kept: Vec<_> = usual.0.iter().map(|scopes| scopes.get().unwrap().text()).collect();
        assert_eq!(kept, ["a b", "b a", "", "c"]);
        assert!(scopes(r"a\b").is_err());
        let other = |payload: &str| Claims::read(payload).unwrap().scopes_among(&usual).unwrap().to_string();
        assert_eq!((other("{}"), other(r#"{"scope":["a b","c"]}"#)), (String::new(), "c".to_owned()));
    }

    #[test]
    fn scopes_as_a_string_or_an_array() {
        let scopes = |payload: &str| Claims::read(payload).unwrap().scopes();
        for payload in [r#"{"scope":"a b"}"#, r#"{"scope":["a","b"]}"#, r#"{"scope":["a","b","c d"]}"#] {
            assert_eq!(scopes(payload).unwrap().to_string(), "a b", "{payload}");
        }
        assert!(scopes(r#"{"scope":[]}"#).unwrap().is_empty());
        assert!(scopes("{}").unwrap().is_empty());
        assert!(scopes(r#"{"scope":"a\"b"}"#).is_err());
    }
}
