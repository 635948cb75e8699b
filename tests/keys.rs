//! Which keys are taken, which are passed over, and which refuse the whole configuration.

mod common;

use serde_json::{Value, json};
use tower_bearer::Algorithm;
use tower_bearer::issue::JwtSigner;
use tower_bearer::verify::{Keys, Verify};

use common::*;

fn jwk(signer: &JwtSigner) -> Value {
    serde_json::from_str::<Value>(&signer.jwks()).unwrap()["keys"][0].clone()
}

fn set(keys: impl IntoIterator<Item = Value>) -> Vec<u8> {
    json!({ "keys": Vec::from_iter(keys) }).to_string().into_bytes()
}

fn with(mut key: Value, name: &str, value: Value) -> Value {
    key[name] = value;
    key
}

fn without(mut key: Value, name: &str) -> Value {
    key.as_object_mut().unwrap().remove(name);
    key
}

fn accepts(keys: Keys, signer: &JwtSigner) -> bool {
    verify(&rules_over(keys).build().unwrap(), signer.sign_claims("JWT", &good_claims()).unwrap()).is_ok()
}

#[test]
fn keys_that_are_not_for_us_do_not_spoil_the_set_m_jose_8() {
    let signer = JwtSigner::generate(Algorithm::ES256).unwrap();
    let good = jwk(&signer);
    for other in [
        json!({ "kty": "XYZ", "kid": "a", "zzz": 1 }),
        json!({ "kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA" }),
        json!({ "kty": "EC", "crv": "P-521", "x": "AA", "y": "AA" }),
        json!({ "kty": "OKP", "crv": "X25519", "x": "AA" }),
        json!({ "kty": "RSA", "use": "enc", "n": "AQAB", "e": "AQAB" }),
        json!({ "kty": "RSA", "alg": "RSA-OAEP", "n": "AQAB", "e": "AQAB" }),
        json!({ "kty": "RSA", "key_ops": ["encrypt"], "n": "AQAB", "e": "AQAB" }),
    ] {
        let keys = Keys::jwks(&set([other.clone(), good.clone()]))
            .unwrap_or_else(|error| panic!("{other}: {error}"));
        assert!(accepts(keys, &signer), "{other}");
        assert!(Keys::jwks(&set([other])).is_err());
    }
    let more = with(with(good, "x5c", json!(["junk"])), "unknown", json!({}));
    assert!(accepts(Keys::jwks(&set([more])).unwrap(), &signer));
}

#[test]
fn a_key_for_something_else_does_not_verify_atk_04() {
    let signer = JwtSigner::generate(Algorithm::RS256).unwrap();
    let other = jwk(&JwtSigner::generate(Algorithm::ES256).unwrap());
    let good = jwk(&signer);
    for changed in [
        with(good.clone(), "use", json!("enc")),
        with(good.clone(), "key_ops", json!(["sign"])),
        with(good.clone(), "alg", json!("PS256")),
        with(good.clone(), "alg", json!("RS512")),
        with(good.clone(), "kid", json!("another")),
    ] {
        assert!(!accepts(Keys::jwks(&set([changed.clone(), other.clone()])).unwrap(), &signer), "{changed}");
    }
    assert!(accepts(Keys::jwks(&set([good, other])).unwrap(), &signer));
}

#[test]
fn mistakes_refuse_the_whole_set_atk_12_atk_08() {
    let signer = JwtSigner::generate(Algorithm::RS256).unwrap();
    let curve = JwtSigner::generate(Algorithm::ES256).unwrap();
    let (rsa, ec) = (jwk(&signer), jwk(&curve));
    let long = "A".repeat(200);
    for (keys, expected) in [
        (vec![with(rsa.clone(), "n", json!("AQAB"))], "2048"),
        (vec![with(rsa.clone(), "e", json!("AQ"))], "exponent"),
        (vec![with(rsa.clone(), "e", json!("Ag"))], "exponent"),
        (vec![with(rsa.clone(), "n", json!(long + "="))], "base64url"),
        (vec![without(rsa.clone(), "n")], "missing"),
        (vec![with(rsa.clone(), "alg", json!("ES256"))], "does not go"),
        (vec![with(ec.clone(), "alg", json!("ES384"))], "does not go"),
        (vec![with(ec.clone(), "crv", json!("P-384"))], "48 bytes"),
        (vec![with(without(ec.clone(), "alg"), "crv", json!("P-384"))], "48 bytes"),
        (vec![with(ec.clone(), "y", ec["x"].clone())], "valid key"),
        (vec![with(ec.clone(), "kid", json!(7))], "string"),
        (vec![without(ec.clone(), "kty")], "missing"),
        (vec![json!("key")], "object"),
        (vec![json!({ "kty": "oct", "k": "c2hvcnQ" })], "32 bytes"),
        (vec![json!({ "kty": "oct", "k": "A".repeat(43) })], "random"),
        (vec![ec.clone(), with(rsa, "kid", ec["kid"].clone())], "once"),
        (
            vec![ec.clone(), json!({ "kty": "oct", "k": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8" })],
            "both",
        ),
        (vec![], "at least one"),
        (vec![ec.clone(); 101], "at most 100"),
    ] {
        let error = Keys::jwks(&set(keys.clone())).unwrap_err();
        assert!(error.to_string().contains(expected), "{keys:?}: {error}");
    }
    for document in
        ["", "{}", "[]", "{\"keys\":{}}", "{\"keys\":[],\"keys\":[]}", "not json", "{\"keys\":null}"]
    {
        assert!(Keys::jwks(document.as_bytes()).is_err(), "{document}");
    }
}

#[test]
fn a_key_without_an_algorithm_has_the_one_of_its_type() {
    for algorithm in [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::RS256] {
        let signer = JwtSigner::generate(algorithm).unwrap();
        assert!(accepts(Keys::jwks(&set([without(jwk(&signer), "alg")])).unwrap(), &signer), "{algorithm}");
    }
    let signer = JwtSigner::generate(Algorithm::PS384).unwrap();
    let silent = set([without(jwk(&signer), "alg")]);
    assert!(!accepts(Keys::jwks(&silent).unwrap(), &signer));
    assert!(accepts(Keys::jwks_with_rsa(&silent, [Algorithm::RS256, Algorithm::PS384]).unwrap(), &signer));
    assert!(Keys::jwks_with_rsa(&silent, [Algorithm::ES256]).is_err());
}

#[test]
fn without_a_key_id_only_one_key_may_fit() {
    let (a, b) =
        (JwtSigner::generate(Algorithm::ES256).unwrap(), JwtSigner::generate(Algorithm::ES256).unwrap());
    let (key_a, key_b) = (without(jwk(&a), "kid"), without(jwk(&b), "kid"));
    assert!(accepts(Keys::jwks(&set([key_a.clone()])).unwrap(), &a));
    assert!(!accepts(Keys::jwks(&set([key_a, key_b])).unwrap(), &a));
}

#[test]
fn pem_in_the_usual_forms() {
    for (algorithm, private, public) in [
        (Algorithm::ES256, include_str!("keys/p256.pem"), include_str!("keys/p256.pub.pem")),
        (Algorithm::ES384, include_str!("keys/p384.pem"), include_str!("keys/p384.pub.pem")),
        (Algorithm::EdDSA, include_str!("keys/ed25519.pem"), include_str!("keys/ed25519.pub.pem")),
        (Algorithm::RS256, include_str!("keys/rsa.pem"), include_str!("keys/rsa.pub.pem")),
        (Algorithm::PS512, include_str!("keys/rsa.pkcs1.pem"), include_str!("keys/rsa.pub.pkcs1.pem")),
    ] {
        let signer = JwtSigner::pem(algorithm, private.as_bytes()).unwrap();
        assert!(accepts(Keys::pem(algorithm, public.as_bytes()).unwrap(), &signer), "{algorithm}");
        assert!(accepts(Keys::jwks(signer.jwks().as_bytes()).unwrap(), &signer), "{algorithm}");
        assert!(Keys::pem(algorithm, private.as_bytes()).is_err(), "a private key is no public one");
        assert!(JwtSigner::pem(algorithm, public.as_bytes()).is_err(), "a public key signs nothing");
        assert!(Keys::pem(Algorithm::HS256, public.as_bytes()).is_err());
        for form in [
            public.to_owned(),
            format!(" \r\n{public}"),
            public.replace('\n', "\r\n"),
            format!("\u{feff}{public}"),
        ] {
            assert!(Keys::hmac(Algorithm::HS256, form.as_str()).is_err(), "ATK-02");
        }
    }
    let p256 = include_bytes!("keys/p256.pub.pem");
    for other in [Algorithm::ES384, Algorithm::RS256, Algorithm::EdDSA] {
        assert!(Keys::pem(other, p256).is_err(), "{other}");
    }
    assert!(Keys::pem(Algorithm::ES256, b"no pem").is_err());
    let weak = Keys::pem(Algorithm::RS256, include_bytes!("keys/rsa1024.pub.pem")).unwrap_err();
    assert!(weak.to_string().contains("2048"), "{weak}");
}

#[test]
fn keys_can_be_joined_while_each_token_has_one() {
    let hmac = || Keys::hmac(Algorithm::HS256, SECRET).unwrap();
    let signer = JwtSigner::generate(Algorithm::EdDSA).unwrap();
    let joined = Keys::jwks(signer.jwks().as_bytes()).unwrap().and(hmac()).unwrap();
    assert!(accepts(joined.clone(), &signer));
    assert!(verify(&rules_over(joined).build().unwrap(), good_token()).is_ok());
    assert!(hmac().and(hmac()).is_err());
    assert!(hmac().and(Keys::by_claim("a", Algorithm::HS256, |_: &str| None).unwrap()).is_err());
}

#[test]
fn key_ids_are_only_compared_atk_08() {
    let verifier = rules().build().unwrap();
    let signer = JwtSigner::generate(Algorithm::ES256).unwrap();
    let remote = rules_over(Keys::jwks(signer.jwks().as_bytes()).unwrap()).build().unwrap();
    for kid in ["../../dev/null", "' or 1=1", "\0", "http://127.0.0.1/", "%00"] {
        let header = json!({ "alg": "HS256", "kid": kid }).to_string();
        assert!(
            verify(&verifier, raw(&header, &good_claims().to_string())).is_ok(),
            "a secret without an id"
        );
        let token = signer.clone().with_key_id(kid).sign_claims("JWT", &good_claims()).unwrap();
        assert!(verify(&remote, token).is_err());
    }
    let long = json!({ "alg": "HS256", "kid": "k".repeat(513) }).to_string();
    assert!(verify(&verifier, raw(&long, &good_claims().to_string())).is_err());
}

#[test]
fn nothing_waits_for_fixed_keys() {
    let verifier = rules().build().unwrap();
    let credential = tower_bearer::Credential::new(tower_bearer::Scheme::Bearer, good_token());
    assert!(verifier.verify(&credential).try_now().is_ok());
}
