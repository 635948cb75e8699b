use std::sync::Arc;

use super::TokenSource;
use super::published::{Current, Published, Slot};
use super::windows::Windows;
use crate::clock::SharedClock;
use crate::credential::Scheme;
use crate::error::{ConfigError, TokenError};
use crate::eventual::Eventual;
use crate::secret::Secret;
use crate::token::Token;

/// One token that never changes: a personal access token.
///
/// The scheme is said, never guessed from the token.
///
/// ```
/// use tower_bearer::Scheme;
/// use tower_bearer::source::{StaticToken, TokenSource};
///
/// let source = StaticToken::new(Scheme::Token, "nbp_abc")?;
/// let token = source.token().try_now().unwrap().unwrap();
/// assert_eq!(token.header_value(), "Token nbp_abc");
/// assert!(StaticToken::new(Scheme::Token, "").is_err());
/// # Ok::<(), tower_bearer::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct StaticToken(Token);

impl StaticToken {
    /// # Errors
    ///
    /// When the token cannot stand in a header.
    pub fn new(scheme: Scheme, token: impl Into<Secret>) -> Result<Self, ConfigError> {
        Token::new(scheme, token).map(Self)
    }
}

impl TokenSource for StaticToken {
    fn token(&self) -> Eventual<Result<Token, TokenError>> {
        Eventual::now(Ok(self.0.clone()))
    }

    fn published(&self) -> Option<Published> {
        let slot = Slot::default();
        slot.put(Some(Current::new(self.0.clone(), Windows::NONE)));
        Some(Published::new(Arc::new(slot), SharedClock::default()))
    }
}
