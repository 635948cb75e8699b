use std::fmt;
use std::net::IpAddr;

use http::Uri;

use crate::error::ConfigError;

/// The origins that a token may go to: scheme, host and port (RFC 6454 §4).
///
/// ```
/// use tower_bearer::attach::{IntoOrigins, Origins};
///
/// assert!("https://api.example".into_origins().is_ok());
/// assert!("https://api.example/path".into_origins().is_err());
/// assert!("http://127.0.0.1:3000".into_origins().is_err());
/// assert!(Origins::insecure_http_loopback(["http://127.0.0.1:3000"]).is_ok());
/// assert!(Origins::insecure_http_loopback(["http://api.example"]).is_err());
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origins(Vec<Origin>);

#[derive(Clone, Eq, PartialEq)]
struct Origin {
    https: bool,
    host: String,
    port: u16,
    /// Host and port as they are written where the port is not the scheme's own.
    authority: String,
}

/// What can be read as origins: a URL without a path, or several.
pub trait IntoOrigins {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// When one of them is not an `https` URL of a scheme, a host and perhaps a port, or there is none.
    fn into_origins(self) -> Result<Origins, ConfigError>;
}

impl Origins {
    /// As [`IntoOrigins`] reads them, and plain `http` to loopback addresses and `localhost` as well: for
    /// tests, and for sidecars on the same machine.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn insecure_http_loopback<T: AsRef<str>>(
        urls: impl IntoIterator<Item = T>,
    ) -> Result<Self, ConfigError> {
        Self::read(urls, true)
    }

    fn read<T: AsRef<str>>(
        urls: impl IntoIterator<Item = T>,
        http_loopback: bool,
    ) -> Result<Self, ConfigError> {
        let origins = urls.into_iter().map(|url| Origin::read(url.as_ref(), http_loopback));
        let origins: Vec<_> = origins.collect::<Result<_, _>>()?;
        if origins.is_empty() {
            Err(ConfigError::new("origins", "expected one or more"))
        } else {
            Ok(Self(origins))
        }
    }

    /// True if a request to this URI goes to one of them. A relative one goes nowhere that is known, and one
    /// with user information is not what it looks like.
    #[inline]
    pub(super) fn contain(&self, uri: &Uri) -> bool {
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return false,
        };
        let Some(authority) = uri.authority() else { return false };
        // As most clients write it; taken apart only where it is written in another way.
        let as_written = |own: &Origin| own.https == https && *own.authority == *authority.as_str();
        self.0.iter().any(as_written) || self.contain_taken_apart(uri, https)
    }

    #[cold]
    fn contain_taken_apart(&self, uri: &Uri, https: bool) -> bool {
        let (Some(host), Some(port)) = (uri.host(), port(uri, https)) else { return false };
        let is_it =
            |own: &Origin| own.https == https && own.port == port && own.host.eq_ignore_ascii_case(host);
        !has_user(uri) && self.0.iter().any(is_it)
    }
}

impl Origin {
    fn read(url: &str, http_loopback: bool) -> Result<Self, ConfigError> {
        let wanted = || {
            let also = if http_loopback { ", or http and a loopback address" } else { "" };
            ConfigError::new(
                "origins",
                format!("expected https, a host and perhaps a port, and no path{also}"),
            )
        };
        let uri: Uri = url.parse().map_err(|error| wanted().with_source(error))?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(wanted)?;
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") if http_loopback && is_loopback(host) => false,
            _ => return Err(wanted()),
        };
        let port = port(&uri, https).ok_or_else(wanted)?;
        let bare = matches!(uri.path(), "" | "/") && uri.query().is_none() && !url.contains('#');
        if bare && !has_user(&uri) {
            let host = host.to_ascii_lowercase();
            let own_port = if https { 443 } else { 80 };
            let authority = if port == own_port { host.clone() } else { format!("{host}:{port}") };
            Ok(Self { https, host, port, authority })
        } else {
            Err(wanted())
        }
    }
}

/// The port, or the scheme's own; `None` for what looks like a port and is none.
fn port(uri: &Uri, https: bool) -> Option<u16> {
    match uri.port_u16() {
        Some(port) => Some(port),
        None if uri.authority()?.as_str().ends_with(uri.host()?) => Some(if https { 443 } else { 80 }),
        None => None,
    }
}

fn has_user(uri: &Uri) -> bool {
    uri.authority().is_some_and(|authority| authority.as_str().contains('@'))
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    address
        .parse::<IpAddr>()
        .map_or_else(|_| host.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
}

impl IntoOrigins for Origins {
    fn into_origins(self) -> Result<Origins, ConfigError> {
        Ok(self)
    }
}

impl IntoOrigins for &str {
    fn into_origins(self) -> Result<Origins, ConfigError> {
        Origins::read([self], false)
    }
}

impl<T: AsRef<str>, const N: usize> IntoOrigins for [T; N] {
    fn into_origins(self) -> Result<Origins, ConfigError> {
        Origins::read(self, false)
    }
}

impl<T: AsRef<str>> IntoOrigins for Vec<T> {
    fn into_origins(self) -> Result<Origins, ConfigError> {
        Origins::read(self, false)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::{IntoOrigins, Origins};

    #[test]
    fn scheme_host_and_port_and_nothing_near_them_atk_53_atk_55() {
        let origins = ["https://api.example", "https://API.other:8443/"].into_origins().unwrap();
        for inside in [
            "https://api.example/",
            "https://api.example:443/x",
            "https://API.example/x?y=z",
            "https://api.other:8443",
        ] {
            assert!(origins.contain(&inside.parse().unwrap()), "{inside}");
        }
        for outside in [
            "http://api.example/",
            "https://api.example:444/",
            "https://api.example:80/",
            "https://www.api.example/",
            "https://api.example.evil/",
            "https://api.example./",
            "https://example/",
            "https://user@api.example/",
            "https://api.example:x@evil/",
            "https://api.other/",
            "https://api.example@evil/",
            "/relative",
            "ftp://api.example/",
        ] {
            assert!(!outside.parse().is_ok_and(|uri| origins.contain(&uri)), "{outside}");
        }
    }

    #[test]
    fn what_is_no_origin() {
        for bad in [
            "",
            "api.example",
            "/x",
            "http://api.example",
            "https://api.example/x",
            "https://api.example/?x",
            "https://api.example#x",
            "https://user@api.example",
            "https://",
            "ftp://api.example",
            "https://api.example:99999",
        ] {
            assert!(bad.into_origins().is_err(), "{bad}");
            assert!(Origins::insecure_http_loopback([bad]).is_err(), "{bad}");
        }
        assert!(Vec::<String>::new().into_origins().is_err());
        for loopback in ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost"] {
            assert!(loopback.into_origins().is_err() && Origins::insecure_http_loopback([loopback]).is_ok());
        }
    }
}
