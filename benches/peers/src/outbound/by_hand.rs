//! The raw limit, and tower-http's `AddAuthorizationLayer`.

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use tower::Layer;
use tower::util::MapRequestLayer;
use tower_http::auth::AddAuthorizationLayer;

use super::{RAW, cloned, sent, token};
use crate::drive::{self, Body, Heads};
use crate::measure::Contestant;

pub fn contestants(heads: &Heads) -> Vec<Contestant> {
    let value = HeaderValue::try_from(format!("Bearer {}", token())).expect("a header");
    let raw = MapRequestLayer::new(move |mut request: Request<Body>| {
        request.headers_mut().insert(AUTHORIZATION, value.clone());
        request
    });
    let added = AddAuthorizationLayer::bearer(&token()).as_sensitive(true);
    vec![
        cloned(RAW, heads, raw.layer(drive::handler::<Body, Body>(sent))),
        cloned(
            "tower-http 0.7 AddAuthorizationLayer, static",
            heads,
            added.layer(drive::handler::<Body, Body>(sent)),
        ),
    ]
}
