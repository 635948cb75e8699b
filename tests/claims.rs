//! Every claim missing, of a wrong type, of a wrong value, and at the edge of its leeway.

mod common;

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tower_bearer::test_util::ManualClock;
use tower_bearer::verify::{JwtVerifier, Keys};
use tower_bearer::{Algorithm, RejectionKind};

use common::*;

fn accepts(payload: &str) -> bool {
    let verdict = verify(&rules().build().unwrap(), raw(HEADER, payload));
    if let Err(rejection) = &verdict {
        assert_eq!(rejection.kind(), RejectionKind::InvalidToken, "{payload}");
    }
    verdict.is_ok()
}

#[test]
fn a_good_token_tells_who_it_is() {
    let identity = verify(&rules().build().unwrap(), good_token()).unwrap();
    assert_eq!(identity.subject(), "alice");
    assert_eq!(identity.issuer(), Some(ISSUER));
    assert_eq!(identity.scopes().to_string(), "read");
    assert_eq!(identity.claim("iat"), Some(&json!(NOW)));
    let exp = identity.expires_at().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(exp.as_secs(), (NOW + 600).unsigned_abs());
}

#[test]
fn what_may_be_missing() {
    for (name, may) in [
        ("iss", false),
        ("aud", false),
        ("exp", false),
        ("sub", true),
        ("iat", true),
        ("nbf", true),
        ("scope", true),
    ] {
        assert_eq!(accepts(&claims_with(name, None)), may, "{name}");
    }
}

#[test]
fn the_issuer_is_compared_byte_for_byte_atk_24_m_jose_10_m_9068_2() {
    for other in [
        "https://issuer.example/",
        "https://ISSUER.example",
        "https://issuer.exampl",
        "https://issuer.example.evil",
        "http://issuer.example",
        "https://issuer.example:443",
        " https://issuer.example",
        "",
        "https://xn--issuer.example",
    ] {
        assert!(!accepts(&claims_with("iss", Some(json!(other)))), "{other}");
    }
}

#[test]
fn the_audience_must_be_ours_atk_25_m_jose_5_m_8725_6_m_9068_3() {
    for ours in [json!(AUDIENCE), json!([AUDIENCE]), json!(["other", AUDIENCE])] {
        assert!(accepts(&claims_with("aud", Some(ours.clone()))), "{ours}");
    }
    for other in [
        json!("order"),
        json!("orders2"),
        json!("Orders"),
        json!(""),
        json!([]),
        json!([""]),
        json!(["a", "b"]),
    ] {
        assert!(!accepts(&claims_with("aud", Some(other.clone()))), "{other}");
    }
}

#[test]
fn one_of_several_audiences_is_enough() {
    let verifier = rules().audience("second").build().unwrap();
    assert!(verify(&verifier, token_with("aud", json!("second"))).is_ok());
    assert!(verify(&verifier, good_token()).is_ok());
    assert!(verify(&verifier, token_with("aud", json!("third"))).is_err());
}

#[test]
fn a_wrong_type_is_never_absent_atk_18_atk_19() {
    let wrong =
        [json!(null), json!(true), json!({}), json!([]), json!([[AUDIENCE]]), json!({ "a": AUDIENCE })];
    for name in ["iss", "aud", "sub", "jti", "client_id", "scope", "exp", "nbf", "iat"] {
        for value in &wrong {
            let empty_list = (name == "scope" || name == "aud") && *value == json!([]);
            assert_eq!(
                accepts(&claims_with(name, Some(value.clone()))),
                empty_list && name == "scope",
                "{name} {value}"
            );
        }
        let swapped =
            if ["exp", "nbf", "iat"].contains(&name) { json!("1700000000") } else { json!(1_700_000_000) };
        assert!(!accepts(&claims_with(name, Some(swapped))), "{name}");
    }
}

#[test]
fn every_number_at_every_time_is_decided_atk_18_m_x_1() {
    let numbers = [
        "0",
        "-1",
        "1.5",
        "1e3",
        "-1e300",
        "1e300",
        "1700000000",
        "1700000000.5",
        "9007199254740993",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615",
        "1e308",
        "0.0000001",
    ];
    for now in [i64::MIN, -1, 0, NOW, i64::MAX] {
        for leeway in [Duration::ZERO, Duration::from_secs(30), Duration::MAX] {
            let verifier = rules().with_clock(ManualClock::at(now)).with_leeway(leeway).build().unwrap();
            for name in ["exp", "nbf", "iat"] {
                for number in numbers {
                    let value: Value = serde_json::from_str(number).unwrap();
                    let _decided = verify(&verifier, token_with(name, value));
                }
            }
        }
    }
}

#[test]
fn times_and_their_leeway_m_jose_6() {
    for (name, offset, good) in [
        ("exp", -29, true),
        ("exp", -30, false),
        ("exp", -31, false),
        ("exp", 0, true),
        ("nbf", 30, true),
        ("nbf", 31, false),
        ("nbf", -1, true),
        ("iat", 30, true),
        ("iat", 31, false),
        ("iat", -1_000_000, true),
    ] {
        assert_eq!(accepts(&claims_with(name, Some(json!(NOW + offset)))), good, "{name} {offset}");
    }
    assert!(accepts(&claims_with("exp", Some(json!(NOW as f64 - 29.5)))));
    assert!(!accepts(&claims_with("exp", Some(json!(NOW as f64 - 30.5)))));

    let clock = ManualClock::at(NOW);
    let verifier = rules().with_leeway(Duration::ZERO).with_clock(clock.clone()).build().unwrap();
    let token = token_with("exp", json!(NOW + 1));
    assert!(verify(&verifier, token.clone()).is_ok());
    clock.advance(Duration::from_secs(1));
    let expired = verify(&verifier, token.clone()).unwrap_err();
    assert_eq!(expired.description(), "the token expired");
    clock.set(NOW);
    assert!(verify(&verifier, token).is_ok());
}

#[test]
fn no_expiry_only_where_it_is_said_s0_s2() {
    let token = raw(HEADER, &claims_with("exp", None));
    assert!(verify(&rules().build().unwrap(), token.clone()).is_err());
    let loose = rules().insecure_allow_missing_expiry().build().unwrap();
    assert!(verify(&loose, token).is_ok());
    assert!(verify(&loose, token_with("exp", json!(NOW - 31))).is_err());
}

#[test]
fn duplicate_members_at_every_depth_atk_17_m_jose_2() {
    let good = good_claims().to_string();
    let with = |member: &str| format!("{},{member}}}", &good[..good.len() - 1]);
    assert!(accepts(&with(r#""x":1"#)));
    for twice in [
        r#""exp":9999999999"#,
        r#""\u0065xp":9999999999"#,
        r#""x":{"a":1,"a":2}"#,
        r#""x":[{"a":1,"\u0061":2}]"#,
    ] {
        assert!(!accepts(&with(twice)), "{twice}");
    }
}

#[test]
fn payloads_that_are_no_claims_set_atk_16_atk_20() {
    for payload in ["", "null", "[]", "\"eyJhbGciOiJub25lIn0.e30.\"", "{", "{}", "true", "\u{feff}{}"] {
        assert!(!accepts(payload), "{payload}");
    }
    let deep = format!("{}{}", "[".repeat(2000), "]".repeat(2000));
    assert!(!accepts(&good_claims().to_string().replacen('{', &format!("{{\"x\":{deep},"), 1)));
    let wide = (0..1000).map(|n| format!("\"x{n}\":0")).collect::<Vec<_>>().join(",");
    assert!(!accepts(&good_claims().to_string().replacen('{', &format!("{{{wide},"), 1)));
}

#[test]
fn types_atk_26_m_jose_9_m_8725_8_m_9068_1() {
    let with_typ = |typ: &str| raw(&format!(r#"{{"alg":"HS256"{typ}}}"#), &good_claims().to_string());
    let accepted = |verifier: &JwtVerifier, typ: &str| verify(verifier, with_typ(typ)).is_ok();
    let default = rules().build().unwrap();
    for typ in
        ["", r#","typ":"JWT""#, r#","typ":"jwt""#, r#","typ":"at+jwt""#, r#","typ":"application/at+JWT""#]
    {
        assert!(accepted(&default, typ), "{typ}");
    }
    for typ in [
        r#","typ":"logout+jwt""#,
        r#","typ":"dpop+jwt""#,
        r#","typ":"JOSE""#,
        r#","typ":"""#,
        r#","typ":"JWTx""#,
    ] {
        assert!(!accepted(&default, typ), "{typ}");
    }
    let strict = rules().with_types(["at+jwt"]).build().unwrap();
    assert!(accepted(&strict, r#","typ":"at+jwt""#));
    assert!(!accepted(&strict, r#","typ":"JWT""#) && !accepted(&strict, ""));
}

#[test]
fn access_tokens_of_rfc_9068_m_9068_1_m_9068_5_m_9068_6() {
    let profile = rules().access_token_profile().build().unwrap();
    let header = r#"{"alg":"HS256","typ":"at+jwt"}"#;
    let mut full = good_claims();
    full["client_id"] = json!("web");
    full["jti"] = json!("1");
    let token = |claims: &Value| raw(header, &claims.to_string());
    assert!(verify(&profile, token(&full)).is_ok());
    assert!(verify(&profile, raw(HEADER, &full.to_string())).is_err());
    for name in ["iss", "aud", "exp", "iat", "sub", "client_id", "jti"] {
        let mut claims = full.clone();
        claims.as_object_mut().unwrap().remove(name);
        let refused = verify(&profile, token(&claims)).unwrap_err();
        assert_eq!(reason(&refused), format!("{name} is missing"));
        assert_eq!(refused.kind(), RejectionKind::InvalidToken);
    }
}

#[test]
fn other_kinds_of_token_are_refused_s2_s1_atk_26() {
    for (name, value) in [
        ("token_use", json!("id")),
        ("token_use", json!("refresh")),
        ("at_hash", json!("x")),
        ("c_hash", json!("x")),
        ("s_hash", json!("x")),
        ("typ", json!("ID")),
        ("typ", json!("Refresh")),
        ("events", json!({ "http://schemas.openid.net/event/backchannel-logout": {} })),
    ] {
        assert!(verify(&rules().build().unwrap(), token_with(name, value)).is_err(), "{name}");
    }
    assert!(verify(&rules().build().unwrap(), token_with("token_use", json!("access"))).is_ok());

    let id_tokens = rules().with_claim("token_use", "id").build().unwrap();
    assert!(verify(&id_tokens, token_with("token_use", json!("id"))).is_ok());
    assert!(verify(&id_tokens, token_with("token_use", json!("access"))).is_err());
    assert!(verify(&id_tokens, good_token()).is_err());

    assert!(verify(&rules().build().unwrap(), token_with("typ", json!("Bearer"))).is_ok());
    let loose = rules().insecure_accept_id_tokens().build().unwrap();
    assert!(verify(&loose, token_with("at_hash", json!("x"))).is_ok());
    let strict = rules().with_claim("token_use", "access").build().unwrap();
    let mut both = good_claims();
    both["token_use"] = json!("access");
    both["events"] = json!({});
    assert!(verify(&strict, raw(HEADER, &both.to_string())).is_err(), "a stricter rule loosens nothing");
}

#[test]
fn a_bound_token_is_no_bearer_token_m_9449_2_m_8705_1() {
    for cnf in [json!({ "jkt": "x" }), json!({ "x5t#S256": "x" }), json!(null)] {
        assert!(verify(&rules().build().unwrap(), token_with("cnf", cnf.clone())).is_err());
        let elsewhere = rules().insecure_ignore_confirmation().build().unwrap();
        assert!(verify(&elsewhere, token_with("cnf", cnf)).is_ok());
    }
}

#[test]
fn a_group_with_a_space_is_not_two_scopes() {
    let verifier = rules().with_scope_claim("groups").build().unwrap();
    let identity =
        verify(&verifier, token_with("groups", json!(["x admin", "\u{c9}quipe", "read"]))).unwrap();
    assert_eq!(identity.scopes().to_string(), "read");
}

#[test]
fn a_public_key_found_by_a_lookup_is_no_secret_atk_02_atk_09() {
    let pem = include_str!("keys/rsa.pub.pem");
    let keys = Keys::by_claim("app", Algorithm::HS256, move |_: &str| Some(pem.into())).unwrap();
    let forged = raw_with(pem.as_bytes(), HEADER, &claims_with("app", Some(json!("a"))));
    assert!(verify(&rules_over(keys).build().unwrap(), forged).is_err());
}

#[test]
fn demanded_claims_are_equal_or_refused() {
    let verifier = rules().with_claim("plan", json!({ "name": "gold" })).build().unwrap();
    assert!(verify(&verifier, token_with("plan", json!({ "name": "gold" }))).is_ok());
    for other in [json!({ "name": "silver" }), json!("gold"), json!(null), json!([{ "name": "gold" }])] {
        assert!(verify(&verifier, token_with("plan", other)).is_err());
    }
    assert!(verify(&verifier, good_token()).is_err());
}

#[test]
fn typed_claims() {
    #[derive(Debug, Deserialize, PartialEq)]
    struct Tenant {
        tenant: String,
    }
    let verifier = rules().with_detail::<Tenant>().build().unwrap();
    let identity = verify(&verifier, token_with("tenant", json!("acme"))).unwrap();
    assert_eq!(identity.detail(), Some(&Tenant { tenant: "acme".into() }));
    assert_eq!(identity.claims_as::<Tenant>().unwrap().tenant, "acme");
    assert!(verify(&verifier, token_with("tenant", json!(7))).is_err());
    assert!(verify(&verifier, good_token()).is_err());
}

#[test]
fn subject_and_scopes_from_other_claims() {
    let verifier = rules().with_subject_claim("oid").with_scope_claim("scp").build().unwrap();
    let token = |oid: Value, scp: Value| {
        let mut claims = good_claims();
        claims["oid"] = oid;
        claims["scp"] = scp;
        raw(HEADER, &claims.to_string())
    };
    let identity = verify(&verifier, token(json!("bob"), json!(["a", "b"]))).unwrap();
    assert_eq!((identity.subject(), identity.scopes().to_string().as_str()), ("bob", "a b"));
    assert!(verify(&verifier, token(json!(1), json!("a"))).is_err());
    assert!(verify(&verifier, token(json!("bob"), json!([1]))).is_err());
    assert!(verify(&verifier, good_token()).is_err());
}

#[test]
fn a_client_is_not_its_user() {
    let mut claims = good_claims();
    claims.as_object_mut().unwrap().remove("sub");
    claims["client_id"] = json!("alice");
    assert_eq!(verify(&rules().build().unwrap(), raw(HEADER, &claims.to_string())).unwrap().subject(), "");
}

#[test]
fn one_key_for_each_app_s0_s1_s0_s3_atk_09() {
    const VECTOR: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ0eXBlIjoiYXBpX2tleV90b2tlbiIsImFwcElkIjoiZXhhbXBsZS1hcHAiLCJpYXQiOjE3MDAwMDAwMDAsImV4cCI6MTcwMDA4NjQwMH0.WevNN5g3ABMYg-UFS-QoZDYWc8VEOg9ruolf2uBkhHg";
    const APP_SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = asked.clone();
    let keys = Keys::by_claim("appId", Algorithm::HS256, move |app: &str| {
        log.lock().unwrap().push(app.to_owned());
        (app == "example-app").then(|| APP_SECRET.into())
    });
    let verifier = JwtVerifier::builder(keys.unwrap())
        .insecure_any_issuer()
        .insecure_any_audience()
        .with_claim("type", "api_key_token")
        .with_subject_claim("appId")
        .with_clock(ManualClock::at(NOW))
        .build()
        .unwrap();
    assert_eq!(verify(&verifier, VECTOR).unwrap().subject(), "example-app");

    let token = |secret: &str, header: &str, app: Value| {
        let claims = json!({ "type": "api_key_token", "appId": app, "exp": NOW + 60 });
        raw_with(secret.as_bytes(), header, &claims.to_string())
    };
    assert!(verify(&verifier, token(APP_SECRET, HEADER, json!("example-app"))).is_ok());
    let refusals = [
        token(APP_SECRET, HEADER, json!("unknown")),
        token(SECRET, HEADER, json!("example-app")),
        token(APP_SECRET, r#"{"alg":"HS512"}"#, json!("example-app")),
        token(APP_SECRET, HEADER, json!(["example-app"])),
        token(APP_SECRET, HEADER, json!("x".repeat(257))),
        "a.b.c".to_owned(),
    ]
    .map(|token| verify(&verifier, token).unwrap_err());
    for refusal in refusals {
        assert_eq!(
            (refusal.kind(), refusal.description()),
            (RejectionKind::InvalidToken, "the token is not valid")
        );
    }
    let asked = asked.lock().unwrap();
    assert!(asked.iter().all(|app| app == "example-app" || app == "unknown"), "{asked:?}");
    assert!(Keys::by_claim("appId", Algorithm::RS256, |_: &str| None).is_err());
}

#[tokio::test]
async fn a_lookup_may_wait_and_may_fail() {
    use tower_bearer::verify::{KeyLookup, Verify};
    use tower_bearer::{Credential, Eventual, Scheme, Secret};
    type Found = Result<Option<Secret>, Box<dyn std::error::Error + Send + Sync>>;

    struct Remote;
    impl KeyLookup for Remote {
        fn find(&self, value: &str) -> Eventual<Found> {
            let value = value.to_owned();
            Eventual::later(async move {
                match value.as_str() {
                    "up" => Ok(Some(SECRET.into())),
                    "weak" => Ok(Some("short".into())),
                    "unknown" => Ok(None),
                    _ => Err("the store is down".into()),
                }
            })
        }
    }
    let verifier = rules_over(Keys::by_claim("app", Algorithm::HS256, Remote).unwrap()).build().unwrap();
    for (app, expected) in [
        ("up", None),
        ("unknown", Some(RejectionKind::InvalidToken)),
        ("weak", Some(RejectionKind::InvalidToken)),
        ("down", Some(RejectionKind::Unavailable)),
    ] {
        let credential = Credential::new(Scheme::Bearer, token_with("app", json!(app)));
        let verdict = verifier.verify(&credential).await;
        assert_eq!(verdict.err().map(|rejection| rejection.kind()), expected, "{app}");
    }
}

#[test]
fn what_a_builder_demands() {
    let keys = || Keys::hmac(Algorithm::HS256, SECRET).unwrap();
    let field = |built: Result<JwtVerifier, tower_bearer::ConfigError>| {
        built.map(drop).map_err(|error| error.field())
    };
    assert_eq!(field(JwtVerifier::builder(keys()).audience("a").build()), Err("issuer"));
    assert_eq!(field(JwtVerifier::builder(keys()).issuer("a").build()), Err("audience"));
    assert_eq!(field(JwtVerifier::builder(keys()).issuer("").audience("a").build()), Err("issuer"));
    assert_eq!(field(JwtVerifier::builder(keys()).issuer("a").audience("").build()), Err("audience"));
    assert_eq!(field(rules().insecure_any_issuer().build()), Err("issuer"));
    assert_eq!(field(rules().insecure_any_audience().build()), Err("audience"));
    assert_eq!(field(rules().with_types([""; 0]).build()), Err("types"));
    assert_eq!(field(rules().access_token_profile().with_types(["JWT"]).build()), Err("types"));
    let loose = JwtVerifier::builder(keys()).insecure_any_issuer().insecure_any_audience().build().unwrap();
    assert!(format!("{loose:?}").contains("insecure"));
}
