//! The main job: one process, one port, HTTP/1.1, HTTP/2 and gRPC behind the same layers.
//!
//! ```text
//! cargo run --example server --features full
//! ```
//!
//! starts on 127.0.0.1:3000 with a key made at start and prints calls to paste; `--help` has the rest.

#[path = "server/calls.rs"]
mod calls;
#[path = "server/flags.rs"]
mod flags;
#[path = "server/pats.rs"]
mod pats;

use std::error::Error;
use std::process::ExitCode;

use axum::http::header::CONTENT_TYPE;
use axum::routing::{any, get};
use axum::{Json, Router};
use clap::Parser;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_bearer::require::{ByPath, Policy, scope};
use tower_bearer::{AuthenticateLayer, Identity, Rejection, RequestHead, RequireLayer};

use crate::flags::{Flags, Setup};

/// Larger than any token that the verifier reads, so that the refusal of one that is too long comes
/// from there, with a challenge, and not from the connection. A server behind a proxy needs far less.
const MAX_HEAD_BYTES: u32 = 4 * 1024 * 1024;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(Flags::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(flags: Flags) -> Result<(), Box<dyn Error>> {
    let setup = flags.set_up()?;
    let listener = TcpListener::bind(flags.listen)
        .await
        .map_err(|error| format!("--listen {}: {error}", flags.listen))?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}");
    if let Some(signer) = &setup.signer {
        calls::print(address, &setup, signer, flags.clock()?)?;
    }
    serve(listener, app(setup)?).await
}

/// Open routes, optional ones and guarded ones; gRPC stands among the guarded.
fn app(setup: Setup) -> Result<Router, Box<dyn Error>> {
    let jwks = setup.signer.map_or_else(|| json!({ "keys": [] }).to_string(), |signer| signer.jwks());
    let authenticate = AuthenticateLayer::new(setup.verifier);

    let open = Router::new().route("/healthz", get(async || Json(json!({ "status": "ok" })))).route(
        "/.well-known/jwks.json",
        get(async move || ([(CONTENT_TYPE, "application/jwk-set+json")], jwks)),
    );
    let optional = Router::new().route("/public", get(public)).route_layer(authenticate.clone().optional());
    let orders = Router::new()
        .route("/orders", get(list_orders).route_layer(RequireLayer::new(scope("read"))))
        .route("/orders", axum::routing::post(create_order).route_layer(RequireLayer::new(scope("write"))));
    let guarded = Router::new()
        .route("/me", any(me))
        .merge(orders)
        .merge(grpc()?.route_layer(RequireLayer::new(grpc_policy())))
        .route_layer(authenticate);
    Ok(open.merge(optional).merge(guarded))
}

/// The health service of gRPC, and reflection, so that tools find it without a file.
fn grpc() -> Result<Router, Box<dyn Error>> {
    let (_, health) = tonic_health::server::health_reporter();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let reflection_alpha = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1alpha()?;
    Ok(Router::new()
        .route_service("/grpc.health.v1.Health/{method}", health)
        .route_service("/grpc.reflection.v1.ServerReflection/{method}", reflection)
        .route_service("/grpc.reflection.v1alpha.ServerReflection/{method}", reflection_alpha))
}

fn grpc_policy() -> impl Policy {
    let any_caller = |_: &Identity, _: RequestHead<'_>| Ok::<(), Rejection>(());
    ByPath::new()
        .below("/grpc.health.v1.Health/", any_caller)
        .exact("/grpc.health.v1.Health/Watch", scope("read"))
        .below("/grpc.reflection.v1.ServerReflection/", any_caller)
        .below("/grpc.reflection.v1alpha.ServerReflection/", any_caller)
}

async fn me(identity: Identity) -> Json<Value> {
    Json(json!({
        "subject": identity.subject(),
        "issuer": identity.issuer(),
        "scopes": identity.scopes().iter().collect::<Vec<_>>(),
        "scheme": identity.scheme().map(|scheme| scheme.name()),
    }))
}

async fn list_orders(identity: Identity) -> Json<Value> {
    Json(json!({ "orders": [], "for": identity.subject() }))
}

async fn create_order(identity: Identity) -> Json<Value> {
    Json(json!({ "created": true, "for": identity.subject() }))
}

async fn public(identity: Option<Identity>) -> Json<Value> {
    let subject = identity.as_ref().map_or("anonymous", Identity::subject);
    Json(json!({ "subject": subject }))
}

/// HTTP/1.1 and HTTP/2 on one port, without TLS.
async fn serve(listener: TcpListener, app: Router) -> Result<(), Box<dyn Error>> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().max_buf_size(MAX_HEAD_BYTES as usize);
    http.http2().max_header_list_size(MAX_HEAD_BYTES);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "no connection accepted");
                    continue;
                }
            },
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        let (http, app) = (http.clone(), app.clone());
        tokio::spawn(async move {
            let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
            if let Err(error) = connection.await {
                tracing::debug!(error, "connection ended");
            }
        });
    }
}
