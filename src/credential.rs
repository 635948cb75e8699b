//! What a request presented, read from its `Authorization` header.

use std::borrow::Cow;
use std::fmt;

use http::header::{AUTHORIZATION, CONNECTION, Entry};
use http::{Extensions, HeaderMap, HeaderValue};

use crate::rejection::Rejection;

/// The authentication scheme of a credential.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Scheme {
    /// `Authorization: Bearer …` (RFC 6750)
    Bearer,
    /// `Authorization: Token …`, the usual scheme of personal access tokens
    Token,
}

impl Scheme {
    const ALL: [Self; 2] = [Self::Bearer, Self::Token];

    /// The scheme's name as challenges write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::Token => "Token",
        }
    }

    /// What stands behind this scheme's name and one or more spaces, if that begins the line.
    fn token_in(self, line: &[u8]) -> Option<(Self, &[u8])> {
        let (name, mut rest) = line.split_at_checked(self.name().len())?;
        // As most write it, or in another case.
        let own = self.name().as_bytes();
        if !(name == own || name.eq_ignore_ascii_case(own)) || rest.first() != Some(&b' ') {
            return None;
        }
        while let [b' ', behind @ ..] = rest {
            rest = behind;
        }
        (!rest.is_empty()).then_some((self, rest))
    }

    fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| name.eq_ignore_ascii_case(scheme.name().as_bytes()))
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of schemes, as small as one byte.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct SchemeSet(u8);

impl SchemeSet {
    pub(crate) const BEARER: Self = Self(1 << Scheme::Bearer as u8);

    pub(crate) const fn contains(self, scheme: Scheme) -> bool {
        self.0 & (1 << scheme as u8) != 0
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Scheme> {
        Scheme::ALL.into_iter().filter(move |scheme| self.contains(*scheme))
    }
}

/// Left in the extensions of a request that went through an optional layer without a credential: what
/// a later refusal may offer. Nothing outside of the crate can make one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Anonymous {
    pub(crate) offered: SchemeSet,
}

impl Anonymous {
    /// The refusal of a request that has no identity.
    pub(crate) fn rejection(extensions: &Extensions) -> Rejection {
        let rejection = Rejection::missing_credential();
        match extensions.get::<Self>() {
            Some(anonymous) => rejection.offering(anonymous.offered),
            None => rejection.with_source("no AuthenticateLayer ran before"),
        }
    }
}

impl FromIterator<Scheme> for SchemeSet {
    fn from_iter<I: IntoIterator<Item = Scheme>>(schemes: I) -> Self {
        Self(schemes.into_iter().fold(0, |set, scheme| set | (1 << scheme as u8)))
    }
}

/// A scheme and a token, usually borrowed from the request.
///
/// The token is one or more of the characters of `b64token` (RFC 6750 §2.1, the `token68` of RFC 9110
/// §11.2). `Debug` shows the scheme only.
///
/// ```
/// use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
/// use tower_bearer::{Credential, Scheme};
///
/// let mut headers = HeaderMap::new();
/// assert!(Credential::from_headers(&headers)?.is_none());
///
/// headers.insert(AUTHORIZATION, HeaderValue::from_static("bearer mF_9.B5f-4.1JqM"));
/// let credential = Credential::from_headers(&headers)?.expect("one was presented");
/// assert_eq!(credential.scheme(), Scheme::Bearer);
/// assert_eq!(credential.expose(), "mF_9.B5f-4.1JqM");
///
/// headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer another"));
/// assert!(Credential::from_headers(&headers).is_err());
/// # Ok::<(), tower_bearer::Rejection>(())
/// ```
#[derive(Clone)]
pub struct Credential<'a> {
    scheme: Scheme,
    token: Cow<'a, str>,
}

/// What stands in the header, not yet known to be a token.
#[derive(Clone, Copy)]
pub(crate) struct Presented<'a> {
    pub(crate) scheme: Scheme,
    pub(crate) token: &'a [u8],
}

impl<'a> Credential<'a> {
    /// Reads the credential of a request. Three answers: one, none, or a refusal.
    ///
    /// The scheme's name is compared without case (RFC 9110 §11.1) and followed by one or more
    /// spaces, then the token, then nothing.
    ///
    /// # Errors
    ///
    /// - [`MalformedCredential`](crate::RejectionKind::MalformedCredential): more than one
    ///   `Authorization` line, since the field is not a list (RFC 9110 §5.3); two credentials joined
    ///   by a comma; a `Connection` header that names `Authorization`, which some proxies would have
    ///   dropped (RFC 9110 §7.6.1); no scheme; `Bearer` or `Token` with anything but one token
    ///   behind it.
    /// - [`UnsupportedScheme`](crate::RejectionKind::UnsupportedScheme): any other scheme.
    pub fn from_headers(headers: &'a HeaderMap) -> Result<Option<Self>, Rejection> {
        let presented = Presented::from_headers(headers)?;
        presented.map(|presented| Self::from_bytes(presented.scheme, presented.token)).transpose()
    }

    /// A credential that did not come from a header. The token is taken as it is.
    pub fn new(scheme: Scheme, token: impl Into<Cow<'a, str>>) -> Self {
        Self { scheme, token: token.into() }
    }

    /// What stands behind the scheme's name in a header.
    ///
    /// # Errors
    ///
    /// [`MalformedCredential`](crate::RejectionKind::MalformedCredential) when it does not have the form of a
    /// token.
    pub fn from_bytes(scheme: Scheme, token: &'a [u8]) -> Result<Self, Rejection> {
        match text_of(token) {
            Some(text) if is_token68(token) => Ok(Self { scheme, token: Cow::Borrowed(text) }),
            _ => Err(malformed("the token has a character that tokens cannot have")),
        }
    }

    /// Why these bytes are refused: what is wrong with their form, or else this.
    pub(crate) fn refusal_of(scheme: Scheme, token: &[u8], otherwise: Rejection) -> Rejection {
        Credential::from_bytes(scheme, token).err().unwrap_or(otherwise)
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The token itself.
    pub fn expose(&self) -> &str {
        &self.token
    }

    /// The same credential, with a token of its own.
    pub fn into_owned(self) -> Credential<'static> {
        Credential { scheme: self.scheme, token: Cow::Owned(self.token.into_owned()) }
    }
}

impl<'a> Presented<'a> {
    /// See [`Credential::from_headers`]; all but the form of the token is judged.
    pub(crate) fn from_headers(headers: &'a HeaderMap) -> Result<Option<Self>, Rejection> {
        let Some(line) = headers.get(AUTHORIZATION) else { return Ok(None) };
        check_lines(headers)?;
        Self::parse(line.as_bytes()).map(Some)
    }

    /// The same, and the value is marked sensitive.
    pub(crate) fn from_headers_mut(headers: &'a mut HeaderMap) -> Result<Option<Self>, Rejection> {
        let checked = check_lines(headers);
        let Some(line) = mark_sensitive(headers) else { return Ok(None) };
        checked?;
        Self::parse(line.as_bytes()).map(Some)
    }

    fn parse(line: &'a [u8]) -> Result<Self, Rejection> {
        if let Some((scheme, token)) = Scheme::ALL.into_iter().find_map(|scheme| scheme.token_in(line)) {
            return Ok(Self { scheme, token });
        }
        let name_len = line.iter().take_while(|byte| is_tchar(**byte)).count();
        let (name, rest) = line.split_at(name_len);
        if name.is_empty() || !matches!(rest.first(), None | Some(b' ')) {
            return Err(malformed("the Authorization header has no scheme"));
        }
        // Spaces alone: a tab is no part of `1*SP`.
        let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
        let token = &rest[spaces..];
        match Scheme::from_name(name) {
            None if names_another_credential(rest) => Err(malformed("two credentials in one header")),
            None => Err(Rejection::unsupported_scheme()),
            Some(_) if token.is_empty() => Err(malformed("the token is missing")),
            Some(scheme) => Ok(Self { scheme, token }),
        }
    }
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// Marks each `Authorization` line sensitive; gives the first.
pub(crate) fn mark_sensitive(headers: &mut HeaderMap) -> Option<&HeaderValue> {
    if has_several(headers)
        && let Entry::Occupied(mut entry) = headers.entry(AUTHORIZATION)
    {
        entry.iter_mut().for_each(|value| value.set_sensitive(true));
    }
    let first = headers.get_mut(AUTHORIZATION)?;
    first.set_sensitive(true);
    Some(first)
}

/// What is refused of any `Authorization`, whatever it says.
fn check_lines(headers: &HeaderMap) -> Result<(), Rejection> {
    if has_several(headers) && headers.get_all(AUTHORIZATION).iter().nth(1).is_some() {
        return Err(malformed("more than one Authorization header"));
    }
    if headers.keys_len() > 1 && headers.contains_key(CONNECTION) && is_hop_by_hop(headers) {
        return Err(malformed("the Connection header names Authorization"));
    }
    Ok(())
}

/// Only where some name has several lines may a given one have.
fn has_several(headers: &HeaderMap) -> bool {
    headers.len() > headers.keys_len()
}

fn malformed(description: &'static str) -> Rejection {
    Rejection::malformed_credential().with_description(description)
}

#[cfg(feature = "jwt")]
fn text_of(token: &[u8]) -> Option<&str> {
    simdutf8::basic::from_utf8(token).ok()
}

#[cfg(not(feature = "jwt"))]
fn text_of(token: &[u8]) -> Option<&str> {
    std::str::from_utf8(token).ok()
}

/// RFC 9110 §7.6.1: a field that `Connection` names belongs to one hop only.
fn is_hop_by_hop(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .any(|option| option.trim_ascii().eq_ignore_ascii_case(AUTHORIZATION.as_str().as_bytes()))
}

/// True if, behind a comma, another of our credentials begins: two lines that somebody joined.
fn names_another_credential(rest: &[u8]) -> bool {
    rest.split(|byte| *byte == b',').skip(1).any(|part| {
        let part = part.trim_ascii_start();
        let end = part.iter().position(|byte| *byte == b' ').unwrap_or(part.len());
        Scheme::from_name(&part[..end]).is_some()
    })
}

/// RFC 9110 §5.6.2.
const fn is_tchar(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'^'..=b'z' | b'|' | b'~'
    )
}

/// RFC 9110 §11.2: `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`.
fn is_token68(token: &[u8]) -> bool {
    let padding = token.iter().rev().take_while(|byte| **byte == b'=').count();
    let body = &token[..token.len() - padding];
    // Without a branch for each byte, so that many are looked at in one step.
    let other = body.iter().fold(0, |other, &byte| {
        let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        // `+ , - . /` and the digits follow each other.
        let digit = (byte.wrapping_sub(b'+') < 15) & (byte != b',');
        other | u8::from(!(letter | digit | (byte == b'_') | (byte == b'~')))
    });
    !body.is_empty() && other == 0
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::{Credential, Scheme};
    use crate::rejection::RejectionKind::{self, MalformedCredential, UnsupportedScheme};

    fn read(value: &[u8]) -> Result<(Scheme, String), RejectionKind> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        Credential::from_headers(&headers)
            .map(|credential| credential.unwrap())
            .map(|credential| (credential.scheme(), credential.expose().to_owned()))
            .map_err(|rejection| rejection.kind())
    }

    #[test]
    fn scheme_spelling_and_spaces_atk_28_m_9110_1() {
        for good in ["Bearer abc", "bearer abc", "BEARER abc", "bEaReR   abc"] {
            assert_eq!(read(good.as_bytes()), Ok((Scheme::Bearer, "abc".into())), "{good:?}");
        }
        assert_eq!(read(b"tOKEN nbp_1"), Ok((Scheme::Token, "nbp_1".into())));
    }

    #[test]
    fn the_whole_alphabet_of_a_token_m_6750_1() {
        let token = "azAZ09-._~+/==";
        assert_eq!(read(format!("Bearer {token}").as_bytes()), Ok((Scheme::Bearer, token.into())));
    }

    #[test]
    fn malformed_atk_28_atk_29() {
        for bad in [
            b"".as_slice(),
            b"Bearer",
            b"Bearer ",
            b"Bearer\tabc",
            b"Bearer \tabc",
            b"Bearer abc def",
            b"Bearer abc ",
            b"Bearer abc,",
            b"Bearer =abc",
            b"Bearer a=b",
            b"Bearer =",
            b"Bearer \"abc\"",
            b"Bearer token=abc",
            b"Bearer {\"a\":1}",
            b"Bearer abc%20",
            b"Bearer \xc3\xa9",
            b"Bearer\xa0abc",
            b"Bearer: abc",
            b" ",
            b"\"Bearer\" abc",
            b"Bearer abc, Bearer def",
            b"Bearer abc, Basic ZGVm",
            b"Basic YWJj, Bearer def",
            b"Basic YWJj,token def",
            b"@ abc",
        ] {
            assert_eq!(read(bad), Err(MalformedCredential), "{:?}", bad.escape_ascii().to_string());
        }
    }

    #[test]
    fn other_schemes_are_not_malformed() {
        for other in [
            "Basic YWJj",
            "Negotiate",
            "Digest username=\"a\", realm=\"b\"",
            "Bearerabc",
            "eyJhbGciOiJub25lIn0.e30.",
            "DPoP abc",
        ] {
            assert_eq!(read(other.as_bytes()), Err(UnsupportedScheme), "{other:?}");
        }
    }

    #[test]
    fn one_line_only_atk_27_m_9110_3() {
        for second in ["Bearer abc", "Bearer def", "Basic YWJj"] {
            let mut headers = HeaderMap::new();
            headers.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer abc"));
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(second).unwrap());
            let rejection = Credential::from_headers(&headers).unwrap_err();
            assert_eq!(rejection.kind(), MalformedCredential);
        }
    }

    #[test]
    fn hop_by_hop_authorization_atk_30() {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer abc"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("keep-alive"));
        assert!(Credential::from_headers(&headers).is_ok());
        headers.append(header::CONNECTION, HeaderValue::from_static("close, AUTHORIZATION"));
        assert_eq!(Credential::from_headers(&headers).unwrap_err().kind(), MalformedCredential);
    }

    #[test]
    fn debug_shows_the_scheme_only_atk_47() {
        let credential = Credential::new(Scheme::Bearer, "canary");
        assert!(!format!("{credential:?}").contains("canary"));
    }
}
