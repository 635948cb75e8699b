//! What a token endpoint said, read as its contract describes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Response, StatusCode};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::contract::{TokenAt, TokenContract};
use crate::error::TokenError;
use crate::secret::Secret;
use crate::token::Token;
use crate::transport::retry_after;

/// As golang.org/x/oauth2 has it: what no signed 32-bit number of seconds can hold is not meant.
const LONGEST: Duration = Duration::from_secs(i32::MAX as u64);
/// What RFC 6749 §5.2 and RFC 8707 §2 define; any other text in an answer may be a secret.
const KNOWN_ERRORS: [&str; 7] = [
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "unauthorized_client",
    "unsupported_grant_type",
];

/// A token, and the refresh token that came with it.
pub(super) struct Answer {
    pub(super) token: Token,
    pub(super) refresh_token: Option<Secret>,
}

/// Reads an answer. `sent` is the time before the request: ages count from there.
pub(super) fn read(
    contract: &TokenContract,
    response: &Response<Bytes>,
    sent: SystemTime,
) -> Result<Answer, TokenError> {
    if !response.status().is_success() {
        return Err(refused(response, sent));
    }
    let body = Body(response.body());
    for pointer in &contract.required {
        if body.at(pointer)?.is_none() {
            return Err(unusable("an answer without a member that the contract requires"));
        }
    }
    if let Some(pointer) = &contract.token_type_at {
        let token_type = body.text_at(pointer)?;
        // RFC 6749 §7.1: a token of an unknown type is not to be used.
        if token_type.is_some_and(|own| !own.eq_ignore_ascii_case(&contract.token_type)) {
            return Err(unusable("a token of another type"));
        }
    }
    let text = match &contract.token_at {
        TokenAt::Header(name) => in_header(response.headers(), name, Some(&contract.token_type))?,
        TokenAt::HeaderBare(name) => in_header(response.headers(), name, None)?,
        TokenAt::Json(pointer) => {
            body.text_at(pointer)?.ok_or_else(|| unusable("an answer without a token"))?
        }
        TokenAt::JsonString => body.string()?,
    };
    let lifetime = lifetime(contract, &body, &text, sent)?;
    let token = Token::new(contract.scheme, text.as_str())
        .map_err(|_| unusable("a token that no header can hold"))?;
    let refresh_token = match &contract.refresh_token_at {
        Some(pointer) => body.text_at(pointer)?.filter(|text| !text.is_empty()),
        None => None,
    };
    let refresh_token = refresh_token.map(|text| Secret::from(text.as_str()));
    Ok(Answer { token: token.expiring(sent, lifetime), refresh_token })
}

/// Why there is no token. Nothing of the body is repeated but a word that is defined.
fn refused(response: &Response<Bytes>, now: SystemTime) -> TokenError {
    let status = response.status();
    let body = Body(response.body());
    let word = |pointer| body.text_at(pointer).ok().flatten();
    let said = word("/error").and_then(|own| KNOWN_ERRORS.into_iter().find(|known| *known == own.as_str()));
    let mut message = format!("the token endpoint answered {}", status.as_u16());
    if let Some(said) = said {
        message = format!("{message} ({said})");
    }
    // RFC 6749 §4.1.2.1 has the word for it; Amazon Cognito throttles with a 400 of this type.
    let busy = word("/error").is_some_and(|own| *own == "temporarily_unavailable")
        || word("/__type").is_some_and(|own| own.ends_with("TooManyRequestsException"));
    let transient = status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
        )
        || busy;
    let error = if transient { TokenError::transient(message) } else { TokenError::permanent(message) };
    match retry_after(response.headers(), now) {
        Some(after) => error.with_retry_after(after),
        None => error,
    }
}

/// The header once, with the type once, where there is one.
fn in_header(
    headers: &HeaderMap,
    name: &HeaderName,
    token_type: Option<&str>,
) -> Result<Zeroizing<String>, TokenError> {
    let mut lines = headers.get_all(name).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Err(unusable("an answer that has not exactly one header with a token"));
    };
    let line = line.to_str().map_err(|_| unusable("a token that no header can hold"))?.trim();
    let Some(token_type) = token_type else { return Ok(Zeroizing::new(line.to_owned())) };
    let (word, rest) =
        line.split_once(' ').ok_or_else(|| unusable("a header without a scheme or a token"))?;
    if !word.eq_ignore_ascii_case(token_type) {
        return Err(unusable("a token of another type"));
    }
    Ok(Zeroizing::new(rest.trim_start_matches(' ').to_owned()))
}

/// What is stated, or else what the token says of itself, or else the default; up to the ceiling.
fn lifetime(
    contract: &TokenContract,
    body: &Body<'_>,
    token: &str,
    sent: SystemTime,
) -> Result<Duration, TokenError> {
    let stated = match &contract.lifetime_at {
        Some(pointer) => body.at(pointer)?.map_or(Ok(None), stated_seconds)?,
        None => None,
    };
    let own = || jwt_expiry(token)?.duration_since(sent).ok();
    let lifetime =
        stated.or_else(own).filter(|lifetime| !lifetime.is_zero()).unwrap_or(contract.default_lifetime);
    Ok(lifetime.min(contract.max_lifetime.unwrap_or(LONGEST)).min(LONGEST))
}

/// A number or a string of one. What is no number says nothing, and neither does zero; what is negative
/// is a mistake that nobody can guess around.
fn stated_seconds(value: &RawValue) -> Result<Option<Duration>, TokenError> {
    let text = value.get().trim_matches('"').trim();
    let negative = || unusable("a negative lifetime");
    match (text.parse::<i64>(), text.parse::<f64>()) {
        (Ok(seconds), _) => {
            u64::try_from(seconds).map(|seconds| Some(Duration::from_secs(seconds))).map_err(|_| negative())
        }
        (Err(_), Ok(seconds)) if seconds < 0.0 => Err(negative()),
        // Beyond what a duration can hold is beyond the longest.
        (Err(_), Ok(seconds)) if !seconds.is_nan() => {
            Ok(Some(Duration::try_from_secs_f64(seconds.floor()).unwrap_or(LONGEST)))
        }
        _ => Ok(None),
    }
}

/// The `exp` of a token that is a JWT: read to know when to ask again, and trusted for nothing. One that
/// is over already says that a clock is wrong, ours or theirs, and nothing else.
fn jwt_expiry(token: &str) -> Option<SystemTime> {
    let mut parts = token.split('.');
    let (_, payload, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
        return None;
    };
    let payload = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload).ok()?);
    let expiry = stated_seconds(Body(&payload).at("/exp").ok()??).ok()??;
    UNIX_EPOCH.checked_add(expiry)
}

/// A body that may be JSON.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    /// The value at a pointer made of member names. `null` is the same as nothing.
    fn at(&self, pointer: &str) -> Result<Option<&'a RawValue>, TokenError> {
        let not_json = |_| unusable("what is not JSON");
        let mut value: &RawValue = serde_json::from_slice(self.0).map_err(not_json)?;
        for name in pointer.split('/').skip(1) {
            let name = name.replace("~1", "/").replace("~0", "~");
            let members: HashMap<Cow<'_, str>, &RawValue> = match serde_json::from_str(value.get()) {
                Ok(members) => members,
                // Whatever it is, it has no members.
                Err(_) => return Ok(None),
            };
            match members.get(name.as_str()).copied() {
                Some(member) => value = member,
                None => return Ok(None),
            }
        }
        Ok(Some(value).filter(|value| value.get() != "null"))
    }

    fn text_at(&self, pointer: &str) -> Result<Option<Zeroizing<String>>, TokenError> {
        let value = self.at(pointer)?;
        let text = value.map(|value| serde_json::from_str(value.get()).map(Zeroizing::new)).transpose();
        text.map_err(|_| unusable("a member that is not a string"))
    }

    fn string(&self) -> Result<Zeroizing<String>, TokenError> {
        serde_json::from_slice(self.0).map(Zeroizing::new).map_err(|_| unusable("what is not a JSON string"))
    }
}

fn unusable(what: &str) -> TokenError {
    TokenError::permanent(format!("the token endpoint gave {what}"))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use bytes::Bytes;
    use http::Response;

    use super::{Answer, TokenContract, TokenError, read};

    fn sent() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_700_000_000)
    }

    fn answer(contract: &TokenContract, body: &str) -> Result<Answer, TokenError> {
        read(contract, &Response::new(Bytes::copy_from_slice(body.as_bytes())), sent())
    }

    fn lifetime(contract: &TokenContract, body: &str) -> Result<u64, String> {
        let answer = answer(contract, body).map_err(|error| error.to_string())?;
        let expires = answer.token.expires_at().unwrap();
        Ok(expires.duration_since(sent()).unwrap().as_secs())
    }

    #[test]
    fn lifetimes_as_they_come_s3_c5() {
        let stated = |text: &str| {
            lifetime(&TokenContract::spotnana(), &format!(r#"{{"access_token":"abc","expires_in":{text}}}"#))
        };
        for (text, seconds) in [
            ("3600", 3600),
            (r#""3600""#, 3600),
            ("3600.0", 3600),
            ("3600.9", 3600),
            ("36e2", 3600),
            (r#""60.0""#, 60),
            // Nothing is said.
            ("0", 300),
            ("-0", 300),
            ("0.5", 300),
            ("null", 300),
            ("true", 300),
            (r#""soon""#, 300),
            (r#""NaN""#, 300),
            ("[]", 300),
            (r#""""#, 300),
            // Too much is said.
            ("2147483648", 2_147_483_647),
            ("9223372036854775808", 2_147_483_647),
            ("1e400", 2_147_483_647),
            (r#""inf""#, 2_147_483_647),
        ] {
            assert_eq!(stated(text), Ok(seconds), "{text}");
        }
        for text in ["-1", "-0.5", r#""-1""#, "-1e400", "-9223372036854775809"] {
            assert_eq!(stated(text), Err("the token endpoint gave a negative lifetime".into()), "{text}");
        }
        assert_eq!(stated("NaN"), Err("the token endpoint gave what is not JSON".into()));
        assert_eq!(lifetime(&TokenContract::spotnana(), r#"{"access_token":"abc"}"#), Ok(300));
    }

    #[test]
    fn the_tokens_own_expiry_s0_c3() {
        // {"exp":1700086400}, {"exp":1600000000}, {}.
        let contract = TokenContract::two_bttns();
        assert_eq!(lifetime(&contract, r#""e30.eyJleHAiOjE3MDAwODY0MDB9.c2ln""#), Ok(86_400));
        assert_eq!(lifetime(&contract, r#""e30.eyJleHAiOjE2MDAwMDAwMDB9.c2ln""#), Ok(86_400));
        assert_eq!(
            lifetime(&contract.clone().with_default_lifetime(Duration::from_secs(60)), r#""e30.e30.c2ln""#),
            Ok(60)
        );
        for odd in ["abc", "a.b.c", "a.b", "a.b.c.d", "..", "e30.W10.c2ln"] {
            assert_eq!(lifetime(&contract, &format!("{odd:?}")), Ok(86_400), "{odd}");
        }
    }

    #[test]
    fn one_json_string_and_nothing_else_s0_c2() {
        let contract = TokenContract::two_bttns();
        assert_eq!(answer(&contract, "\"abc\"").unwrap().token.expose(), "abc");
        for bad in ["abc", "{\"access_token\":\"abc\"}", "\"\"", "\"a\\nb\"", "7", "", "\"abc", "[\"abc\"]"] {
            assert!(answer(&contract, bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_response_header_s1_c2_s1_c3() {
        let read = |lines: &[&str]| {
            let mut response = Response::new(Bytes::from_static(b"whatever"));
            for line in lines {
                response.headers_mut().append("authorization", line.parse().unwrap());
            }
            read(&TokenContract::gifthub(), &response, sent()).map(|answer| answer.token.expose().to_owned())
        };
        for good in ["Bearer abc", "bearer abc", "BEARER  abc"] {
            assert_eq!(read(&[good]).unwrap(), "abc");
        }
        for bad in [
            &[][..],
            &[""],
            &["abc"],
            &["Bearer"],
            &["Bearer "],
            &["Basic abc"],
            &["Bearer Bearer abc"],
            &["Bearer a", "Bearer a"],
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_hour_at_most_s1_c4() {
        let mut response = Response::new(Bytes::new());
        response
            .headers_mut()
            .insert("authorization", "Bearer e30.eyJleHAiOjE3MDAwODY0MDB9.c2ln".parse().unwrap());
        let answer = read(&TokenContract::gifthub(), &response, sent()).unwrap();
        assert_eq!(answer.token.expires_at(), Some(sent() + Duration::from_secs(3600)));
    }

    #[test]
    fn the_type_of_the_token_s2_c3_m_6749_7() {
        let typed = |token_type: &str| {
            let body = format!(
                r#"{{"AuthenticationResult":{{"IdToken":"abc","ExpiresIn":60,"TokenType":{token_type}}}}}"#
            );
            answer(&TokenContract::botlhale(), &body).is_ok()
        };
        assert!(typed(r#""Bearer""#) && typed(r#""bEARER""#) && typed("null"));
        assert!(!typed(r#""DPoP""#) && !typed(r#""""#) && !typed("7"));
    }

    #[test]
    fn exchanged_tokens_m_8693_1() {
        let contract = TokenContract::token_exchange("urn:ietf:params:oauth:token-type:access_token");
        let issued = r#""issued_token_type":"urn:ietf:params:oauth:token-type:access_token""#;
        assert!(
            answer(&contract, &format!(r#"{{"access_token":"abc","token_type":"Bearer",{issued}}}"#)).is_ok()
        );
        assert!(answer(&contract, r#"{"access_token":"abc","token_type":"Bearer"}"#).is_err());
        assert!(
            answer(&contract, &format!(r#"{{"access_token":"abc","token_type":"N_A",{issued}}}"#)).is_err()
        );
    }

    #[test]
    fn a_new_refresh_token_s2_c2_m_6749_6() {
        let rotated = |text: &str| {
            let body = format!(
                r#"{{"AuthenticationResult":{{"AccessToken":"no","IdToken":"abc","ExpiresIn":60{text}}}}}"#
            );
            let answer = answer(&TokenContract::botlhale(), &body).unwrap();
            assert_eq!(answer.token.expose(), "abc");
            answer.refresh_token.map(|token| token.expose().to_vec())
        };
        assert_eq!(rotated(r#","RefreshToken":"new""#), Some(b"new".to_vec()));
        assert_eq!(rotated(""), None);
        assert_eq!(rotated(r#","RefreshToken":"""#), None);
        assert_eq!(rotated(r#","RefreshToken":null"#), None);
    }

    #[test]
    fn nothing_of_the_answer_is_repeated_atk_59() {
        for body in [
            r#"{"access_token":"canary\ncanary"}"#,
            r#"{"access_token":"","x":"canary"}"#,
            r#"{"access_token":7,"x":"canary"}"#,
            r#"{"access_token":"canary","token_type":"mac"}"#,
            r#"{"access_token":"canary","expires_in":-1}"#,
            r#"{"error":"canary"}"#,
            r#"["canary"]"#,
            "canary",
            "",
        ] {
            let error = answer(&TokenContract::spotnana(), body).err().unwrap();
            assert!(!format!("{error} {error:?}").contains("canary"), "{body}");
            assert!(!error.is_transient());
        }
    }

    #[test]
    fn refusals_and_outages_s0_c6_s1_c5_s3_c3() {
        let refuse = |status: u16, body: &str| {
            let mut response = Response::new(Bytes::copy_from_slice(body.as_bytes()));
            *response.status_mut() = status.try_into().unwrap();
            read(&TokenContract::spotnana(), &response, sent()).err().unwrap()
        };
        for permanent in [400, 401, 403, 404, 405, 410, 422] {
            assert!(!refuse(permanent, "").is_transient(), "{permanent}");
        }
        for transient in [408, 425, 429, 500, 502, 503, 504] {
            assert!(refuse(transient, "").is_transient(), "{transient}");
        }
        assert_eq!(
            refuse(401, r#"{"error":"invalid_client"}"#).to_string(),
            "the token endpoint answered 401 (invalid_client)"
        );
        assert_eq!(refuse(400, r#"{"error":"canary"}"#).to_string(), "the token endpoint answered 400");
        assert!(refuse(400, r#"{"__type":"TooManyRequestsException"}"#).is_transient());
        assert!(!refuse(400, r#"{"__type":"NotAuthorizedException"}"#).is_transient());
    }
}
