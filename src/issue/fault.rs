//! Why an endpoint refuses, and what that looks like to each kind of system.

use bytes::Bytes;
use http::header::{ALLOW, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use super::http::{json as answer, retry_soon};
use crate::contract::ErrorForm;
use crate::error::{BoxError, ConfigError};
use crate::rejection::Rejection;

/// RFC 6749 §5.2 wants a scheme that matches what the client used; Basic is the one that every client has.
const CHALLENGE: &str = "Basic realm=\"token\", charset=\"UTF-8\"";

#[derive(Debug)]
pub(super) enum Fault {
    /// Unknown client, wrong secret, no proof at all: one answer.
    Client,
    /// A refresh token that is unknown, used, expired, revoked, or somebody else's: one answer.
    Grant,
    GrantType,
    /// A lifetime that is none, or too long.
    Lifetime(&'static str),
    Method(&'static str),
    /// A parameter that is missing, empty or there twice.
    Parameter(String),
    Request(&'static str),
    Scope,
    TooLarge,
    Unavailable(BoxError),
    /// The token that was presented is another client's.
    Unauthorized,
}

impl Fault {
    /// The answer; `refused` is the status that the system has for wrong credentials.
    pub(super) fn respond(self, form: ErrorForm, refused: StatusCode) -> Response<Full<Bytes>> {
        let status = self.status(form, refused);
        let mut response = answer(status, &self.body(form));
        let headers = response.headers_mut();
        match &self {
            Self::Method(allowed) => {
                headers.insert(ALLOW, HeaderValue::from_static(allowed));
            }
            Self::Unavailable(_) => retry_soon(headers),
            _ => {}
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
        }
        if let Some(rejection) = self.rejection() {
            response.extensions_mut().insert(rejection);
        }
        response
    }

    fn status(&self, form: ErrorForm, refused: StatusCode) -> StatusCode {
        match self {
            Self::Client => refused,
            // A refresh token is all that some systems ask of a client.
            Self::Grant if form != ErrorForm::OAuth => refused,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// For layers outside: what kind of refusal this is.
    fn rejection(&self) -> Option<Rejection> {
        match self {
            Self::Client | Self::Grant => {
                Some(Rejection::invalid_token().with_source("wrong credentials at a token endpoint"))
            }
            Self::Unavailable(error) => Some(Rejection::unavailable().with_source(error.to_string())),
            _ => None,
        }
    }

    fn body(&self, form: ErrorForm) -> Value {
        match form {
            ErrorForm::OAuth => {
                json!({ "error": self.error(), "error_description": self.description() })
            }
            ErrorForm::Message => json!({ "message": self.description() }),
            ErrorForm::Cognito => self.cognito(),
            ErrorForm::Trpc => self.trpc(),
        }
    }

    /// RFC 6749 §5.2; RFC 7009 §2.2.1 for what cannot be told now.
    fn error(&self) -> &'static str {
        match self {
            Self::Client => "invalid_client",
            Self::Grant => "invalid_grant",
            Self::GrantType => "unsupported_grant_type",
            Self::Scope => "invalid_scope",
            Self::Unauthorized => "unauthorized_client",
            Self::Unavailable(_) => "temporarily_unavailable",
            Self::Lifetime(_) | Self::Method(_) | Self::Parameter(_) | Self::Request(_) | Self::TooLarge => {
                "invalid_request"
            }
        }
    }

    fn description(&self) -> String {
        match self {
            Self::Client => "the client is unknown, or did not prove who it is".to_owned(),
            Self::Grant => "the refresh token is not valid".to_owned(),
            Self::GrantType => "this grant type is not supported".to_owned(),
            Self::Lifetime(what) | Self::Request(what) => (*what).to_owned(),
            Self::Method(allowed) => format!("expected {allowed}"),
            Self::Parameter(name) => format!("expected {name} once, with a value"),
            Self::Scope => "the scope is malformed, or more than the client may have".to_owned(),
            Self::TooLarge => "the body is too large".to_owned(),
            Self::Unauthorized => "the token was given to another client".to_owned(),
            Self::Unavailable(_) => "no answer can be given now".to_owned(),
        }
    }

    fn cognito(&self) -> Value {
        let (kind, message) = match self {
            Self::Client | Self::Grant => ("NotAuthorizedException", "Invalid Refresh Token".to_owned()),
            Self::Unavailable(_) => ("InternalErrorException", self.description()),
            _ => ("InvalidParameterException", self.description()),
        };
        json!({ "__type": kind, "message": message })
    }

    fn trpc(&self) -> Value {
        match self {
            Self::Client | Self::Grant => {
                json!({ "message": "Invalid app_id or secret", "code": "BAD_REQUEST" })
            }
            Self::Lifetime(what) => {
                json!({ "message": format!("Error generating JWT: {what}"), "code": "BAD_REQUEST" })
            }
            Self::Parameter(name) => {
                let issue = json!({
                    "code": "invalid_type", "expected": "string", "path": [name], "message": "Required",
                });
                json!({ "message": "Input validation failed", "code": "BAD_REQUEST", "issues": [issue] })
            }
            Self::Method(_) => json!({ "message": self.description(), "code": "METHOD_NOT_SUPPORTED" }),
            Self::Unavailable(_) => json!({ "message": self.description(), "code": "INTERNAL_SERVER_ERROR" }),
            _ => json!({ "message": self.description(), "code": "BAD_REQUEST" }),
        }
    }
}

/// What the backend cannot do is our outage.
impl From<ConfigError> for Fault {
    fn from(error: ConfigError) -> Self {
        Self::Unavailable(error.into())
    }
}
