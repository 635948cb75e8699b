//! What a token endpoint is like, as plain data: read to call such an endpoint, and to stand in for one.
//!
//! A [`TokenContract`] says
//!
//! 1. how the request is made: its method, the encoding of its body, and where each parameter goes;
//! 2. how the client authenticates ([`ClientAuth`]): one way for each request (RFC 6749 §2.3);
//! 3. where the answer has the token, its type, its lifetime and a new refresh token;
//! 4. how long the token is good where the answer does not say: up to the `exp` of a token that is a
//!    JWT, or a default, and never longer than a ceiling;
//! 5. how the endpoint refuses ([`ErrorForm`]), and how an API says that a token is bad ([`Refusal`]).
//!
//! It holds no secret. Those are [`Credentials`], which a [`FetchedSource`](crate::source::FetchedSource)
//! fills in.
//!
//! # Caveat
//!
//! The presets follow public descriptions, some of which contradict themselves. Each choice is said at
//! the preset, with the method that takes the other one.
//!
//! # Examples
//!
//! A preset, changed where the server at hand differs:
//!
//! ```
//! use tower_bearer::contract::{Encoding, TokenContract};
//!
//! let preset = TokenContract::botlhale();
//! let contract = preset.clone().with_encoding(Encoding::Multipart);
//! assert_ne!(contract, preset);
//! assert_eq!(contract.with_encoding(Encoding::Form), preset);
//! ```
//!
//! A system that no preset is for:
//!
//! ```
//! use http::{Method, StatusCode};
//! use tower_bearer::contract::{Parameter, Place, Refusal, TokenAt, TokenContract};
//!
//! let contract = TokenContract::new(Method::POST)
//!     .with_parameter(Place::Header, "x-api-key", Parameter::ClientSecret)
//!     .with_token_at(TokenAt::Json("/session/token".into()))
//!     .with_lifetime_at("/session/seconds")
//!     .with_refusal(Refusal::unauthorized().or_status(StatusCode::from_u16(419)?));
//! assert!(contract.refusal().is_status(StatusCode::UNAUTHORIZED));
//! assert!(!contract.refusal().is_status(StatusCode::FORBIDDEN));
//! # Ok::<(), http::status::InvalidStatusCode>(())
//! ```

mod client_auth;
#[cfg(feature = "client")]
mod endpoint;
#[cfg(feature = "client")]
pub(crate) mod lifetime;
#[cfg(feature = "client")]
mod presets;
#[cfg(feature = "client")]
mod refusal;

#[cfg(feature = "jwt")]
pub use self::client_auth::AssertionKey;
pub use self::client_auth::{ClientAuth, Credentials};
#[cfg(feature = "client")]
pub use self::endpoint::{Encoding, ErrorForm, Parameter, Place, TokenAt, TokenContract};
#[cfg(feature = "client")]
pub use self::refusal::Refusal;
