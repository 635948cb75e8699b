//! Parameters, each once (RFC 6749 §3.2).

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use zeroize::Zeroizing;

use super::fault::Fault;
use crate::contract::Encoding;

const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data";
/// More than any request has.
const MAX_PARAMETERS: usize = 64;

/// Names with values, wiped when dropped: there are secrets among them.
pub(super) struct Form(Vec<(String, Zeroizing<String>)>);

impl Form {
    /// The parameters of a query, or of a form's body.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Fault> {
        let mut form = Self(Vec::new());
        for (name, value) in form_urlencoded::parse(text) {
            form.push(name.into_owned(), value.into_owned())?;
        }
        Ok(form)
    }

    /// The parameters of a body, in an encoding that `accepts` says yes to.
    pub(super) async fn read(
        headers: &HeaderMap,
        body: Bytes,
        accepts: impl Fn(Encoding) -> bool,
    ) -> Result<Self, Fault> {
        let wrong = Fault::Request("expected application/x-www-form-urlencoded");
        let mut lines = headers.get_all(CONTENT_TYPE).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else { return Err(wrong) };
        let Ok(content_type) = line.to_str() else { return Err(wrong) };
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case(FORM) && accepts(Encoding::Form) {
            Self::parse(&body)
        } else if essence.eq_ignore_ascii_case(MULTIPART) && accepts(Encoding::Multipart) {
            Self::parts(content_type, body).await
        } else {
            Err(wrong)
        }
    }

    /// RFC 7578.
    async fn parts(content_type: &str, body: Bytes) -> Result<Self, Fault> {
        let malformed = || Fault::Request("expected the parts of a form");
        let boundary = multer::parse_boundary(content_type).map_err(|_| malformed())?;
        let body = futures_util::stream::once(async { Ok::<_, std::convert::Infallible>(body) });
        let mut parts = multer::Multipart::new(body, boundary);
        let mut form = Self(Vec::new());
        while let Some(part) = parts.next_field().await.map_err(|_| malformed())? {
            let name = part.name().ok_or_else(malformed)?.to_owned();
            form.push(name, part.text().await.map_err(|_| malformed())?)?;
        }
        Ok(form)
    }

    fn push(&mut self, name: String, value: String) -> Result<(), Fault> {
        let value = Zeroizing::new(value);
        if self.0.len() >= MAX_PARAMETERS {
            return Err(Fault::Request("too many parameters"));
        }
        if self.0.iter().any(|(own, _)| *own == name) {
            return Err(Fault::Parameter(name));
        }
        self.0.push((name, value));
        Ok(())
    }

    /// A value. RFC 6749 §3.2: one that is empty was not sent.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.raw(name).filter(|value| !value.is_empty())
    }

    /// A value, even one that is empty.
    pub(super) fn raw(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}
