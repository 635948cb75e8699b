//! The JOSE header: three members are read, four refuse the token, all others are passed over.

use std::borrow::Cow;

use super::compact::Malformed;
use super::json::Reader;
use crate::algorithm::Algorithm;

/// Longer than any key id in use; what is longer is not looked up anywhere.
const MAX_KEY_ID_BYTES: usize = 512;

/// What is read of a JOSE header.
///
/// `jwk`, `jku`, `x5c` and `x5u` are not: a token does not bring or name its own key (RFC 8725 §3.10).
pub(crate) struct Header<'a> {
    pub(crate) algorithm: Algorithm,
    pub(crate) key_id: Option<Cow<'a, str>>,
    pub(crate) typ: Option<Cow<'a, str>>,
}

impl<'a> Header<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, Malformed> {
        let (mut algorithm, mut key_id, mut typ) = (None, None, None);
        Reader::object(text, |name, reader| {
            match &*name {
                b"alg" => algorithm = Some(reader.string_of(&"alg")?),
                b"kid" => key_id = Some(reader.string_of(&"kid")?),
                b"typ" => typ = Some(reader.string_of(&"typ")?),
                // RFC 7515 §4.1.11: what is critical and not understood refuses the token, and
                // nothing is understood. That refuses an empty list and a repeated name as well.
                b"crit" => return Err(Malformed::Critical),
                // RFC 7797 §6 and §7: without `crit` it is not allowed, and a JWT never has it false.
                b"b64" => return Err(Malformed::Unencoded),
                // RFC 7516 §9: a header with it belongs to a JWE.
                b"enc" => return Err(Malformed::Encrypted),
                _ => reader.pass()?,
            }
            Ok(())
        })?;
        if key_id.as_ref().is_some_and(|key_id| key_id.len() > MAX_KEY_ID_BYTES) {
            return Err(Malformed::LongKeyId);
        }
        let algorithm = algorithm.ok_or(Malformed::WrongType(&"alg"))?;
        let algorithm = Algorithm::from_name(&algorithm).ok_or(Malformed::UnknownAlgorithm)?;
        Ok(Self { algorithm, key_id, typ })
    }
}

impl Header<'_> {
    /// The same, with texts of its own.
    pub(crate) fn to_owned(&self) -> Header<'static> {
        let own =
            |text: &Option<Cow<'_, str>>| text.as_ref().map(|text| Cow::Owned(text.clone().into_owned()));
        Header { algorithm: self.algorithm, key_id: own(&self.key_id), typ: own(&self.typ) }
    }
}

/// Compares media types as `typ` does (RFC 7515 §4.1.9): without case, and `application/` may be left
/// out where no other slash follows.
pub(crate) fn same_type(a: &str, b: &str) -> bool {
    fn short(name: &str) -> &str {
        const PREFIX: &str = "application/";
        match name.get(..PREFIX.len()) {
            Some(prefix) if prefix.eq_ignore_ascii_case(PREFIX) && !name[PREFIX.len()..].contains('/') => {
                &name[PREFIX.len()..]
            }
            _ => name,
        }
    }
    short(a).eq_ignore_ascii_case(short(b))
}

#[cfg(test)]
mod tests {
    use super::{Algorithm, Header, Malformed, same_type};

    #[test]
    fn media_types_m_jose_9() {
        for same in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
            assert!(same_type(same, "at+jwt"), "{same}");
        }
        for other in ["jwt", "at+jwt ", "application/x/at+jwt", "text/at+jwt", "application/", ""] {
            assert!(!same_type(other, "at+jwt"), "{other}");
        }
    }

    #[test]
    fn only_three_members_are_read_atk_05_atk_06() {
        let text = r#"{"alg":"ES256","kid":"k","typ":"JWT","jwk":{"kty":"oct"},"jku":"http://127.0.0.1/","x5c":[1],"x5u":2}"#;
        let header = Header::parse(text).unwrap();
        assert_eq!(header.algorithm, Algorithm::ES256);
        assert_eq!((header.key_id.as_deref(), header.typ.as_deref()), (Some("k"), Some("JWT")));
    }

    #[test]
    fn critical_and_unencoded_atk_10_m_jose_3_m_jose_4() {
        for (text, reason) in [
            (r#"{"alg":"ES256","crit":["exp"],"exp":1}"#, Malformed::Critical),
            (r#"{"alg":"ES256","crit":[]}"#, Malformed::Critical),
            (r#"{"alg":"ES256","crit":["alg"]}"#, Malformed::Critical),
            (r#"{"alg":"ES256","crit":["x","x"],"x":1}"#, Malformed::Critical),
            (r#"{"alg":"ES256","crit":["absent"]}"#, Malformed::Critical),
            (r#"{"alg":"ES256","crit":null}"#, Malformed::Critical),
            (r#"{"alg":"ES256","crit":["b64"],"b64":false}"#, Malformed::Critical),
            (r#"{"alg":"ES256","b64":false}"#, Malformed::Unencoded),
            (r#"{"alg":"ES256","b64":true}"#, Malformed::Unencoded),
            (r#"{"alg":"ES256","enc":"A128GCM"}"#, Malformed::Encrypted),
        ] {
            assert_eq!(Header::parse(text).err(), Some(reason), "{text}");
        }
    }

    #[test]
    fn wrong_types_and_algorithms_atk_01_atk_08() {
        for text in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"None"}"#,
            r#"{"alg":" none"}"#,
            r#"{"alg":""}"#,
            "{}",
            r#"{"alg":1}"#,
            r#"{"alg":["ES256"]}"#,
            r#"{"alg":null}"#,
            r#"{"alg":"es256"}"#,
            r#"{"alg":"ES256","alg":"ES256"}"#,
            r#"{"alg":"none","\u0061lg":"ES256"}"#,
            r#"{"alg":"ES256","kid":1}"#,
            r#"{"alg":"ES256","kid":null}"#,
            r#"{"alg":"ES256","typ":[]}"#,
        ] {
            assert!(Header::parse(text).is_err(), "{text}");
        }
        let long = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, "k".repeat(513));
        assert_eq!(Header::parse(&long).err(), Some(Malformed::LongKeyId));
    }
}
