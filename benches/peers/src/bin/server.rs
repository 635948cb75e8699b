//! A server for `http`: axum without a layer, with one of its own that says who is calling without looking, or with
//! ours, on one thread.
//!
//! `server bare|extension|layer ALGORITHM TOKENS` writes the tokens to send into a file, a line to each, and its
//! address to its output.

use std::fs;

use axum::routing::get;
use axum::{Extension, Router};
use peers::tokens::{AUDIENCE, Corpus, ISSUER};
use tower_bearer::verify::{JwtVerifier, Keys};
use tower_bearer::{AuthenticateLayer, Identity};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [kind, algorithm, tokens] = &arguments[..] else { panic!("expected: bare|extension|layer ALGORITHM TOKENS") };
    let corpus = Corpus::new(algorithm.parse().expect("a known algorithm"));
    fs::write(tokens, corpus.tokens.join("\n")).expect("a file for the tokens");

    let router = match kind.as_str() {
        "bare" => Router::new().route("/", get(async || "hello")),
        "extension" => Router::new().route("/", get(hello)).layer(Extension(Identity::builder("alice").build())),
        _ => {
            let keys = Keys::jwks(corpus.jwks.as_bytes()).expect("keys");
            let verifier = JwtVerifier::builder(keys).issuer(ISSUER).audience(AUDIENCE).build();
            Router::new().route("/", get(hello)).layer(AuthenticateLayer::new(verifier.expect("a verifier")))
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    axum::serve(listener, router).await.expect("a server");
}

async fn hello(Extension(identity): Extension<Identity>) -> &'static str {
    assert!(!identity.subject().is_empty(), "the layer says who is calling");
    "hello"
}
