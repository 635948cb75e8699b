//! Putting a token on the way out, one contestant to a file.

mod aliri;
mod by_hand;
mod google;
mod kube;
mod oauth2;
mod ours;
mod yup;

use std::hint::black_box;

use http::Request;
use http::header::AUTHORIZATION;

use crate::drive::{self, Body, Heads};
use crate::measure::Contestant;

/// The name of the bare service.
pub const BARE: &str = "bare service";
/// The name of the raw limit.
pub const RAW: &str = "a made header value put in, no layer";
/// Requests to a batch.
pub const BATCH: usize = 1024;

/// As long as the tokens on the way in.
pub fn token() -> String {
    "a".repeat(800)
}

/// All of them, each with a token at hand.
pub async fn contestants() -> Vec<Contestant> {
    let heads: Heads = (0..BATCH)
        .map(|_| Request::get("https://api.example/orders").body(()).expect("a request"))
        .collect::<Vec<_>>()
        .into();
    let mut all = vec![drive::service(BARE, None, &heads, || drive::handler::<Body, Body>(|_| true))];
    all.extend(by_hand::contestants(&heads));
    all.extend(ours::contestants(&heads).await);
    all.extend(oauth2::contestants(&heads));
    all.extend(aliri::contestants(&heads).await);
    all.extend(google::contestants(&heads).await);
    all.extend(yup::contestants(&heads).await);
    all.extend(kube::contestants(&heads));
    all
}

/// What the client below does: it sends the header. A request without one does not count as sent.
pub fn sent(request: &Request<Body>) -> bool {
    request.headers().get(AUTHORIZATION).is_some_and(|header| !black_box(header).is_empty())
}

/// A contestant whose service is cloned for each batch.
pub fn cloned<S>(name: &'static str, heads: &Heads, service: S) -> Contestant
where
    S: tower::Service<Request<Body>, Response: drive::Status + 'static, Error: std::fmt::Debug>
        + Clone
        + 'static,
{
    drive::service(name, Some(BARE), heads, move || service.clone())
}
