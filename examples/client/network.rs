//! The clients: plain or TLS, with what is counted and what is followed.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tonic::transport::Channel;
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceBuilder, ServiceExt};
use tower_bearer::attach::{AttachError, Buffered, CloneBody, GuardLayer};
use tower_bearer::contract::{Refusal, TokenContract};
use tower_bearer::source::TokenSource;
use tower_bearer::transport::{ServiceTransport, Transport};
use tower_bearer::{AttachLayer, ConfigError};
use tower_http::follow_redirect::FollowRedirectLayer;

use crate::calls::Tally;
use crate::flags::{Contract, Flags, Follow};

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;
pub(crate) type HttpService = BoxCloneSyncService<Request<Full<Bytes>>, Response<Body>, BoxError>;
type Network = BoxCloneSyncService<Request<Full<Bytes>>, Response<Incoming>, BoxError>;
pub(crate) type GrpcService = BoxCloneSyncService<
    Request<tonic::body::Body>,
    Response<tonic::body::Body>,
    AttachError<tonic::transport::Error>,
>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// More than any unary request of the health service.
const REPLAY_BYTES: usize = 64 * 1024;

/// What token requests go through, each counted.
pub(crate) fn transport(
    url: &str,
    http_loopback: bool,
    tally: &Arc<Tally>,
) -> Result<impl Transport + use<>, ConfigError> {
    let tally = Arc::clone(tally);
    let counted = network(url.starts_with("https"))?.map_request(move |request| {
        tally.count_fetch();
        request
    });
    let transport = ServiceTransport::new(counted);
    Ok(if http_loopback { transport.insecure_allow_http_loopback() } else { transport })
}

/// What the calls go through, each send counted.
pub(crate) fn http(
    flags: &Flags,
    source: Arc<dyn TokenSource>,
    tally: &Arc<Tally>,
) -> Result<HttpService, ConfigError> {
    let tally = Arc::clone(tally);
    let counted = network(flags.url.scheme_str() == Some("https"))?.map_request(move |request| {
        tally.count_send();
        request
    });
    let refusal = match flags.contract {
        Contract::TwoBttns => TokenContract::two_bttns().refusal().clone(),
        _ => Refusal::unauthorized(),
    };
    let attach =
        AttachLayer::to(flags.origins()?, source)?.retry_unauthorized(CloneBody).refused_when(refusal);
    let guarded = GuardLayer::new(flags.origins()?)?.layer(counted);
    let follow = FollowRedirectLayer::new();
    let boxed =
        |response: Response<_>| response.map(|body| BodyExt::map_err(body, Into::into).boxed_unsync());
    Ok(match flags.follow_redirects {
        None => BoxCloneSyncService::new(
            attach.layer(guarded).map_response(boxed).map_err(AttachError::into_boxed),
        ),
        Some(Follow::Inside) => {
            let service = ServiceBuilder::new().layer(attach).layer(follow).service(guarded);
            BoxCloneSyncService::new(service.map_response(boxed).map_err(AttachError::into_boxed))
        }
        Some(Follow::Outside) => {
            let service = ServiceBuilder::new().layer(follow).layer(attach).service(guarded);
            BoxCloneSyncService::new(service.map_response(boxed).map_err(AttachError::into_boxed))
        }
    })
}

/// What gRPC calls go through, each send counted.
pub(crate) fn grpc(
    flags: &Flags,
    source: Arc<dyn TokenSource>,
    tally: &Arc<Tally>,
) -> Result<GrpcService, ConfigError> {
    let wanted = || ConfigError::new("URL", "expected http and /grpc.health.v1.Health/Check, for gRPC");
    let authority =
        flags.url.authority().filter(|_| flags.url.scheme_str() == Some("http")).ok_or_else(wanted)?;
    if flags.url.path() != "/grpc.health.v1.Health/Check" || flags.method() != http::Method::POST {
        return Err(wanted());
    }
    let endpoint =
        Channel::from_shared(format!("http://{authority}")).map_err(|error| wanted().with_source(error))?;
    let tally = Arc::clone(tally);
    let counted = endpoint.connect_timeout(CONNECT_TIMEOUT).connect_lazy().map_request(move |request| {
        tally.count_send();
        request
    });
    let replay = Buffered::up_to(REPLAY_BYTES).into_body(tonic::body::Body::new);
    let attach = AttachLayer::to_connection(source).retry_unauthorized(replay).grpc();
    Ok(BoxCloneSyncService::new(attach.layer(counted)))
}

/// A hyper client, with TLS where it is needed: not every machine has certificates.
fn network(tls: bool) -> Result<Network, ConfigError> {
    let mut tcp = HttpConnector::new();
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    tcp.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new());
    if !tls {
        return Ok(BoxCloneSyncService::new(client.build(tcp).map_err(Into::into)));
    }
    tcp.enforce_http(false);
    let connector = HttpsConnectorBuilder::new()
        .try_with_platform_verifier()
        .map_err(|error| {
            ConfigError::new("URL", "expected certificates on this machine, for https").with_source(error)
        })?
        .https_only()
        .enable_all_versions()
        .wrap_connector(tcp);
    Ok(BoxCloneSyncService::new(client.build(connector).map_err(Into::into)))
}
