//! A hyper client that gets its tokens from a token endpoint, and another when one is refused. The endpoint
//! and the API are in this process.
//!
//! ```text
//! cargo run --example hyper_client --features full
//! ```

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt};
use tower_bearer::AttachLayer;
use tower_bearer::attach::{CloneBody, Origins};
use tower_bearer::contract::{Credentials, TokenContract};
use tower_bearer::source::{CachedSource, FetchedSource};
use tower_bearer::transport::ServiceTransport;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let origin = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, server()).await });

    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let transport = ServiceTransport::new(client.clone()).insecure_allow_http_loopback();
    let credentials = Credentials::client("shop", "hunter2");
    let fetched =
        FetchedSource::new(TokenContract::spotnana(), &format!("{origin}/token"), credentials, transport)?;
    let layer = AttachLayer::to(Origins::insecure_http_loopback([&origin])?, CachedSource::new(fetched))?;
    let client = layer.retry_unauthorized(CloneBody).layer(client);

    for _ in 0..3 {
        let request = Request::get(format!("{origin}/orders")).body(Full::default())?;
        let response = client.clone().oneshot(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        println!("{status} {}", String::from_utf8_lossy(&body));
        assert_eq!(status, StatusCode::OK);
    }
    Ok(())
}

/// Gives tokens 1, 2, 3 and so on; the first is no good.
fn server() -> Router {
    let issued = Arc::new(AtomicUsize::new(0));
    let token = move || async move {
        let number = issued.fetch_add(1, Ordering::Relaxed) + 1;
        format!(r#"{{"access_token":"token-{number}","token_type":"Bearer","expires_in":3600}}"#)
    };
    let orders = async |headers: HeaderMap| match headers.get("authorization") {
        Some(value) if value == "Bearer token-2" => (StatusCode::OK, "no orders"),
        _ => (StatusCode::UNAUTHORIZED, ""),
    };
    Router::new().route("/token", post(token)).route("/orders", get(orders))
}
