//! The policy of whoever goes through the door; its rules are the parent module's.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::LengthLimitError;

use super::{BodyLimit, Transport};
use crate::error::{BoxError, ConfigError};

/// A transport under this crate's policy: what every engine sends through.
#[derive(Clone)]
pub(crate) struct Door {
    transport: Arc<dyn Transport>,
    deadline: Duration,
    max_body: usize,
}

/// Why there is no usable answer. Holds no URL, since some have a secret in them.
#[derive(Clone, Debug)]
pub(crate) enum Failed {
    Encoded,
    Redirect(StatusCode),
    TooLarge,
    TimedOut,
    Transport(Arc<dyn Error + Send + Sync>),
}

impl Door {
    pub(crate) fn new(transport: impl Transport, deadline: Duration, max_body: usize) -> Self {
        Self { transport: Arc::new(transport), deadline, max_body }
    }

    /// Reads a URL that requests may go to. `field` names the setting it stands in.
    pub(crate) fn url(&self, field: &'static str, url: &str) -> Result<Uri, ConfigError> {
        let plain = self.transport.allows_http_loopback();
        let wanted = || {
            let also = if plain { ", or http to a loopback address" } else { "" };
            ConfigError::new(field, format!("expected an absolute https URL without user information{also}"))
        };
        let uri: Uri = url.parse().map_err(|error| wanted().with_source(error))?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(wanted)?;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let has_user = authority.contains('@');
        // A port that is none would be left out, and the request sent to another.
        let has_bad_port = authority.len() > host.len() && uri.port_u16().is_none_or(|port| port == 0);
        let scheme = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => plain && is_loopback(host),
            _ => false,
        };
        if scheme && !has_user && !has_bad_port && !url.contains('#') { Ok(uri) } else { Err(wanted()) }
    }

    /// Sends one request; gives any status but a redirect. "Not modified" is none (RFC 9110 §15.4.5).
    pub(crate) async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, Failed> {
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        request.extensions_mut().insert(BodyLimit(self.max_body));
        let answer = tokio::time::timeout(self.deadline, self.transport.send(request)).await;
        let response = answer.map_err(|_| Failed::TimedOut)?.map_err(Failed::from)?;
        let encoding = response.headers().get(CONTENT_ENCODING);
        if response.status().is_redirection() && response.status() != StatusCode::NOT_MODIFIED {
            Err(Failed::Redirect(response.status()))
        } else if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            Err(Failed::Encoded)
        } else if response.body().len() > self.max_body {
            Err(Failed::TooLarge)
        } else {
            Ok(response)
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    address
        .parse::<IpAddr>()
        .map_or_else(|_| host.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
}

impl From<BoxError> for Failed {
    fn from(error: BoxError) -> Self {
        if error.is::<LengthLimitError>() { Self::TooLarge } else { Self::Transport(error.into()) }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Encoded => "the answer has a content encoding",
            Self::Redirect(status) => return write!(f, "the answer is a redirect ({})", status.as_u16()),
            Self::TooLarge => "the answer is too large",
            Self::TimedOut => "no answer came in time",
            Self::Transport(_) => "the request failed",
        })
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Transport(error) => Some(&**error),
            _ => None,
        }
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door")
            .field("deadline", &self.deadline)
            .field("max_body", &self.max_body)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::Full;

    use super::super::ServiceTransport;
    use super::{BoxError, Door, Failed};

    fn door(http_loopback: bool, answer: fn() -> Response<Full<Bytes>>) -> Door {
        let service = tower::service_fn(move |_| async move { Ok::<_, BoxError>(answer()) });
        let transport = ServiceTransport::new(service);
        let transport = if http_loopback { transport.insecure_allow_http_loopback() } else { transport };
        Door::new(transport, Duration::from_secs(3), 10)
    }

    async fn send(answer: fn() -> Response<Full<Bytes>>) -> Result<Response<Bytes>, Failed> {
        door(false, answer).send(Request::get("https://a.example/").body(Bytes::new()).unwrap()).await
    }

    fn ok() -> Response<Full<Bytes>> {
        Response::new(Full::from("0123456789"))
    }

    #[test]
    fn https_or_a_loopback_that_was_asked_for_atk_55() {
        let (strict, loose) = (door(false, ok), door(true, ok));
        for url in ["https://a.example", "https://a.example:8443/x?y=z", "https://127.0.0.1/"] {
            assert!(strict.url("url", url).is_ok() && loose.url("url", url).is_ok(), "{url}");
        }
        for url in ["http://127.0.0.1/", "http://127.9.9.9:1/x", "http://[::1]:80/", "http://localhost:3000/"]
        {
            assert!(strict.url("url", url).is_err() && loose.url("url", url).is_ok(), "{url}");
        }
        for url in [
            "",
            "/x",
            "a.example",
            "http://a.example/",
            "http://127.0.0.1.example/",
            "http://10.0.0.1/",
            "ftp://a.example/",
            "https://user@a.example/",
            "https://user:pass@a.example/",
            "https:///x",
            "https://a.example/#x",
            "https://a.example:99999/",
            "https://a.example:0/",
            "https://a.example:/",
            "http://127.0.0.1:99999/",
            "https://a.example/ x",
            "http://localhost.example/",
        ] {
            assert!(strict.url("url", url).is_err() && loose.url("url", url).is_err(), "{url}");
        }
    }

    #[tokio::test]
    async fn what_is_no_answer() {
        assert_eq!(send(ok).await.unwrap().body(), "0123456789");
        let large = send(|| Response::new(Full::from("0123456789a"))).await;
        assert!(matches!(large, Err(Failed::TooLarge)));
        let redirect = send(|| Response::builder().status(307).body(Full::default()).unwrap()).await;
        assert!(matches!(redirect, Err(Failed::Redirect(status)) if status == 307));
        let encoded =
            send(|| Response::builder().header("content-encoding", "gzip").body(Full::default()).unwrap())
                .await;
        assert!(matches!(encoded, Err(Failed::Encoded)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_covers_all_of_it() {
        let service =
            tower::service_fn(|_| std::future::pending::<Result<Response<Full<Bytes>>, BoxError>>());
        let door = Door::new(ServiceTransport::new(service), Duration::from_secs(3), 10);
        let before = tokio::time::Instant::now();
        let answer = door.send(Request::get("https://a.example/").body(Bytes::new()).unwrap()).await;
        assert!(matches!(answer, Err(Failed::TimedOut)));
        assert_eq!(before.elapsed(), Duration::from_secs(3));
    }
}
