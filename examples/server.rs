//! The main job: one process, one port, HTTP/1.1, HTTP/2 and gRPC behind the same layers.
//!
//! ```text
//! cargo run --example server --features full
//! ```
//!
//! starts on 127.0.0.1:3000 with keys, clients and a store made at start, and prints calls to paste: for each of
//! five systems, one that gets a token and one that uses it. `--help` has the rest.

#[path = "server/calls.rs"]
mod calls;
#[path = "server/clients.rs"]
mod clients;
#[path = "server/flags.rs"]
mod flags;
#[path = "server/issuing.rs"]
mod issuing;
#[path = "server/pats.rs"]
mod pats;

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;

use axum::http::header::CONTENT_TYPE;
use axum::routing::{any, get};
use axum::{Json, Router};
use clap::Parser;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tower::ServiceExt;
use tower_bearer::require::{ByPath, Policy, scope};
use tower_bearer::verify::RemoteKeys;
use tower_bearer::{AuthenticateLayer, Identity, Rejection, RequestHead, RequireLayer};

use crate::flags::{Flags, Setup};
use crate::issuing::Peer;

/// Larger than any token that the verifier reads, so that the refusal of one that is too long comes
/// from there, with a challenge, and not from the connection. A server behind a proxy needs far less.
const MAX_HEAD_BYTES: u32 = 4 * 1024 * 1024;

/// For the head of a request, the wait for it included: nobody holds a connection for nothing for long.
const HEAD_DEADLINE: std::time::Duration = std::time::Duration::from_secs(120);

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
    let setup = flags.set_up().await?;
    let listener = TcpListener::bind(flags.listen).await.map_err(|error| {
        format!("--listen {}: {error}; --listen 127.0.0.1:0 takes a free port", flags.listen)
    })?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}");
    if let Some((issuing, _)) = &setup.issuing {
        calls::print(address, issuing, &setup.shown, flags.clock()?)?;
    }
    // A temporary store goes when the server does, not before.
    let _stores = setup.issuing.as_ref().map(|(issuing, _)| issuing.stores.clone());
    serve(listener, app(setup, address)?).await
}

/// Open routes, optional ones and guarded ones; gRPC stands among the guarded.
fn app(setup: Setup, address: SocketAddr) -> Result<Router, Box<dyn Error>> {
    let remote = setup.remote;
    let authenticate = AuthenticateLayer::new(setup.verifier).with_max_token_bytes(setup.max_token_bytes);

    let open = Router::new().route("/healthz", get(async move || Json(health(&remote))));
    let optional = Router::new().route("/public", get(public)).route_layer(authenticate.clone().optional());
    let orders = Router::new()
        .route("/orders", get(list_orders).route_layer(RequireLayer::new(scope("read"))))
        .route("/orders", axum::routing::post(create_order).route_layer(RequireLayer::new(scope("write"))));
    let guarded = Router::new()
        .route("/me", any(me))
        .merge(orders)
        .merge(grpc()?.route_layer(RequireLayer::new(grpc_policy())))
        .route_layer(authenticate.clone());
    let Some((issuing, jwts)) = setup.issuing else {
        let nothing = get(async || ([(CONTENT_TYPE, "application/jwk-set+json")], r#"{"keys":[]}"#));
        return Ok(open.merge(optional).merge(guarded).route("/.well-known/jwks.json", nothing));
    };
    let limited = optional.merge(guarded).route_layer(issuing.limit_personal());
    Ok(open.merge(limited).merge(issuing.routes(address, jwts, authenticate)?))
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

/// How the keys from elsewhere are doing. An outage of theirs is none of this server's.
fn health(remote: &[(String, RemoteKeys)]) -> Value {
    let keys = remote.iter().map(|(issuer, keys)| {
        let health = keys.health();
        json!({
            "issuer": issuer,
            "generation": health.generation(),
            "age_s": health.age().map(|age| age.as_secs()),
            "last_error": health.last_error(),
            "last_known_good": health.last_known_good(),
        })
    });
    json!({ "status": "ok", "keys": keys.collect::<Vec<_>>() })
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
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(MAX_HEAD_BYTES as usize);
    http.http2().max_header_list_size(MAX_HEAD_BYTES);
    let mut terminated = signal(SignalKind::terminate())?;
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => (stream, Peer(from.ip())),
                Err(error) => {
                    // Out of file descriptors, most likely: trying again at once would only spin.
                    tracing::warn!(%error, "no connection accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    continue;
                }
            },
            _ = tokio::signal::ctrl_c() => return Ok(()),
            _ = terminated.recv() => return Ok(()),
        };
        let _ = stream.set_nodelay(true);
        let app = app.clone().map_request(move |mut request: http::Request<_>| {
            request.extensions_mut().insert(peer);
            request
        });
        let http = http.clone();
        tokio::spawn(async move {
            let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
            if let Err(error) = connection.await {
                tracing::debug!(error, "connection ended");
            }
        });
    }
}
