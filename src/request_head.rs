//! What policies and responders may see of a request: everything but the body.

use http::{Extensions, HeaderMap, Method, Request, Uri};

/// The head of a request, borrowed.
///
/// The only view of a request that a [`Policy`](crate::require::Policy) and a
/// [`Respond`](crate::respond::Respond) get: neither can read a body before the caller is known.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The request target as this layer sees it: a router outside may have stripped a prefix. No forwarded
    /// header has a say in it.
    pub uri: &'a Uri,
    /// The headers; from the authenticating layer on, the value of `Authorization` is marked sensitive.
    pub headers: &'a HeaderMap,
    /// What earlier layers and the server attached.
    pub extensions: &'a Extensions,
}

impl<'a, B> From<&'a Request<B>> for RequestHead<'a> {
    fn from(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }
}

impl<'a> From<&'a http::request::Parts> for RequestHead<'a> {
    fn from(parts: &'a http::request::Parts) -> Self {
        Self {
            method: &parts.method,
            uri: &parts.uri,
            headers: &parts.headers,
            extensions: &parts.extensions,
        }
    }
}
