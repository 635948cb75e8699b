//! What the types promise: they can be sent, shared, boxed, and put where users put them.

mod common;

use std::sync::Arc;

use tower_bearer::attach::{Attach, CloneBody};
use tower_bearer::authenticate::{Authenticate, AuthenticateLayer, HttpsOnly};
use tower_bearer::contract::{Credentials, TokenContract};
use tower_bearer::issue::{
    AccessToken, AppKeys, AuthTypeEndpoint, IntrospectionEndpoint, JwksEndpoint, JwtSigner, KeyRing,
    MetadataEndpoint, Mint, PatEndpoint, ResponseFuture, RevocationEndpoint, SigningKeys, TokenEndpoint,
};
use tower_bearer::limit::{LimitFailures, LimitFailuresLayer};
use tower_bearer::pat::PatFormat;
use tower_bearer::require::{ByPath, Policy, Require, RequireLayer};
use tower_bearer::respond::{Challenge, Message, Problem, Respond};
use tower_bearer::source::{CachedSource, FetchedSource, FileSource, StaticToken, TokenSource};
use tower_bearer::store::{
    Client, ClientSecret, ClientStore, KeyStore, MemoryStore, Moment, PersonalToken, RefreshGrant,
    RefreshStore, RevocationStore, Revocations, Rotation, Stored, StoredKey, TokenDigest, TokenStore,
};
use tower_bearer::verify::{
    CachedVerifier, Issuers, JwtVerifier, KeyLookup, Keys, PatVerifier, RevocableVerifier, Schemes, Verify,
};
use tower_bearer::{
    Algorithm, AttachLayer, Clock, ConfigError, Credential, Eventual, Identity, IdentityBuilder, Rejection,
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
    cloned::<AppKeys>();
    cloned::<AuthTypeEndpoint>();
    cloned::<IntrospectionEndpoint>();
    cloned::<JwksEndpoint>();
    cloned::<KeyRing>();
    cloned::<MetadataEndpoint>();
    cloned::<Mint>();
    cloned::<PatEndpoint>();
    cloned::<RevocationEndpoint>();
    cloned::<SigningKeys>();
    cloned::<TokenEndpoint>();
    sent::<ResponseFuture>();
    cloned::<PatFormat>();
    cloned::<PatVerifier>();
    cloned::<RevocableVerifier>();
    shared::<CachedVerifier<PatVerifier>>();
    cloned::<Client>();
    cloned::<ClientSecret>();
    cloned::<MemoryStore>();
    cloned::<Moment>();
    cloned::<PersonalToken>();
    cloned::<RefreshGrant>();
    cloned::<Revocations>();
    cloned::<Rotation>();
    cloned::<StoredKey>();
    cloned::<TokenDigest>();
    sent::<Stored<PersonalToken>>();
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
    let store = MemoryStore::new();
    let tokens: Arc<dyn TokenStore> = Arc::new(store.clone());
    let clients: Arc<dyn ClientStore> = Arc::new(store.clone());
    let refresh: Arc<dyn RefreshStore> = Arc::new(store.clone());
    let revocations: Arc<dyn RevocationStore> = Arc::new(store.clone());
    let keys: Arc<dyn KeyStore> = Arc::new(store);
    let verifier: Arc<dyn Verify> = Arc::new(PatVerifier::new(PatFormat::netbird(), tokens.clone()));
    let verifier: Arc<dyn Verify> =
        Arc::new(RevocableVerifier::new(verifier, revocations.clone(), std::time::Duration::ZERO));
    let mint = Mint::access_tokens(KeyRing::new("main", Algorithm::ES256, keys), ISSUER, AUDIENCE);
    let _endpoint = TokenEndpoint::new(TokenContract::client_credentials(), mint, clients.clone())
        .with_refresh_tokens(refresh.clone());
    let _endpoint =
        IntrospectionEndpoint::new(verifier.clone(), clients.clone()).with_refresh_tokens(refresh);
    let _endpoint = RevocationEndpoint::new(verifier, clients, revocations).with_personal_tokens(tokens);
    let _clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let _lookup: Box<dyn KeyLookup> = Box::new(|_: &str| None);
    let _respond: Box<dyn Respond<String>> = Box::new(Challenge::new());
}

#[test]
fn the_answer_that_is_there_is_small() {
    // Both travel through every request by value.
    assert!(size_of::<Identity>() <= 5 * size_of::<usize>());
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
