//! `jwt-authorizer`, which verifies with jsonwebtoken 9 and ring.

use std::convert::Infallible;
use std::future::ready;

use http::{Request, Response, StatusCode};
use jwt_authorizer::{AuthError, IntoLayer, JwtAuthorizer, Validation};
use tower::Layer;

use super::{BARE, Claims};
use crate::drive::{self, Body, Heads, Status};
use crate::measure::Contestant;
use crate::tokens::{AUDIENCE, Corpus, ISSUER, SECRET};

/// The layer wants a response that can be made of its error.
struct Reply(Response<Body>);

impl From<AuthError> for Reply {
    fn from(_: AuthError) -> Self {
        let mut refusal = Response::new(Body::default());
        *refusal.status_mut() = StatusCode::UNAUTHORIZED;
        Self(refusal)
    }
}

impl Status for Reply {
    fn is_ok(&self) -> bool {
        self.0.is_ok()
    }
}

pub async fn contestants(corpus: &Corpus, heads: &Heads) -> Vec<Contestant> {
    let builder: JwtAuthorizer<Claims> = match corpus.algorithm.is_symmetric() {
        true => JwtAuthorizer::from_secret(SECRET),
        false => JwtAuthorizer::from_jwks_text(&corpus.jwks),
    };
    let validation = Validation::new().iss(&[ISSUER]).aud(&[AUDIENCE]);
    let authorizer = builder.validation(validation).build().await.expect("an authorizer");
    let handler = tower::service_fn(|request: Request<Body>| {
        let token = request.extensions().get::<jsonwebtoken9::TokenData<Claims>>();
        let mut response = Response::new(Body::default());
        if !token.is_some_and(|token| token.claims.look()) {
            *response.status_mut() = StatusCode::IM_A_TEAPOT;
        }
        ready(Ok::<_, Infallible>(Reply(response)))
    });
    let service = authorizer.into_layer().layer(handler);
    vec![drive::service::<Body, _, _>("jwt-authorizer 0.15", Some(BARE), heads, move || service.clone())]
}
