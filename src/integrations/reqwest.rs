//! A reqwest client as a tower service of `http` requests (feature `reqwest`): under an
//! [`AttachLayer`](crate::AttachLayer), or, in a
//! [`ServiceTransport`](crate::transport::ServiceTransport), as what token requests go through.
//!
//! 1. It follows no redirect: a follower would send secrets on. One that is wanted stands outside of the
//!    layer (`tower-http` has one).
//! 2. Its errors have no URL in them, since some have a secret.
//!
//! # Caveat
//!
//! Proxies, certificates and decompression are as the builder says. Token requests take no answer that is
//! encoded.
//!
//! # Examples
//!
//! A transport for token requests:
//!
//! ```
//! use tower_bearer::contract::{Credentials, TokenContract};
//! use tower_bearer::integrations::reqwest::ReqwestClient;
//! use tower_bearer::source::{FetchedSource, TokenSource};
//! use tower_bearer::transport::ServiceTransport;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_bearer::ConfigError> {
//! let transport = ServiceTransport::new(ReqwestClient::new(reqwest::Client::builder())?);
//! let fetched = |url: &str| {
//!     FetchedSource::new(TokenContract::spotnana(), url, Credentials::client("shop", "hunter2"), transport.clone())
//! };
//! assert!(fetched("https://id.example/token").is_ok());
//! assert!(fetched("http://id.example/token").is_err());
//! # Ok(())
//! # }
//! ```
//!
//! A client that puts tokens on:
//!
//! ```
//! use http::Request;
//! use tower::{Layer, ServiceExt};
//! use tower_bearer::attach::{AttachError, Buffered, Origins};
//! use tower_bearer::integrations::reqwest::ReqwestClient;
//! use tower_bearer::source::StaticToken;
//! use tower_bearer::{AttachLayer, Scheme};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let origins = Origins::insecure_http_loopback(["http://127.0.0.1:1"])?;
//! let layer = AttachLayer::to(origins, StaticToken::new(Scheme::Bearer, "abc")?)?;
//! let client = layer.retry_unauthorized(Buffered::up_to(1024)).layer(ReqwestClient::new(reqwest::Client::builder())?);
//!
//! let request = Request::get("http://127.0.0.1:1/?secret=canary").body(reqwest::Body::default())?;
//! let error = client.oneshot(request).await.unwrap_err();
//! let AttachError::Inner(error) = error else { panic!("there is a token") };
//! assert!(error.is_connect() && !format!("{error:?}").contains("canary"));
//! # Ok(())
//! # }
//! ```

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::error::{BoxError, ConfigError};

/// A reqwest client as a service; see the [module](self). Clones share its connections.
#[derive(Clone, Debug)]
pub struct ReqwestClient {
    client: reqwest::Client,
}

impl ReqwestClient {
    /// A client of this builder, which is told to follow no redirects.
    ///
    /// # Errors
    ///
    /// When it cannot be built.
    pub fn new(builder: reqwest::ClientBuilder) -> Result<Self, ConfigError> {
        let client = builder.redirect(reqwest::redirect::Policy::none()).referer(false).build();
        let wrong =
            |error| ConfigError::new("reqwest", "expected a client that can be built").with_source(error);
        client.map(|client| Self { client }).map_err(wrong)
    }
}

impl<B> Service<Request<B>> for ReqwestClient
where
    B: Body<Data = Bytes> + Send + Sync + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<reqwest::Body>;
    type Error = reqwest::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let request = reqwest::Request::try_from(request.map(reqwest::Body::wrap));
        let sent = request.map(|request| self.client.execute(request));
        Box::pin(async move {
            let response = match sent {
                Ok(sent) => sent.await,
                Err(error) => Err(error),
            };
            response.map(Response::from).map_err(reqwest::Error::without_url)
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Request;
    use http_body_util::{BodyExt, Full};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tower::ServiceExt;

    use super::ReqwestClient;

    #[tokio::test]
    async fn a_redirect_is_an_answer_like_any_other_atk_54() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            let answer =
                "HTTP/1.1 307 Temporary Redirect\r\nlocation: /elsewhere\r\ncontent-length: 5\r\n\r\nhello";
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(request[..length].to_vec()).unwrap()
        });
        let client = ReqwestClient::new(reqwest::Client::builder()).unwrap();
        let request =
            Request::post(format!("http://{address}/token")).body(Full::<Bytes>::from("a=b")).unwrap();
        let response = client.oneshot(request).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["location"]),
            (307, &"/elsewhere".parse().unwrap())
        );
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
        assert!(server.await.unwrap().starts_with("POST /token HTTP/1.1\r\n"));
    }
}
