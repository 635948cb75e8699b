//! The request that a contract describes, filled in.

use std::time::SystemTime;

use bytes::Bytes;
use form_urlencoded::byte_serialize;
use http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use zeroize::Zeroizing;

use super::windows::random;
use crate::contract::{ClientAuth, Credentials, Encoding, Parameter, Place, TokenContract};
use crate::error::ConfigError;
use crate::secret::Secret;

/// One request to be: who calls, how, and when.
pub(super) struct Call<'a> {
    pub(super) contract: &'a TokenContract,
    pub(super) endpoint: &'a Uri,
    pub(super) credentials: &'a Credentials,
    pub(super) refresh_token: Option<Secret>,
    pub(super) now: SystemTime,
}

/// Names and values of a query or a body.
type Pairs<'a> = Vec<(&'a str, Zeroizing<Vec<u8>>)>;

impl<'a> Call<'a> {
    /// # Errors
    ///
    /// When something that the contract asks for is missing from the credentials, or cannot be sent as
    /// the contract says.
    pub(super) fn request(&self, method: &Method) -> Result<Request<Bytes>, ConfigError> {
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = method.clone();
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let (mut query, mut body) = (Pairs::new(), Pairs::new());
        for (place, name, parameter) in &self.contract.parameters {
            let value = self.value(parameter)?;
            match place {
                Place::Body => push(&mut body, name, value)?,
                Place::Query => push(&mut query, name, value)?,
                Place::Header => {
                    let header =
                        name.parse::<HeaderName>().ok().filter(|header| !headers.contains_key(header));
                    let header = header.ok_or_else(|| {
                        ConfigError::new("parameter", "expected each header once, by a valid name")
                    })?;
                    headers.insert(header, sensitive(value)?);
                }
            }
        }
        if self.contract.client_auth != ClientAuth::None {
            self.once(Parameter::ClientSecret)?;
        }
        match self.contract.client_auth {
            ClientAuth::Basic | ClientAuth::BasicPlain => {
                self.value(&Parameter::ClientId)?;
                self.value(&Parameter::ClientSecret)?;
                let basic = self.credentials.basic(self.contract.client_auth == ClientAuth::BasicPlain);
                headers.insert(AUTHORIZATION, sensitive(Zeroizing::new(basic.as_bytes().to_vec()))?);
            }
            other => {
                for (name, value) in self.credentials.form_fields(other, self.endpoint, self.now)? {
                    push(&mut body, name, Zeroizing::new(value.as_bytes().to_vec()))?;
                }
            }
        }
        *request.uri_mut() = self.uri(&query)?;
        if !body.is_empty() {
            if method == Method::GET {
                return Err(ConfigError::new(
                    "method",
                    "expected one that has a body, for parameters in the body",
                ));
            }
            let (content_type, bytes) = encode(self.contract.encoding, &body);
            request.headers_mut().insert(CONTENT_TYPE, content_type);
            *request.body_mut() = Bytes::from_owner(bytes);
        }
        Ok(request)
    }

    fn value(&self, parameter: &Parameter) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        let missing = |field, expected: &str| {
            ConfigError::new(field, format!("expected {expected}, which the contract asks for"))
        };
        let secret = |secret: Option<&Secret>, expected| {
            let secret = secret.filter(|secret| !secret.expose().is_empty());
            secret
                .map(|secret| Zeroizing::new(secret.expose().to_vec()))
                .ok_or_else(|| missing("credentials", expected))
        };
        match parameter {
            Parameter::Assertion => self.assertion(),
            Parameter::ClientId => {
                let id = self.credentials.id().ok_or_else(|| missing("credentials", "a client id"))?;
                Ok(Zeroizing::new(id.into()))
            }
            Parameter::ClientSecret => secret(self.credentials.secret.as_ref(), "a client secret"),
            Parameter::Literal(text) => Ok(Zeroizing::new(text.as_bytes().to_vec())),
            Parameter::RefreshToken => secret(self.refresh_token.as_ref(), "a refresh token"),
            Parameter::SubjectToken => secret(self.credentials.subject_token.as_ref(), "a subject token"),
        }
    }

    #[cfg(feature = "jwt")]
    fn assertion(&self) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        let wanted =
            |what| ConfigError::new("credentials", format!("expected {what}, which the contract asks for"));
        let key = self.credentials.key.as_ref().ok_or_else(|| wanted("a key"))?;
        let id = self.credentials.id().ok_or_else(|| wanted("a client id"))?;
        let signed = key.sign(id, &self.endpoint.to_string(), self.now)?;
        Ok(Zeroizing::new(signed.as_bytes().to_vec()))
    }

    #[cfg(not(feature = "jwt"))]
    fn assertion(&self) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        let _ = self.now;
        Err(ConfigError::new("features", "expected the feature jwt, for assertions"))
    }

    /// RFC 6749 §2.3: one way to authenticate in a request.
    fn once(&self, parameter: Parameter) -> Result<(), ConfigError> {
        if self.contract.parameters.iter().any(|(_, _, own)| *own == parameter) {
            return Err(ConfigError::new("client_auth", "expected the secret in one place of the request"));
        }
        Ok(())
    }

    fn uri(&self, query: &Pairs<'_>) -> Result<Uri, ConfigError> {
        if query.is_empty() {
            return Ok(self.endpoint.clone());
        }
        let mut parts = self.endpoint.clone().into_parts();
        let path = self.endpoint.path();
        let own = self.endpoint.query().filter(|query| !query.is_empty());
        let text = Zeroizing::new(form(query));
        let text = match own {
            Some(own) => Zeroizing::new(format!("{path}?{own}&{}", *text)),
            None => Zeroizing::new(format!("{path}?{}", *text)),
        };
        let wrong = || ConfigError::new("parameter", "expected what a URL can hold");
        parts.path_and_query = Some(text.parse().map_err(|_| wrong())?);
        Uri::from_parts(parts).map_err(|_| wrong())
    }
}

/// RFC 6749 §3.2: parameters are not repeated, but for two that later documents made lists.
fn push<'a>(pairs: &mut Pairs<'a>, name: &'a str, value: Zeroizing<Vec<u8>>) -> Result<(), ConfigError> {
    if pairs.iter().any(|(own, _)| *own == name) && !matches!(name, "audience" | "resource") {
        return Err(ConfigError::new("parameter", "expected each parameter once"));
    }
    pairs.push((name, value));
    Ok(())
}

fn sensitive(value: Zeroizing<Vec<u8>>) -> Result<HeaderValue, ConfigError> {
    let visible = !value.is_empty() && value.iter().all(|byte| matches!(byte, b' '..=b'~'));
    let trimmed = value.trim_ascii().len() == value.len();
    let header = HeaderValue::from_maybe_shared(Bytes::from_owner(value)).ok().filter(|_| visible && trimmed);
    let mut header =
        header.ok_or_else(|| ConfigError::new("credentials", "expected what a header can hold"))?;
    header.set_sensitive(true);
    Ok(header)
}

fn encode(encoding: Encoding, pairs: &Pairs<'_>) -> (HeaderValue, Zeroizing<Vec<u8>>) {
    match encoding {
        Encoding::Form => {
            let form = Zeroizing::new(form(pairs).into_bytes());
            (HeaderValue::from_static("application/x-www-form-urlencoded"), form)
        }
        Encoding::Multipart => multipart(pairs),
    }
}

fn form(pairs: &Pairs<'_>) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push('&');
        }
        text.extend(byte_serialize(name.as_bytes()));
        text.push('=');
        text.extend(byte_serialize(value));
    }
    text
}

/// RFC 7578, under a boundary that no value contains.
fn multipart(pairs: &Pairs<'_>) -> (HeaderValue, Zeroizing<Vec<u8>>) {
    let boundary = loop {
        let boundary = format!("tower-bearer-{:016x}{:016x}", random(), random());
        let inside = |value: &[u8]| value.windows(boundary.len()).any(|part| part == boundary.as_bytes());
        if !pairs.iter().any(|(_, value)| inside(value)) {
            break boundary;
        }
    };
    let mut body = Zeroizing::new(Vec::new());
    for (name, value) in pairs {
        let name = name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
        body.extend_from_slice(
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n").as_bytes(),
        );
        body.extend_from_slice(value);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    let content_type = HeaderValue::from_str(&format!("multipart/form-data; boundary={boundary}"));
    // Letters, digits and dashes, by construction.
    (content_type.unwrap_or_else(|_| HeaderValue::from_static("multipart/form-data")), body)
}
