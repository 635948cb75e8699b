//! One fetch of a key set, from a URL or by way of an issuer's metadata.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AGE, CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use serde_json::Value;

use super::schedule::{MAX_LIFETIME, MIN_LIFETIME};
use crate::algorithm::Algorithm;
use crate::error::ConfigError;
use crate::jose::{KeySet, Reader, parse_public_set};
use crate::transport::{Door, Failed, has_content_type};

/// Where a key set is.
#[derive(Clone)]
pub(super) enum Location {
    Issuer(Arc<Issuer>),
    Url(Uri),
}

/// An issuer whose metadata names the set.
pub(super) struct Issuer {
    name: String,
    /// OpenID Connect Discovery 1.0 §4, then RFC 8414 §3.
    candidates: Vec<Uri>,
    /// What the metadata named; kept for as long as it answers well.
    pinned: Mutex<Option<Uri>>,
}

/// What a good fetch brought.
pub(super) struct Fetched {
    /// `None`: the set did not change.
    pub(super) set: Option<(KeySet, Bytes)>,
    pub(super) etag: Option<Etag>,
    /// `None`: the provider does not say.
    pub(super) lifetime: Option<Duration>,
}

/// An entity tag, and the URL that it is of: at another it means nothing.
pub(super) type Etag = (Uri, HeaderValue);

/// Why a fetch brought nothing. Shown in health and events, never to a caller.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    ContentType,
    Failed(Failed),
    Issuer,
    KeySet(ConfigError),
    KeySetUrl(ConfigError),
    Metadata,
    NoKeys,
    Status(u16),
    TimedOut,
}

impl Location {
    pub(super) fn url(door: &Door, url: &str) -> Result<Self, ConfigError> {
        door.url("jwks_uri", url).map(Self::Url)
    }

    pub(super) fn issuer(door: &Door, issuer: &str) -> Result<Self, ConfigError> {
        let uri = door.url("issuer", issuer)?;
        if uri.query().is_some() {
            return Err(ConfigError::new("issuer", "expected a URL without a query (RFC 8414 section 2)"));
        }
        // RFC 8414 §3.1: a slash at the end is removed, once, before anything is added.
        let base = issuer.strip_suffix('/').unwrap_or(issuer);
        let path = uri.path().strip_suffix('/').unwrap_or(uri.path());
        let origin = base.strip_suffix(path).unwrap_or(base);
        let candidates = [
            format!("{base}/.well-known/openid-configuration"),
            format!("{origin}/.well-known/oauth-authorization-server{path}"),
        ];
        let candidates = candidates.iter().map(|url| door.url("issuer", url)).collect::<Result<_, _>>()?;
        let issuer = Issuer { name: issuer.to_owned(), candidates, pinned: Mutex::default() };
        Ok(Self::Issuer(Arc::new(issuer)))
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Issuer(issuer) => write!(f, "Issuer({:?})", issuer.name),
            Self::Url(url) => write!(f, "Url({:?})", url.host()),
        }
    }
}

pub(super) async fn fetch(
    location: &Location,
    door: &Door,
    rsa: &[Algorithm],
    etag: Option<&Etag>,
) -> Result<Fetched, Fault> {
    match location {
        Location::Url(url) => fetch_set(url, door, rsa, etag).await,
        Location::Issuer(issuer) => {
            let url = match issuer.pinned() {
                Some(url) => url,
                None => issuer.discover(door).await?,
            };
            let fetched = fetch_set(&url, door, rsa, etag).await;
            if fetched.is_err() {
                // It may have moved: the next attempt asks where it is.
                issuer.pin(None);
            }
            fetched
        }
    }
}

impl Issuer {
    fn pinned(&self) -> Option<Uri> {
        self.pinned.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn pin(&self, url: Option<Uri>) {
        *self.pinned.lock().unwrap_or_else(PoisonError::into_inner) = url;
    }

    /// Asks each place in turn; only "there is nothing here" leads to the next.
    async fn discover(&self, door: &Door) -> Result<Uri, Fault> {
        let mut last = Fault::Metadata;
        for candidate in &self.candidates {
            let response =
                door.send(get(candidate, "application/json", None)).await.map_err(Fault::Failed)?;
            match response.status().as_u16() {
                200 => {
                    let url = self.read(door, &response)?;
                    self.pin(Some(url.clone()));
                    return Ok(url);
                }
                429 => return Err(Fault::Status(429)),
                status @ (400..500) => last = Fault::Status(status),
                status => return Err(Fault::Status(status)),
            }
        }
        Err(last)
    }

    /// RFC 8414 §3.3: the issuer that the document names is the one it was asked for, byte for byte.
    fn read(&self, door: &Door, response: &Response<Bytes>) -> Result<Uri, Fault> {
        if !has_content_type(response.headers(), &["application/json"]) {
            return Err(Fault::ContentType);
        }
        let text = std::str::from_utf8(response.body()).map_err(|_| Fault::Metadata)?;
        Reader::check_object(text).map_err(|_| Fault::Metadata)?;
        let document: Value = serde_json::from_str(text).map_err(|_| Fault::Metadata)?;
        if document.get("issuer").and_then(Value::as_str) != Some(&*self.name) {
            return Err(Fault::Issuer);
        }
        let url = document.get("jwks_uri").and_then(Value::as_str).ok_or(Fault::Metadata)?;
        door.url("jwks_uri", url).map_err(Fault::KeySetUrl)
    }
}

async fn fetch_set(url: &Uri, door: &Door, rsa: &[Algorithm], etag: Option<&Etag>) -> Result<Fetched, Fault> {
    let etag = etag.filter(|(of, _)| of == url).map(|(_, etag)| etag);
    let request = get(url, "application/jwk-set+json, application/json", etag);
    let response = door.send(request).await.map_err(Fault::Failed)?;
    let lifetime = lifetime(response.headers());
    let new_etag = response.headers().get(ETAG).map(|etag| (url.clone(), etag.clone()));
    match response.status().as_u16() {
        304 if etag.is_some() => Ok(Fetched { set: None, etag: None, lifetime }),
        200 if has_content_type(response.headers(), &["application/json", "application/jwk-set+json"]) => {
            let document = response.into_body();
            let set = parse_document(&document, rsa)?;
            Ok(Fetched { set: Some((set, document)), etag: new_etag, lifetime })
        }
        200 => Err(Fault::ContentType),
        status => Err(Fault::Status(status)),
    }
}

/// The good keys of a document, at least one.
pub(super) fn parse_document(document: &[u8], rsa: &[Algorithm]) -> Result<KeySet, Fault> {
    let (good, bad) = parse_public_set(document, rsa).map_err(Fault::KeySet)?;
    match bad {
        _ if !good.is_empty() => KeySet::new(good).map_err(Fault::KeySet),
        Some(error) => Err(Fault::KeySet(error)),
        None => Err(Fault::NoKeys),
    }
}

fn get(url: &Uri, accept: &'static str, etag: Option<&HeaderValue>) -> Request<Bytes> {
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = url.clone();
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static(accept));
    if let Some(etag) = etag {
        request.headers_mut().insert(IF_NONE_MATCH, etag.clone());
    }
    request
}

/// RFC 9111 §5.2.2: `max-age`, less the `Age` it already has; within bounds of ours.
fn lifetime(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all(CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
    let mut stated = None;
    for directive in lines.flat_map(|line| line.split(',')) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match &*name.trim().to_ascii_lowercase() {
            "max-age" => stated = stated.or_else(|| value.trim().trim_matches('"').parse().ok()),
            "no-cache" | "no-store" => stated = Some(0),
            _ => {}
        }
    }
    let age = headers.get(AGE).and_then(|age| age.to_str().ok()?.parse().ok()).unwrap_or(0);
    stated.map(|seconds: u64| {
        Duration::from_secs(seconds.saturating_sub(age)).clamp(MIN_LIFETIME, MAX_LIFETIME)
    })
}

impl Fault {
    /// With what is underneath: the transport's word, or the key at fault.
    pub(super) fn reason(&self) -> String {
        let mut reason = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            reason = format!("{reason}: {error}");
            source = error.source();
        }
        reason
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ContentType => "the answer is not JSON by its content type",
            Self::Failed(_) => "no answer",
            Self::Issuer => "the metadata is of another issuer",
            Self::KeySet(_) => "not a key set to use",
            Self::KeySetUrl(_) => "the metadata names no URL to use",
            Self::Metadata => "not a metadata document",
            Self::NoKeys => "the key set has no key that verifies signatures",
            Self::Status(status) => return write!(f, "the answer has status {status}"),
            Self::TimedOut => "no answer came in time",
        })
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(failed) => Some(failed),
            Self::KeySet(error) | Self::KeySetUrl(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, Response};

    use super::{Location, lifetime};
    use crate::transport::{Door, ServiceTransport};

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn lifetimes_stay_within_bounds() {
        for (control, age, seconds) in [
            (None, None, 0),
            (Some("max-age=300"), None, 300),
            (Some("public, Max-Age=\"3600\", must-revalidate"), Some("600"), 3000),
            (Some("max-age=1"), None, 60),
            (Some("max-age=99999999999"), None, 86_400),
            (Some("max-age=300"), Some("400"), 60),
            (Some("no-store"), None, 60),
            (Some("max-age=300, no-cache"), None, 60),
            (Some("max-age=junk"), None, 0),
            (Some("private"), None, 0),
        ] {
            let mut pairs: Vec<_> = control.map(|value| ("cache-control", value)).into_iter().collect();
            pairs.extend(age.map(|value| ("age", value)));
            let expected = (seconds > 0).then(|| Duration::from_secs(seconds));
            assert_eq!(lifetime(&headers(&pairs)), expected, "{control:?} {age:?}");
        }
    }

    #[test]
    fn metadata_locations_m_8414_1() {
        let service = tower::service_fn(|_| async { Ok::<_, std::io::Error>(Response::new(String::new())) });
        let door = Door::new(ServiceTransport::new(service), Duration::from_secs(1), 1);
        for (issuer, openid, oauth) in [
            (
                "https://a.example",
                "https://a.example/.well-known/openid-configuration",
                "https://a.example/.well-known/oauth-authorization-server",
            ),
            (
                "https://a.example/",
                "https://a.example/.well-known/openid-configuration",
                "https://a.example/.well-known/oauth-authorization-server",
            ),
            (
                "https://a.example/t/1",
                "https://a.example/t/1/.well-known/openid-configuration",
                "https://a.example/.well-known/oauth-authorization-server/t/1",
            ),
            (
                "https://a.example:8443/t/",
                "https://a.example:8443/t/.well-known/openid-configuration",
                "https://a.example:8443/.well-known/oauth-authorization-server/t",
            ),
        ] {
            let Ok(Location::Issuer(found)) = Location::issuer(&door, issuer) else { panic!("{issuer}") };
            assert_eq!(found.candidates, [openid, oauth], "{issuer}");
        }
        for bad in [
            "http://a.example",
            "https://a.example/?x",
            "https://a.example/#x",
            "https://u@a.example",
            "a",
            "",
        ] {
            assert!(Location::issuer(&door, bad).is_err(), "{bad}");
        }
    }
}
