//! What the layer costs over the bare service, with an access token of about 800 bytes, 1,024 of them in turn: never
//! seen before, seen before, many at once, refused; personal access tokens; and from two threads.

mod common;
#[path = "common/tokens.rs"]
mod tokens;

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::ready;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::{Criterion, criterion_group, criterion_main};
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use tower::{Layer, Service};
use tower_bearer::issue::JwtSigner;
use tower_bearer::pat::PatFormat;
use tower_bearer::verify::{JwtVerifier, Keys, PatVerifier};
use tower_bearer::{Algorithm, AuthenticateLayer, Identity};

use common::{BATCH, Contestant, Lines, Round, driven, measure, requests, round, send, two_threads};
use tokens::{ISSUER, SECRET, sign};

/// The tokens of one algorithm, and what verifies them.
struct Corpus {
    algorithm: Algorithm,
    keys: Keys,
    public: Option<ParsedPublicKey>,
    tokens: Vec<String>,
}

impl Corpus {
    fn new(algorithm: Algorithm) -> Self {
        Self::of(algorithm, BATCH)
    }

    fn of(algorithm: Algorithm, count: usize) -> Self {
        let expected = "a key";
        let (signer, keys) = if algorithm.is_symmetric() {
            (JwtSigner::hmac(algorithm, SECRET).expect(expected), Keys::hmac(algorithm, SECRET))
        } else {
            let signer = JwtSigner::generate(algorithm).expect(expected);
            let keys = Keys::jwks(signer.jwks().as_bytes());
            (signer, keys)
        };
        let public = public_key(&signer.jwks());
        let tokens = (0..count).map(|number| sign(&signer, number)).collect();
        Self { algorithm, keys: keys.expect(expected), public, tokens }
    }

    fn lines(&self) -> Lines {
        self.tokens.iter().map(|token| Some(format!("Bearer {token}"))).collect()
    }

    fn layer(&self) -> AuthenticateLayer {
        let verifier = JwtVerifier::builder(self.keys.clone()).issuer(ISSUER).audience("orders").build();
        AuthenticateLayer::new(verifier.expect("a verifier"))
    }

    /// The limit: the signature check of aws-lc-rs alone, over what is split and decoded already.
    fn signature(&self) -> Contestant {
        let split = |token: &String| {
            let (signed, signature) = token.rsplit_once('.').expect("a signature");
            (signed.to_owned(), URL_SAFE_NO_PAD.decode(signature).expect("base64url"))
        };
        let tokens: Vec<_> = self.tokens.iter().map(split).collect();
        let secret = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        let public = self.public.clone();
        let run = move |tokens: &mut Vec<(String, Vec<u8>)>| {
            for (signed, signature) in tokens {
                let good = match &public {
                    Some(key) => key.verify_sig(signed.as_bytes(), signature).is_ok(),
                    None => hmac::verify(&secret, signed.as_bytes(), signature).is_ok(),
                };
                assert!(good, "a good signature");
            }
        };
        let timed = round(move || tokens.clone(), run);
        Contestant::new(format!("signature check, {}", self.algorithm), timed)
    }
}

/// The first key of a set as aws-lc-rs takes it; none for a shared secret, which no set has.
fn public_key(jwks: &str) -> Option<ParsedPublicKey> {
    let set: serde_json::Value = serde_json::from_str(jwks).expect("JSON");
    let key = &set["keys"][0];
    let bytes =
        |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap_or_default()).expect("base64url");
    let parsed = |algorithm: &'static dyn signature::VerificationAlgorithm, point: Vec<u8>| {
        ParsedPublicKey::new(algorithm, point).expect("a key")
    };
    Some(match key["kty"].as_str()? {
        "EC" => parsed(&ECDSA_P256_SHA256_FIXED, [vec![4], bytes("x"), bytes("y")].concat()),
        "OKP" => parsed(&ED25519, bytes("x")),
        _ => RsaPublicKeyComponents { n: bytes("n"), e: bytes("e") }
            .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
            .expect("a key"),
    })
}

/// Answers at once, after a look at the request.
fn handler(
    look: fn(&Request<()>) -> bool,
) -> impl Service<Request<()>, Response = Response<()>, Error = Infallible, Future: Send> + Clone + Send {
    tower::service_fn(move |request: Request<()>| {
        let mut response = Response::new(());
        if !black_box(look(&request)) {
            *response.status_mut() = StatusCode::IM_A_TEAPOT;
        }
        ready(Ok(response))
    })
}

fn knows(request: &Request<()>) -> bool {
    request.extensions().get::<Identity>().is_some_and(|identity| !identity.subject().is_empty())
}

fn bare(lines: &Lines) -> Contestant {
    Contestant::new("bare service", driven(lines, StatusCode::OK, || handler(|_| true)))
}

fn fresh(c: &mut Criterion) {
    let aims = [
        (Algorithm::HS256, 2.5),
        (Algorithm::RS256, 1.08),
        (Algorithm::ES256, 1.03),
        (Algorithm::EdDSA, 1.03),
    ];
    let mut all = vec![bare(&Corpus::new(Algorithm::HS256).lines())];
    for (algorithm, most) in aims {
        let corpus = Corpus::new(algorithm);
        let (lines, raw) = (corpus.lines(), all.len());
        all.push(corpus.signature());
        // A new verifier for each batch, which has each token once.
        let layered = driven(&lines, StatusCode::OK, move || corpus.layer().layer(handler(knows)));
        let name = format!("never seen before, {algorithm}");
        all.push(Contestant::new(name, layered).over(0).at_most(most, raw));
    }
    measure(c, "fresh", BATCH, all);
}

fn seen(c: &mut Criterion) {
    let raw = Corpus::new(Algorithm::HS256);
    let mut all = vec![bare(&raw.lines()), raw.signature()];
    for algorithm in [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let corpus = Corpus::new(algorithm);
        let lines = corpus.lines();
        let layer = warm(&corpus, &lines);
        let layered = driven(&lines, StatusCode::OK, move || layer.layer(handler(knows)));
        all.push(Contestant::new(format!("seen before, {algorithm}"), layered).over(0).at_most(0.5, 1));
    }
    measure(c, "seen", BATCH, all);
}

/// As many as no cache of a processor holds, beside a map that is looked into by hand: both are slower by what the
/// memory takes.
fn many(c: &mut Criterion) {
    let mut cost = |size: usize| {
        let corpus = Corpus::of(Algorithm::HS256, size);
        let lines = corpus.lines();
        let layer = warm(&corpus, &lines);
        let layered = driven(&lines, StatusCode::OK, move || layer.layer(handler(knows)));
        let all = vec![
            bare(&lines),
            Contestant::new(format!("{size} seen before"), layered).over(0),
            Contestant::new(format!("{size} in a map"), in_a_map(&lines)).over(0),
        ];
        measure(c, &format!("{size} seen"), size, all)
    };
    let (few, many) = (cost(BATCH), cost(100_000));
    let more = |index: usize| many[index] - few[index];
    println!("100000 instead of {BATCH} cost {:.0} ns more for each, in a map {:.0} ns", more(1), more(2));
}

/// A service that looks for the whole line in a map by its last bytes, and leaves who it is.
fn in_a_map(lines: &Lines) -> Round {
    let tail = |line: &[u8]| line.last_chunk::<16>().copied();
    let entry = |line: &String| {
        let identity = Identity::builder("alice").build();
        Some((tail(line.as_bytes())?, (Box::<[u8]>::from(line.as_bytes()), identity)))
    };
    let map: Arc<HashMap<_, _>> = Arc::new(lines.iter().flatten().filter_map(entry).collect());
    driven(lines, StatusCode::OK, move || {
        let (map, mut inner) = (Arc::clone(&map), handler(knows));
        tower::service_fn(move |mut request: Request<()>| {
            let line = request.headers()[AUTHORIZATION].as_bytes();
            let known = tail(line).and_then(|tail| map.get(&tail)).filter(|(whole, _)| **whole == *line);
            let (_, identity) = known.expect("a known one");
            request.extensions_mut().insert(identity.clone());
            inner.call(request)
        })
    })
}

/// A layer that has seen all tokens.
fn warm(corpus: &Corpus, lines: &Lines) -> AuthenticateLayer {
    let layer = corpus.layer();
    for _ in 0..2 {
        let answered = send(&mut layer.layer(handler(knows)), requests(lines), StatusCode::OK);
        assert_eq!(answered, lines.len(), "the first sight");
    }
    layer
}

fn refused(c: &mut Criterion) {
    let corpus = Corpus::new(Algorithm::HS256);
    let good = &corpus.tokens[0];
    let forged = format!("{}{}", &good[..good.len() - 43], "A".repeat(43));
    let bearer = |token: &str| vec![Some(format!("Bearer {token}")); BATCH];
    let lines = corpus.lines();
    let other = corpus.layer();
    // None may cost more than this.
    let fresh = driven(&lines, StatusCode::OK, move || corpus.layer().layer(handler(knows)));
    let mut all = vec![bare(&lines), Contestant::new("good, never seen before", fresh).over(0)];
    for (name, lines, status) in [
        ("missing", vec![None; BATCH], StatusCode::UNAUTHORIZED),
        ("malformed", bearer("not-a-jwt"), StatusCode::UNAUTHORIZED),
        ("not even a token", bearer("no token"), StatusCode::BAD_REQUEST),
        ("too long", bearer(&"a".repeat(20_000)), StatusCode::UNAUTHORIZED),
        ("forged", bearer(&forged), StatusCode::UNAUTHORIZED),
    ] {
        let layer = other.clone();
        let refused = driven(&lines, status, move || layer.layer(handler(knows)));
        all.push(Contestant::new(name, refused).over(0).at_most(1.0, 1));
    }
    measure(c, "refused", BATCH, all);
}

fn personal(c: &mut Criterion) {
    let (store, lines) = tokens::personal(BATCH);
    let verifier = PatVerifier::new(PatFormat::netbird(), store).cached(Duration::from_secs(24 * 3600));
    let layer = AuthenticateLayer::new(verifier.expect("random numbers"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let mut service = layer.layer(handler(knows));
        for request in requests(&lines) {
            assert_eq!(service.call(request).await.expect("infallible").status(), 200, "the first sight");
        }
    });
    let _entered = runtime.enter();
    let malformed = vec![Some("Token nbp_0123".to_owned()); BATCH];
    let other = layer.clone();
    let seen = driven(&lines, StatusCode::OK, move || layer.layer(handler(knows)));
    let refused = driven(&malformed, StatusCode::UNAUTHORIZED, move || other.layer(handler(knows)));
    let all = vec![
        bare(&lines),
        Contestant::new("personal token, seen before", seen).over(0),
        Contestant::new("personal token, malformed", refused).over(0),
    ];
    measure(c, "personal", BATCH, all);
}

fn threads(_: &mut Criterion) {
    let corpus = Corpus::new(Algorithm::RS256);
    let lines = corpus.lines();
    let layer = warm(&corpus, &lines);
    two_threads(
        "seen before, RS256",
        || driven(&lines, StatusCode::OK, || handler(|_| true)),
        || {
            let layer = layer.clone();
            driven(&lines, StatusCode::OK, move || layer.layer(handler(knows)))
        },
    );
}

criterion_group!(authenticate, fresh, seen, many, refused, personal, threads);
criterion_main!(authenticate);
