use std::time::Duration;

use http::{HeaderName, Method, StatusCode};

use super::client_auth::ClientAuth;
use super::refusal::Refusal;
use crate::credential::Scheme;
use crate::scope::Scopes;

/// Where no lifetime is stated anywhere: long enough to be of use, short enough to be wrong for.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// A token endpoint; see the [module](super).
#[derive(Clone, Debug, PartialEq)]
pub struct TokenContract {
    pub(crate) method: Method,
    /// A `GET` that the server does not know is tried as a `POST`.
    pub(crate) or_post: bool,
    pub(crate) encoding: Encoding,
    pub(crate) client_auth: ClientAuth,
    pub(crate) parameters: Vec<(Place, String, Parameter)>,
    pub(crate) scheme: Scheme,
    pub(crate) token_at: TokenAt,
    pub(crate) token_type: String,
    pub(crate) token_type_at: Option<String>,
    pub(crate) lifetime_at: Option<String>,
    pub(crate) refresh_token_at: Option<String>,
    pub(crate) scope_at: Option<String>,
    /// By which a client may ask for a lifetime, in the grammar of [`lifetime`](super::lifetime).
    pub(crate) lifetime_parameter: Option<(Place, String)>,
    pub(crate) either_encoding: bool,
    pub(crate) errors: ErrorForm,
    pub(crate) required: Vec<String>,
    pub(crate) default_lifetime: Duration,
    pub(crate) max_lifetime: Option<Duration>,
    /// What the endpoint answers to wrong credentials.
    pub(crate) refused: StatusCode,
    pub(crate) refusal: Refusal,
}

/// How the parameters in a body are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Encoding {
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `multipart/form-data` (RFC 7578).
    Multipart,
}

/// The part of a request that a parameter is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Place {
    /// The body, in the contract's encoding.
    Body,
    /// A header.
    Header,
    /// The query of the URL.
    Query,
}

/// What a parameter is filled with.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Parameter {
    /// A JWT signed for this request (RFC 7523).
    Assertion,
    /// The client's id.
    ClientId,
    /// The client's secret.
    ClientSecret,
    /// This text. It is no secret.
    Literal(String),
    /// The refresh token: the newest one that is known.
    RefreshToken,
    /// The token that is exchanged for another (RFC 8693).
    SubjectToken,
}

/// What the refusals of an endpoint look like. A client reads them all the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ErrorForm {
    /// Amazon Cognito's: `{"__type":"NotAuthorizedException","message":…}`.
    Cognito,
    /// `{"message":…}`.
    Message,
    /// RFC 6749 §5.2: `{"error":"invalid_client","error_description":…}`.
    OAuth,
    /// tRPC's: `{"message":…,"code":"BAD_REQUEST"}`, with `issues` where parameters are wrong.
    Trpc,
}

/// Where an answer has the token.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TokenAt {
    /// A response header, with the token's type in front of the token.
    Header(HeaderName),
    /// A response header with nothing but the token in it.
    HeaderBare(HeaderName),
    /// The string at this JSON pointer (RFC 6901), made of member names.
    Json(String),
    /// The whole body, which is one JSON string.
    JsonString,
}

impl TokenContract {
    /// An endpoint that is called with this method, without parameters, and answers as RFC 6749 §5.1 says.
    pub fn new(method: Method) -> Self {
        Self {
            method,
            or_post: false,
            encoding: Encoding::Form,
            client_auth: ClientAuth::None,
            parameters: Vec::new(),
            scheme: Scheme::Bearer,
            token_at: TokenAt::Json("/access_token".into()),
            token_type: Scheme::Bearer.name().into(),
            token_type_at: Some("/token_type".into()),
            lifetime_at: Some("/expires_in".into()),
            refresh_token_at: None,
            scope_at: None,
            lifetime_parameter: None,
            either_encoding: false,
            errors: ErrorForm::OAuth,
            required: Vec::new(),
            default_lifetime: DEFAULT_LIFETIME,
            max_lifetime: None,
            refused: StatusCode::UNAUTHORIZED,
            refusal: Refusal::unauthorized(),
        }
    }

    /// The method; a `POST` is not tried after it.
    #[must_use]
    pub fn with_method(mut self, method: Method) -> Self {
        self.method = method;
        self.or_post = false;
        self
    }

    /// Where the server answers 404, 405 or 501, the request is sent again with `POST`, and from then on
    /// always so.
    #[must_use]
    pub fn or_post(mut self) -> Self {
        self.or_post = true;
        self
    }

    /// How the body is written.
    #[must_use]
    pub fn with_encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// How the client authenticates.
    #[must_use]
    pub fn with_client_auth(mut self, client_auth: ClientAuth) -> Self {
        self.client_auth = client_auth;
        self
    }

    /// Adds a parameter.
    #[must_use]
    pub fn with_parameter(mut self, place: Place, name: impl Into<String>, parameter: Parameter) -> Self {
        self.parameters.push((place, name.into(), parameter));
        self
    }

    /// Asks for these scopes (RFC 6749 §3.3).
    #[must_use]
    pub fn with_scope(self, scopes: &Scopes) -> Self {
        self.with_text("scope", scopes.to_string())
    }

    /// Asks for a token for this resource (RFC 8707); may be said more than once.
    #[must_use]
    pub fn with_resource(self, resource: impl Into<String>) -> Self {
        self.with_text("resource", resource.into())
    }

    /// Asks for a token for this audience; may be said more than once.
    #[must_use]
    pub fn with_audience(self, audience: impl Into<String>) -> Self {
        self.with_text("audience", audience.into())
    }

    fn with_text(self, name: &str, text: String) -> Self {
        self.with_parameter(Place::Body, name, Parameter::Literal(text))
    }

    /// The word in front of the token where it is sent. It is never guessed from the token.
    #[must_use]
    pub fn with_scheme(mut self, scheme: Scheme) -> Self {
        self.scheme = scheme;
        self
    }

    /// Where the token is.
    #[must_use]
    pub fn with_token_at(mut self, token_at: TokenAt) -> Self {
        self.token_at = token_at;
        self
    }

    /// The type of token that the endpoint gives: `Bearer`, if nothing is said. Any other makes the answer
    /// unusable (RFC 6749 §7.1).
    #[must_use]
    pub fn with_token_type(mut self, token_type: impl Into<String>) -> Self {
        self.token_type = token_type.into();
        self
    }

    /// Where the token's type is, as a JSON pointer. There may be none in the answer.
    #[must_use]
    pub fn with_token_type_at(mut self, pointer: impl Into<String>) -> Self {
        self.token_type_at = Some(pointer.into());
        self
    }

    /// Where the lifetime in seconds is, as a JSON pointer.
    #[must_use]
    pub fn with_lifetime_at(mut self, pointer: impl Into<String>) -> Self {
        self.lifetime_at = Some(pointer.into());
        self
    }

    /// Where a new refresh token is, as a JSON pointer. Without one the old one stays.
    #[must_use]
    pub fn with_refresh_token_at(mut self, pointer: impl Into<String>) -> Self {
        self.refresh_token_at = Some(pointer.into());
        self
    }

    /// Where the scope that was granted is, as a JSON pointer, if it is said (RFC 6749 §5.1).
    #[must_use]
    pub fn with_scope_at(mut self, pointer: impl Into<String>) -> Self {
        self.scope_at = Some(pointer.into());
        self
    }

    /// The parameter by which a client may ask for a lifetime: a number with a unit, such as `90s` or
    /// `2 days`; without one, milliseconds.
    #[must_use]
    pub fn with_lifetime_parameter(mut self, place: Place, name: impl Into<String>) -> Self {
        self.lifetime_parameter = Some((place, name.into()));
        self
    }

    /// The endpoint takes a body in the other encoding as well.
    #[must_use]
    pub fn accepting_either_encoding(mut self) -> Self {
        self.either_encoding = true;
        self
    }

    /// What the endpoint's refusals look like.
    #[must_use]
    pub fn with_errors(mut self, errors: ErrorForm) -> Self {
        self.errors = errors;
        self
    }

    /// What the endpoint's refusals look like.
    pub fn errors(&self) -> ErrorForm {
        self.errors
    }

    /// By which parameter a client may ask for a lifetime.
    pub fn lifetime_parameter(&self) -> Option<(Place, &str)> {
        self.lifetime_parameter.as_ref().map(|(place, name)| (*place, name.as_str()))
    }

    /// Where the scope that was granted is.
    pub fn scope_at(&self) -> Option<&str> {
        self.scope_at.as_deref()
    }

    /// True if the endpoint takes a body in this encoding.
    pub fn accepts(&self, encoding: Encoding) -> bool {
        self.either_encoding || self.encoding == encoding
    }

    /// An answer without this member, a JSON pointer, is unusable.
    #[must_use]
    pub fn requiring(mut self, pointer: impl Into<String>) -> Self {
        self.required.push(pointer.into());
        self
    }

    /// The lifetime of a token of which nothing is known.
    #[must_use]
    pub fn with_default_lifetime(mut self, lifetime: Duration) -> Self {
        self.default_lifetime = lifetime;
        self
    }

    /// No token is used for longer, whatever is said of it.
    #[must_use]
    pub fn with_max_lifetime(mut self, lifetime: Duration) -> Self {
        self.max_lifetime = Some(lifetime);
        self
    }

    /// The status that the endpoint answers wrong credentials with. For a client, any 4xx but 408, 425
    /// and 429 is one that another try does not change.
    #[must_use]
    pub fn with_refused_status(mut self, status: StatusCode) -> Self {
        self.refused = status;
        self
    }

    /// How an API says that the token is bad.
    #[must_use]
    pub fn with_refusal(mut self, refusal: Refusal) -> Self {
        self.refusal = refusal;
        self
    }

    /// How an API says that the token is bad, for
    /// [`AttachLayer::refused_when`](crate::AttachLayer::refused_when).
    pub fn refusal(&self) -> &Refusal {
        &self.refusal
    }
}
