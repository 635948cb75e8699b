//! Putting it into a service.
//!
//! # Order of layers
//!
//! Authenticate first, then require. In `ServiceBuilder` the first layer listed runs first; in axum's
//! `Router` the *last* `.layer(…)` added runs first. Timeouts, tracing and load shedding go outside of
//! both, so that they see refusals too; a response that was refused has the
//! [`Rejection`](crate::Rejection) in its extensions, where a metrics layer finds the kind.
//!
//! # Limits of the server
//!
//! A header that is too long for the server never gets here: hyper answers 431 by itself. Its limits are
//! about 400 KiB for HTTP/1.1 and 16 KiB for HTTP/2; the second is close to the longest token that a
//! verifier reads, so raise `max_header_list_size` if your tokens are long.
//!
//! A refusal does not read the request's body. After one, hyper may close an HTTP/1.1 connection whose
//! body is still on its way, as with any handler that does not read it.
//!
//! # Behind a proxy
//!
//! Let one side decide about credentials. If the proxy passes `Authorization` on, nothing needs to be
//! set. If this service is the proxy, use
//! [`strip_credential`](crate::AuthenticateLayer::strip_credential). To refuse credentials over plain
//! HTTP, name the sign that your TLS acceptor or proxy gives:
//! [`HttpsOnly`](crate::authenticate::HttpsOnly).
//!
//! # Keys
//!
//! Give each verifier one issuer's keys. Where an issuer changes from one secret to another, or from a
//! secret to published keys, join them with `Keys::and` for as long as old tokens live.
