//! The raw limit: the signature check alone, over what is already split and decoded.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::RAW;
use crate::measure::{Batch, Contestant};
use crate::tokens::{Corpus, SECRET};

pub fn contestant(corpus: &Corpus) -> Contestant {
    let split = |token: &String| {
        let (signed, signature) = token.rsplit_once('.').expect("a signature");
        (signed.to_owned(), URL_SAFE_NO_PAD.decode(signature).expect("base64url"))
    };
    let tokens: Vec<_> = corpus.tokens.iter().map(split).collect();
    let parsed = corpus.parsed.clone();
    let secret = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    Contestant::new(RAW, None, move || -> Batch {
        let (tokens, parsed, secret) = (tokens.clone(), parsed.clone(), secret.clone());
        Box::new(move || match &parsed {
            Some(key) => tokens
                .iter()
                .filter(|(signed, signature)| key.verify_sig(signed.as_bytes(), signature).is_ok())
                .count(),
            None => tokens
                .iter()
                .filter(|(signed, signature)| hmac::verify(&secret, signed.as_bytes(), signature).is_ok())
                .count(),
        })
    })
}
