//! tonic clients see refusals as gRPC statuses with a message, on a real connection.

mod common;

use std::net::SocketAddr;

use serde_json::json;
use tokio::net::TcpListener;
use tonic::metadata::MetadataValue;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower_bearer::require::{ByPath, RequireLayer, scope};
use tower_bearer::verify::{Schemes, verify_fn};
use tower_bearer::{AuthenticateLayer, Identity, Rejection, RequestHead};

use common::*;

async fn serve() -> SocketAddr {
    let down = verify_fn(|_| async { Err(Rejection::unavailable()) });
    let verifier = Schemes::new().bearer_jwt(rules().build().unwrap()).token(down);
    let anybody = |_: &Identity, _: RequestHead<'_>| Ok(());
    let policy = ByPath::new()
        .exact("/grpc.health.v1.Health/Check", anybody)
        .exact("/grpc.health.v1.Health/Watch", scope("watch"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_, health) = tonic_health::server::health_reporter();
    let server = Server::builder()
        .layer(AuthenticateLayer::new(verifier))
        .layer(RequireLayer::new(policy))
        .add_service(health)
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);
    address
}

fn with(values: &[&str]) -> Request<HealthCheckRequest> {
    let mut request = Request::new(HealthCheckRequest::default());
    for value in values {
        request.metadata_mut().append("authorization", MetadataValue::try_from(*value).unwrap());
    }
    request
}

#[tokio::test]
async fn statuses_m_grpc_1_m_grpc_2() {
    let address = serve().await;
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut client = HealthClient::new(channel);
    let good = format!("Bearer {}", good_token());
    let expired = format!("Bearer {}", token_with("exp", json!(NOW - 60)));

    assert_eq!(client.check(with(&[&good])).await.unwrap().into_inner().status, 1);
    for (values, code, message) in [
        (&[][..], Code::Unauthenticated, "a credential is required"),
        (&["Basic YWJj"], Code::Unauthenticated, "the authentication scheme is not supported"),
        (&["Bearer"], Code::Unauthenticated, "the token is missing"),
        (&[&good, &good], Code::Unauthenticated, "more than one Authorization header"),
        (&["Bearer a.b.c"], Code::Unauthenticated, "the token is not valid"),
        (&[&expired], Code::Unauthenticated, "the token expired"),
        (&["Token abc"], Code::Unavailable, "the credential cannot be checked now"),
    ] {
        let status = client.check(with(values)).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, message), "{values:?}");
    }

    let denied: Status = client.watch(with(&[&good])).await.unwrap_err();
    assert_eq!(
        (denied.code(), denied.message()),
        (Code::PermissionDenied, "the token lacks a required scope")
    );
    let watcher = raw(HEADER, &claims_with("scope", Some(json!("watch"))));
    assert!(client.watch(with(&[&format!("Bearer {watcher}")])).await.is_ok());
}

#[tokio::test]
async fn the_identity_is_in_the_extensions() {
    use tonic::service::interceptor::InterceptedService;
    let (_, health) = tonic_health::server::health_reporter();
    let seen = |request: Request<()>| {
        let identity =
            request.extensions().get::<Identity>().ok_or_else(|| Status::internal("no identity"))?;
        if identity.subject() == "alice" { Ok(request) } else { Err(Status::aborted(identity.subject())) }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder()
        .layer(AuthenticateLayer::new(rules().build().unwrap()))
        .add_service(InterceptedService::new(health, seen))
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut client = HealthClient::new(channel);
    assert!(client.check(with(&[&format!("Bearer {}", good_token())])).await.is_ok());
    let bob = token_with("sub", json!("bob"));
    assert_eq!(client.check(with(&[&format!("Bearer {bob}")])).await.unwrap_err().message(), "bob");
}
