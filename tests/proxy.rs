//! Both halves in one service: an axum proxy that checks the caller's token and sends its own.

mod common;

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use http::{Request, Response, StatusCode, Uri};
use tower::{Layer, ServiceExt};
use tower_bearer::attach::CloneBody;
use tower_bearer::source::StaticToken;
use tower_bearer::{AttachLayer, AuthenticateLayer, Scheme};

use common::*;

/// What the API behind the proxy is sent.
async fn upstream(request: Request<String>) -> Result<Response<Body>, Infallible> {
    let values: Vec<_> = request.headers().get_all("authorization").iter().collect();
    let shown = values.iter().map(|value| value.to_str().unwrap_or("?")).collect::<Vec<_>>().join(" and ");
    Ok(Response::new(Body::from(format!("{} {shown}", request.uri()))))
}

fn proxy() -> Router {
    let source = StaticToken::new(Scheme::Token, "own-token").unwrap();
    let attach = AttachLayer::to("https://api.example", source).unwrap().retry_unauthorized(CloneBody);
    let client = attach.layer(tower::service_fn(upstream));
    let forward = async move |request: Request<Body>| {
        let (mut head, _) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        head.uri =
            Uri::try_from(format!("https://api.example{path}")).map_err(|_| StatusCode::BAD_REQUEST)?;
        let request = Request::from_parts(head, String::new());
        client.clone().oneshot(request).await.map_err(|_| StatusCode::BAD_GATEWAY)
    };
    let authenticate = AuthenticateLayer::new(rules().build().unwrap()).strip_credential();
    Router::new().fallback(forward).layer(authenticate)
}

async fn get(authorization: &str) -> (u16, String) {
    let request = Request::get("/orders?page=2").header("authorization", authorization).body(Body::empty());
    let response = proxy().oneshot(request.unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn the_callers_token_stays_and_our_own_goes_out_atk_35() {
    let (status, body) = get(&format!("Bearer {}", good_token())).await;
    assert_eq!((status, body.as_str()), (200, "https://api.example/orders?page=2 Token own-token"));
    let (status, body) = get("Bearer a.b.c").await;
    assert_eq!((status, body.as_str()), (401, ""));
}
