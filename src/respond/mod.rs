//! Refusals on the wire: HTTP with a challenge, or gRPC, in the dialect of the request.
//!
//! 1. What a kind of refusal looks like stands in one table, [`RejectionKind`](crate::RejectionKind).
//! 2. A request whose content type is gRPC's gets gRPC's form, on any path: status 200, no body, the
//!    outcome in `grpc-status` and `grpc-message`. Nothing of the request's body is read first.
//! 3. Every 400, 401 and 403 carries a challenge (RFC 6750 §3), every 429 and 503 a `Retry-After`
//!    (RFC 6585 §4, RFC 9110 §15.6.4); each says `Cache-Control: no-store`.
//! 4. A caller without a credential is told which schemes there are, and no error.
//! 5. The reason behind a refusal stays inside: the caller sees the kind and one sentence.
//!
//! # Caveat
//!
//! [`Challenge`] shows a sentence (`error_description`); an API that wants to tell even less uses
//! [`Challenge::terse`].
//!
//! # Examples
//!
//! The default, for both dialects:
//!
//! ```
//! use http::Request;
//! use tower_bearer::Rejection;
//! use tower_bearer::respond::{Challenge, Respond};
//!
//! let rejection = Rejection::invalid_token();
//! let answer = |content_type: &str| {
//!     let request = Request::builder().header("content-type", content_type).body(()).unwrap();
//!     let response: http::Response<String> = Challenge::new().respond((&request).into(), &rejection);
//!     response
//! };
//!
//! let http = answer("application/json");
//! assert_eq!(http.status(), 401);
//! assert_eq!(
//!     http.headers()["www-authenticate"],
//!     r#"Bearer realm="api", error="invalid_token", error_description="the token is not valid""#,
//! );
//!
//! let grpc = answer("application/grpc");
//! assert_eq!(grpc.status(), 200);
//! assert_eq!(grpc.headers()["grpc-status"], "16");
//! assert!(!grpc.headers().contains_key("www-authenticate"));
//! ```
//!
//! A body of your own, around the headers of the default:
//!
//! ```
//! use http::{Request, Response};
//! use tower_bearer::respond::{Challenge, Respond};
//! use tower_bearer::{Rejection, RequestHead};
//!
//! let challenge = Challenge::new().with_realm("orders")?;
//! let responder = move |request: RequestHead<'_>, rejection: &Rejection| -> Response<String> {
//!     challenge.respond(request, rejection).map(|_empty: String| format!("no: {rejection}"))
//! };
//!
//! let request = Request::new(());
//! let response = responder.respond((&request).into(), &Rejection::missing_credential());
//! assert_eq!(response.headers()["www-authenticate"], r#"Bearer realm="orders""#);
//! assert_eq!(response.body(), "no: a credential is required");
//! # Ok::<(), tower_bearer::ConfigError>(())
//! ```

mod json;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response};

use crate::credential::Scheme;
use crate::error::ConfigError;
use crate::rejection::Rejection;
use crate::request_head::RequestHead;

pub use self::json::{Message, Problem};

/// Written when a rejection does not say: long enough not to add to an outage.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(5);
/// More than one with a sentence of ours has.
const CHALLENGE_BYTES: usize = 160;
/// RFC 6750 §3 wants at least one parameter in each challenge.
const DEFAULT_REALM: &str = "api";

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Turns a refusal into a response.
///
/// [`Challenge`] is the default; [`Message`] and [`Problem`] have a JSON body; any
/// `Fn(RequestHead<'_>, &Rejection) -> Response<B>` does as well. The layers put the [`Rejection`]
/// into the response's extensions themselves, so a responder cannot lose it.
pub trait Respond<B> {
    /// Writes the response. The request's body is not to be had.
    fn respond(&self, request: RequestHead<'_>, rejection: &Rejection) -> Response<B>;
}

impl<B, F> Respond<B> for F
where
    F: Fn(RequestHead<'_>, &Rejection) -> Response<B>,
{
    fn respond(&self, request: RequestHead<'_>, rejection: &Rejection) -> Response<B> {
        self(request, rejection)
    }
}

/// The response that a layer gives: the responder's, with the rejection in its extensions.
pub(crate) fn refuse<B>(
    responder: &impl Respond<B>,
    request: RequestHead<'_>,
    rejection: Rejection,
) -> Response<B> {
    #[cfg(feature = "tracing")]
    {
        let reason = std::error::Error::source(&rejection).map(tracing::field::display);
        tracing::debug!(kind = rejection.kind().name(), reason, "request refused");
    }
    let mut response = responder.respond(request, &rejection);
    response.extensions_mut().insert(rejection);
    response
}

/// The default responder: headers only, an empty body.
#[derive(Clone, Debug)]
#[must_use]
pub struct Challenge {
    realm: Arc<str>,
    resource_metadata: Option<Arc<str>>,
    terse: bool,
}

impl Default for Challenge {
    fn default() -> Self {
        Self { realm: DEFAULT_REALM.into(), resource_metadata: None, terse: false }
    }
}

impl Challenge {
    /// Realm `api`, with a sentence.
    pub fn new() -> Self {
        Self::default()
    }

    /// The realm (RFC 9110 §11.5); quotes and backslashes in it are escaped.
    ///
    /// # Errors
    ///
    /// When it has a control character, which no header can hold.
    pub fn with_realm(mut self, realm: &str) -> Result<Self, ConfigError> {
        self.realm = printable("realm", realm)?;
        Ok(self)
    }

    /// The URL of this API's protected resource metadata, sent as `resource_metadata` (RFC 9728 §5.1).
    ///
    /// # Errors
    ///
    /// When it has a control character, which no header can hold.
    pub fn with_resource_metadata(mut self, url: &str) -> Result<Self, ConfigError> {
        self.resource_metadata = Some(printable("resource_metadata", url)?);
        Ok(self)
    }

    /// Leaves out `error_description`, and gRPC's message but for the kind.
    pub fn terse(mut self) -> Self {
        self.terse = true;
        self
    }

    fn write_http<B>(&self, rejection: &Rejection, body: B) -> Response<B> {
        let kind = rejection.kind();
        let mut response = Response::new(body);
        *response.status_mut() = kind.status();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if kind.is_temporary() {
            headers.insert(RETRY_AFTER, whole_seconds(rejection.retry_after()).into());
        } else {
            for scheme in rejection.challenges() {
                // What goes in is printable, so this holds; a challenge that failed is better left out.
                if let Ok(value) = HeaderValue::try_from(self.challenge(scheme, rejection)) {
                    headers.append(WWW_AUTHENTICATE, value);
                }
            }
        }
        response
    }

    fn challenge(&self, scheme: Scheme, rejection: &Rejection) -> String {
        // Refusing must cost less than asking, so nothing is formatted that is a text already.
        let mut challenge = String::with_capacity(CHALLENGE_BYTES);
        challenge.push_str(scheme.name());
        challenge.push_str(" realm=");
        push_quoted(&mut challenge, &self.realm);
        if let Some(scopes) = rejection.scopes().filter(|scopes| !scopes.is_empty()) {
            let _ = write!(challenge, ", scope=\"{scopes}\"");
        }
        if let Some(error) = rejection.kind().error_code() {
            push_all(&mut challenge, [", error=\"", error, "\""]);
            if !self.terse {
                let description = describable(rejection.description());
                push_all(&mut challenge, [", error_description=\"", &description, "\""]);
            }
        }
        if let Some(url) = &self.resource_metadata {
            challenge.push_str(", resource_metadata=");
            push_quoted(&mut challenge, url);
        }
        challenge
    }

    fn write_grpc<B>(&self, content_type: &'static str, rejection: &Rejection, body: B) -> Response<B> {
        let kind = rejection.kind();
        let message = if self.terse { kind.name() } else { rejection.description() };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(GRPC_STATUS, u16::from(kind.grpc_status()).into());
        if let Ok(message) = HeaderValue::from_str(&percent_encoded(message)) {
            headers.insert(GRPC_MESSAGE, message);
        }
        response
    }
}

impl<B: Default> Respond<B> for Challenge {
    fn respond(&self, request: RequestHead<'_>, rejection: &Rejection) -> Response<B> {
        match Dialect::of(request) {
            Dialect::Grpc(content_type) => self.write_grpc(content_type, rejection, B::default()),
            Dialect::Http => self.write_http(rejection, B::default()),
        }
    }
}

enum Dialect {
    /// With the content type to answer with.
    Grpc(&'static str),
    Http,
}

impl Dialect {
    /// By the request's content type: `application/grpc`, `application/grpc-web` or
    /// `application/grpc-web-text`, alone or with a `+format` or a parameter behind it.
    fn of(request: RequestHead<'_>) -> Self {
        let Some(value) = request.headers.get(CONTENT_TYPE) else { return Self::Http };
        let media_type = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let essence = media_type.split(|byte| *byte == b'+').next().unwrap_or_default();
        ["application/grpc", "application/grpc-web", "application/grpc-web-text"]
            .into_iter()
            .find(|name| essence.eq_ignore_ascii_case(name.as_bytes()))
            .map_or(Self::Http, Self::Grpc)
    }
}

fn printable(field: &'static str, text: &str) -> Result<Arc<str>, ConfigError> {
    if text.chars().any(char::is_control) {
        return Err(ConfigError::new(field, "expected text without control characters"));
    }
    Ok(text.into())
}

/// RFC 9110 §5.6.4.
fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    for part in text.split_inclusive(['"', '\\']) {
        match part.strip_suffix(['"', '\\']) {
            Some(plain) => push_all(out, [plain, "\\", &part[plain.len()..]]),
            None => out.push_str(part),
        }
    }
    out.push('"');
}

fn push_all<const N: usize>(out: &mut String, parts: [&str; N]) {
    parts.into_iter().for_each(|part| out.push_str(part));
}

/// RFC 6750 §3: `%x20-21 / %x23-5B / %x5D-7E`.
fn describable(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'!' | b'#'..=b'[' | b']'..=b'~')) {
        return Cow::Borrowed(text);
    }
    let shown = |char| if matches!(char, ' '..='!' | '#'..='[' | ']'..='~') { char } else { '?' };
    text.chars().map(shown).collect()
}

/// The encoding of `grpc-message`: what is not printable ASCII, and `%` itself.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// `Retry-After` has no fractions: rounded up, and at least one second.
fn whole_seconds(after: Option<Duration>) -> u64 {
    let after = after.unwrap_or(DEFAULT_RETRY_AFTER);
    after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderValue, Request, Response};

    use super::{Challenge, Respond, describable, percent_encoded, whole_seconds};
    use crate::rejection::Rejection;
    use crate::scope::Scopes;

    fn answer(challenge: &Challenge, content_type: Option<&str>, rejection: &Rejection) -> Response<String> {
        let mut request = Request::new(());
        if let Some(content_type) = content_type {
            request.headers_mut().insert("content-type", HeaderValue::from_str(content_type).unwrap());
        }
        challenge.respond((&request).into(), rejection)
    }

    #[test]
    fn a_challenge_for_each_kind_m_6750_4_m_6750_5_m_6750_6() {
        let required = Scopes::parse("read write").unwrap();
        for (rejection, status, challenge) in [
            (Rejection::missing_credential(), 401, r#"Bearer realm="api""#),
            (Rejection::unsupported_scheme(), 401, r#"Bearer realm="api""#),
            (
                Rejection::invalid_token(),
                401,
                r#"Bearer realm="api", error="invalid_token", error_description="the token is not valid""#,
            ),
            (
                Rejection::malformed_credential(),
                400,
                r#"Bearer realm="api", error="invalid_request", error_description="the credential is malformed""#,
            ),
            (
                Rejection::insufficient_scope(required),
                403,
                r#"Bearer realm="api", scope="read write", error="insufficient_scope", error_description="the token lacks a required scope""#,
            ),
            (
                Rejection::forbidden(),
                403,
                r#"Bearer realm="api", error="insufficient_scope", error_description="the caller may not make this request""#,
            ),
        ] {
            let response = answer(&Challenge::new(), None, &rejection);
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()["www-authenticate"], challenge);
            assert_eq!(response.headers()["cache-control"], "no-store");
            assert!(response.body().is_empty());
        }
    }

    #[test]
    fn an_outage_is_no_challenge_atk_43() {
        let rejection = Rejection::unavailable().with_retry_after(Duration::from_millis(1500));
        let response = answer(&Challenge::new(), None, &rejection);
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "2");
        assert!(!response.headers().contains_key("www-authenticate"));
        assert_eq!(
            answer(&Challenge::new(), Some("application/grpc"), &rejection).headers()["grpc-status"],
            "14"
        );
    }

    #[test]
    fn too_many_failures_are_no_challenge_m_grpc_1() {
        let rejection = Rejection::too_many_failures().with_retry_after(Duration::from_millis(1500));
        let response = answer(&Challenge::new(), None, &rejection);
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "2");
        assert!(!response.headers().contains_key("www-authenticate"));
        let grpc = answer(&Challenge::new(), Some("application/grpc"), &rejection);
        assert_eq!(grpc.headers()["grpc-status"], "8");
        assert_eq!(grpc.headers()["grpc-message"], "too many failed attempts");
    }

    #[test]
    fn the_dialect_is_the_requests_m_grpc_2_m_grpc_6() {
        for (content_type, expected) in [
            ("application/grpc", "application/grpc"),
            ("application/grpc+proto", "application/grpc"),
            ("Application/GRPC; charset=utf-8", "application/grpc"),
            ("application/grpc-web", "application/grpc-web"),
            ("application/grpc-web+proto", "application/grpc-web"),
            ("application/grpc-web-text", "application/grpc-web-text"),
        ] {
            let response = answer(&Challenge::new(), Some(content_type), &Rejection::missing_credential());
            assert_eq!(response.status(), 200, "{content_type}");
            assert_eq!(response.headers()["content-type"], expected);
            assert_eq!(response.headers()["grpc-status"], "16");
            assert_eq!(response.headers()["grpc-message"], "a credential is required");
        }
        for content_type in
            ["application/json", "application/grpcx", "text/grpc", "application/grpc-webx", ""]
        {
            let response = answer(&Challenge::new(), Some(content_type), &Rejection::missing_credential());
            assert_eq!(response.status(), 401, "{content_type:?}");
        }
    }

    #[test]
    fn nothing_breaks_out_of_a_header_m_9110_4() {
        let challenge = Challenge::new().with_realm("a\"b\\c").unwrap();
        let rejection = Rejection::invalid_token().with_description("x\"y\\z\r\nSet-Cookie: a=b\u{e9}");
        let response = answer(&challenge, None, &rejection);
        assert_eq!(
            response.headers()["www-authenticate"],
            r#"Bearer realm="a\"b\\c", error="invalid_token", error_description="x?y?z??Set-Cookie: a=b?""#
        );
        assert!(Challenge::new().with_realm("a\r\nb").is_err());
        assert!(Challenge::new().with_resource_metadata("a\0").is_err());
        assert_eq!(describable("a\"b"), "a?b");
        assert_eq!(percent_encoded("100% \u{e9}\n"), "100%25 %C3%A9%0A");
    }

    #[test]
    fn resource_metadata_m_9728_2() {
        let challenge = Challenge::new().terse().with_resource_metadata("https://api.example/meta").unwrap();
        let response = answer(&challenge, None, &Rejection::invalid_token());
        assert_eq!(
            response.headers()["www-authenticate"],
            r#"Bearer realm="api", error="invalid_token", resource_metadata="https://api.example/meta""#
        );
    }

    #[test]
    fn retry_after_is_whole_seconds_m_9110_6() {
        assert_eq!(whole_seconds(None), 5);
        assert_eq!(whole_seconds(Some(Duration::ZERO)), 1);
        assert_eq!(whole_seconds(Some(Duration::from_millis(10_001))), 11);
        assert_eq!(whole_seconds(Some(Duration::MAX)), u64::MAX);
    }
}
