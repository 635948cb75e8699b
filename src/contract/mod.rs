//! How a client proves to an endpoint who it is.
//!
//! 1. A secret is sent one way, and only one (RFC 6749 §2.3).
//! 2. Id and secret are form-encoded before they become HTTP Basic (RFC 6749 §2.3.1).
//! 3. An assertion is signed anew for each request, lives for a minute, and is never the same twice
//!    (RFC 7523 §3).

mod client_auth;

pub use self::client_auth::{AssertionKey, ClientAuth, Credentials};
