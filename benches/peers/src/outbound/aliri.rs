//! `aliri_tokens` has no layer: its `TokenWatcher`, read for each request.

use aliri_clock::DurationSecs;
use aliri_tokens::backoff::ErrorBackoffConfig;
use aliri_tokens::jitter::NullJitter;
use aliri_tokens::sources::ConstTokenSource;
use aliri_tokens::{AccessToken, TokenWatcher};
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use tower::Layer;
use tower::util::MapRequestLayer;

use super::{cloned, sent, token};
use crate::drive::{self, Body, Heads};
use crate::measure::Contestant;

pub async fn contestants(heads: &Heads) -> Vec<Contestant> {
    let source =
        ConstTokenSource::new(AccessToken::from(token())).with_token_valid_for(DurationSecs(24 * 3600));
    let watcher =
        TokenWatcher::spawn_from_token_source(source, NullJitter, ErrorBackoffConfig::default()).await;
    let watcher = watcher.expect("a token");
    let layer = MapRequestLayer::new(move |mut request: Request<Body>| {
        let value = format!("Bearer {}", watcher.token().access_token().as_str());
        let mut value = HeaderValue::try_from(value).expect("a header");
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
        request
    });
    vec![cloned("aliri_tokens 0.3", heads, layer.layer(drive::handler::<Body, Body>(sent)))]
}
