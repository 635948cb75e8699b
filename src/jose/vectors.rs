//! Project Wycheproof's vectors for JWS, JWK sets and JOSE crypto, at the level of the signature: none of
//! their payloads is a claims set, so a whole verifier refuses every one.

use serde_json::Value;

use super::jwk::{read_set, refuse_ambiguous};
use super::{Buffers, Compact, Header, KeySet};
use crate::algorithm::Algorithm;

/// Cases that the files call valid and that are refused here.
const REFUSED_ON_PURPOSE: [(u64, &str); 6] = [
    (346, "PS384 under a key whose alg is PS256: a key has one algorithm"),
    (347, "ES512 under a key whose alg is \"ES521\": neither is one of ours"),
    (350, "PS384 under a key whose alg is PS256: a key has one algorithm"),
    (351, "ES512 under a key whose alg is \"ES521\": neither is one of ours"),
    (372, "a question mark inside of base64url"),
    (373, "a question mark inside of base64url"),
];

/// Cases that the file calls invalid though their token is, byte for byte, that of case 357, which it calls
/// valid.
const SAME_AS_A_VALID_ONE: [u64; 2] = [367, 370];
const THE_VALID_ONE: u64 = 357;

/// True if exactly one key of the set answers for the token, and the signature is right. Some of the
/// secrets are all zeros, so whether a secret could be guessed is not asked here.
fn accepts(keys: &Value, token: &str) -> bool {
    let set = match keys.get("keys") {
        Some(_) => keys.clone(),
        None => serde_json::json!({ "keys": [keys] }),
    };
    let keys = read_set(set.to_string().as_bytes(), &[Algorithm::RS256])
        .and_then(|keys| keys.into_iter().collect::<Result<Vec<_>, _>>())
        .and_then(|keys| refuse_ambiguous(&keys).map(|()| keys))
        .and_then(|keys| keys.iter().flat_map(|key| key.verifying_keys()).collect::<Result<Vec<_>, _>>())
        .and_then(KeySet::new);
    let (Ok(keys), Ok(token)) = (keys, Compact::split(token.as_bytes(), 1 << 16)) else { return false };
    let Buffers { mut header, mut signature, .. } = Buffers::new();
    let Ok(header) = token.decode_header(&mut header) else { return false };
    let Ok(signature) = token.decode_signature(&mut signature) else { return false };
    Header::parse(&header).is_ok_and(|header| {
        let chosen = keys.select(header.algorithm, header.key_id.as_deref());
        chosen.is_ok_and(|index| keys.get(index).verify(token.signing_input, signature))
    }) && token.decode_payload_bytes().is_ok()
}

fn run(file: &str, expected_cases: usize, refused_on_purpose: &[(u64, &str)]) {
    let folder =
        std::env::var("TOWER_BEARER_VECTORS").expect("TOWER_BEARER_VECTORS names the folder of the vectors");
    let text = std::fs::read_to_string(format!("{folder}/{file}")).expect("the folder holds the file");
    let document: Value = serde_json::from_str(&text).expect("the file is JSON");
    let (mut cases, mut wrong) = (0, Vec::new());
    let mut the_valid_one = String::new();
    for group in document["testGroups"].as_array().expect("groups") {
        let keys = group.get("public").unwrap_or(&group["private"]);
        for test in group["tests"].as_array().expect("tests") {
            let Some(token) = test.get("jws") else { continue };
            let token = token.as_str().map_or_else(|| token.to_string(), str::to_owned);
            cases += 1;
            let id = test["tcId"].as_u64().expect("an id");
            let on_purpose = refused_on_purpose.iter().any(|(refused, _)| *refused == id);
            if id == THE_VALID_ONE {
                the_valid_one.clone_from(&token);
            }
            let the_same = SAME_AS_A_VALID_ONE.contains(&id) && token == the_valid_one;
            let expected = the_same || test["result"] == "valid" && !on_purpose;
            if accepts(keys, &token) != expected {
                wrong.push((id, test["comment"].to_string(), expected));
            }
        }
    }
    assert_eq!(wrong, [], "{file}");
    assert_eq!(cases, expected_cases, "{file} is not the file of the commit named below");
}

#[test]
#[ignore = "needs TOWER_BEARER_VECTORS: a folder with testvectors_v1/json_web_*_test.json of C2SP/wycheproof at dac1dd4"]
fn wycheproof_signatures() {
    run("json_web_signature_test.json", 401, &REFUSED_ON_PURPOSE);
}

#[test]
#[ignore = "needs TOWER_BEARER_VECTORS: a folder with testvectors_v1/json_web_*_test.json of C2SP/wycheproof at dac1dd4"]
fn wycheproof_key_sets() {
    run("json_web_key_test.json", 26, &[]);
}

#[test]
#[ignore = "needs TOWER_BEARER_VECTORS: a folder with testvectors_v1/json_web_*_test.json of C2SP/wycheproof at dac1dd4"]
fn wycheproof_crypto() {
    run("json_web_crypto_test.json", 49, &[]);
}
