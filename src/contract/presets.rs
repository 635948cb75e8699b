use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{Method, StatusCode};

use super::{ClientAuth, ErrorForm, Parameter, Place, Refusal, TokenAt, TokenContract, lifetime};
use crate::error::ConfigError;

const HOUR: Duration = Duration::from_secs(3600);
/// The standard grants.
impl TokenContract {
    /// Client credentials (RFC 6749 §4.4), with HTTP Basic.
    pub fn client_credentials() -> Self {
        Self::grant("client_credentials").with_client_auth(ClientAuth::Basic)
    }

    /// A refresh token (RFC 6749 §6), with HTTP Basic; [`ClientAuth::Post`] or [`ClientAuth::None`] fit as
    /// well. A new refresh token in the answer takes the old one's place.
    pub fn refresh_token() -> Self {
        Self::grant("refresh_token")
            .with_client_auth(ClientAuth::Basic)
            .with_parameter(Place::Body, "refresh_token", Parameter::RefreshToken)
            .with_refresh_token_at("/refresh_token")
    }

    /// A JWT as the grant (RFC 7523 §2.1), signed for each request.
    pub fn jwt_bearer() -> Self {
        Self::grant("urn:ietf:params:oauth:grant-type:jwt-bearer").with_parameter(
            Place::Body,
            "assertion",
            Parameter::Assertion,
        )
    }

    /// Token exchange (RFC 8693) of a subject token of this type, a URN, with HTTP Basic. The answer must
    /// say which type of token it has; one of the type `N_A` is not attached.
    pub fn token_exchange(subject_token_type: impl Into<String>) -> Self {
        Self::grant("urn:ietf:params:oauth:grant-type:token-exchange")
            .with_client_auth(ClientAuth::Basic)
            .with_parameter(Place::Body, "subject_token", Parameter::SubjectToken)
            .with_parameter(Place::Body, "subject_token_type", Parameter::Literal(subject_token_type.into()))
            .requiring("/issued_token_type")
    }

    fn grant(name: &str) -> Self {
        Self::new(Method::POST)
            .with_parameter(Place::Body, "grant_type", Parameter::Literal(name.into()))
            .with_scope_at("/scope")
    }
}

/// Five systems, as their public descriptions have them.
impl TokenContract {
    /// 2bttns: a `GET` with id and secret in the query; the answer is one JSON string. The lifetime is in
    /// the token, which is a JWT; one without is used for a day. Wrong credentials are a 400, and so is a
    /// bad token at the API, told by its message.
    pub fn two_bttns() -> Self {
        let refusal = Refusal::unauthorized().or_message(StatusCode::BAD_REQUEST, "Invalid token");
        let mut contract = Self::new(Method::GET)
            .with_parameter(Place::Query, "app_id", Parameter::ClientId)
            .with_parameter(Place::Query, "secret", Parameter::ClientSecret)
            .with_token_at(TokenAt::JsonString)
            .with_default_lifetime(24 * HOUR)
            .with_lifetime_parameter(Place::Query, "expires_in")
            .with_refused_status(StatusCode::BAD_REQUEST)
            .with_errors(ErrorForm::Trpc)
            .with_refusal(refusal);
        (contract.lifetime_at, contract.token_type_at) = (None, None);
        contract
    }

    /// Asks 2bttns for tokens of this lifetime: a number with a unit, such as `1h` or `2 days`.
    ///
    /// # Errors
    ///
    /// When there is no unit. The server would take `3600` for milliseconds.
    pub fn with_expires_in(self, lifetime: &str) -> Result<Self, ConfigError> {
        if !lifetime::has_unit(lifetime) || lifetime::parse(lifetime).is_none() {
            return Err(ConfigError::new(
                "expires_in",
                "expected a number with a unit, such as 90s, 1h or 2 days",
            ));
        }
        Ok(self.with_parameter(Place::Query, "expires_in", Parameter::Literal(lifetime.to_owned())))
    }

    /// GiftHub: id and secret in headers; the token is in the answer's `Authorization` header, good for an
    /// hour at most. The text says `GET`, the sample `POST`: a `GET` that the server does not know becomes
    /// a `POST`. A 403 means wrong credentials at the endpoint, and nothing of the sort at the API.
    pub fn gifthub() -> Self {
        let mut contract = Self::new(Method::GET)
            .or_post()
            .with_parameter(Place::Header, "client-id", Parameter::ClientId)
            .with_parameter(Place::Header, "client-secret", Parameter::ClientSecret)
            .with_token_at(TokenAt::Header(AUTHORIZATION))
            .with_default_lifetime(HOUR)
            .with_max_lifetime(HOUR)
            .with_refused_status(StatusCode::FORBIDDEN)
            .with_errors(ErrorForm::Message);
        (contract.lifetime_at, contract.token_type_at) = (None, None);
        contract
    }

    /// Botlhale: a refresh token for an answer of Amazon Cognito's shape, of which the id token is the one
    /// to send. As a form; half of the samples have [`Encoding::Multipart`](super::Encoding::Multipart).
    /// The text also asks for the API key as Basic user and password, which is [`ClientAuth::Basic`]; no
    /// sample does.
    pub fn botlhale() -> Self {
        Self::new(Method::POST)
            .with_parameter(Place::Body, "REFRESH_TOKEN", Parameter::RefreshToken)
            .with_token_at(TokenAt::Json("/AuthenticationResult/IdToken".into()))
            .with_token_type_at("/AuthenticationResult/TokenType")
            .with_lifetime_at("/AuthenticationResult/ExpiresIn")
            .with_refresh_token_at("/AuthenticationResult/RefreshToken")
            .with_default_lifetime(HOUR)
            .accepting_either_encoding()
            .with_refused_status(StatusCode::BAD_REQUEST)
            .with_errors(ErrorForm::Cognito)
    }

    /// Spotnana: client credentials with id and secret in the form.
    pub fn spotnana() -> Self {
        let mut contract = Self::client_credentials().with_client_auth(ClientAuth::Post);
        contract.scope_at = None;
        contract
    }

    /// NetBird with the tokens of its OpenID provider: client credentials. A personal access token needs
    /// no endpoint: it is a [`StaticToken`](crate::source::StaticToken) with the scheme `Token`.
    pub fn netbird() -> Self {
        Self::client_credentials().with_client_auth(ClientAuth::Post)
    }
}

#[cfg(test)]
mod tests {
    use super::TokenContract;

    #[test]
    fn a_lifetime_has_a_unit_s0_c5() {
        for good in ["1h", "90s", "2 days", "1.5h", "500ms", "1 Week"] {
            assert!(TokenContract::two_bttns().with_expires_in(good).is_ok(), "{good:?}");
        }
        for bad in ["", "3600", "1.5", " ", "h", "1 fortnight", "1h ", "-1h", "1h2"] {
            assert!(TokenContract::two_bttns().with_expires_in(bad).is_err(), "{bad:?}");
        }
    }
}
