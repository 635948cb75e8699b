//! Putting it into a service.
//!
//! # Order of layers
//!
//! Authenticate first, then require. In `ServiceBuilder` the first layer listed runs first; in axum's
//! `Router` the *last* `.layer(…)` added runs first. Timeouts, tracing and load shedding go outside of
//! both, so that they see refusals too, and so does `LimitFailuresLayer`; a response that was refused has the
//! [`Rejection`](crate::Rejection) in its extensions, where a metrics layer finds the kind.
//!
//! A layer on a whole `Router` runs for paths that no route has, too, and answers 401 there; axum's
//! `route_layer` runs for its routes alone. A route that asks for an [`Identity`](crate::Identity) without
//! an authenticating layer before it answers 401 to everybody, and its event says why.
//!
//! # Many machines
//!
//! Let them share one PostgreSQL (`SqlStore`). What one revokes, all refuse as soon as that is committed; one
//! that does not hear refuses when what it remembers is as old as you said
//! ([`RevocableVerifier`](crate::verify), [`PatVerifier`](crate::verify)), and after that it asks, or answers 503.
//! Signing keys are in the store, too: give all machines the same names of rings, and a rotation needs no
//! restart. Without a database that all reach, verify signed tokens alone and keep them short.
//!
//! `SqlStore::purge` takes away what nothing depends on any more; run it once a day, from one machine or all.
//!
//! # Limits of failures
//!
//! [`LimitFailuresLayer`](crate::limit) goes outside of the authenticating layer, and in front of token
//! endpoints. It counts by an address that *you* put into the request's extensions: the peer's, or what a
//! proxy of yours says, never a header that a caller can write.
//!
//! # Events
//!
//! With the feature `tracing`, each refusal is one event at level `DEBUG` under the target
//! `tower_bearer::respond`, with the kind and the reason; `RUST_LOG=tower_bearer=debug` shows them.
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
