//! Reading the challenges of an answer (RFC 9110 §11.6.1): why a server refused, and what it wants.
//!
//! 1. A header may stand on several lines, and a line may have several challenges; commas inside of quotes
//!    separate nothing.
//! 2. Names of schemes and parameters are compared without case. A challenge that has a parameter twice says
//!    nothing that could be relied on, and is left out.
//! 3. What cannot be read ends its line; what was read before it stays.
//!
//! # Caveat
//!
//! A challenge comes from the server, or from whoever speaks in its place. Follow no URL in it without a
//! list of your own.
//!
//! # Examples
//!
//! ```
//! use http::{HeaderMap, HeaderValue, header::WWW_AUTHENTICATE};
//! use tower_bearer::challenge::Received;
//!
//! let mut headers = HeaderMap::new();
//! let line = r#"Bearer realm="a, b", error="insufficient_scope", scope="orders:write", Basic realm="c""#;
//! headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(line));
//!
//! let challenges = Received::from_headers(&headers);
//! assert_eq!(challenges.len(), 2);
//! let bearer = challenges.iter().find(|challenge| challenge.is("bearer")).expect("it is the first");
//! assert_eq!(bearer.param("realm"), Some("a, b"));
//! assert_eq!(bearer.error(), Some("insufficient_scope"));
//! assert!(bearer.scopes().is_some_and(|scopes| scopes.contains("orders:write")));
//! assert!(challenges[1].error().is_none());
//! ```
//!
//! What other documents put there:
//!
//! ```
//! use http::{HeaderMap, HeaderValue, header::WWW_AUTHENTICATE};
//! use tower_bearer::challenge::Received;
//!
//! let mut headers = HeaderMap::new();
//! headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(r#"DPoP algs="ES256", error="use_dpop_nonce""#));
//! let metadata = r#"Bearer resource_metadata="https://api.example/.well-known/oauth-protected-resource""#;
//! headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(metadata));
//!
//! let challenges = Received::from_headers(&headers);
//! assert!(challenges[0].is("DPoP") && challenges[0].error() == Some("use_dpop_nonce"));
//! assert!(challenges[1].param("resource_metadata").is_some_and(|url| url.starts_with("https://api.example/")));
//! assert_eq!(challenges[1].param("realm"), None);
//! ```

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

use crate::scope::Scopes;

/// A challenge that a server sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Received {
    scheme: String,
    token68: Option<String>,
    params: Vec<(String, String)>,
}

impl Received {
    /// All challenges of an answer, in their order.
    pub fn from_headers(headers: &HeaderMap) -> Vec<Self> {
        let lines = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|line| line.to_str().ok());
        lines.flat_map(|line| Line { rest: line }.challenges()).collect()
    }

    /// The name of the scheme, as it was sent.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// True if this is the scheme.
    pub fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// The value of a parameter, without its quotes.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// What stands in place of parameters, in schemes that have a single value.
    pub fn token68(&self) -> Option<&str> {
        self.token68.as_deref()
    }

    /// Why the request was refused: `invalid_token`, `insufficient_scope`, `use_dpop_nonce` and others.
    pub fn error(&self) -> Option<&str> {
        self.param("error")
    }

    /// The scopes that the request would have needed.
    pub fn scopes(&self) -> Option<Scopes> {
        Scopes::parse(self.param("scope")?).ok()
    }

    fn is_ambiguous(&self) -> bool {
        let twice = |(index, (name, _)): (usize, &(String, String))| {
            self.params[..index].iter().any(|(own, _)| own.eq_ignore_ascii_case(name))
        };
        self.params.iter().enumerate().any(twice)
    }
}

/// What is left of a line.
#[derive(Clone, Copy)]
struct Line<'a> {
    rest: &'a str,
}

impl Line<'_> {
    fn challenges(mut self) -> Vec<Received> {
        let mut challenges = Vec::new();
        while let Some(challenge) = self.challenge() {
            challenges.push(challenge);
        }
        challenges.retain(|challenge| !challenge.is_ambiguous());
        challenges
    }

    fn challenge(&mut self) -> Option<Received> {
        self.skip(&[' ', '\t', ',']);
        let scheme = self.token()?.to_owned();
        let mut challenge = Received { scheme, token68: None, params: Vec::new() };
        if self.skip(&[' ']) == 0 {
            return self.ends().then_some(challenge);
        }
        if let Some(token68) = self.token68() {
            challenge.token68 = Some(token68);
            return Some(challenge);
        }
        // A parameter has a `=`; what has none is the next challenge.
        while let Some((param, after)) = self.param() {
            challenge.params.push(param);
            *self = after;
            self.skip(&[' ', '\t']);
            if !self.ends() {
                // It stands in the way of whatever comes after it, but not of what came before.
                self.rest = "";
            }
            let mut next = *self;
            next.skip(&[' ', '\t', ',']);
            if next.param().is_some() {
                *self = next;
            } else {
                break;
            }
        }
        Some(challenge)
    }

    /// A parameter at the front, and the line after it.
    fn param(self) -> Option<((String, String), Self)> {
        let mut line = self;
        let name = line.token()?.to_owned();
        line.skip(&[' ', '\t']);
        line.rest = line.rest.strip_prefix('=')?;
        line.skip(&[' ', '\t']);
        let value = match line.rest.strip_prefix('"') {
            Some(quoted) => {
                line.rest = quoted;
                line.quoted()?
            }
            None => line.token()?.to_owned(),
        };
        Some(((name, value), line))
    }

    /// The rest of a quoted string, its first quote taken.
    fn quoted(&mut self) -> Option<String> {
        let mut value = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, char)) = chars.next() {
            match char {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Some(value);
                }
                '\\' => value.push(chars.next()?.1),
                _ => value.push(char),
            }
        }
        None
    }

    /// RFC 9110 §11.2, if it is all there is up to a comma or the end.
    fn token68(&mut self) -> Option<String> {
        let is_in = |char: char| char.is_ascii_alphanumeric() || "-._~+/".contains(char);
        let body = self.rest.len() - self.rest.trim_start_matches(is_in).len();
        let padding = self.rest[body..].len() - self.rest[body..].trim_start_matches('=').len();
        let (token, rest) = self.rest.split_at(body + padding);
        let after = Line { rest: rest.trim_start_matches([' ', '\t']) };
        if body == 0 || !after.ends() {
            return None;
        }
        self.rest = after.rest;
        Some(token.to_owned())
    }

    fn token(&mut self) -> Option<&str> {
        let is_in = |char: char| char.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(char);
        let (token, rest) = self.rest.split_at(self.rest.len() - self.rest.trim_start_matches(is_in).len());
        self.rest = rest;
        Some(token).filter(|token| !token.is_empty())
    }

    fn ends(&self) -> bool {
        self.rest.is_empty() || self.rest.starts_with(',')
    }

    fn skip(&mut self, chars: &[char]) -> usize {
        let before = self.rest.len();
        self.rest = self.rest.trim_start_matches(chars);
        before - self.rest.len()
    }
}

#[cfg(test)]
mod tests {
    use http::header::WWW_AUTHENTICATE;
    use http::{HeaderMap, HeaderValue};
    use proptest::prelude::*;

    use super::Received;

    fn read(line: &str) -> Vec<String> {
        let mut headers = HeaderMap::new();
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_str(line).unwrap());
        let show = |challenge: Received| {
            let params = challenge.params.iter().map(|(name, value)| format!(" {name}={value}"));
            let token68 = challenge.token68.iter().map(|token| format!(" <{token}>"));
            challenge.scheme.clone() + &params.chain(token68).collect::<String>()
        };
        Received::from_headers(&headers).into_iter().map(show).collect()
    }

    #[test]
    fn several_on_one_line_m_9110_5() {
        assert_eq!(
            read(r#"Newauth realm="apps", type=1, title="Login to \"apps\"", Basic realm="simple""#),
            [r#"Newauth realm=apps type=1 title=Login to "apps""#, "Basic realm=simple"]
        );
        assert_eq!(read("Bearer, Basic realm=a,Negotiate"), ["Bearer", "Basic realm=a", "Negotiate"]);
        assert_eq!(read("Negotiate YWJj==, Bearer a=b"), ["Negotiate <YWJj==>", "Bearer a=b"]);
        assert_eq!(read(r#", ,Bearer  a = "x, Basic realm=y" ,, b=c ,"#), ["Bearer a=x, Basic realm=y b=c"]);
    }

    #[test]
    fn what_cannot_be_read_ends_the_line() {
        assert_eq!(read(r#"Bearer a="b, c"#), ["Bearer"]);
        assert_eq!(read(r#"Basic realm="a", Bearer x="y" z"#), ["Basic realm=a", "Bearer x=y"]);
        assert_eq!(read("Bearer realm=a b=c, Basic realm=d"), ["Bearer realm=a"]);
        assert!(read("").is_empty() && read("\"x\"").is_empty() && read("=").is_empty());
    }

    #[test]
    fn a_parameter_twice_m_9110_4() {
        assert_eq!(read(r#"Bearer error="a", ERROR="b", Basic realm=c"#), ["Basic realm=c"]);
    }

    proptest! {
        #[test]
        fn any_line_ends_m_x_1(line in "[ -~]{0,80}") {
            read(&line);
        }

        #[test]
        fn quotes_hold_anything(value in "[ -~]{0,20}", next in "[A-Za-z]{1,8}") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            let read = read(&format!("Bearer a=\"{quoted}\", {next} b=c"));
            prop_assert_eq!(read, [format!("Bearer a={value}"), format!("{next} b=c")]);
        }
    }
}
