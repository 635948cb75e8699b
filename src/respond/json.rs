use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use serde_json::{Value, json};

use super::{Challenge, Dialect, Respond};
use crate::rejection::Rejection;
use crate::request_head::RequestHead;

/// A responder with a JSON body: `application/problem+json` (RFC 9457), under the headers of a
/// [`Challenge`]. It needs a body that can be made of [`Bytes`], as axum's and `http-body-util`'s can; for
/// tonic's, which speaks gRPC anyway, use [`Challenge`].
///
/// ```
/// use http::{Request, Response};
/// use tower_bearer::Rejection;
/// use tower_bearer::respond::{Challenge, Problem, Respond};
///
/// let request = Request::new(());
/// let problem = Problem::new(Challenge::new());
/// let response: Response<bytes::Bytes> = problem.respond((&request).into(), &Rejection::forbidden());
/// assert_eq!(response.headers()["content-type"], "application/problem+json");
/// let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
/// assert_eq!(body["status"], 403);
/// assert_eq!(body["title"], "Forbidden");
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Problem(Challenge);

impl Problem {
    /// A JSON body under the headers of `challenge`.
    pub fn new(challenge: Challenge) -> Self {
        Self(challenge)
    }
}

impl<B: From<Bytes>> Respond<B> for Problem {
    fn respond(&self, request: RequestHead<'_>, rejection: &Rejection) -> Response<B> {
        write(&self.0, request, rejection, "application/problem+json", || {
            let status = rejection.kind().status();
            let mut problem = json!({
                "type": "about:blank",
                "title": status.canonical_reason(),
                "status": status.as_u16(),
            });
            if !self.0.terse {
                problem["detail"] = rejection.description().into();
            }
            problem
        })
    }
}

/// A responder with a shorter JSON body: `{"message": …, "code": …}`, a sentence in lower case and the HTTP
/// status, as NetBird's API and many others write their errors. Else as [`Problem`]; under a
/// [`terse`](Challenge::terse) challenge the message is the name of the kind.
///
/// ```
/// use http::{Request, Response};
/// use tower_bearer::Rejection;
/// use tower_bearer::respond::{Challenge, Message, Respond};
///
/// let request = Request::new(());
/// let message = Message::new(Challenge::new());
/// let response: Response<bytes::Bytes> = message.respond((&request).into(), &Rejection::invalid_token());
/// assert_eq!(response.headers()["content-type"], "application/json");
/// let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
/// assert_eq!(body, serde_json::json!({ "message": "the token is not valid", "code": 401 }));
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Message(Challenge);

impl Message {
    /// A JSON body under the headers of `challenge`.
    pub fn new(challenge: Challenge) -> Self {
        Self(challenge)
    }
}

impl<B: From<Bytes>> Respond<B> for Message {
    fn respond(&self, request: RequestHead<'_>, rejection: &Rejection) -> Response<B> {
        write(&self.0, request, rejection, "application/json", || {
            let kind = rejection.kind();
            let message = if self.0.terse { kind.name() } else { rejection.description() };
            json!({ "message": message.to_lowercase(), "code": kind.status().as_u16() })
        })
    }
}

/// The refusal under the headers of `challenge`, with a JSON body where the request does not speak gRPC.
fn write<B: From<Bytes>>(
    challenge: &Challenge,
    request: RequestHead<'_>,
    rejection: &Rejection,
    content_type: &'static str,
    body: impl FnOnce() -> Value,
) -> Response<B> {
    match Dialect::of(request) {
        Dialect::Grpc(grpc) => challenge.write_grpc(grpc, rejection, Bytes::new().into()),
        Dialect::Http => {
            let mut response = challenge.write_http(rejection, Bytes::from(body().to_string()).into());
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            response
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{Request, Response};
    use serde_json::{Value, json};

    use super::{Message, Problem, Respond};
    use crate::rejection::Rejection;
    use crate::respond::Challenge;

    fn answer(responder: &impl Respond<Bytes>, content_type: &str, rejection: &Rejection) -> Response<Bytes> {
        let request = Request::builder().header("content-type", content_type).body(()).unwrap();
        responder.respond((&request).into(), rejection)
    }

    fn body(response: &Response<Bytes>) -> Value {
        serde_json::from_slice(response.body()).unwrap()
    }

    #[test]
    fn a_problem_says_its_detail_unless_terse() {
        let rejection = Rejection::invalid_token();
        let full = answer(&Problem::new(Challenge::new()), "application/json", &rejection);
        let detail = "the token is not valid";
        assert_eq!(
            body(&full),
            json!({ "type": "about:blank", "title": "Unauthorized", "status": 401, "detail": detail })
        );
        assert!(full.headers().contains_key("www-authenticate"));
        let terse = answer(&Problem::new(Challenge::new().terse()), "application/json", &rejection);
        assert_eq!(body(&terse), json!({ "type": "about:blank", "title": "Unauthorized", "status": 401 }));
    }

    #[test]
    fn a_message_is_lower_case_with_its_code() {
        let rejection = Rejection::malformed_credential().with_description("credentials need HTTPS");
        let full = answer(&Message::new(Challenge::new()), "application/json", &rejection);
        assert_eq!(
            (full.status().as_u16(), &full.headers()["content-type"]),
            (400, &"application/json".parse().unwrap())
        );
        assert_eq!(body(&full), json!({ "message": "credentials need https", "code": 400 }));
        assert!(full.headers().contains_key("www-authenticate"));

        let terse = answer(&Message::new(Challenge::new().terse()), "application/json", &rejection);
        assert_eq!(body(&terse), json!({ "message": "malformed_credential", "code": 400 }));

        let later = answer(&Message::default(), "text/plain", &Rejection::too_many_failures());
        assert_eq!(body(&later), json!({ "message": "too many failed attempts", "code": 429 }));
        assert!(later.headers().contains_key("retry-after"));
    }

    #[test]
    fn a_grpc_request_gets_no_json_m_grpc_2() {
        let rejection = Rejection::invalid_token();
        for response in [
            answer(&Message::default(), "application/grpc", &rejection),
            answer(&Problem::default(), "application/grpc", &rejection),
        ] {
            assert_eq!(response.headers()["content-type"], "application/grpc");
            assert_eq!(response.headers()["grpc-status"], "16");
            assert!(response.body().is_empty());
        }
    }
}
