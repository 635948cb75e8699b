//! The layer that puts tokens on: where they go, when a request is sent again, and on which service.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use tokio_test::{assert_pending, assert_ready_ok};
use tower::limit::ConcurrencyLimitLayer;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_bearer::attach::{AttachError, Buffered, CloneBody, NoReplay, Origins};
use tower_bearer::contract::TokenContract;
use tower_bearer::source::{CachedSource, StaticToken, TokenSource};
use tower_bearer::{AttachLayer, Eventual, Scheme, Token, TokenError};
use tower_http::follow_redirect::FollowRedirectLayer;
use tower_test::mock;

const API: &str = "https://api.example/orders";

/// Gives the tokens 1, 2, 3 and so on: at once, or a second later.
struct Numbers {
    asked: Arc<AtomicUsize>,
    slow: bool,
}

impl TokenSource for Numbers {
    fn token(&self) -> Eventual<Result<Token, TokenError>> {
        let number = self.asked.fetch_add(1, SeqCst) + 1;
        let token = Token::new(Scheme::Bearer, number.to_string()).unwrap();
        if !self.slow {
            return Eventual::now(Ok(token));
        }
        Eventual::later(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(token)
        })
    }
}

fn numbers(slow: bool) -> (Arc<AtomicUsize>, CachedSource<Numbers>) {
    let asked = Arc::default();
    (Arc::clone(&asked), CachedSource::new(Numbers { asked, slow }))
}

fn layer(slow: bool) -> (Arc<AtomicUsize>, AttachLayer) {
    let (asked, source) = numbers(slow);
    (asked, AttachLayer::to("https://api.example", source).unwrap())
}

fn token_of<B>(request: &Request<B>) -> String {
    let value = request.headers().get("authorization");
    value.map_or_else(|| "none".into(), |value| value.to_str().unwrap().to_owned())
}

fn get(uri: &str) -> Request<String> {
    Request::get(uri).body("hello".to_owned()).unwrap()
}

fn status(status: u16) -> Response<String> {
    Response::builder().status(status).body(String::new()).unwrap()
}

/// An API that accepts from this token on, and writes down what it was sent.
#[derive(Clone)]
struct Api {
    good_from: usize,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Api {
    fn accepting_from(good_from: usize) -> Self {
        Self { good_from, seen: Arc::default() }
    }

    fn answer<B>(&self, request: &Request<B>) -> u16 {
        let token = token_of(request);
        self.seen.lock().unwrap().push(token.clone());
        let number = token.strip_prefix("Bearer ").and_then(|number| number.parse().ok());
        if number.is_some_and(|number: usize| number >= self.good_from) { 200 } else { 401 }
    }

    fn service<B: Send + 'static>(
        &self,
    ) -> impl Service<Request<B>, Response = Response<String>, Error = Infallible, Future: Send> + Clone + use<B>
    {
        let api = self.clone();
        tower::service_fn(move |request: Request<B>| {
            let answer = status(api.answer(&request));
            async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Ok(answer)
            }
        })
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_goes_out_once_more_with_another_token_s3_c2() {
    for slow in [false, true] {
        let (asked, layer) = layer(slow);
        let api = Api::accepting_from(2);
        let service = layer.retry_unauthorized(CloneBody).layer(api.service());
        assert_eq!(service.oneshot(get(API)).await.unwrap().status(), 200);
        assert_eq!(api.seen(), ["Bearer 1", "Bearer 2"]);
        assert_eq!(asked.load(SeqCst), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn never_a_third_time_atk_62() {
    let (asked, layer) = layer(false);
    let api = Api::accepting_from(usize::MAX);
    let service = layer.retry_unauthorized(CloneBody).layer(api.service());
    for calls in 1..=30 {
        let before = api.seen().len();
        assert_eq!(service.clone().oneshot(get(API)).await.unwrap().status(), 401);
        assert!(api.seen().len() - before <= 2, "call {calls}");
    }
    // Three seconds in all: the first token and its replacement.
    assert_eq!(asked.load(SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_refusals_at_once_are_one_more_token_atk_56() {
    let (asked, layer) = layer(true);
    let api = Api::accepting_from(2);
    let service = layer.retry_unauthorized(CloneBody).layer(api.service());
    let calls: Vec<_> = (0..1000).map(|_| tokio::spawn(service.clone().oneshot(get(API)))).collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().status(), 200);
    }
    assert_eq!((asked.load(SeqCst), api.seen().len()), (2, 2000));
}

#[tokio::test(start_paused = true)]
async fn without_a_replay_the_refusal_stands_and_the_next_call_is_better() {
    let (_, layer) = layer(false);
    let api = Api::accepting_from(2);
    let service = layer.retry_unauthorized(NoReplay).layer(api.service());
    assert_eq!(service.clone().oneshot(get(API)).await.unwrap().status(), 401);
    assert_eq!(service.oneshot(get(API)).await.unwrap().status(), 200);
    assert_eq!(api.seen(), ["Bearer 1", "Bearer 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_never_changes_is_not_sent_twice() {
    let api = Api::accepting_from(usize::MAX);
    let source = StaticToken::new(Scheme::Token, "nbp_abc").unwrap();
    let layer = AttachLayer::to("https://api.example", source).unwrap().retry_unauthorized(CloneBody);
    assert_eq!(layer.layer(api.service()).oneshot(get(API)).await.unwrap().status(), 401);
    assert_eq!(api.seen(), ["Token nbp_abc"]);
}

#[tokio::test]
async fn if_there_is_no_other_token_the_refusal_stands() {
    struct Once(AtomicUsize);
    impl TokenSource for Once {
        fn token(&self) -> Eventual<Result<Token, TokenError>> {
            Eventual::now(match self.0.fetch_add(1, SeqCst) {
                0 => Ok(Token::new(Scheme::Bearer, "1").unwrap()),
                _ => Err(TokenError::permanent("unknown client")),
            })
        }
    }
    let api = Api::accepting_from(2);
    let source = CachedSource::new(Once(AtomicUsize::new(0)));
    let layer = AttachLayer::to("https://api.example", source).unwrap().retry_unauthorized(CloneBody);
    let service = layer.layer(api.service());
    assert_eq!(service.clone().oneshot(get(API)).await.unwrap().status(), 401);
    match service.oneshot(get(API)).await {
        Err(AttachError::Token(error)) => assert_eq!(error.to_string(), "unknown client"),
        other => panic!("{other:?}"),
    }
    assert_eq!(api.seen(), ["Bearer 1"], "nothing is sent without a token");
}

#[tokio::test]
async fn only_to_its_origins_atk_53() {
    let api = Api::accepting_from(1);
    let (_, layer) = layer(false);
    let service = layer.layer(api.service());
    for (uri, token) in [
        (API, "Bearer 1"),
        ("https://api.example:443/", "Bearer 1"),
        ("http://api.example/orders", "none"),
        ("https://api.example:444/", "none"),
        ("https://www.api.example/", "none"),
        ("https://user@api.example/", "none"),
        ("https://elsewhere.example/", "none"),
        ("/orders", "none"),
    ] {
        service.clone().oneshot(get(uri)).await.unwrap();
        assert_eq!(api.seen().pop().as_deref(), Some(token), "{uri}");
    }
}

#[tokio::test]
async fn a_connection_takes_relative_uris_alone() {
    let api = Api::accepting_from(1);
    let service = AttachLayer::to_connection(numbers(false).1).layer(api.service());
    for (uri, token) in [("/grpc.health.v1.Health/Check", "Bearer 1"), ("https://elsewhere.example/", "none")]
    {
        service.clone().oneshot(get(uri)).await.unwrap();
        assert_eq!(api.seen().pop().as_deref(), Some(token), "{uri}");
    }
}

#[tokio::test]
async fn what_is_there_already_is_left_alone_unless_told_otherwise() {
    let own = || Request::get(API).header("authorization", "Basic YTpi").body(String::new()).unwrap();
    let (asked, layer) = layer(false);
    let api = Api::accepting_from(1);
    assert_eq!(layer.clone().layer(api.service()).oneshot(own()).await.unwrap().status(), 401);
    assert_eq!(asked.load(SeqCst), 0);
    assert_eq!(layer.replace_existing().layer(api.service()).oneshot(own()).await.unwrap().status(), 200);
    assert_eq!(api.seen(), ["Basic YTpi", "Bearer 1"]);
}

#[tokio::test]
async fn the_header_on_the_wire_is_sensitive_atk_60() {
    let (_, layer) = layer(false);
    let sensitive = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sensitive);
    let client = tower::service_fn(move |request: Request<String>| {
        count.fetch_add(usize::from(request.headers()["authorization"].is_sensitive()), SeqCst);
        async { Ok::<_, Infallible>(status(401)) }
    });
    layer.retry_unauthorized(CloneBody).layer(client).oneshot(get(API)).await.unwrap();
    assert_eq!(sensitive.load(SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn one_permit_is_enough_for_every_path() {
    for slow in [false, true] {
        let (_, layer) = layer(slow);
        let api = Api::accepting_from(3);
        let mut service = ServiceBuilder::new()
            .layer(layer.retry_unauthorized(CloneBody))
            .layer(ConcurrencyLimitLayer::new(1))
            .service(api.service());
        // Sent twice, refused twice; then refused and kept; elsewhere; and, once it has cooled off, good.
        for (uri, wait, status) in
            [(API, 0, 401), (API, 0, 401), ("/", 0, 401), (API, 11, 200), (API, 0, 200)]
        {
            tokio::time::sleep(Duration::from_secs(wait)).await;
            let response = service.ready().await.unwrap().call(get(uri)).await.unwrap();
            assert_eq!(response.status(), status);
        }
        // A call that goes away gives its permit back.
        drop(service.ready().await.unwrap().call(get(API)));
        assert_eq!(service.ready().await.unwrap().call(get(API)).await.unwrap().status(), 200);
    }
}

/// A scripted source: each call waits for its token.
#[derive(Clone, Default)]
struct Slots(Arc<Mutex<VecDeque<tokio::sync::oneshot::Receiver<Token>>>>);

impl Slots {
    fn expect(&self) -> tokio::sync::oneshot::Sender<Token> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.0.lock().unwrap().push_back(receiver);
        sender
    }
}

impl TokenSource for Slots {
    fn token(&self) -> Eventual<Result<Token, TokenError>> {
        let slot = self.0.lock().unwrap().pop_front().unwrap();
        Eventual::later(async move { Ok(slot.await.unwrap()) })
    }
}

#[tokio::test]
async fn the_second_send_waits_until_the_service_is_ready_again() {
    let slots = Slots::default();
    let layer = AttachLayer::to("https://api.example", slots.clone()).unwrap().retry_unauthorized(CloneBody);
    let (mut service, mut handle) = mock::spawn_layer(layer);
    let (first, second) = (slots.expect(), slots.expect());

    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut response = tokio_test::task::spawn(service.call(get(API)));
    assert_pending!(response.poll());
    first.send(Token::new(Scheme::Bearer, "1").unwrap()).unwrap();
    assert_pending!(response.poll());
    let (request, answer) = handle.next_request().await.unwrap();
    assert_eq!((&*token_of(&request), &**request.body()), ("Bearer 1", "hello"));

    handle.allow(0);
    answer.send_response(status(401));
    assert_pending!(response.poll());
    second.send(Token::new(Scheme::Bearer, "2").unwrap()).unwrap();
    assert_pending!(response.poll(), "the service is not ready");
    handle.allow(1);
    assert_pending!(response.poll());
    let (request, answer) = handle.next_request().await.unwrap();
    assert_eq!((&*token_of(&request), &**request.body()), ("Bearer 2", "hello"));
    answer.send_response(status(401));
    assert_eq!(assert_ready_ok!(response.poll()).status(), 401);
}

#[tokio::test]
async fn an_inner_error_keeps_its_type() {
    let (_, layer) = layer(false);
    let client = tower::service_fn(|_: Request<String>| async {
        Err::<Response<String>, _>(std::io::Error::other("connection reset"))
    });
    let error = layer.layer(client).oneshot(get(API)).await.unwrap_err();
    let AttachError::Inner(inner) = &error else { panic!("{error:?}") };
    assert_eq!(inner.to_string(), "connection reset");
    let source = std::error::Error::source(&error).unwrap();
    assert!(source.is::<std::io::Error>() && error.to_string() == "the request failed");
}

#[tokio::test]
async fn a_message_can_be_what_says_that_the_token_is_bad_s0_c7() {
    let api = |message: &'static str| {
        tower::service_fn(move |request: Request<String>| async move {
            let good = token_of(&request) == "Bearer 2";
            let body = if good { "fine".to_owned() } else { format!(r#"{{"message":{message:?}}}"#) };
            let response = Response::builder().status(if good { 200 } else { 400 });
            Ok::<_, Infallible>(response.body(Full::<Bytes>::from(body)).unwrap())
        })
    };
    let send = async |message| {
        let (asked, layer) = layer(false);
        let layer =
            layer.retry_unauthorized(CloneBody).refused_when(TokenContract::two_bttns().refusal().clone());
        let response = layer.layer(api(message)).oneshot(get(API)).await.unwrap();
        let status = response.status().as_u16();
        (status, response.into_body().collect().await.unwrap().to_bytes(), asked.load(SeqCst))
    };
    assert_eq!(send("Invalid token app_id").await, (200, "fine".into(), 2));
    assert_eq!(
        send("Input validation failed").await,
        (400, r#"{"message":"Input validation failed"}"#.into(), 1)
    );
}

#[tokio::test]
async fn forbidden_is_no_reason_for_another_token_s1_c5() {
    let (asked, layer) = layer(false);
    let client = tower::service_fn(|_: Request<String>| async { Ok::<_, Infallible>(status(403)) });
    let service = layer.retry_unauthorized(CloneBody).layer(client);
    for _ in 0..3 {
        assert_eq!(service.clone().oneshot(get(API)).await.unwrap().status(), 403);
    }
    assert_eq!(asked.load(SeqCst), 1);
}

fn grpc_request() -> Request<Full<Bytes>> {
    let request = Request::post("/shop.Orders/List").header("content-type", "application/grpc");
    request.body(Full::from("\0\0\0\0\x02hi")).unwrap()
}

#[tokio::test]
async fn a_grpc_refusal_without_a_body_counts_m_grpc_3() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let server = tower::service_fn(move |request: Request<_>| {
        let log = Arc::clone(&log);
        async move {
            let token = token_of(&request);
            let body: Bytes = BodyExt::collect(request.into_body()).await?.to_bytes();
            log.lock().unwrap().push((token.clone(), body));
            let code = if token == "Bearer 2" { "0" } else { "16" };
            Ok::<_, Infallible>(Response::builder().header("grpc-status", code).body(String::new()).unwrap())
        }
    });
    let body = |body: tower_bearer::attach::Recorded<_>| body;
    let replay = Buffered::up_to(1024).into_body(body);
    let layer = AttachLayer::to_connection(numbers(false).1).retry_unauthorized(replay);
    let response = layer.layer(server).oneshot(grpc_request()).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "0");
    let sent = Bytes::from("\0\0\0\0\x02hi");
    assert_eq!(*seen.lock().unwrap(), [("Bearer 1".to_owned(), sent.clone()), ("Bearer 2".to_owned(), sent)]);
}

#[tokio::test]
async fn no_token_is_unavailable_in_grpc_m_grpc_4() {
    struct Nothing;
    impl TokenSource for Nothing {
        fn token(&self) -> Eventual<Result<Token, TokenError>> {
            Eventual::now(Err(TokenError::permanent("unknown client")))
        }
    }
    let server = tower::service_fn(|_: Request<Full<Bytes>>| async { Ok::<_, Infallible>(status(500)) });
    let service = AttachLayer::to_connection(Nothing).grpc().layer(server);
    let response = service.clone().oneshot(grpc_request()).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["grpc-status"]),
        (200, &"14".parse().unwrap())
    );
    assert_eq!(response.headers()["content-type"], "application/grpc");
    let plain = Request::get("/").body(Full::default()).unwrap();
    assert!(
        matches!(service.oneshot(plain).await, Err(AttachError::Token(_))),
        "what is not gRPC gets the error"
    );
}

/// A body that comes in parts, and is not `Clone`.
struct Parts(VecDeque<&'static str>);

impl http_body::Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|part| Ok(Frame::data(Bytes::from_static(part.as_bytes())))))
    }
}

#[tokio::test]
async fn a_stream_goes_out_again_within_the_limit_and_not_beyond_atk_58() {
    for (limit, sends, expected) in [(10, 2, 200), (9, 1, 401)] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let server = tower::service_fn(move |request: Request<tower_bearer::attach::Recorded<Parts>>| {
            let log = Arc::clone(&log);
            async move {
                let good = token_of(&request) == "Bearer 2";
                let body = request.into_body().collect().await?.to_bytes();
                log.lock().unwrap().push(body);
                Ok::<_, Infallible>(status(if good { 200 } else { 401 }))
            }
        });
        let (_, layer) = layer(false);
        let service = layer.retry_unauthorized(Buffered::up_to(limit)).layer(server);
        let body = Parts(["hello", "world"].into());
        let response = service.oneshot(Request::post(API).body(body).unwrap()).await.unwrap();
        assert_eq!(response.status(), expected);
        assert_eq!(*seen.lock().unwrap(), vec![Bytes::from("helloworld"); sends]);
    }
}

#[tokio::test]
async fn redirects_never_carry_the_token_elsewhere_atk_53() {
    let locations = [
        ("https://api.example/b", true),
        ("https://elsewhere.example/b", false),
        ("https://api.example:8443/b", false),
        ("http://api.example/b", false),
        ("https://sub.api.example/b", false),
        ("https://api.example@elsewhere.example/b", false),
    ];
    for status in [301, 302, 303, 307, 308] {
        for (location, same) in locations {
            for outside in [false, true] {
                let seen = Arc::new(Mutex::new(Vec::new()));
                let log = Arc::clone(&seen);
                let client = tower::service_fn(move |request: Request<Full<Bytes>>| {
                    let uri = request.uri().to_string();
                    log.lock().unwrap().push((uri.clone(), token_of(&request)));
                    // From elsewhere, on to another page there: some followers forget where they came from.
                    let next = match uri.strip_suffix("/a") {
                        Some(_) => Some(location.to_owned()),
                        None => uri.strip_suffix("/b").map(|start| format!("{start}/c")),
                    };
                    let response = Response::builder().status(if next.is_some() { status } else { 200 });
                    let response =
                        next.into_iter().fold(response, |response, next| response.header("location", next));
                    async move { Ok::<_, Infallible>(response.body(Full::<Bytes>::default()).unwrap()) }
                });
                let (_, attach) = layer(false);
                let guard = tower_bearer::attach::GuardLayer::new("https://api.example").unwrap();
                let request = Request::get("https://api.example/a").body(Full::default()).unwrap();
                let follow = FollowRedirectLayer::new();
                if outside {
                    let stack = ServiceBuilder::new().layer(follow).layer(attach);
                    stack.service(client).oneshot(request).await.unwrap();
                } else {
                    let stack = ServiceBuilder::new().layer(attach).layer(follow).layer(guard);
                    stack.service(client).oneshot(request).await.unwrap();
                }
                let seen = seen.lock().unwrap();
                assert_eq!(seen.len(), 3, "{status} {location}");
                assert_eq!(seen[0].1, "Bearer 1");
                for (uri, token) in &seen[1..] {
                    assert_eq!(
                        token,
                        if same { "Bearer 1" } else { "none" },
                        "{status} {uri} outside: {outside}"
                    );
                }
            }
        }
    }
}

#[test]
fn there_is_no_way_to_plain_http_but_loopback_that_was_asked_for_atk_55() {
    let source = || StaticToken::new(Scheme::Bearer, "abc").unwrap();
    assert!(AttachLayer::to("http://127.0.0.1:3000", source()).is_err());
    assert!(AttachLayer::to("http://api.example", source()).is_err());
    assert!(
        AttachLayer::to(Origins::insecure_http_loopback(["http://127.0.0.1:3000"]).unwrap(), source())
            .is_ok()
    );
}

#[test]
fn generated_clients_take_it_over_a_channel() {
    use tonic_health::pb::health_client::HealthClient;
    let replay = Buffered::up_to(1024).into_body(tonic::body::Body::new);
    let layer = AttachLayer::to_connection(numbers(false).1).retry_unauthorized(replay).grpc();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _guard = runtime.enter();
    let channel = tonic::transport::Channel::from_static("http://127.0.0.1:1").connect_lazy();
    let mut client = HealthClient::new(layer.layer(channel));
    let status = runtime.block_on(client.check(tonic_health::pb::HealthCheckRequest::default())).unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable, "nobody is there");
}

#[tokio::test]
async fn a_tonic_server_that_refuses_the_first_token_gets_a_second() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;
    use tower_bearer::verify::verify_fn;
    use tower_bearer::{AuthenticateLayer, Identity, Rejection};

    let verifier = verify_fn(|credential| async move {
        match credential.expose() {
            "2" => Ok(Identity::builder("alice").build()),
            _ => Err(Rejection::invalid_token()),
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let (_, health) = tonic_health::server::health_reporter();
    let server =
        tonic::transport::Server::builder().layer(AuthenticateLayer::new(verifier)).add_service(health);
    tokio::spawn(server.serve_with_incoming(tonic::transport::server::TcpIncoming::from(listener)));

    let replay = Buffered::up_to(1024).into_body(tonic::body::Body::new);
    let (asked, source) = numbers(false);
    let channel = tonic::transport::Channel::from_shared(origin).unwrap().connect_lazy();
    for (layer, expected) in [
        (AttachLayer::to_connection(source).retry_unauthorized(replay), Ok(())),
        (
            AttachLayer::to_connection(numbers(false).1)
                .retry_unauthorized(Buffered::up_to(0).into_body(tonic::body::Body::new)),
            Err(tonic::Code::Unauthenticated),
        ),
    ] {
        let mut client = HealthClient::new(layer.layer(channel.clone()));
        let request = HealthCheckRequest { service: String::new() };
        let answer = client.check(request).await;
        assert_eq!(answer.map(drop).map_err(|status| status.code()), expected);
    }
    assert_eq!(asked.load(SeqCst), 2);
}

/// Futures and services are `Send`, so that they can be spawned.
#[test]
fn what_is_sent_between_threads() {
    fn sent<T: Send>(value: T) -> T {
        value
    }
    let (_, layer) = layer(true);
    let service = sent(layer.retry_unauthorized(CloneBody).layer(Api::accepting_from(1).service::<String>()));
    let future = sent(service.oneshot(get(API)));
    drop(Box::pin(future) as Pin<Box<dyn Future<Output = _> + Send>>);
}
