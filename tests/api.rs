//! What the types promise: they can be sent, shared, boxed, and put where users put them.

mod common;

use std::sync::Arc;

use tower_bearer::attach::{Attach, CloneBody};
use tower_bearer::authenticate::{Authenticate, AuthenticateLayer, HttpsOnly};
use tower_bearer::contract::{Credentials, TokenContract};
use tower_bearer::issue::{AccessToken, JwtSigner};
use tower_bearer::limit::{LimitFailures, LimitFailuresLayer};
use tower_bearer::require::{ByPath, Policy, Require, RequireLayer};
use tower_bearer::respond::{Challenge, Message, Problem, Respond};
use tower_bearer::source::{CachedSource, FetchedSource, FileSource, StaticToken, TokenSource};
use tower_bearer::verify::{Issuers, JwtVerifier, KeyLookup, Keys, Schemes, Verify};
use tower_bearer::{
    AttachLayer, Clock, ConfigError, Credential, Eventual, Identity, IdentityBuilder, Rejection,
    RejectionKind, Scheme, Scopes, Secret, SystemClock, Token, TokenError,
};

use common::*;

const fn shared<T: Send + Sync + 'static>() {}
const fn cloned<T: Clone + Send + Sync + 'static>() {}
const fn sent<T: Send + 'static>() {}

const _: () = {
    cloned::<AccessToken>();
    cloned::<Authenticate<()>>();
    cloned::<AuthenticateLayer>();
    cloned::<Challenge>();
    cloned::<ConfigError>();
    cloned::<Credential<'static>>();
    cloned::<HttpsOnly>();
    cloned::<Identity>();
    cloned::<Issuers>();
    cloned::<JwtSigner>();
    cloned::<JwtVerifier>();
    cloned::<Keys>();
    cloned::<LimitFailures<()>>();
    cloned::<LimitFailuresLayer>();
    cloned::<Message>();
    cloned::<Problem>();
    cloned::<Rejection>();
    cloned::<Require<()>>();
    cloned::<RequireLayer>();
    cloned::<Scopes>();
    cloned::<Secret>();
    cloned::<Attach<()>>();
    cloned::<AttachLayer<CloneBody>>();
    cloned::<CachedSource<FetchedSource>>();
    cloned::<Credentials>();
    cloned::<FetchedSource>();
    cloned::<StaticToken>();
    cloned::<Token>();
    cloned::<TokenContract>();
    cloned::<TokenError>();
    shared::<ByPath>();
    shared::<FileSource>();
    sent::<Eventual<Result<Token, TokenError>>>();
    shared::<IdentityBuilder>();
    shared::<Schemes>();
    shared::<SystemClock>();
    sent::<Eventual<Result<Identity, Rejection>>>();
};

#[test]
fn seams_take_trait_objects() {
    let verifier: Arc<dyn Verify> = Arc::new(rules().build().unwrap());
    let boxed: Box<dyn Verify> = Box::new(verifier.clone());
    assert!(verify(&boxed, good_token()).is_ok());
    assert!(verify(&verifier, "a.b.c").is_err());
    let _layer = AuthenticateLayer::new(verifier);

    let _policy: Box<dyn Policy> = ByPath::new().boxed();
    let source: Arc<dyn TokenSource> = Arc::new(StaticToken::new(Scheme::Token, "abc").unwrap());
    let _cached = CachedSource::new(source.clone());
    let _layer = AttachLayer::to("https://api.example", source).unwrap();
    let _clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let _lookup: Box<dyn KeyLookup> = Box::new(|_: &str| None);
    let _respond: Box<dyn Respond<String>> = Box::new(Challenge::new());
}

#[test]
fn the_answer_that_is_there_is_small() {
    // Both travel through every request by value.
    assert!(size_of::<Identity>() <= 2 * size_of::<usize>());
    assert!(size_of::<Rejection>() <= 12 * size_of::<usize>());
}

#[test]
fn the_table_of_answers() {
    use RejectionKind::*;
    for (kind, status, error, grpc) in [
        (Forbidden, 403, Some("insufficient_scope"), 7),
        (InsufficientScope, 403, Some("insufficient_scope"), 7),
        (InvalidToken, 401, Some("invalid_token"), 16),
        (MalformedCredential, 400, Some("invalid_request"), 16),
        (MissingCredential, 401, None, 16),
        (TooManyFailures, 429, None, 8),
        (Unavailable, 503, None, 14),
        (UnsupportedScheme, 401, None, 16),
    ] {
        assert_eq!(
            (kind.status().as_u16(), kind.error_code(), kind.grpc_status()),
            (status, error, grpc),
            "{kind:?}"
        );
    }
}
