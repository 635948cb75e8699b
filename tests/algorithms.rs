//! Every algorithm works with its own key, and with no other.

mod common;

use serde_json::{Value, json};
use tower_bearer::Algorithm;
use tower_bearer::issue::JwtSigner;
use tower_bearer::verify::{JwtVerifier, Keys};

use common::*;

struct Party {
    algorithm: Algorithm,
    signer: JwtSigner,
    verifier: JwtVerifier,
}

impl Party {
    fn new(algorithm: Algorithm) -> Self {
        let secret: Vec<u8> = (0..64).collect();
        let (signer, keys) = if algorithm.is_symmetric() {
            (JwtSigner::hmac(algorithm, secret.clone()), Keys::hmac(algorithm, secret))
        } else {
            let signer = JwtSigner::generate(algorithm).unwrap();
            let keys = Keys::jwks(signer.jwks().as_bytes());
            (Ok(signer), keys)
        };
        Self { algorithm, signer: signer.unwrap(), verifier: rules_over(keys.unwrap()).build().unwrap() }
    }

    fn token(&self) -> String {
        self.signer.sign_claims("JWT", &good_claims()).unwrap()
    }
}

#[test]
fn each_verifies_its_own_and_no_other_atk_04_m_8725_1_m_8725_3_m_9068_4() {
    let parties = Algorithm::ALL.map(Party::new);
    for signing in &parties {
        let token = signing.token();
        for verifying in &parties {
            let same = signing.algorithm == verifying.algorithm;
            assert_eq!(
                verify(&verifying.verifier, token.clone()).is_ok(),
                same,
                "{} by {}",
                signing.algorithm,
                verifying.algorithm
            );
        }
        let (signed, signature) = token.rsplit_once('.').unwrap();
        for forged in [
            format!("{signed}."),
            format!("{signed}.AAAA"),
            format!("{signed}.{signature}A"),
            signed.to_owned(),
        ] {
            assert!(verify(&signing.verifier, forged).is_err());
        }
    }
}

#[test]
fn none_in_every_spelling_atk_01() {
    let verifier = rules().build().unwrap();
    for alg in
        [r#""none""#, r#""None""#, r#""nOnE""#, r#"" none""#, r#""""#, "1", "[\"HS256\"]", "null", "{}"]
    {
        let token = raw(&format!("{{\"alg\":{alg}}}"), &good_claims().to_string());
        let unsigned = token.rsplit_once('.').unwrap().0.to_owned();
        for token in [token.clone(), unsigned.clone(), format!("{unsigned}.")] {
            assert!(verify(&verifier, token).is_err(), "{alg}");
        }
    }
    assert!(verify(&verifier, raw("{}", &good_claims().to_string())).is_err());
    assert!(verify(&verifier, raw(r#"{"typ":"JWT"}"#, &good_claims().to_string())).is_err());
}

#[test]
fn a_public_key_as_secret_signs_nothing_atk_02() {
    let rsa = Party::new(Algorithm::RS256);
    let jwks = rsa.signer.jwks();
    let jwk = serde_json::from_str::<Value>(&jwks).unwrap()["keys"][0].to_string();
    for secret in [jwks.as_bytes(), jwk.as_bytes()] {
        let forged = raw_with(secret, HEADER, &good_claims().to_string());
        assert!(verify(&rsa.verifier, forged).is_err());
        assert!(Keys::hmac(Algorithm::HS256, secret).is_err());
    }
}

#[test]
fn a_key_that_the_token_brings_is_not_read_atk_05_m_8725_7() {
    let (victim, attacker) = (Party::new(Algorithm::ES256), Party::new(Algorithm::ES256));
    let jwk = serde_json::from_str::<Value>(&attacker.signer.jwks()).unwrap()["keys"][0].clone();
    // The attacker's signature is over its own header; the key named there changes nothing.
    let token =
        attacker.signer.with_key_id(victim.signer.key_id().unwrap()).sign_claims("JWT", &good_claims());
    assert!(verify(&victim.verifier, token.unwrap()).is_err());
    let header = json!({ "alg": "HS256", "jwk": jwk, "jku": "https://evil.example/jwks", "x5u": "https://evil.example" });
    assert!(verify(&rules().build().unwrap(), raw(&header.to_string(), &good_claims().to_string())).is_ok());
}

#[test]
fn signatures_in_another_form_atk_11_atk_13_m_jose_1() {
    let party = Party::new(Algorithm::ES256);
    let token = party.token();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    use base64::Engine;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let bytes = engine.decode(signature).unwrap();
    let with = |bytes: &[u8]| format!("{signed}.{}", engine.encode(bytes));
    assert!(verify(&party.verifier, with(&bytes)).is_ok());

    let mut zero_r = bytes.clone();
    zero_r[..32].fill(0);
    let mut zero_s = bytes.clone();
    zero_s[32..].fill(0);
    // The order of P-256's group.
    let n = "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551";
    let n: Vec<u8> = (0..32).map(|i| u8::from_str_radix(&n[2 * i..2 * i + 2], 16).unwrap()).collect();
    let der = [&[0x30, 0x44, 0x02, 0x20], &bytes[..32], &[0x02, 0x20], &bytes[32..]].concat();
    let longer = [&[0], &bytes[..32], &[0], &bytes[32..]].concat();
    for bad in [
        vec![0; 64],
        zero_r,
        zero_s,
        [&n[..], &bytes[32..]].concat(),
        [&bytes[..32], &n[..]].concat(),
        der,
        longer,
        vec![0; 2000],
    ] {
        assert!(verify(&party.verifier, with(&bad)).is_err());
    }

    // Two bits of the last character of a 64-byte signature mean nothing: only one spelling is good.
    let last = signature.chars().last().unwrap();
    let same_bytes = "AQgw";
    assert!(same_bytes.contains(last), "{last}");
    for other in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        .chars()
        .filter(|char| *char != last)
    {
        assert!(
            verify(&party.verifier, format!("{signed}.{}{other}", &signature[..signature.len() - 1]))
                .is_err()
        );
    }
    for bad in [
        format!("{token}="),
        format!("{token}\n"),
        token.replacen('.', "=.", 1),
        format!(" {token}"),
        token.replace('.', "%2E"),
    ] {
        assert!(verify(&party.verifier, bad).is_err());
    }
}

#[test]
fn other_serialisations_atk_20_atk_21_atk_22_m_8725_4_m_8725_10() {
    let verifier = rules().build().unwrap();
    let token = good_token();
    let parts: Vec<_> = token.split('.').collect();
    let json = json!({ "protected": parts[0], "payload": parts[1], "signature": parts[2] }).to_string();
    let pbes2 = raw(r#"{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647,"p2s":"AAAA"}"#, "{}");
    let nested = raw(r#"{"alg":"HS256","cty":"JWT"}"#, &format!("\"{token}\""));
    for bad in [
        json,
        format!("{token}.a.b"),
        format!("{pbes2}.a.b"),
        pbes2,
        nested,
        raw(r#"{"alg":"HS256","enc":"A128GCM"}"#, &good_claims().to_string()),
    ] {
        assert!(verify(&verifier, bad).is_err());
    }
}

#[test]
fn the_size_limit_atk_15() {
    let token = good_token();
    assert!(verify(&rules().with_max_token_bytes(token.len()).build().unwrap(), token.clone()).is_ok());
    let refused = verify(&rules().with_max_token_bytes(token.len() - 1).build().unwrap(), token).unwrap_err();
    assert_eq!(reason(&refused), "the token is too long");
}
