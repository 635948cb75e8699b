//! Each contract against a double of its server, written by hand from the public description: over
//! HTTP/1.1, on loopback.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_bearer::contract::{
    AssertionKey, ClientAuth, Credentials, Encoding, Parameter, Place, TokenAt, TokenContract,
};
use tower_bearer::source::{FetchedSource, StaticToken, TokenSource};
use tower_bearer::test_util::ManualClock;
use tower_bearer::transport::ServiceTransport;
use tower_bearer::verify::{JwtVerifier, Keys, Verify};
use tower_bearer::{Algorithm, Clock, ConfigError, Credential, Scheme, Scopes, TokenError};

/// With everything in it that encoders forget.
const SECRET: &str = "AAEC+/8gZiZhPWIl/w==";
const NOW: i64 = 1_700_000_000;

#[derive(Clone, Debug)]
struct Seen {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn query(&self) -> BTreeMap<String, String> {
        fields(self.uri.query().unwrap_or_default().as_bytes())
    }

    fn form(&self) -> BTreeMap<String, String> {
        assert_eq!(self.header("content-type"), Some("application/x-www-form-urlencoded"));
        fields(&self.body)
    }
}

/// As a browser's form reader does it. A repeated name shows.
fn fields(text: &[u8]) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(text).into_owned() {
        fields.entry(name).and_modify(|own: &mut String| *own = format!("{own}|{value}")).or_insert(value);
    }
    fields
}

/// A server that answers as it is told, and writes down what it was asked.
struct Double {
    origin: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Double {
    async fn new(answer: impl Fn(&Seen) -> Response + Clone + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let app = Router::new().fallback(move |request: Request| {
            let (answer, log) = (answer.clone(), Arc::clone(&log));
            async move {
                let (head, body) = request.into_parts();
                let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
                let seen = Seen { method: head.method, uri: head.uri, headers: head.headers, body };
                log.lock().unwrap().push(seen.clone());
                answer(&seen)
            }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { origin, seen }
    }

    fn source(
        &self,
        contract: TokenContract,
        credentials: Credentials,
    ) -> Result<FetchedSource, ConfigError> {
        FetchedSource::new(contract, &format!("{}/token", self.origin), credentials, transport())
            .map(|source| source.with_clock(ManualClock::at(NOW)))
    }

    async fn token(&self, contract: TokenContract, credentials: Credentials) -> Result<String, TokenError> {
        self.source(contract, credentials).unwrap().token().await.map(|token| token.expose().to_owned())
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn last(&self) -> Seen {
        self.seen().pop().unwrap()
    }
}

fn transport() -> ServiceTransport<Client<HttpConnector, Full<Bytes>>> {
    ServiceTransport::new(Client::builder(TokioExecutor::new()).build_http()).insecure_allow_http_loopback()
}

fn answer(status: u16, body: impl Into<Body>) -> Response {
    Response::builder().status(status).header("content-type", "application/json").body(body.into()).unwrap()
}

fn client() -> Credentials {
    Credentials::client("example-app", SECRET)
}

/// What an error shows, all the way down.
fn shown(error: &(dyn Error + 'static)) -> String {
    format!("{error} {error:?} {}", error.source().map(shown).unwrap_or_default())
}

fn is_secret(text: &str) -> bool {
    [SECRET, "AAEC", "QUFFQw", "canary"].iter().any(|part| text.contains(part))
}

fn standard_answer() -> Response {
    answer(200, r#"{"access_token":"abc","token_type":"bearer","expires_in":3600}"#)
}

#[tokio::test]
async fn two_bttns_s0_c1_s0_c2_s0_c6() {
    let server = Double::new(|seen| {
        if seen.method != Method::GET || seen.uri.path() != "/token" {
            return answer(404, r#"{"message":"Not found","code":"NOT_FOUND"}"#);
        }
        let query = seen.query();
        match (query.get("app_id").map(String::as_str), query.get("secret").map(String::as_str)) {
            (Some("example-app"), Some(SECRET)) => answer(200, r#""eyJ.abc""#),
            (Some(_), Some(_)) => {
                answer(400, r#"{"message":"Invalid app_id or secret","code":"BAD_REQUEST"}"#)
            }
            _ => answer(400, r#"{"message":"Input validation failed","code":"BAD_REQUEST","issues":[]}"#),
        }
    })
    .await;
    assert_eq!(server.token(TokenContract::two_bttns(), client()).await.unwrap(), "eyJ.abc");
    assert!(server.last().body.is_empty() && !server.last().uri.query().unwrap().contains('+'));
    assert_eq!(server.last().header("authorization"), None);

    let error = server.token(TokenContract::two_bttns(), Credentials::client("example-app", "canary")).await;
    let error = error.unwrap_err();
    assert!(!error.is_transient() && !is_secret(&shown(&error)), "{}", shown(&error));
}

#[tokio::test]
async fn a_lifetime_with_its_unit_goes_along_s0_c5() {
    let server = Double::new(|_| answer(200, r#""abc""#)).await;
    let contract = TokenContract::two_bttns().with_expires_in("2 days").unwrap();
    server.token(contract, client()).await.unwrap();
    assert_eq!(server.last().query()["expires_in"], "2 days");
    assert!(TokenContract::two_bttns().with_expires_in("3600").is_err());
}

#[tokio::test]
async fn the_request_is_a_secret_and_is_not_sent_on_s0_c4_atk_54() {
    for status in [301, 302, 303, 307, 308] {
        let server = Double::new(move |seen| {
            let mut response =
                if seen.uri.path() == "/token" { answer(status, "") } else { answer(200, r#""abc""#) };
            response.headers_mut().insert("location", "/elsewhere".parse().unwrap());
            response
        })
        .await;
        let source = server.source(TokenContract::two_bttns(), client()).unwrap();
        let error = source.token().await.unwrap_err();
        assert_eq!(error.to_string(), "the token endpoint gave no usable answer");
        assert!(error.source().unwrap().to_string().contains("redirect"));
        assert!(!is_secret(&shown(&error)) && !is_secret(&format!("{source:?} {source:#?}")));
        assert_eq!(server.seen().len(), 1, "{status}");
    }
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("http://{gone}/token");
    let source = FetchedSource::new(TokenContract::two_bttns(), &url, client(), transport()).unwrap();
    let error = source.token().await.unwrap_err();
    assert!(error.is_transient() && !is_secret(&shown(&error)), "{}", shown(&error));
}

fn gifthub(get: u16, post: u16) -> impl Fn(&Seen) -> Response + Clone + Send + Sync + 'static {
    move |seen| {
        let status = if seen.method == Method::GET { get } else { post };
        if (seen.header("client-id"), seen.header("client-secret")) != (Some("example-app"), Some(SECRET)) {
            return answer(403, "");
        }
        let mut response = answer(status, "");
        if status == 200 {
            response.headers_mut().insert("authorization", "Bearer eyJ.abc.def".parse().unwrap());
        }
        response
    }
}

#[tokio::test]
async fn gifthub_takes_the_method_that_the_server_knows_s1_c1() {
    let methods = async |get, post, contract| {
        let server = Double::new(gifthub(get, post)).await;
        let source = server.source(contract, client()).unwrap();
        let outcomes = [source.token().await.is_ok(), source.token().await.is_ok()];
        let methods: Vec<_> = server.seen().iter().map(|seen| seen.method.to_string()).collect();
        (outcomes, methods.join(" "))
    };
    let preset = TokenContract::gifthub;
    assert_eq!(methods(200, 500, preset()).await, ([true; 2], "GET GET".into()));
    for unknown in [404, 405, 501] {
        assert_eq!(methods(unknown, 200, preset()).await, ([true; 2], "GET POST POST".into()));
        assert_eq!(methods(unknown, unknown, preset()).await, ([false; 2], "GET POST GET POST".into()));
    }
    for other in [400, 403, 500, 503] {
        assert_eq!(methods(other, 200, preset()).await, ([false; 2], "GET GET".into()));
    }
    assert_eq!(methods(405, 200, preset().with_method(Method::POST)).await, ([true; 2], "POST POST".into()));
    assert_eq!(methods(405, 200, preset().with_method(Method::GET)).await, ([false; 2], "GET GET".into()));
}

#[tokio::test]
async fn gifthub_s1_c2_s1_c5_s1_c6() {
    let server = Double::new(gifthub(200, 200)).await;
    let token = server.source(TokenContract::gifthub(), client()).unwrap().token().await.unwrap();
    assert_eq!(token.header_value(), "Bearer eyJ.abc.def");
    assert!(server.last().body.is_empty() && server.last().uri.query().is_none());

    let wrong = server
        .token(TokenContract::gifthub(), Credentials::client("example-app", "canary"))
        .await
        .unwrap_err();
    assert_eq!(wrong.to_string(), "the token endpoint answered 403");
    assert!(!wrong.is_transient());

    for bad in ["canary\n", "can\u{7}ary", "canary\r\nx: y", "canary\u{e9}", " canary", ""] {
        let error =
            server.source(TokenContract::gifthub(), Credentials::client("example-app", bad)).unwrap_err();
        assert!(!is_secret(&shown(&error)), "{error}");
        assert!(
            server.source(TokenContract::gifthub(), Credentials::client(bad, SECRET)).is_err(),
            "{bad:?}"
        );
    }
}

#[tokio::test]
async fn ages_count_from_before_the_request_s1_c4() {
    let clock = ManualClock::at(NOW);
    let slow = clock.clone();
    let service = tower::service_fn(move |_: http::Request<Full<Bytes>>| {
        slow.advance(Duration::from_secs(100));
        async {
            http::Response::builder().header("authorization", "Bearer abc").body(Full::<Bytes>::default())
        }
    });
    let transport = ServiceTransport::new(service);
    let source =
        FetchedSource::new(TokenContract::gifthub(), "https://gifthub.example/auth/jwt", client(), transport);
    let token = source.unwrap().with_clock(clock.clone()).token().await.unwrap();
    assert_eq!(token.expires_at(), Some(clock.now() + Duration::from_secs(3500)));
}

fn cognito() -> Response {
    let result = json!({
        "AccessToken": "not-this", "ExpiresIn": 3600, "IdToken": "eyJ.id", "RefreshToken": "", "TokenType": "Bearer",
    });
    answer(200, json!({ "AuthenticationResult": result }).to_string())
}

#[tokio::test]
async fn botlhale_as_a_form_and_in_parts_s2_c1_s2_c2() {
    let server = Double::new(|_| cognito()).await;
    let credentials = || Credentials::refresh_token(SECRET);
    assert_eq!(server.token(TokenContract::botlhale(), credentials()).await.unwrap(), "eyJ.id");
    assert_eq!(server.last().method, Method::POST);
    assert_eq!(server.last().form(), BTreeMap::from([("REFRESH_TOKEN".into(), SECRET.into())]));
    assert_eq!(server.last().header("authorization"), None);

    let multipart = TokenContract::botlhale().with_encoding(Encoding::Multipart);
    assert_eq!(server.token(multipart, credentials()).await.unwrap(), "eyJ.id");
    let seen = server.last();
    let boundary =
        seen.header("content-type").unwrap().strip_prefix("multipart/form-data; boundary=").unwrap();
    assert!((1..=70).contains(&boundary.len()) && !SECRET.contains(boundary));
    let expected = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"REFRESH_TOKEN\"\r\n\r\n{SECRET}\r\n--{boundary}--\r\n"
    );
    assert_eq!(seen.body, expected);
}

#[tokio::test]
async fn botlhale_s2_c4_s2_c5() {
    let server = Double::new(|_| cognito()).await;
    let credentials = Credentials::client("api-key", "api-key").with_refresh_token(SECRET);
    let contract = TokenContract::botlhale().with_client_auth(ClientAuth::Basic);
    server.token(contract, credentials).await.unwrap();
    assert_eq!(
        server.last().header("authorization"),
        Some(&*format!("Basic {}", STANDARD.encode("api-key:api-key")))
    );

    for url in ["http://api.botlhale.xyz/generateAuthToken", "ftp://api.botlhale.xyz/", "/generateAuthToken"]
    {
        let source = FetchedSource::new(
            TokenContract::botlhale(),
            url,
            Credentials::refresh_token(SECRET),
            transport(),
        );
        assert!(source.is_err(), "{url}");
    }
    let strict = ServiceTransport::new(Client::builder(TokioExecutor::new()).build_http());
    let url = format!("{}/token", server.origin);
    assert!(
        FetchedSource::new(TokenContract::botlhale(), &url, Credentials::refresh_token(SECRET), strict)
            .is_err()
    );
}

#[tokio::test]
async fn botlhale_keeps_the_refresh_token_and_shows_it_nowhere_s2_c6() {
    let server =
        Double::new(|_| answer(400, r#"{"__type":"NotAuthorizedException","message":"canary"}"#)).await;
    let source = server.source(TokenContract::botlhale(), Credentials::refresh_token(SECRET)).unwrap();
    let error = source.token().await.unwrap_err();
    assert!(!error.is_transient());
    assert!(!is_secret(&shown(&error)) && !is_secret(&format!("{source:?}")));
    source.token().await.unwrap_err();
    assert_eq!(server.last().form()["REFRESH_TOKEN"], SECRET);
}

#[tokio::test]
async fn client_credentials_s3_c1_m_6749_1_m_6749_2() {
    let server = Double::new(|_| standard_answer()).await;
    assert_eq!(server.token(TokenContract::spotnana(), client()).await.unwrap(), "abc");
    let pairs =
        [("client_id", "example-app"), ("client_secret", SECRET), ("grant_type", "client_credentials")];
    let expected: BTreeMap<_, _> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    assert_eq!((server.last().method, server.last().form()), (Method::POST, expected));
    assert_eq!(server.last().header("authorization"), None);

    let odd = || Credentials::client("a:b c", "p%+&=\u{e9}");
    server.token(TokenContract::client_credentials(), odd()).await.unwrap();
    let basic = format!("Basic {}", STANDARD.encode("a%3Ab+c:p%25%2B%26%3D%C3%A9"));
    assert_eq!(server.last().header("authorization"), Some(&*basic));
    assert_eq!(server.last().form(), BTreeMap::from([("grant_type".into(), "client_credentials".into())]));
    assert!(!is_secret(&format!("{:?}", server.source(TokenContract::spotnana(), client()).unwrap())));

    let plain = TokenContract::client_credentials().with_client_auth(ClientAuth::BasicPlain);
    server.token(plain, Credentials::client("id", "p%+")).await.unwrap();
    assert_eq!(server.last().header("authorization"), Some(&*format!("Basic {}", STANDARD.encode("id:p%+"))));
}

#[tokio::test]
async fn spotnana_says_when_to_come_back_s3_c3() {
    let server = Double::new(|_| {
        let mut response = answer(429, r#"{"errorMessages":[{"errorCode":"TOO_MANY_REQUESTS"}]}"#);
        response.headers_mut().insert("retry-after", "17".parse().unwrap());
        response
    })
    .await;
    let error = server.token(TokenContract::spotnana(), client()).await.unwrap_err();
    assert!(error.is_transient());
    assert_eq!(error.retry_after(), Some(Duration::from_secs(17)));
}

#[tokio::test]
async fn netbird_by_token_and_by_provider_s4_c1() {
    let pat = "nbp_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA0uCPlr";
    for (scheme, expected) in
        [(Scheme::Token, format!("Token {pat}")), (Scheme::Bearer, format!("Bearer {pat}"))]
    {
        let token = StaticToken::new(scheme, pat).unwrap().token().await.unwrap();
        assert_eq!(
            token.header_value(),
            &expected,
            "the word is what was said, whatever the token looks like"
        );
    }
    let server = Double::new(|_| standard_answer()).await;
    let source = server.source(TokenContract::netbird(), client()).unwrap();
    assert_eq!(source.token().await.unwrap().header_value(), "Bearer abc");
    let source = server.source(TokenContract::netbird().with_scheme(Scheme::Token), client()).unwrap();
    assert_eq!(source.token().await.unwrap().header_value(), "Token abc");
}

#[tokio::test]
async fn what_a_grant_can_ask_for() {
    let server = Double::new(|_| standard_answer()).await;
    let contract = TokenContract::client_credentials()
        .with_scope(&Scopes::parse("read write").unwrap())
        .with_resource("https://api.example/a")
        .with_resource("https://api.example/b")
        .with_audience("orders");
    server.token(contract, client()).await.unwrap();
    let form = server.last().form();
    assert_eq!((&*form["scope"], &*form["audience"]), ("read write", "orders"));
    assert_eq!(form["resource"], "https://api.example/a|https://api.example/b");

    let exchange = TokenContract::token_exchange("urn:ietf:params:oauth:token-type:jwt");
    let credentials = client().with_subject_token("subject.to.ken");
    assert!(server.token(exchange, credentials).await.is_err(), "issued_token_type is missing");
    let form = server.last().form();
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:token-exchange");
    assert_eq!(
        (&*form["subject_token"], &*form["subject_token_type"]),
        ("subject.to.ken", "urn:ietf:params:oauth:token-type:jwt")
    );

    let refresh = TokenContract::refresh_token().with_client_auth(ClientAuth::Post);
    server.token(refresh, client().with_refresh_token("r+1")).await.unwrap();
    let form = server.last().form();
    assert_eq!(
        (&*form["grant_type"], &*form["refresh_token"], &*form["client_id"]),
        ("refresh_token", "r+1", "example-app")
    );
}

fn payload(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

#[tokio::test]
async fn private_keys_sign_each_request_anew_m_7523_1() {
    let server = Double::new(|_| standard_answer()).await;
    let endpoint = format!("{}/token", server.origin);
    for alg in [Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256] {
        let key = AssertionKey::generate(alg).unwrap().with_key_id("k1");
        let jwks = json!({ "keys": [key.public_jwk().unwrap()] }).to_string();
        let verifier = JwtVerifier::builder(Keys::jwks(jwks.as_bytes()).unwrap())
            .issuer("example-app")
            .audience(&endpoint)
            .with_clock(ManualClock::at(NOW))
            .build()
            .unwrap();
        let contract = TokenContract::client_credentials().with_client_auth(ClientAuth::PrivateKeyJwt);
        let source = server.source(contract, Credentials::client_key("example-app", key)).unwrap();
        let mut ids = Vec::new();
        for _ in 0..2 {
            source.token().await.unwrap();
            let form = server.last().form();
            assert_eq!(
                form["client_assertion_type"],
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            );
            assert_eq!((&*form["client_id"], form.get("client_secret")), ("example-app", None));
            let assertion = &form["client_assertion"];
            let identity = verifier.verify(&Credential::new(Scheme::Bearer, assertion)).await.unwrap();
            assert_eq!(identity.subject(), "example-app");
            let claims = payload(assertion);
            assert_eq!((&claims["iat"], &claims["exp"]), (&json!(NOW), &json!(NOW + 60)));
            ids.push(claims["jti"].as_str().unwrap().to_owned());
        }
        assert_ne!(ids[0], ids[1]);
    }
}

#[tokio::test]
async fn a_jwt_as_the_grant() {
    let server = Double::new(|_| standard_answer()).await;
    let key = AssertionKey::generate(Algorithm::ES256)
        .unwrap()
        .with_subject("alice")
        .with_audience("https://id.example");
    server.token(TokenContract::jwt_bearer(), Credentials::client_key("example-app", key)).await.unwrap();
    let form = server.last().form();
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let claims = payload(&form["assertion"]);
    assert_eq!(
        (&claims["iss"], &claims["sub"], &claims["aud"]),
        (&json!("example-app"), &json!("alice"), &json!("https://id.example"))
    );
}

#[tokio::test]
async fn answers_that_are_none_atk_59() {
    let large = format!(r#"{{"access_token":"abc","canary":"{}"}}"#, "x".repeat(1024 * 1024));
    let bodies = [
        (200, large),
        (200, "canary".into()),
        (200, "<html>canary</html>".into()),
        (200, r#"{"access_token":"canary\r\nx: y"}"#.into()),
        (200, r#"{"access_token":"canary","token_type":"mac"}"#.into()),
        (200, r#"{"access_token":"canary","expires_in":-5}"#.into()),
        (200, r#"{"refresh_token":"canary"}"#.into()),
        (204, String::new()),
        (400, r#"{"error":"invalid_client","error_description":"canary"}"#.into()),
        (500, "canary".into()),
    ];
    for (status, body) in bodies {
        let text = body.clone();
        let server = Double::new(move |_| answer(status, text.clone())).await;
        let error = server.token(TokenContract::spotnana(), client()).await.unwrap_err();
        assert!(!is_secret(&shown(&error)), "{}", shown(&error));
        assert_eq!(error.is_transient(), status == 500, "{error}");
    }
}

#[tokio::test]
async fn contracts_that_contradict_themselves_or_miss_something() {
    let server = Double::new(|_| standard_answer()).await;
    let standard = TokenContract::client_credentials;
    let literal = |text: &str| Parameter::Literal(text.into());
    for (contract, credentials) in [
        (standard(), Credentials::default()),
        (standard(), Credentials::public_client("a")),
        (standard(), Credentials::client("", "b")),
        (standard(), Credentials::client("a", "")),
        (standard().with_method(Method::GET), client()),
        (standard().with_parameter(Place::Body, "grant_type", literal("again")), client()),
        (standard().with_parameter(Place::Body, "client_secret", Parameter::ClientSecret), client()),
        (standard().with_parameter(Place::Header, "bad name", literal("x")), client()),
        (standard().with_parameter(Place::Header, "x-a", literal("a\nb")), client()),
        (standard().with_token_at(TokenAt::Json("access_token".into())), client()),
        (standard().with_lifetime_at("expires_in"), client()),
        (standard().with_client_auth(ClientAuth::PrivateKeyJwt), client()),
        (TokenContract::botlhale(), client()),
        (TokenContract::jwt_bearer(), client()),
        (TokenContract::token_exchange("urn:x"), client()),
    ] {
        let shown = format!("{contract:?}");
        assert!(server.source(contract, credentials).is_err(), "{shown}");
    }
    assert!(server.seen().is_empty());
}
