//! The calls, and what is counted and printed of them.

use std::error::Error;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::ServiceExt;

use crate::network::{GrpcService, HttpService};

tokio::task_local! {
    /// How often the call that this task makes was sent.
    static SENDS: Arc<AtomicU64>;
}

/// What all calls took together.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    fetches: AtomicU64,
    /// Token requests that no call has told of yet. The first call that ends after one tells of it.
    untold: AtomicU64,
    sends: AtomicU64,
    ok: AtomicU32,
}

impl Tally {
    pub(crate) fn count_fetch(&self) {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        self.untold.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn count_send(&self) {
        self.sends.fetch_add(1, Ordering::SeqCst);
        // Outside of a call there is nobody to count for.
        let _ = SENDS.try_with(|sends| sends.fetch_add(1, Ordering::SeqCst));
    }
}

/// How a call ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    status: Option<i32>,
    ok: bool,
    error: Option<String>,
}

/// Makes the calls, so many at a time, and prints a line for each and one for all.
pub(crate) async fn run<F, Fut>(calls: u32, concurrency: NonZeroU32, tally: Arc<Tally>, call: F)
where
    F: Fn() -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Outcome> + Send,
{
    let began = Instant::now();
    let next = Arc::new(AtomicU32::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..concurrency.get().min(calls) {
        let (call, next, tally) = (call.clone(), Arc::clone(&next), Arc::clone(&tally));
        workers.spawn(async move {
            while next.fetch_add(1, Ordering::SeqCst) < calls {
                one(&call, &tally).await;
            }
        });
    }
    while workers.join_next().await.is_some() {}
    let ok = tally.ok.load(Ordering::SeqCst);
    println!(
        "{}",
        json!({
            "calls": calls,
            "ok": ok,
            "failed": calls - ok,
            "token_fetches": tally.fetches.load(Ordering::SeqCst),
            "sends": tally.sends.load(Ordering::SeqCst),
            "millis": millis(began),
        })
    );
}

async fn one<Fut: Future<Output = Outcome>>(call: &impl Fn() -> Fut, tally: &Tally) {
    let (began, sends) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let outcome = SENDS.scope(Arc::clone(&sends), call()).await;
    tracing::debug!(status = outcome.status, "call ended");
    tally.ok.fetch_add(u32::from(outcome.ok), Ordering::SeqCst);
    let mut line = json!({
        "status": outcome.status,
        "token_fetches": tally.untold.swap(0, Ordering::SeqCst),
        "sends": sends.load(Ordering::SeqCst),
        "millis": millis(began),
    });
    if let Some(error) = outcome.error {
        line["error"] = error.into();
    }
    println!("{line}");
}

/// A plain call without a body.
pub(crate) async fn http(client: HttpService, method: Method, url: Uri) -> Outcome {
    let mut request = Request::new(Full::default());
    (*request.method_mut(), *request.uri_mut()) = (method, url);
    match client.oneshot(request).await {
        Ok(response) => {
            let status = response.status();
            let mut body = response.into_body();
            // To the end, so that the connection can be used again.
            while let Some(Ok(_)) = body.frame().await {}
            Outcome { status: Some(status.as_u16().into()), ok: status.is_success(), error: None }
        }
        Err(error) => Outcome { status: None, ok: false, error: Some(chain(&*error)) },
    }
}

/// A call of the gRPC health service.
pub(crate) async fn health(client: GrpcService) -> Outcome {
    match HealthClient::new(client).check(HealthCheckRequest::default()).await {
        Ok(_) => Outcome { status: Some(0), ok: true, error: None },
        Err(status) => {
            let error = format!("gRPC status {:?}", status.code());
            Outcome { status: Some(status.code() as i32), ok: false, error: Some(error) }
        }
    }
}

/// An error and what is underneath.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
