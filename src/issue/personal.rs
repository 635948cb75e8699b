//! The management of personal access tokens, in the shape of NetBird's API.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ALLOW, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use humantime::format_rfc3339_seconds;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::fault::Fault;
use super::http::{json as answer, read, retry_soon, service};
use crate::clock::{Clock, SharedClock};
use crate::error::{BoxError, ConfigError};
use crate::identity::Identity;
use crate::jose::{Malformed, Reader, random};
use crate::pat::PatFormat;
use crate::rejection::Rejection;
use crate::store::{PersonalToken, TokenDigest, TokenStore};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// NetBird's limits.
const DAYS: std::ops::RangeInclusive<u64> = 1..=365;
const MAX_NAME_CHARS: usize = 255;
/// The last second of the year 9999: RFC 3339 §1 has no later one, and none before the year 0.
const LAST_DATE: Duration = Duration::from_secs(253_402_300_799);

/// Lets callers manage their own personal access tokens.
///
/// | call | answer |
/// |---|---|
/// | `GET …/users/{user}/tokens` | 200, an array |
/// | `POST …/users/{user}/tokens` with `{"name":…,"expires_in":days}` | 200, `plain_token` (once) and `personal_access_token` |
/// | `GET …/users/{user}/tokens/{id}` | 200, or 404 |
/// | `DELETE …/users/{user}/tokens/{id}` | 200 `{}`, or 404 |
///
/// 1. It stands behind [`AuthenticateLayer`](crate::AuthenticateLayer): without an [`Identity`] in the request's
///    extensions, the answer is a 401.
/// 2. A caller manages the tokens of its own subject; those of any other user are a 403.
/// 3. A token has the scopes of the caller who makes it, and no more. It is good for 1 to 365 days, whatever the
///    lifetime of the token that made it: whoever revokes one looks at the list for others.
/// 4. Errors are `{"message":…,"code":…}`: 400 for what is no JSON, 422 for what does not fit, 503 when the
///    store cannot answer. Answers are not stored by anybody.
///
/// See [`issue`](super) for an example. A clone is the same endpoint.
#[derive(Clone)]
#[must_use]
pub struct PatEndpoint {
    format: PatFormat,
    store: Arc<dyn TokenStore>,
    issuers: Option<Arc<[String]>>,
    clock: SharedClock,
}

impl PatEndpoint {
    /// Tokens of this format, in this store.
    pub fn new(format: PatFormat, store: impl TokenStore) -> Self {
        Self { format, store: Arc::new(store), issuers: None, clock: SharedClock::default() }
    }

    /// Lets callers with a token of these issuers manage tokens, and those with a personal one, but nobody
    /// else: two issuers may have different people of one name.
    pub fn for_issuers(mut self, issuers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.issuers = Some(issuers.into_iter().map(Into::into).collect());
        self
    }

    /// The clock that dates are taken from.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = SharedClock::new(clock);
        self
    }

    async fn serve<B>(&self, request: Request<B>) -> Result<Value, Problem>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        let (user, id) = target(head.uri.path()).ok_or(Problem::NotFound)?;
        let caller = head.extensions.get::<Identity>().ok_or(Problem::Unauthorized)?;
        // No store has a name with a zero byte in it.
        let named = !user.is_empty() && !user.contains('\0');
        if caller.subject() != user || !named || !self.knows(caller) {
            return Err(Problem::Forbidden);
        }
        match (&head.method, id) {
            (&Method::GET, None) => {
                let tokens = self.store.list(&user).await.map_err(Problem::Unavailable)?;
                Ok(tokens.iter().map(shown).collect())
            }
            (&Method::POST, None) => self.create(caller, read(body).await.map_err(Problem::of)?).await,
            (&Method::GET, Some(id)) => self.find(&user, &id).await.map(|token| shown(&token)),
            (&Method::DELETE, Some(id)) => {
                match self.store.revoke(&user, &id).await.map_err(Problem::Unavailable)? {
                    true => Ok(json!({})),
                    false => Err(Problem::NotFound),
                }
            }
            (_, None) => Err(Problem::Method("GET, POST")),
            (_, Some(_)) => Err(Problem::Method("GET, DELETE")),
        }
    }

    fn knows(&self, caller: &Identity) -> bool {
        let Some(issuers) = &self.issuers else { return true };
        caller.detail::<PersonalToken>().is_some()
            || caller.issuer().is_some_and(|issuer| issuers.iter().any(|known| known == issuer))
    }

    async fn find(&self, user: &str, id: &str) -> Result<PersonalToken, Problem> {
        let tokens = self.store.list(user).await.map_err(Problem::Unavailable)?;
        tokens.into_iter().find(|token| token.id == id).ok_or(Problem::NotFound)
    }

    async fn create(&self, caller: &Identity, body: Bytes) -> Result<Value, Problem> {
        // Each member once: of two, somebody else may read the other.
        let text = std::str::from_utf8(&body).map_err(|_| Problem::Json)?;
        Reader::check_object(text).map_err(|malformed| match malformed {
            Malformed::Json if serde_json::from_str::<Value>(text).is_ok() => Problem::Field("name"),
            _ => Problem::Json,
        })?;
        let body: Value = serde_json::from_str(text).map_err(|_| Problem::Json)?;
        let name = body.get("name").and_then(Value::as_str).ok_or(Problem::Field("name"))?.trim();
        if name.is_empty() || name.chars().count() > MAX_NAME_CHARS || name.chars().any(char::is_control) {
            return Err(Problem::Field("name"));
        }
        let days = body.get("expires_in").and_then(Value::as_u64).filter(|days| DAYS.contains(days));
        let days = days.ok_or(Problem::Field("expires_in"))?;
        // To the second, as dates are shown.
        let now = self.clock.now();
        let now = now - now.duration_since(SystemTime::UNIX_EPOCH).map_or(Duration::ZERO, subsecond);
        let lifetime = DAY * u32::try_from(days).unwrap_or(1);
        let expires_at = now.checked_add(lifetime).ok_or(Problem::Field("expires_in"))?;
        let owner = caller.subject();
        let token = PersonalToken::new(token_id()?, owner, name, now, expires_at)
            .with_scopes(caller.scopes().clone());
        let plain = self.format.generate()?;
        let text = String::from_utf8_lossy(plain.expose());
        let digest = TokenDigest::of(&text)?;
        self.store.insert(digest, token.clone()).await.map_err(Problem::Unavailable)?;
        Ok(json!({ "plain_token": text, "personal_access_token": shown(&token) }))
    }
}

/// The user and the token's id in `…/users/{user}/tokens[/{id}]`, decoded.
fn target(path: &str) -> Option<(String, Option<String>)> {
    let decode = |part: &str| percent_decode_str(part).decode_utf8().ok().map(String::from);
    let parts: Vec<_> = path.split('/').collect();
    match parts.as_slice() {
        [.., "users", user, "tokens"] => Some((decode(user)?, None)),
        [.., "users", user, "tokens", id] => Some((decode(user)?, Some(decode(id)?))),
        _ => None,
    }
}

fn shown(token: &PersonalToken) -> Value {
    // The nearest that can be written: stores of others may hold any time.
    let date = |time: SystemTime| {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        format_rfc3339_seconds(SystemTime::UNIX_EPOCH + since.min(LAST_DATE)).to_string()
    };
    let mut shown = json!({
        "id": token.id,
        "name": token.name,
        "expiration_date": date(token.expires_at),
        "created_by": token.created_by,
        "created_at": date(token.created_at),
    });
    if let Some(at) = token.last_used {
        shown["last_used"] = date(at).into();
    }
    shown
}

fn subsecond(since: Duration) -> Duration {
    Duration::from_nanos(since.subsec_nanos().into())
}

/// 100 random bits in the alphabet and length of NetBird's ids.
fn token_id() -> Result<String, ConfigError> {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let mut bytes = [0; 20];
    random(&mut bytes)?;
    Ok(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect())
}

enum Problem {
    Field(&'static str),
    Forbidden,
    Json,
    Method(&'static str),
    NotFound,
    TooLarge,
    Unauthorized,
    Unavailable(BoxError),
}

impl Problem {
    fn of(fault: Fault) -> Self {
        match fault {
            Fault::TooLarge => Self::TooLarge,
            Fault::Unavailable(error) => Self::Unavailable(error),
            _ => Self::Json,
        }
    }

    fn respond(self) -> Response<Full<Bytes>> {
        let (status, message) = match &self {
            Self::Field(name) => (StatusCode::UNPROCESSABLE_ENTITY, field(name)),
            Self::Forbidden => (StatusCode::FORBIDDEN, "not allowed to manage the tokens of this user"),
            Self::Json => (StatusCode::BAD_REQUEST, "couldn't parse json request"),
            Self::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, "method not allowed"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not found"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "no valid authentication provided"),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "no answer can be given now"),
        };
        let mut response = answer(status, &json!({ "message": message, "code": status.as_u16() }));
        let headers = response.headers_mut();
        match self {
            Self::Method(allowed) => {
                headers.insert(ALLOW, HeaderValue::from_static(allowed));
            }
            Self::Unauthorized => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"api\""));
            }
            Self::Unavailable(error) => {
                retry_soon(headers);
                response.extensions_mut().insert(Rejection::unavailable().with_source(error));
            }
            _ => {}
        }
        response
    }
}

fn field(name: &str) -> &'static str {
    match name {
        "name" => "name can't be empty",
        _ => "expiration has to be between 1 and 365 days",
    }
}

impl From<ConfigError> for Problem {
    fn from(error: ConfigError) -> Self {
        Self::Unavailable(error.into())
    }
}

service!(PatEndpoint);

impl PatEndpoint {
    async fn answer<B>(self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        match self.serve(request).await {
            Ok(body) => answer(StatusCode::OK, &body),
            Err(problem) => problem.respond(),
        }
    }
}

impl fmt::Debug for PatEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PatEndpoint").field("format", &self.format).finish_non_exhaustive()
    }
}
