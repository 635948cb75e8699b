//! Calls to paste into a shell: with tokens that were signed just now, and for each system.

use std::net::SocketAddr;
use std::time::Duration;

use form_urlencoded::byte_serialize;
use tower_bearer::issue::AccessToken;
use tower_bearer::{Clock, ConfigError};

use crate::clients::{Contract, Row};
use crate::issuing::{Issuing, read_scope};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MINUTE: Duration = Duration::from_secs(60);

/// Prints calls, each under a line that says what it does.
pub(crate) fn print(
    address: SocketAddr,
    issuing: &Issuing,
    clients: &[Row],
    clock: impl Clock,
) -> Result<(), ConfigError> {
    let signer = issuing.ring.signer()?;
    let token = |lifetime| {
        AccessToken::new(issuing.issuer(), "alice", "example-client", issuing.audience(), lifetime)
            .scopes(read_scope())
    };
    let now = clock.now();
    let good = signer.clone().with_clock(move || now).sign(&token(DAY))?;
    let yesterday = now.checked_sub(DAY);
    let yesterday =
        yesterday.ok_or_else(|| ConfigError::new("--now", "expected a time after the first day"))?;
    let expired = signer.with_clock(move || yesterday).sign(&token(MINUTE))?;

    let call = |what: &str, method: &str, path: &str, token: &str| {
        println!("\n# {what}");
        println!("curl -i -X {method} -H 'authorization: Bearer {token}' http://{address}{path}");
    };
    call("A good token: 200, and who you are", "GET", "/me", &good);
    call("A forged token: 401 invalid_token", "GET", "/me", &forge(&good));
    call("A missing scope: 403 insufficient_scope", "POST", "/orders", &good);
    call("An expired token: 401 invalid_token, and a sentence that says so", "GET", "/me", &expired);
    for row in clients {
        system(address, row);
    }
    println!("\n# gRPC: SERVING");
    println!("grpcurl -plaintext -H 'authorization: Bearer {good}' {address} grpc.health.v1.Health/Check");
    Ok(())
}

/// A call that gets a token, and one that gets another and uses it.
fn system(address: SocketAddr, row: &Row) {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let (id, secret, base) = (&row.id, &row.secret, format!("http://{address}"));
    let show = |what: &str, get: &str, pick: &str| {
        println!("\n# {what}");
        println!("curl {get}");
        println!("curl -s -H \"authorization: Bearer $(curl -s {get} | {pick})\" {base}/me");
    };
    let member = |name: &str| format!(r#"sed -E 's/.*"{name}":"([^"]+)".*/\1/'"#);
    match row.contract {
        Contract::TwoBttns => {
            let get = format!(
                "'{base}/api/authentication/token?app_id={}&secret={}'",
                encoded(id),
                encoded(secret)
            );
            show("2bttns: id and secret in the query, a JSON string back", &get, "tr -d '\"'");
            println!("\n# 2bttns' probe: what kind of token is this?");
            println!(
                "curl -s -H \"authorization: Bearer $(curl -s {get} | tr -d '\"')\" {base}/api/authentication/checkAuthType"
            );
        }
        Contract::Gifthub => {
            let get = format!("-i -H 'client-id: {id}' -H 'client-secret: {secret}' {base}/auth/jwt");
            let pick = r"tr -d '\r' | sed -nE 's/^authorization: Bearer (.+)/\1/p'";
            show("GiftHub: headers in, the token in a response header", &get, pick);
        }
        Contract::Botlhale => {
            let get = format!("--data-urlencode 'REFRESH_TOKEN={secret}' {base}/generateAuthToken");
            show("Botlhale: a refresh token in a form, Cognito's answer back", &get, &member("IdToken"));
        }
        Contract::Spotnana => {
            let get = format!(
                "-d grant_type=client_credentials -d client_id={id} --data-urlencode 'client_secret={secret}' {base}/v2/auth/oauth2-token"
            );
            show("Spotnana: OAuth 2.0 client credentials", &get, &member("access_token"));
        }
        Contract::Netbird => netbird(&base, row, &member),
    }
}

/// The token of an OpenID provider, a personal access token made with it, and introspection and revocation.
fn netbird(base: &str, row: &Row, member: &dyn Fn(&str) -> String) {
    let client = format!("-u '{}:{}'", row.id, row.secret);
    let get = format!("{client} -d grant_type=client_credentials {base}/oauth2/token");
    let bearer = format!("$(curl -s {get} | {})", member("access_token"));
    println!("\n# NetBird: a Bearer token of its OpenID provider");
    println!("curl {get}");
    println!("curl -s -H \"authorization: Bearer {bearer}\" {base}/me");
    let user: String = byte_serialize(row.subject().as_bytes()).collect();
    let make = format!(
        "-X POST -H \"authorization: Bearer {bearer}\" -d '{{\"name\":\"ci\",\"expires_in\":30}}' {base}/api/users/{user}/tokens"
    );
    println!("\n# NetBird: a personal access token, made with that one, and used as Token");
    println!("curl {make}");
    println!("curl -s -H \"authorization: Token $(curl -s {make} | {})\" {base}/me", member("plain_token"));
    println!("curl -s -H \"authorization: Bearer {bearer}\" {base}/api/users/{user}/tokens");
    println!("\n# Ask about a token (RFC 7662), and revoke one (RFC 7009)");
    println!("curl {client} -d \"token={bearer}\" {base}/oauth2/introspect");
    println!("curl -i {client} -d \"token={bearer}\" {base}/oauth2/revoke");
    println!("\n# A refresh token, for a client that may have one");
    println!(
        "curl {client} -d grant_type=client_credentials -d 'scope=read offline_access' {base}/oauth2/token"
    );
}

/// The same token under a signature whose first character is another.
fn forge(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap_or((token, ""));
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{signed}.{first}{}", signature.get(1..).unwrap_or_default())
}
