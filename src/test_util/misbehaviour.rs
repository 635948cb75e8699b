use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, LOCATION};

use super::body::MockBody;

/// What a `MockIssuer` does wrong, until it is told to behave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// Drops the connection before an answer.
    Disconnect,
    /// Sends one byte of the answer in each span of this length.
    Drip(Duration),
    /// Says that 10 MB of zeros are a gzip of the answer.
    GzipBomb,
    /// Never begins to answer.
    HangBeforeHeaders,
    /// Sends half of the answer, then nothing.
    HangMidBody,
    /// Answers 200 with a page of HTML.
    Html,
    /// Answers with 50 MB.
    Large,
    /// Redirects to an address on a private network.
    Redirect,
    /// Answers 500 with a JSON object.
    ServerError,
    /// Sends half of the answer, and ends it there.
    Truncated,
}

impl Misbehaviour {
    /// Each of them once, dripping a byte in a second.
    pub const ALL: [Self; 10] = [
        Self::Disconnect,
        Self::Drip(Duration::from_secs(1)),
        Self::GzipBomb,
        Self::HangBeforeHeaders,
        Self::HangMidBody,
        Self::Html,
        Self::Large,
        Self::Redirect,
        Self::ServerError,
        Self::Truncated,
    ];

    /// What becomes of the right answer; `None`: no answer at all.
    pub(super) fn spoil(self, response: Response<Bytes>) -> Option<Response<MockBody>> {
        let body = response.body().clone();
        let half = body.slice(..body.len() / 2);
        let with = |body| Some(response.map(|_| body));
        let other = |status, name, value: &'static str, body| {
            Response::builder().status(status).header(name, value).body(body).ok()
        };
        match self {
            Self::Disconnect | Self::HangBeforeHeaders => None,
            Self::Drip(pause) => with(MockBody::dripping(&body, pause)),
            Self::GzipBomb => {
                let mut response = with(MockBody::repeated(&Bytes::from(vec![0; 10_000]), 1000))?;
                response.headers_mut().extend("gzip".parse().map(|gzip| (CONTENT_ENCODING, gzip)));
                Some(response)
            }
            Self::HangMidBody => with(MockBody::hanging(half)),
            Self::Html => other(200, CONTENT_TYPE, "text/html", MockBody::whole("<html>It works!</html>")),
            Self::Large => with(MockBody::repeated(&Bytes::from(vec![b' '; 50_000]), 1000)),
            Self::Redirect => other(302, LOCATION, "http://10.0.0.1/jwks", MockBody::whole("")),
            Self::ServerError => {
                other(500, CONTENT_TYPE, "application/json", MockBody::whole(r#"{"error":"server_error"}"#))
            }
            Self::Truncated => with(MockBody::breaking(half)),
        }
    }
}
