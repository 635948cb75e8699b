use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};

use crate::error::BoxError;
use crate::eventual::Eventual;
use crate::transport::Transport;

type Answer = dyn Fn(Request<Bytes>) -> Result<Response<Bytes>, BoxError> + Send + Sync;

/// A transport that answers each request with a function's value, and counts them. Clones share the
/// count.
///
/// ```
/// use tower_bearer::test_util::StubTransport;
/// use tower_bearer::transport::Transport;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let transport = StubTransport::new(|request| match request.uri().path() {
///     "/up" => Ok(http::Response::new("hello".into())),
///     _ => Err("no route".into()),
/// });
/// let get = |path| http::Request::get(path).body(bytes::Bytes::new()).unwrap();
/// assert_eq!(transport.send(get("/up")).await.unwrap().body(), "hello");
/// assert!(transport.send(get("/down")).await.is_err());
/// assert_eq!(transport.requests(), 2);
/// # }
/// ```
#[derive(Clone)]
pub struct StubTransport {
    answer: Arc<Answer>,
    requests: Arc<AtomicUsize>,
}

impl StubTransport {
    /// Answers with what `answer` returns.
    pub fn new(
        answer: impl Fn(Request<Bytes>) -> Result<Response<Bytes>, BoxError> + Send + Sync + 'static,
    ) -> Self {
        Self { answer: Arc::new(answer), requests: Arc::default() }
    }

    /// How many requests were sent.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Transport for StubTransport {
    fn send(&self, request: Request<Bytes>) -> Eventual<Result<Response<Bytes>, BoxError>> {
        let stub = self.clone();
        Eventual::later(async move {
            stub.requests.fetch_add(1, Ordering::SeqCst);
            (stub.answer)(request)
        })
    }
}

impl fmt::Debug for StubTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StubTransport").field("requests", &self.requests).finish_non_exhaustive()
    }
}
