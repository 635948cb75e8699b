//! Whatever comes to the door gets a decided answer, before anything of its body is read.

mod common;

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer, ServiceBuilder, ServiceExt};
use tower_bearer::require::{RequireLayer, scope};
use tower_bearer::verify::{Issuers, Schemes, verify_fn};
use tower_bearer::{AuthenticateLayer, Identity, Rejection};

use common::*;

fn layer() -> AuthenticateLayer {
    let nobody = verify_fn(|_| async { Err(Rejection::invalid_token()) });
    let issuers = Issuers::new([rules().build().unwrap()]).unwrap();
    AuthenticateLayer::new(Schemes::new().bearer_jwt(issuers).bearer(nobody).token(nobody))
}

fn status(values: &[HeaderValue]) -> u16 {
    let service = layer().layer(tower::service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(String::new()))
    }));
    let mut request = Request::new(());
    for value in values {
        request.headers_mut().append("authorization", value.clone());
    }
    let response = tokio_test::block_on(service.oneshot(request)).unwrap();
    assert_eq!(response.headers().contains_key("www-authenticate"), response.status() != 200);
    response.status().as_u16()
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let header = prop_oneof![
        Just(HEADER.to_owned()),
        r#"\{"alg":"(HS256|none|ES256)"(,"(kid|typ|crit|b64|jku)":("a"|1|null|\["a"\]))?\}"#,
    ];
    let payload = prop_oneof![
        Just(good_claims().to_string()),
        r#"\{"(iss|aud|exp|nbf)":("a"|-?[0-9]{1,25}(\.[0-9])?(e[0-9]{1,3})?|null|\[\])\}"#,
        any::<String>(),
    ];
    prop_oneof![
        proptest::collection::vec(prop_oneof![Just(b'\t'), 0x20..=0xff_u8], 0..80),
        "(Bearer|bearer|Token|Basic|)[ \t,]{0,2}[-A-Za-z0-9._~+/=, ]{0,60}".prop_map(String::into_bytes),
        (header, payload)
            .prop_map(|(header, payload)| format!("Bearer {}", raw(&header, &payload)).into_bytes()),
    ]
}

proptest! {
    #[test]
    fn every_byte_string_is_decided_atk_33_m_x_1(values in proptest::collection::vec(value(), 0..3)) {
        let values: Vec<_> = values.iter().filter_map(|value| HeaderValue::from_bytes(value).ok()).collect();
        let status = status(&values);
        prop_assert!(matches!(status, 200 | 400 | 401), "{status}");
        prop_assert!(values.len() < 2 || status == 400);
    }
}

#[test]
fn a_good_one_is_let_in() {
    let good = HeaderValue::from_str(&format!("Bearer {}", good_token())).unwrap();
    assert_eq!(status(std::slice::from_ref(&good)), 200);
    assert_eq!(status(&[good.clone(), good]), 400);
}

/// A body that nobody may read.
struct Untouchable;

impl http_body::Body for Untouchable {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        panic!("the body was read")
    }
}

#[tokio::test]
async fn no_body_is_read_for_a_refusal_m_grpc_7() {
    let inner = tower::service_fn(|_: Request<Untouchable>| async {
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let service = layer().layer(RequireLayer::new(scope("write")).layer(inner));
    let good = format!("Bearer {}", good_token());
    for (authorization, grpc) in [("Bearer bad", "16"), (&*good, "7")] {
        let request = Request::post("/a.B/C")
            .header("content-type", "application/grpc")
            .header("authorization", authorization);
        let response = service.clone().oneshot(request.body(Untouchable).unwrap()).await.unwrap();
        assert_eq!(response.headers()["grpc-status"], grpc);
    }
}

/// The layers under hyper alone, on a real connection that stays usable after each refusal.
#[tokio::test]
async fn under_plain_hyper() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let handler = tower::service_fn(|request: Request<Incoming>| async move {
            let who = request.extensions().get::<Identity>().map(|identity| identity.subject().to_owned());
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(who.unwrap_or_default())))
        });
        let service =
            ServiceBuilder::new().layer(layer()).layer(RequireLayer::new(scope("read"))).service(handler);
        let http = auto::Builder::new(TokioExecutor::new());
        http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).await.unwrap();
    });
    let mut stream = TcpStream::connect(address).await.unwrap();
    let good = format!("Authorization: Bearer {}\r\n", good_token());
    let twice = format!("{good}{good}");
    for (headers, expected, body) in [
        (&*good, "HTTP/1.1 200", "alice"),
        ("", "HTTP/1.1 401", ""),
        ("Authorization: Bearer \u{e9}\r\n", "HTTP/1.1 400", ""),
        (&*twice, "HTTP/1.1 400", ""),
        ("Authorization: Basic YWJj\r\n", "HTTP/1.1 401", ""),
        (&*good, "HTTP/1.1 200", "alice"),
    ] {
        stream.write_all(format!("GET / HTTP/1.1\r\nHost: a\r\n{headers}\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(format!("\r\n\r\n{body}").as_bytes()) {
            answer.push(stream.read_u8().await.unwrap());
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with(expected), "{headers}{answer}");
    }
}
