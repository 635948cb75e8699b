//! A verifier that is given the bytes of a header answers as it does when their form was looked at before.

use std::time::Duration;

use proptest::prelude::*;
use tower_bearer::issue::{AccessToken, JwtSigner};
use tower_bearer::verify::{Issuers, JwtVerifier, Keys, Schemes, Verify, verify_fn};
use tower_bearer::{Algorithm, Credential, Identity, Rejection, RejectionKind, Scheme};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const ISSUERS: [&str; 2] = ["https://a.example", "https://b.example"];

fn jwt(issuer: &str) -> JwtVerifier {
    let keys = Keys::hmac(Algorithm::HS256, SECRET).unwrap();
    JwtVerifier::builder(keys).issuer(issuer).audience("orders").build().unwrap()
}

fn token(issuer: &str) -> String {
    let signer = JwtSigner::hmac(Algorithm::HS256, SECRET).unwrap();
    signer.sign(&AccessToken::new(issuer, "alice", "web", "orders", Duration::from_secs(600))).unwrap()
}

/// Takes whatever has the form of a token.
fn anything() -> impl Verify {
    verify_fn(|credential: Credential<'static>| async move {
        Ok(Identity::builder(credential.expose().len().to_string()).build())
    })
}

fn verifiers() -> Vec<Box<dyn Verify>> {
    vec![
        Box::new(jwt(ISSUERS[0])),
        Box::new(Issuers::new(ISSUERS.map(jwt)).unwrap()),
        Box::new(Schemes::new().bearer_jwt(jwt(ISSUERS[1]))),
        Box::new(Schemes::new().bearer_prefixed("ey", jwt(ISSUERS[0])).bearer(anything())),
        Box::new(anything()),
    ]
}

type Answer = Result<String, RejectionKind>;

fn answer(verdict: Result<Identity, Rejection>) -> Answer {
    verdict.map(|identity| identity.subject().to_owned()).map_err(|rejection| rejection.kind())
}

fn both(verifier: &dyn Verify, bytes: &[u8]) -> (Answer, Answer) {
    let of_bytes = tokio_test::block_on(verifier.verify_bytes(Scheme::Bearer, bytes));
    let in_steps = match Credential::from_bytes(Scheme::Bearer, bytes) {
        Ok(credential) => tokio_test::block_on(verifier.verify(&credential)),
        Err(rejection) => Err(rejection),
    };
    (answer(of_bytes), answer(in_steps))
}

#[test]
fn a_byte_that_no_token_has_is_found_in_each_part_atk_28() {
    let good = token(ISSUERS[0]);
    let dots: Vec<_> = good.match_indices('.').map(|(at, _)| at).collect();
    let middles = [dots[0] / 2, (dots[0] + dots[1]) / 2, (dots[1] + good.len()) / 2, good.len() - 1];
    for verifier in verifiers() {
        for at in middles {
            for odd in [b'!', b',', b' ', b'\t', b'"', 0x80, 0xff] {
                let mut bytes = good.clone().into_bytes();
                bytes[at] = odd;
                let expected = Err(RejectionKind::MalformedCredential);
                assert_eq!(both(&*verifier, &bytes), (expected.clone(), expected), "{odd} at {at}");
            }
        }
        let (of_bytes, in_steps) = both(&*verifier, b"");
        assert!(of_bytes == in_steps && of_bytes == Err(RejectionKind::MalformedCredential));
    }
}

proptest! {
    #[test]
    fn mutated_tokens_are_judged_alike(
        which in 0..2_usize,
        changes in prop::collection::vec((0..400_usize, any::<u8>(), 0..4_u8), 0..4),
        before in any::<bool>(),
    ) {
        let good = token(ISSUERS[which]);
        let mut bytes = good.clone().into_bytes();
        for (at, byte, kind) in changes {
            let at = at % bytes.len().max(1);
            match kind {
                0 => bytes.truncate(at),
                1 => bytes.insert(at.min(bytes.len()), byte),
                2 => bytes.insert(at.min(bytes.len()), b'.'),
                _ if bytes.is_empty() => {}
                _ => bytes[at] = byte,
            }
        }
        for verifier in verifiers() {
            if before {
                // What is remembered of the good one does not help the other.
                let _ = both(&*verifier, good.as_bytes());
            }
            let (of_bytes, in_steps) = both(&*verifier, &bytes);
            prop_assert_eq!(of_bytes, in_steps);
        }
    }
}
