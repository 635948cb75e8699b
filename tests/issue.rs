//! Token endpoints: each contract with our client on one side, our endpoint on the other, and our verifier behind.

mod common;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use common::{AUDIENCE, ISSUER, NOW};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_bearer::contract::{AssertionKey, ClientAuth, Credentials, Encoding, TokenContract};
use tower_bearer::issue::{AppKeys, JwtSigner, Mint, TokenEndpoint};
use tower_bearer::source::{FetchedSource, TokenSource};
use tower_bearer::store::{Client, ClientSecret, MemoryStore, RefreshStore, TokenDigest};
use tower_bearer::test_util::ManualClock;
use tower_bearer::transport::ServiceTransport;
use tower_bearer::verify::{JwtVerifier, Keys, Verify};
use tower_bearer::{Algorithm, Credential, Identity, Rejection, Scheme, Scopes, Secret};

/// 44 characters of base64, with everything in it that encoders forget.
const SECRET: &str = "AAEC+/8gZiZhPWIl/wABAvv/IGYmYT1iJf8AAQIDBAU=";
const URL: &str = "https://issuer.example/token";

struct House {
    store: MemoryStore,
    signer: JwtSigner,
    rsa: JwtSigner,
    clock: ManualClock,
}

impl House {
    async fn new() -> Self {
        let store = MemoryStore::new();
        let kept = ClientSecret::random(&SECRET.into()).unwrap();
        for system in ["gifthub", "spotnana", "botlhale"] {
            let client = Client::new(format!("{system}-id"), kept.clone())
                .of_system(system)
                .with_subject("alice")
                .with_scopes(Scopes::parse("read write").unwrap());
            store.put_client(client).await.unwrap();
        }
        let app = Client::new("example-app", ClientSecret::hmac_key(SECRET)).of_system("two-bttns");
        store.put_client(app).await.unwrap();
        Self {
            store,
            signer: JwtSigner::generate(Algorithm::ES256).unwrap(),
            rsa: JwtSigner::generate(Algorithm::RS256).unwrap(),
            clock: ManualClock::at(NOW),
        }
    }

    fn access(&self) -> Mint {
        Mint::access_tokens(self.signer.clone(), ISSUER, AUDIENCE).with_clock(self.clock.clone())
    }

    fn endpoint(&self, contract: TokenContract) -> TokenEndpoint {
        let mint = match contract.errors() {
            tower_bearer::contract::ErrorForm::Trpc => Mint::app_tokens().with_clock(self.clock.clone()),
            tower_bearer::contract::ErrorForm::Cognito => {
                Mint::id_tokens(self.rsa.clone(), ISSUER, "bot").with_clock(self.clock.clone())
            }
            _ => self.access(),
        };
        TokenEndpoint::new(contract, mint, self.store.clone()).with_clock(self.clock.clone())
    }

    /// The token that our client gets.
    async fn fetch(&self, contract: TokenContract, credentials: Credentials) -> String {
        let transport = ServiceTransport::new(self.endpoint(contract.clone()));
        let source = FetchedSource::new(contract, URL, credentials, transport).unwrap();
        let token = source.with_clock(self.clock.clone()).token().await.unwrap();
        token.expose().to_owned()
    }

    fn verify(&self, token: &str) -> Result<Identity, Rejection> {
        let keys = Keys::jwks(self.signer.jwks().as_bytes()).unwrap();
        let verifier = JwtVerifier::builder(keys)
            .issuer(ISSUER)
            .audience(AUDIENCE)
            .access_token_profile()
            .with_clock(self.clock.clone());
        common::verify(&verifier.build().unwrap(), token)
    }

    async fn ask(&self, contract: TokenContract, request: Request<Full<Bytes>>) -> Answer {
        Answer::of(self.endpoint(contract).oneshot(request).await.unwrap()).await
    }
}

struct Answer {
    status: u16,
    head: Response<()>,
    text: String,
}

impl Answer {
    async fn of(response: Response<Full<Bytes>>) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        Self { status: head.status.as_u16(), head: Response::from_parts(head, ()), text }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.headers().get(name).map(|value| value.to_str().unwrap())
    }
}

fn get(query: &str) -> Request<Full<Bytes>> {
    Request::get(format!("/token{query}")).body(Full::default()).unwrap()
}

fn post(content_type: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post("/token").header("content-type", content_type).body(Full::new(body.into())).unwrap()
}

fn form(fields: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    post("application/x-www-form-urlencoded", body)
}

fn with(mut request: Request<Full<Bytes>>, name: &'static str, value: &str) -> Request<Full<Bytes>> {
    request.headers_mut().append(name, value.parse().unwrap());
    request
}

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

fn claims(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

#[tokio::test]
async fn two_bttns_three_ways_s0_c1_s0_c2_s0_s1_s0_s2() {
    let house = House::new().await;
    let token = house.fetch(TokenContract::two_bttns(), Credentials::client("example-app", SECRET)).await;
    let expected =
        json!({ "type": "api_key_token", "appId": "example-app", "iat": NOW, "exp": NOW + 86_400 });
    assert_eq!(claims(&token), expected);

    let keys = AppKeys::new(house.store.clone(), "two-bttns", Duration::from_secs(30));
    let keys = Keys::by_claim("appId", Algorithm::HS256, keys).unwrap();
    let verifier = JwtVerifier::builder(keys)
        .insecure_any_issuer()
        .insecure_any_audience()
        .with_claim("type", "api_key_token")
        .with_subject_claim("appId")
        .with_clock(house.clock.clone())
        .build()
        .unwrap();
    let verify = async |token: String| verifier.verify(&Credential::new(Scheme::Bearer, token)).await;
    assert_eq!(verify(token.clone()).await.unwrap().subject(), "example-app");
    let signer = JwtSigner::hmac(Algorithm::HS256, SECRET).unwrap();
    let unknown = json!({ "type": "api_key_token", "appId": "nobody", "exp": NOW + 60 });
    assert!(verify(signer.sign_claims("JWT", &unknown).unwrap()).await.is_err());
    // An app signs what it likes; what it may is registered.
    let own = json!({ "type": "api_key_token", "appId": "example-app", "exp": NOW + 60, "scope": "admin" });
    let own = signer.sign_claims("JWT", &own).unwrap();
    assert!(verify(own.clone()).await.unwrap().scopes().is_empty());
    let app = Client::new("example-app", ClientSecret::hmac_key(SECRET)).of_system("two-bttns");
    house.store.put_client(app.with_scopes(Scopes::parse("read").unwrap())).await.unwrap();
    assert_eq!(verify(own).await.unwrap().scopes().to_string(), "read");
}

/// The vector of the contract: its secret, and its claims, byte for byte.
#[tokio::test]
async fn the_vector_of_two_bttns_s0() {
    let house = House::new().await;
    let secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let app = Client::new("example-app", ClientSecret::hmac_key(secret)).of_system("two-bttns");
    house.store.put_client(app).await.unwrap();
    let token = house.fetch(TokenContract::two_bttns(), Credentials::client("example-app", secret)).await;
    assert_eq!(
        claims(&token),
        json!({ "type": "api_key_token", "appId": "example-app", "iat": 1_700_000_000, "exp": 1_700_086_400 })
    );
    let header: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap()).unwrap();
    assert_eq!(header, json!({ "alg": "HS256", "typ": "JWT" }), "no kid");
}

#[tokio::test]
async fn two_bttns_lifetimes_s0_c5() {
    let house = House::new().await;
    let ask = async |expires_in: &str| {
        let secret: String = form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
        let query = format!("?app_id=example-app&secret={secret}&expires_in={expires_in}");
        house.ask(TokenContract::two_bttns(), get(&query)).await
    };
    let lifetime = async |expires_in: &str| {
        let token: String = serde_json::from_str(&ask(expires_in).await.text).unwrap();
        claims(&token)["exp"].as_i64().unwrap() - NOW
    };
    assert_eq!(lifetime("1h").await, 3600);
    assert_eq!(lifetime("2%20days").await, 172_800);
    assert_eq!(lifetime("90s").await, 90);
    assert_eq!(lifetime("3600").await, 3, "milliseconds");
    for bad in ["", "soon", "-1h", "0", "999", "1000y"] {
        let answer = ask(bad).await;
        assert_eq!(answer.status, 400, "{bad:?}");
        assert!(answer.json()["message"].as_str().unwrap().starts_with("Error generating JWT: "), "{bad:?}");
        assert_eq!(answer.json()["code"], "BAD_REQUEST");
    }
}

#[tokio::test]
async fn two_bttns_refusals_s0_s3() {
    let house = House::new().await;
    let ask = async |query: &str| house.ask(TokenContract::two_bttns(), get(query)).await;
    let unknown = ask("?app_id=nobody&secret=abc").await;
    let wrong = ask("?app_id=example-app&secret=abc").await;
    assert_eq!((unknown.status, wrong.status), (400, 400));
    assert_eq!(unknown.text, wrong.text);
    assert_eq!(wrong.json(), json!({ "message": "Invalid app_id or secret", "code": "BAD_REQUEST" }));
    assert_eq!(wrong.header("cache-control"), Some("no-store"));
    // A raw plus is a space, and so another secret.
    assert_eq!(ask(&format!("?app_id=example-app&secret={SECRET}")).await.text, wrong.text);
    for bad in ["", "?app_id=example-app", "?secret=abc", "?app_id=a&app_id=b&secret=c", "?app_id=&secret=c"]
    {
        let answer = ask(bad).await;
        assert_eq!(answer.status, 400, "{bad}");
        assert_eq!(answer.json()["message"], "Input validation failed", "{bad}");
        assert_eq!(answer.json()["issues"].as_array().unwrap().len(), 1, "{bad}");
    }
    let posted = form(&[("app_id", "example-app"), ("secret", SECRET)]);
    assert_eq!(house.ask(TokenContract::two_bttns(), posted).await.status, 405);
}

#[tokio::test]
async fn gifthub_three_ways_s1_c2_s1_s1_s1_s4() {
    let house = House::new().await;
    let credentials = || Credentials::client("gifthub-id", SECRET);
    for contract in [TokenContract::gifthub(), TokenContract::gifthub().with_method(http::Method::POST)] {
        // The endpoint of the preset takes both.
        let transport = ServiceTransport::new(house.endpoint(TokenContract::gifthub()));
        let source = FetchedSource::new(contract, URL, credentials(), transport).unwrap();
        let token = source.with_clock(house.clock.clone()).token().await.unwrap();
        assert_eq!(house.verify(token.expose()).unwrap().subject(), "alice");
    }
    let request = with(with(get(""), "client-id", "gifthub-id"), "client-secret", SECRET);
    let answer = house.ask(TokenContract::gifthub(), request).await;
    let value = &answer.head.headers()["authorization"];
    assert!(value.is_sensitive() && value.to_str().unwrap().starts_with("Bearer eyJ"));
    assert_eq!((answer.status, answer.text.as_str()), (200, ""));
    assert_eq!(
        (answer.header("cache-control"), answer.header("pragma")),
        (Some("no-store"), Some("no-cache"))
    );
}

#[tokio::test]
async fn gifthub_refusals_s1_s2_s1_s3() {
    let house = House::new().await;
    let ask = async |headers: &[(&'static str, &str)]| {
        let request = headers.iter().fold(get(""), |request, (name, value)| with(request, name, value));
        house.ask(TokenContract::gifthub(), request).await
    };
    let unknown = ask(&[("client-id", "nobody"), ("client-secret", "abc")]).await;
    let wrong = ask(&[("client-id", "gifthub-id"), ("client-secret", "abc")]).await;
    assert_eq!((unknown.status, wrong.status), (403, 403));
    assert_eq!(unknown.text, wrong.text);
    for bad in [
        &[][..],
        &[("client-id", "gifthub-id")],
        &[("client-secret", SECRET)],
        &[("client-id", ""), ("client-secret", SECRET)],
        &[("client-id", "gifthub-id"), ("client-id", "gifthub-id"), ("client-secret", SECRET)],
        &[("client-id", "gifthub-id"), ("client-secret", SECRET), ("client-secret", SECRET)],
    ] {
        assert_eq!(ask(bad).await.status, 400, "{bad:?}");
    }
    let put = Request::put("/token").body(Full::default()).unwrap();
    let answer = house.ask(TokenContract::gifthub(), put).await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, POST")));
}

#[tokio::test]
async fn botlhale_three_ways_s2_c1_s2_c2_s2_s1() {
    let house = House::new().await;
    for encoding in [Encoding::Form, Encoding::Multipart] {
        let contract = TokenContract::botlhale().with_encoding(encoding);
        let token = house.fetch(contract, Credentials::refresh_token(SECRET)).await;
        let keys = || Keys::jwks(house.rsa.jwks().as_bytes()).unwrap();
        let rules =
            || JwtVerifier::builder(keys()).issuer(ISSUER).audience("bot").with_clock(house.clock.clone());
        let explicit = rules().with_claim("token_use", "id").build().unwrap();
        assert_eq!(common::verify(&explicit, &token).unwrap().subject(), "alice");
        // The default profile, and the one of access tokens, refuse an ID token.
        assert!(common::verify(&rules().build().unwrap(), &token).is_err());
        assert!(common::verify(&rules().access_token_profile().build().unwrap(), &token).is_err());
    }
    let answer = house.ask(TokenContract::botlhale(), form(&[("REFRESH_TOKEN", SECRET)])).await;
    let result = &answer.json()["AuthenticationResult"];
    assert_eq!(result["ExpiresIn"], 3600);
    assert_eq!(result["TokenType"], "Bearer");
    assert_eq!(result["RefreshToken"], SECRET, "it does not rotate");
    assert_eq!(claims(result["AccessToken"].as_str().unwrap())["token_use"], "access");
    assert_eq!(result.as_object().unwrap().len(), 5);
}

#[tokio::test]
async fn botlhale_refusals() {
    let house = House::new().await;
    let ask = async |request| house.ask(TokenContract::botlhale(), request).await;
    let unknown = ask(form(&[("REFRESH_TOKEN", "canary")])).await;
    assert_eq!(unknown.status, 400);
    assert_eq!(
        unknown.json(),
        json!({ "__type": "NotAuthorizedException", "message": "Invalid Refresh Token" })
    );
    for (request, status) in [
        (form(&[]), 400),
        (form(&[("REFRESH_TOKEN", "")]), 400),
        (form(&[("REFRESH_TOKEN", SECRET), ("REFRESH_TOKEN", SECRET)]), 400),
        (post("application/json", format!(r#"{{"REFRESH_TOKEN":"{SECRET}"}}"#)), 400),
        (post("multipart/form-data", "x"), 400),
        (post("multipart/form-data; boundary=x", "--x\r\nno end"), 400),
        (form(&[("REFRESH_TOKEN", &"a".repeat(70_000))]), 413),
        (get(""), 405),
    ] {
        let answer = ask(request).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        assert_eq!(answer.json()["__type"], "InvalidParameterException");
    }
}

#[tokio::test]
async fn spotnana_three_ways_s3_c1_s3_s1() {
    let house = House::new().await;
    let token = house.fetch(TokenContract::spotnana(), Credentials::client("spotnana-id", SECRET)).await;
    let identity = house.verify(&token).unwrap();
    assert_eq!((identity.subject(), identity.scopes().to_string()), ("alice", "read write".to_owned()));
    assert_eq!(identity.claim("client_id"), Some(&"spotnana-id".into()));

    let fields =
        [("grant_type", "client_credentials"), ("client_id", "spotnana-id"), ("client_secret", SECRET)];
    let answer = house.ask(TokenContract::spotnana(), form(&fields)).await;
    let members: Vec<_> = answer.json().as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["access_token", "expires_in", "token_type"]);
    assert_eq!(
        (answer.header("cache-control"), answer.header("pragma")),
        (Some("no-store"), Some("no-cache"))
    );
}

#[tokio::test]
async fn oauth_errors_s3_s1_m_6749_2_m_6749_3_m_6749_5() {
    let house = House::new().await;
    let id = ("client_id", "spotnana-id");
    let secret = ("client_secret", SECRET);
    let grant = ("grant_type", "client_credentials");
    let good = basic("spotnana-id", SECRET);
    for (request, status, error) in [
        (form(&[id, secret]), 400, "invalid_request"),
        (form(&[("grant_type", ""), id, secret]), 400, "invalid_request"),
        (form(&[grant, grant, id, secret]), 400, "invalid_request"),
        (form(&[grant, id, id, secret]), 400, "invalid_request"),
        (form(&[("grant_type", "password"), id, secret]), 400, "unsupported_grant_type"),
        (post("application/json", "{}"), 400, "invalid_request"),
        (post("text/plain", "grant_type=client_credentials"), 400, "invalid_request"),
        (Request::post("/token").body(Full::default()).unwrap(), 400, "invalid_request"),
        (with(form(&[grant, id, secret]), "authorization", &good), 400, "invalid_request"),
        (with(form(&[grant, ("client_id", "other")]), "authorization", &good), 400, "invalid_request"),
        (form(&[grant]), 401, "invalid_client"),
        (form(&[grant, id]), 401, "invalid_client"),
        (form(&[grant, id, ("client_secret", "x")]), 401, "invalid_client"),
        (form(&[grant, ("client_id", "nobody"), secret]), 401, "invalid_client"),
        (with(form(&[grant]), "authorization", &basic("spotnana-id", "x")), 401, "invalid_client"),
        (with(form(&[grant]), "authorization", "Basic !!!"), 401, "invalid_client"),
        (with(with(form(&[grant]), "authorization", &good), "authorization", &good), 400, "invalid_request"),
        (with(form(&[grant]), "authorization", "Bearer abc"), 401, "invalid_client"),
        (form(&[("a", &"a".repeat(70_000))]), 413, "invalid_request"),
    ] {
        let answer = house.ask(TokenContract::spotnana(), request).await;
        assert_eq!(
            (answer.status, answer.json()["error"].as_str()),
            (status, Some(error)),
            "{}",
            answer.text
        );
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401, "M-9110-2");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let in_query = Request::post(format!("/token?client_id=spotnana-id&client_secret={SECRET}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::from("grant_type=client_credentials"))
        .unwrap();
    assert_eq!(house.ask(TokenContract::spotnana(), in_query).await.status, 400);
    assert_eq!(house.ask(TokenContract::spotnana(), get("")).await.header("allow"), Some("POST"));
}

#[tokio::test]
async fn strangers_and_wrong_secrets_get_one_answer_atk_46_atk_48() {
    let house = House::new().await;
    let ask = async |id: &str, secret: &str| {
        let fields = [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)];
        let answer = house.ask(TokenContract::spotnana(), form(&fields)).await;
        (answer.status, format!("{:?}", answer.head.headers()), answer.text)
    };
    let wrong = ask("spotnana-id", "wrong").await;
    assert_eq!(wrong, ask("nobody", SECRET).await);
    assert_eq!(wrong, ask("gifthub", SECRET).await);
    assert!(!format!("{wrong:?}").contains("spotnana"));
}

#[tokio::test]
async fn a_password_is_as_good_as_a_digest_and_a_stranger_costs_the_same() {
    let house = House::new().await;
    let chosen = ClientSecret::password(&"correct horse".into()).unwrap();
    house.store.put_client(Client::new("human", chosen)).await.unwrap();
    let ask = async |id: &str, secret: &str| {
        let fields = [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)];
        house.ask(TokenContract::spotnana(), form(&fields)).await.status
    };
    assert_eq!(ask("human", "correct horse").await, 200);
    assert_eq!(ask("spotnana-id", SECRET).await, 200);
    assert_eq!(ask("human", "wrong").await, 401);
    assert_eq!(ask("nobody", "correct horse").await, 401);
    assert_eq!(ask("spotnana-id", "correct horse").await, 401);
}

#[tokio::test]
async fn basic_encoded_and_plain_m_6749_1() {
    let house = House::new().await;
    let odd = "p%+&=: \u{e9} p%+&=: \u{e9} p%+&=: \u{e9}";
    let kept = ClientSecret::random(&odd.into()).unwrap();
    house.store.put_client(Client::new("a:b c", kept.clone())).await.unwrap();
    house.store.put_client(Client::new("plain", kept)).await.unwrap();
    for (auth, id) in
        [(ClientAuth::Basic, "a:b c"), (ClientAuth::Post, "a:b c"), (ClientAuth::BasicPlain, "plain")]
    {
        let contract = TokenContract::client_credentials().with_client_auth(auth);
        house.fetch(contract, Credentials::client(id, odd)).await;
    }
    // As `curl -u` sends it.
    let request =
        with(form(&[("grant_type", "client_credentials")]), "authorization", &basic("spotnana-id", SECRET));
    assert_eq!(house.ask(TokenContract::spotnana(), request).await.status, 200);
}

#[tokio::test]
async fn assertions_once_m_7523_1() {
    let house = House::new().await;
    let key = AssertionKey::generate(Algorithm::ES256).unwrap().with_key_id("k1");
    let jwks = json!({ "keys": [key.public_jwk().unwrap()] }).to_string();
    house.store.put_client(Client::with_key("robot", jwks)).await.unwrap();
    let contract = TokenContract::client_credentials().with_client_auth(ClientAuth::PrivateKeyJwt);
    let taking = house.endpoint(contract.clone()).accept_assertions([URL], house.store.clone());
    let endpoint = || taking.clone();
    let recorded_endpoint = taking.clone();
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let recorded = tower::service_fn(move |request: Request<Full<Bytes>>| {
        let (head, body) = request.into_parts();
        let (log, endpoint) = (Arc::clone(&log), recorded_endpoint.clone());
        async move {
            let body = body.collect().await.unwrap().to_bytes();
            log.lock().unwrap().push(body.clone());
            endpoint.oneshot(Request::from_parts(head, Full::new(body))).await
        }
    });
    let credentials = Credentials::client_key("robot", key);
    let source =
        FetchedSource::new(contract.clone(), URL, credentials, ServiceTransport::new(recorded)).unwrap();
    let source = source.with_clock(house.clock.clone());
    let token = source.token().await.unwrap();
    assert_eq!(house.verify(token.expose()).unwrap().subject(), "robot");
    source.token().await.unwrap();

    let sent = seen.lock().unwrap()[0].clone();
    let again = post("application/x-www-form-urlencoded", sent.clone());
    let again = Answer::of(endpoint().oneshot(again).await.unwrap()).await;
    assert_eq!((again.status, again.json()["error"].as_str()), (401, Some("invalid_client")), "replayed");
    let elsewhere =
        house.endpoint(contract.clone()).accept_assertions(["https://other.example"], MemoryStore::new());
    let elsewhere = elsewhere.oneshot(post("application/x-www-form-urlencoded", sent.clone())).await.unwrap();
    assert_eq!(elsewhere.status(), 401, "another audience");
    let off = house.endpoint(contract.clone()).oneshot(post("application/x-www-form-urlencoded", sent)).await;
    assert_eq!(off.unwrap().status(), 401, "not taken unless said");
}

fn refreshing(house: &House) -> TokenEndpoint {
    house
        .endpoint(TokenContract::client_credentials())
        .also(TokenContract::refresh_token())
        .with_refresh_tokens(house.store.clone())
}

async fn turn(house: &House, fields: &[(&str, &str)]) -> Answer {
    let request = with(form(fields), "authorization", &basic("spotnana-id", SECRET));
    Answer::of(refreshing(house).oneshot(request).await.unwrap()).await
}

async fn offline(house: &House) -> String {
    let client = Client::new("spotnana-id", ClientSecret::random(&SECRET.into()).unwrap())
        .of_system("spotnana")
        .with_scopes(Scopes::parse("read write offline_access").unwrap());
    house.store.put_client(client).await.unwrap();
    let plain = turn(house, &[("grant_type", "client_credentials")]).await;
    assert_eq!(plain.json().get("refresh_token"), None, "RFC 6749 §4.4.3");
    assert_eq!(plain.json()["scope"], "read write");
    let asked = [("grant_type", "client_credentials"), ("scope", "read offline_access")];
    let answer = turn(house, &asked).await;
    assert_eq!(answer.json().get("scope"), None, "M-6749-8");
    answer.json()["refresh_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn refresh_tokens_turn_and_a_second_use_ends_the_grant_m_6749_6() {
    let house = House::new().await;
    let first = offline(&house).await;
    let refresh =
        async |token: &str| turn(&house, &[("grant_type", "refresh_token"), ("refresh_token", token)]).await;
    let second = refresh(&first).await;
    let access = second.json()["access_token"].as_str().unwrap().to_owned();
    let grant = house.verify(&access).unwrap().claim("grant_id").unwrap().clone();
    let second = second.json()["refresh_token"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    let third = refresh(&second).await.json()["refresh_token"].as_str().unwrap().to_owned();

    let reused = refresh(&first).await;
    assert_eq!((reused.status, reused.json()["error"].as_str()), (400, Some("invalid_grant")));
    let dead = refresh(&third).await;
    assert_eq!((dead.status, dead.text.clone()), (400, reused.text.clone()));
    let unknown = refresh("canary").await;
    assert_eq!((unknown.status, unknown.text), (400, reused.text));

    use tower_bearer::verify::{RevocableVerifier, verify_fn};
    let identity = house.verify(&access).unwrap();
    let known = verify_fn(move |_| {
        let identity = identity.clone();
        async move { Ok(identity) }
    });
    let revocable = RevocableVerifier::new(known, house.store.clone(), Duration::ZERO);
    let verdict = revocable.verify(&Credential::new(Scheme::Bearer, access)).await;
    assert!(verdict.is_err(), "the access tokens of grant {grant} ended with it");
}

#[tokio::test]
async fn refresh_tokens_are_their_clients_and_expire() {
    let house = House::new().await;
    let token = offline(&house).await;
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
    let stranger = with(form(&fields), "authorization", &basic("gifthub-id", SECRET));
    let stranger = Answer::of(refreshing(&house).oneshot(stranger).await.unwrap()).await;
    assert_eq!((stranger.status, stranger.json()["error"].as_str()), (400, Some("invalid_grant")));
    // Another system may have a client of that name.
    let namesake = Client::new("spotnana-id", ClientSecret::random(&"b".repeat(40).as_str().into()).unwrap());
    house.store.put_client(namesake.of_system("netbird")).await.unwrap();
    let namesake = with(form(&fields), "authorization", &basic("spotnana-id", &"b".repeat(40)));
    let namesake = Answer::of(refreshing(&house).oneshot(namesake).await.unwrap()).await;
    assert_eq!((namesake.status, namesake.json()["error"].as_str()), (400, Some("invalid_grant")));
    let more = [fields[0], fields[1], ("scope", "read write")];
    assert_eq!(turn(&house, &more).await.json()["error"], "invalid_scope", "more than was granted");
    house.clock.advance(Duration::from_secs(30 * 24 * 3600));
    assert_eq!(turn(&house, &fields).await.json()["error"], "invalid_grant");
    let kept = RefreshStore::find(&house.store, TokenDigest::of(&token).unwrap()).await.unwrap();
    assert!(!kept.unwrap().spent, "none of the refusals spent it");
}

#[tokio::test]
async fn our_client_follows_the_rotation_m_6749_6() {
    let house = House::new().await;
    let token = offline(&house).await;
    let credentials = Credentials::client("spotnana-id", SECRET).with_refresh_token(token);
    let transport = ServiceTransport::new(refreshing(&house));
    let source = FetchedSource::new(TokenContract::refresh_token(), URL, credentials, transport).unwrap();
    let source = source.with_clock(house.clock.clone());
    for _ in 0..5 {
        let token = source.token().await.unwrap();
        assert_eq!(house.verify(token.expose()).unwrap().scopes().to_string(), "read");
    }
}

#[tokio::test]
async fn scopes_as_asked_for_and_no_more() {
    let house = House::new().await;
    let ask = async |scope: &str| {
        let fields = [("grant_type", "client_credentials"), ("scope", scope)];
        turn(&house, &fields).await
    };
    let one = ask("write").await;
    assert_eq!(
        house.verify(one.json()["access_token"].as_str().unwrap()).unwrap().scopes().to_string(),
        "write"
    );
    for bad in ["admin", "read admin", "\"", "read offline_access"] {
        let answer = ask(bad).await;
        assert_eq!((answer.status, answer.json()["error"].as_str()), (400, Some("invalid_scope")), "{bad}");
    }
}

#[tokio::test]
async fn an_outage_is_a_503_atk_43() {
    struct Down;
    impl tower_bearer::store::ClientStore for Down {
        fn find(&self, _: &str) -> tower_bearer::store::Stored<Vec<Client>> {
            tower_bearer::Eventual::now(Err("canary".into()))
        }
        fn find_by_digest(&self, _: TokenDigest) -> tower_bearer::store::Stored<Vec<Client>> {
            tower_bearer::Eventual::now(Err("canary".into()))
        }
    }
    let house = House::new().await;
    let query = "?app_id=example-app&secret=abc";
    let headers = with(with(get(""), "client-id", "a"), "client-secret", "b");
    let fields = form(&[("grant_type", "client_credentials"), ("client_id", "a"), ("client_secret", "b")]);
    for (contract, request) in [
        (TokenContract::two_bttns(), get(query)),
        (TokenContract::gifthub(), headers),
        (TokenContract::botlhale(), form(&[("REFRESH_TOKEN", "a")])),
        (TokenContract::spotnana(), fields),
    ] {
        let endpoint = TokenEndpoint::new(contract, house.access(), Down);
        let answer = Answer::of(endpoint.oneshot(request).await.unwrap()).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{}", answer.text);
        assert!(!answer.text.contains("canary"));
    }
}

#[tokio::test]
async fn no_secret_is_shown_atk_47() {
    let house = House::new().await;
    let endpoint = refreshing(&house);
    let shown = format!("{endpoint:?} {:?} {:?}", house.store, Secret::from(SECRET));
    assert!(!shown.contains("AAEC"), "{shown}");
}
