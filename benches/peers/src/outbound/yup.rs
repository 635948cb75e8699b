//! `yup-oauth2` has no layer: its authenticator over an access token at hand, asked for each request.

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use tower::filter::AsyncFilterLayer;
use tower::{BoxError, Layer};
use yup_oauth2::AccessTokenAuthenticator;

use super::{cloned, sent, token};
use crate::drive::{self, Body, Heads};
use crate::measure::Contestant;

pub async fn contestants(heads: &Heads) -> Vec<Contestant> {
    let authenticator = AccessTokenAuthenticator::builder(token()).build().await.expect("an authenticator");
    let layer = AsyncFilterLayer::new(move |mut request: Request<Body>| {
        let authenticator = authenticator.clone();
        async move {
            let token = authenticator.token(&["https://api.example/orders"]).await?;
            let token = token.token().ok_or("an access token")?;
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))?;
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
            Ok::<_, BoxError>(request)
        }
    });
    vec![cloned("yup-oauth2 12, a given token", heads, layer.layer(drive::handler::<Body, Body>(sent)))]
}
