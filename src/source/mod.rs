//! Where outbound tokens come from.
//!
//! 1. [`TokenSource`] is one question: a token, please. And one message: this very token was refused.
//! 2. [`FetchedSource`] asks a token endpoint each time, as a [`TokenContract`](crate::contract::TokenContract)
//!    describes it. [`StaticToken`] and [`FileSource`] ask nobody.
//! 3. [`CachedSource`] goes around any of them. Fresh: the token is there at once. Stale, the last 20 % of
//!    its lifetime within 30 s and 5 min: still at once, and one refresh runs in the background. In its
//!    last 10 s, or gone: callers wait for one refresh together. The windows are never more than a half
//!    and a tenth of the lifetime.
//! 4. A refresh has 10 s, whatever number of callers wait and tries it takes. Transient failures are
//!    tried again within it, after 1 s, 2 s, and so on up to 30 s; others are not. The failure is everybody's
//!    until the next try is due, and a `Retry-After` is waited for.
//! 5. A token that is still good survives every failed refresh.
//! 6. A refused token is dropped if it is the current one, and replaced; for 10 s after that no other is,
//!    so that a server which refuses everything costs one fetch each 10 s.
//! 7. Time is the wall clock's or the timer's, whichever ran further: a clock that is set back does not
//!    prolong a token, and neither does a machine that was suspended. Where the token is published, and the
//!    clock is the system's, Linux reads both coarsely: up to 10 ms late.
//!
//! # Caveat
//!
//! A refresh runs in a task of its own, on the runtime of the first caller; nothing runs before the first
//! call, or after the source is dropped.
//!
//! # Examples
//!
//! A token endpoint:
//!
//! ```
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower_bearer::contract::{Credentials, TokenContract};
//! use tower_bearer::source::{CachedSource, FetchedSource, TokenSource};
//! use tower_bearer::transport::ServiceTransport;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // In place of a hyper client:
//! let endpoint = tower::service_fn(|request: Request<Full<bytes::Bytes>>| async move {
//!     let status = if request.uri().path() == "/token" { 200 } else { 404 };
//!     let body = r#"{"access_token":"abc","token_type":"Bearer","expires_in":3600}"#;
//!     Response::builder().status(status).body(Full::<bytes::Bytes>::from(body))
//! });
//! let fetched = |url: &str| {
//!     let credentials = Credentials::client("shop", "hunter2");
//!     FetchedSource::new(TokenContract::spotnana(), url, credentials, ServiceTransport::new(endpoint))
//! };
//!
//! let source = CachedSource::new(fetched("https://id.example/token")?);
//! let token = source.token().await?;
//! assert_eq!(token.expose(), "abc");
//! assert!(source.token().await?.is_same(&token));
//!
//! let wrong = CachedSource::new(fetched("https://id.example/other")?);
//! let error = wrong.token().await.unwrap_err();
//! assert_eq!(error.to_string(), "the token endpoint answered 404");
//! assert!(!error.is_transient());
//! # Ok(())
//! # }
//! ```
//!
//! A source of one's own:
//!
//! ```
//! use tower_bearer::source::TokenSource;
//! use tower_bearer::{Eventual, Scheme, Token, TokenError};
//!
//! struct FromEnvironment(&'static str);
//!
//! impl TokenSource for FromEnvironment {
//!     fn token(&self) -> Eventual<Result<Token, TokenError>> {
//!         let value = std::env::var(self.0).map_err(|_| TokenError::permanent("the variable is not set"));
//!         let token = value.and_then(|value| {
//!             Token::new(Scheme::Token, value)
//!                 .map_err(|error| TokenError::permanent("the variable has no token").with_source(error))
//!         });
//!         Eventual::now(token)
//!     }
//! }
//!
//! let here = FromEnvironment("CARGO_PKG_NAME").token().try_now().unwrap();
//! assert_eq!(here?.expose(), "tower-bearer");
//! let missing = FromEnvironment("NO_SUCH_VARIABLE").token().try_now().unwrap();
//! assert_eq!(missing.unwrap_err().to_string(), "the variable is not set");
//! # Ok::<(), TokenError>(())
//! ```

mod answer;
mod cached;
mod fetched;
mod file;
mod published;
mod request;
mod rotation;
mod static_token;
mod windows;

use std::sync::Arc;

pub use self::cached::CachedSource;
pub use self::fetched::FetchedSource;
pub use self::file::FileSource;
pub(crate) use self::published::Held;
pub use self::published::Published;
pub use self::rotation::SaveRefreshToken;
pub use self::static_token::StaticToken;
use crate::error::TokenError;
use crate::eventual::Eventual;
use crate::token::Token;

/// Yields a token to send.
pub trait TokenSource: Send + Sync + 'static {
    /// A token that is good now.
    fn token(&self) -> Eventual<Result<Token, TokenError>>;

    /// This very token was refused. A source that keeps tokens drops it, if it is the one it would give
    /// out ([`Token::is_same`]); another token of the same value is none of its business.
    fn reject(&self, token: &Token) {
        let _ = token;
    }

    /// Where the token at hand can be read without asking, if the source keeps one: [`CachedSource`] and
    /// [`StaticToken`] do.
    ///
    /// The layer that attaches tokens looks for this once, when it is made. From then on it takes the token from
    /// there as long as that is fresh, and calls [`token`](Self::token) for any other; it calls
    /// [`reject`](Self::reject) for a refused one that is still there.
    ///
    /// A source of your own leaves this as it is, since only this crate can make a [`Published`]: put it into a
    /// [`CachedSource`] to have one. A source that goes around another may hand out that one's, if it gives out
    /// the very tokens of that one and need not know of each that is sent.
    fn published(&self) -> Option<Published> {
        None
    }
}

impl<S: TokenSource + ?Sized> TokenSource for Arc<S> {
    fn token(&self) -> Eventual<Result<Token, TokenError>> {
        (**self).token()
    }

    fn reject(&self, token: &Token) {
        (**self).reject(token);
    }

    fn published(&self) -> Option<Published> {
        (**self).published()
    }
}

/// `TokenSource` stays dyn-safe.
const _: fn(&dyn TokenSource) = |_| {};
