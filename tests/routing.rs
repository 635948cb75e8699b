//! A credential goes to one verifier, a request to one rule, and an identity comes from one place.

mod common;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{HeaderValue, Request, Response};
use serde_json::json;
use tower::{Layer, Service, ServiceExt};
use tower_bearer::authenticate::{Authenticate, HttpsOnly};
use tower_bearer::require::{RequireLayer, scope};
use tower_bearer::verify::{Issuers, JwtVerifier, Keys, Schemes, Verify, verify_fn};
use tower_bearer::{
    Algorithm, AuthenticateLayer, Credential, Eventual, Identity, Rejection, RejectionKind, Scheme, Scopes,
};

use common::*;

/// Accepts or refuses as told, at once or later, and counts how often it was asked.
#[derive(Clone)]
struct Scripted {
    asked: Arc<AtomicUsize>,
    subject: Option<&'static str>,
    later: bool,
}

impl Scripted {
    fn new(subject: impl Into<Option<&'static str>>) -> Self {
        Self { asked: Arc::default(), subject: subject.into(), later: false }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Verify for Scripted {
    fn verify(&self, _: &Credential<'_>) -> Eventual<Result<Identity, Rejection>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let verdict = self
            .subject
            .map(|subject| Identity::builder(subject).scopes(Scopes::parse("read").unwrap()).build())
            .ok_or_else(Rejection::invalid_token);
        if self.later { Eventual::later(async move { verdict }) } else { Eventual::now(verdict) }
    }
}

/// Says who is there, and shows the credential it was given.
async fn echo(request: Request<()>) -> Result<Response<String>, Infallible> {
    let who = request.extensions().get::<Identity>().map_or("anonymous", Identity::subject);
    let credential = request.headers().get("authorization");
    let shown = match credential {
        Some(value) => format!(" with {value:?}"),
        None => String::new(),
    };
    Ok(Response::new(format!("{who}{shown}")))
}

fn request(values: &[&str]) -> Request<()> {
    let mut request = Request::new(());
    for value in values {
        request.headers_mut().append("authorization", HeaderValue::from_str(value).unwrap());
    }
    request
}

async fn send<S>(service: S, request: Request<()>) -> Response<String>
where
    S: Service<Request<()>, Response = Response<String>, Error = Infallible>,
{
    service.oneshot(request).await.unwrap()
}

fn kind<B>(response: &Response<B>) -> Option<RejectionKind> {
    response.extensions().get::<Rejection>().map(Rejection::kind)
}

#[tokio::test]
async fn failure_is_final() {
    let verifiers =
        [Scripted::new(None), Scripted::new("pat"), Scripted::new("prefix"), Scripted::new("other")];
    let [jwt, pat, prefix, other] = verifiers.clone();
    let schemes = Schemes::new().bearer_jwt(jwt).token(pat).bearer_prefixed("x", prefix).bearer(other);
    let service = AuthenticateLayer::new(schemes).layer(tower::service_fn(echo));
    assert_eq!(send(service.clone(), request(&["Bearer a.b.c"])).await.status(), 401);
    assert_eq!(verifiers.each_ref().map(Scripted::asked), [1, 0, 0, 0]);
    for (credential, subject) in [
        ("Token a.b.c", "pat"),
        ("Bearer x.b.c", "prefix"),
        ("Bearer opaque", "other"),
        ("Bearer a.b.c.d", "other"),
    ] {
        assert!(
            send(service.clone(), request(&[credential])).await.body().starts_with(subject),
            "{credential}"
        );
    }
    assert_eq!(verifiers.each_ref().map(Scripted::asked), [1, 1, 1, 2]);
}

#[tokio::test]
async fn nobody_is_asked_about_what_cannot_be_right_atk_27() {
    let verifier = Scripted::new("alice");
    let service = AuthenticateLayer::new(verifier.clone()).layer(tower::service_fn(echo));
    for (values, expected) in [
        (&[][..], RejectionKind::MissingCredential),
        (&["Basic YWJj"], RejectionKind::UnsupportedScheme),
        (&["Token abc"], RejectionKind::UnsupportedScheme),
        (&["Bearer a", "Bearer a"], RejectionKind::MalformedCredential),
        (&["Bearer a, Bearer b"], RejectionKind::MalformedCredential),
        (&["Bearer"], RejectionKind::MalformedCredential),
    ] {
        assert_eq!(kind(&send(service.clone(), request(values)).await), Some(expected), "{values:?}");
    }
    assert_eq!(verifier.asked(), 0);
}

#[tokio::test]
async fn optional_lets_only_the_absent_pass_atk_32() {
    for later in [false, true] {
        let verifier = Scripted { later, ..Scripted::new(None) };
        let service = AuthenticateLayer::new(verifier).optional().layer(tower::service_fn(echo));
        assert_eq!(send(service.clone(), request(&[])).await.body(), "anonymous");
        for values in
            [&["Bearer bad"][..], &["Basic YWJj"], &["Bearer"], &["Bearer a", "Bearer b"], &["Token a"]]
        {
            let response = send(service.clone(), request(values)).await;
            assert!(matches!(response.status().as_u16(), 400 | 401), "{values:?}");
        }
    }
}

#[tokio::test]
async fn an_identity_from_before_is_removed_atk_34() {
    let forged = || {
        let mut request = request(&[]);
        request.extensions_mut().insert(Identity::builder("forged").build());
        request
    };
    let layer = AuthenticateLayer::new(Scripted::new("alice"));
    assert_eq!(
        send(layer.clone().optional().layer(tower::service_fn(echo)), forged()).await.body(),
        "anonymous"
    );
    assert_eq!(send(layer.layer(tower::service_fn(echo)), forged()).await.status(), 401);
    let guarded = AuthenticateLayer::new(Scripted::new("alice"))
        .optional()
        .layer(RequireLayer::new(scope("read")).layer(tower::service_fn(echo)));
    assert_eq!(send(guarded, forged()).await.status(), 401);
}

#[tokio::test]
async fn the_header_is_sensitive_and_can_be_stripped_atk_35_atk_60() {
    for later in [false, true] {
        let layer = AuthenticateLayer::new(Scripted { later, ..Scripted::new("alice") });
        let kept = send(layer.clone().layer(tower::service_fn(echo)), request(&["Bearer abc"])).await;
        assert_eq!(kept.body(), "alice with Sensitive");
        let stripped =
            send(layer.strip_credential().layer(tower::service_fn(echo)), request(&["Bearer abc"])).await;
        assert_eq!(stripped.body(), "alice");
    }
}

#[tokio::test]
async fn plain_http_is_told_why() {
    let verifier = Scripted::new("alice");
    let service =
        AuthenticateLayer::new(verifier.clone()).https_only(HttpsOnly::new()).layer(tower::service_fn(echo));
    let refused = send(service.clone(), request(&["Bearer abc"])).await;
    assert_eq!(refused.status(), 400);
    assert!(refused.headers()["www-authenticate"].to_str().unwrap().contains("credentials need HTTPS"));
    assert!(!refused.headers().contains_key("location"));
    assert_eq!(verifier.asked(), 0);
    let mut secure = request(&["Bearer abc"]);
    *secure.uri_mut() = "https://a.example/".parse().unwrap();
    assert_eq!(send(service.clone(), secure).await.status(), 200);
    assert_eq!(send(service, request(&[])).await.status(), 401, "nothing was presented");
}

#[tokio::test]
async fn a_bare_challenge_offers_each_scheme_m_9110_2() {
    let challenges = |response: &Response<String>| {
        let all = response.headers().get_all("www-authenticate").iter();
        all.map(|value| value.to_str().unwrap().split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let both = Schemes::new().token(Scripted::new(None)).bearer(Scripted::new(None));
    let service = AuthenticateLayer::new(both).layer(tower::service_fn(echo));
    assert_eq!(challenges(&send(service.clone(), request(&[])).await), ["Bearer", "Token"]);
    assert_eq!(challenges(&send(service.clone(), request(&["Basic YWJj"])).await), ["Bearer", "Token"]);
    assert_eq!(challenges(&send(service.clone(), request(&["Token abc"])).await), ["Token"]);
    assert_eq!(challenges(&send(service, request(&["Bearer abc"])).await), ["Bearer"]);

    let tokens = Schemes::new().token(Scripted::new("alice"));
    let optional = AuthenticateLayer::new(tokens).optional();
    let service = optional.layer(RequireLayer::new(scope("write")).layer(tower::service_fn(echo)));
    assert_eq!(challenges(&send(service.clone(), request(&[])).await), ["Token"]);
    assert_eq!(challenges(&send(service.clone(), request(&["Bearer abc"])).await), ["Token"]);
    let refused = send(service, request(&["Token abc"])).await;
    assert_eq!((refused.status().as_u16(), challenges(&refused)), (403, vec!["Token".to_owned()]));
}

#[tokio::test]
async fn each_issuer_has_its_own_keys_atk_07_atk_38_m_8725_5() {
    const OTHER: &str = "https://other.example";
    const OTHER_SECRET: &str = "fedcba9876543210fedcba9876543210";
    let other =
        rules_over(Keys::hmac(Algorithm::HS256, OTHER_SECRET).unwrap()).issuer(OTHER).build().unwrap();
    let issuers = Issuers::new([rules().build().unwrap(), other]).unwrap();
    let token = |secret: &str, issuer: &str| {
        raw_with(secret.as_bytes(), HEADER, &claims_with("iss", Some(json!(issuer))))
    };
    assert!(verify(&issuers, token(SECRET, ISSUER)).is_ok());
    assert_eq!(verify(&issuers, token(OTHER_SECRET, OTHER)).unwrap().issuer(), Some(OTHER));
    assert!(verify(&issuers, token(SECRET, OTHER)).is_err());
    assert!(verify(&issuers, token(OTHER_SECRET, ISSUER)).is_err());
    for index in 0..10_000 {
        let refused = verify(&issuers, token(SECRET, &format!("https://{index}.example"))).unwrap_err();
        assert_eq!(refused.kind(), RejectionKind::InvalidToken);
    }
    assert!(verify(&issuers, raw(HEADER, &claims_with("iss", None))).is_err());

    let any = JwtVerifier::builder(Keys::hmac(Algorithm::HS256, SECRET).unwrap());
    let any = any.insecure_any_issuer().audience(AUDIENCE).build().unwrap();
    assert!(Issuers::new([any]).is_err());
    assert!(Issuers::new([]).is_err());
}

#[tokio::test]
async fn each_issuer_keeps_its_own_size_limit() {
    let token = good_token();
    let small = rules().with_max_token_bytes(token.len() - 1).build().unwrap();
    let other = rules().issuer("https://other.example").build().unwrap();
    assert!(verify(&Issuers::new([small, other]).unwrap(), token).is_err());
}

#[tokio::test]
async fn no_scheme_at_all_refuses_everything() {
    let service = AuthenticateLayer::new(Schemes::new()).layer(tower::service_fn(echo));
    let response = send(service, request(&["Bearer abc"])).await;
    assert_eq!(kind(&response), Some(RejectionKind::UnsupportedScheme));
    assert_eq!(response.headers()["www-authenticate"], r#"Bearer realm="api""#);
}

#[tokio::test]
async fn one_way_of_presenting_a_token_m_6750_2_m_6750_3() {
    let verifier = Scripted::new("alice");
    let service = AuthenticateLayer::new(verifier.clone()).layer(tower::service_fn(echo));
    for (uri, values, status) in [
        ("/?access_token=abc", &["Bearer abc"][..], 400),
        ("/?a=b&access_token=", &["Bearer abc"], 400),
        ("/?access_token=abc", &[], 401),
        ("/?my_access_token=abc", &["Bearer abc"], 200),
    ] {
        let mut request = request(values);
        *request.uri_mut() = uri.parse().unwrap();
        assert_eq!(send(service.clone(), request).await.status(), status, "{uri}");
    }
    assert_eq!(verifier.asked(), 1, "the query is never a credential");
}

#[tokio::test]
async fn a_token_that_is_too_long_is_not_judged_atk_15() {
    let verifier = Scripted::new("alice");
    let layer = AuthenticateLayer::new(verifier.clone());
    let of = |byte: &str, len: usize| format!("Bearer {}", byte.repeat(len));
    for (layer, limit) in [(layer.clone(), 16 * 1024), (layer.with_max_token_bytes(10), 10)] {
        let service = layer.layer(tower::service_fn(echo));
        assert_eq!(send(service.clone(), request(&[&of("a", limit)])).await.status(), 200);
        for line in [of("a", limit + 1), of("!", limit + 1)] {
            let refused = send(service.clone(), request(&[&line])).await;
            assert_eq!(kind(&refused), Some(RejectionKind::InvalidToken), "its form is not looked at");
        }
    }
    assert_eq!(verifier.asked(), 2);
}

#[tokio::test]
async fn a_verifier_that_calls_a_token_malformed_is_challenged_by_its_scheme() {
    let strict = || verify_fn(|_| async { Err(Rejection::malformed_credential()) });
    let layer = AuthenticateLayer::new(Schemes::new().token(strict()).bearer(strict()));
    let service = layer.layer(tower::service_fn(echo));
    let challenges =
        |response: Response<String>| response.headers().get_all("www-authenticate").iter().count();
    assert_eq!(challenges(send(service.clone(), request(&["Token abc"])).await), 1, "it is about that token");
    assert_eq!(challenges(send(service, request(&["Token a,b"])).await), 2, "there is no token");
}

#[tokio::test]
async fn a_responder_of_the_users_cannot_lose_the_rejection() {
    let layer = AuthenticateLayer::new(Scripted::new(None)).with_responder(
        |_: tower_bearer::RequestHead<'_>, _: &Rejection| {
            Response::builder().status(418).body("tea".to_owned()).unwrap()
        },
    );
    let service: Authenticate<_, _> = layer.layer(tower::service_fn(echo));
    let response = send(service, request(&["Bearer abc"])).await;
    assert_eq!((response.status().as_u16(), kind(&response)), (418, Some(RejectionKind::InvalidToken)));
}

#[tokio::test]
async fn the_scheme_is_known_to_the_handler() {
    let handler = tower::service_fn(|request: Request<()>| async move {
        let scheme = request.extensions().get::<Identity>().and_then(Identity::scheme);
        Ok::<_, Infallible>(Response::new(format!("{scheme:?}")))
    });
    let schemes =
        Schemes::new().token(Scripted::new("a")).bearer(Scripted { later: true, ..Scripted::new("a") });
    let service = AuthenticateLayer::new(schemes).layer(handler);
    assert_eq!(
        send(service.clone(), request(&["Token abc"])).await.body(),
        &format!("{:?}", Some(Scheme::Token))
    );
    assert_eq!(send(service, request(&["Bearer abc"])).await.body(), &format!("{:?}", Some(Scheme::Bearer)));
}
