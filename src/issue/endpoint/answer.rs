//! A token, put where the contract says that clients look for it.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Map, Value};

use super::super::fault::Fault;
use super::super::http::{json, no_store};
use super::super::mint::{Mint, Order};
use crate::contract::{TokenAt, TokenContract};
use crate::error::ConfigError;

/// RFC 6749 §5.1, or what the system has in its place.
pub(super) fn success(
    contract: &TokenContract,
    mint: &Mint,
    order: &Order<'_>,
    refresh_token: Option<String>,
    says_scope: bool,
) -> Result<Response<Full<Bytes>>, Fault> {
    let minted = mint.mint(order)?;
    let name = match &contract.token_at {
        TokenAt::Header(name) => Some((name, format!("{} {}", contract.token_type, minted.token))),
        TokenAt::HeaderBare(name) => Some((name, minted.token.clone())),
        TokenAt::Json(_) | TokenAt::JsonString => None,
    };
    if let Some((name, value)) = name {
        let mut value = HeaderValue::try_from(value).map_err(|error| {
            ConfigError::new("token_type", "expected what a header can hold").with_source(error)
        })?;
        value.set_sensitive(true);
        let mut response = Response::new(Full::default());
        no_store(response.headers_mut());
        response.headers_mut().insert(name, value);
        return Ok(response);
    }
    let TokenAt::Json(token_at) = &contract.token_at else {
        return Ok(json(StatusCode::OK, &minted.token.into()));
    };
    let mut body = Value::Object(Map::new());
    let mut put = |pointer: Option<&str>, value: Value| {
        if let Some(pointer) = pointer {
            place(&mut body, pointer, value);
        }
    };
    for (pointer, token) in minted.beside {
        put(Some(pointer), token.into());
    }
    put(Some(token_at), minted.token.into());
    put(contract.token_type_at.as_deref(), contract.token_type.as_str().into());
    put(contract.lifetime_at.as_deref(), order.lifetime.as_secs().into());
    if let Some(refresh_token) = refresh_token {
        // Where it stays the same, a client need not be told; the standard place has it all the same.
        put(contract.refresh_token_at.as_deref().or(Some("/refresh_token")), refresh_token.into());
    }
    if says_scope && !order.scopes.is_empty() {
        put(contract.scope_at.as_deref(), order.scopes.to_string().into());
    }
    Ok(json(StatusCode::OK, &body))
}

/// Sets the member at a pointer made of names (RFC 6901), making objects on the way.
fn place(body: &mut Value, pointer: &str, value: Value) {
    let mut at = body;
    for name in pointer.split('/').skip(1) {
        let name = name.replace("~1", "/").replace("~0", "~");
        at = &mut at[name];
    }
    *at = value;
}
