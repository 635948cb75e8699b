//! The command line, read into a verifier. Every mistake names its flag.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use tower_bearer::issue::JwtSigner;
use tower_bearer::verify::{Issuers, JwtVerifier, JwtVerifierBuilder, Keys, Schemes};
use tower_bearer::{Algorithm, Clock, ConfigError, Secret, SystemClock};

use crate::pats::PatFile;

pub(crate) const DEFAULT_ISSUER: &str = "https://issuer.example";
pub(crate) const DEFAULT_AUDIENCE: &str = "orders";

/// A server that tells good tokens from bad: HTTP/1.1, HTTP/2 without TLS and gRPC on one port.
///
/// Without flags it makes a key at start and prints calls to paste into a shell.
#[derive(Debug, Parser)]
#[command(name = "server")]
pub(crate) struct Flags {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3000")]
    pub(crate) listen: SocketAddr,

    /// The issuer whose tokens are accepted, compared exactly
    #[arg(long, value_name = "URL")]
    pub(crate) issuer: Option<String>,

    /// The audience that is this server
    #[arg(long, value_name = "AUD")]
    pub(crate) audience: Option<String>,

    /// A file with the issuer's JSON Web Key set
    #[arg(long, value_name = "FILE")]
    pub jwks: Option<PathBuf>,

    /// A file with the issuer's HS256 secret: its bytes, but for one line break at the end
    #[arg(long, value_name = "FILE")]
    pub hs256_secret_file: Option<PathBuf>,

    /// Demand access tokens of RFC 9068 (otherwise `typ` may be absent, JWT or at+jwt)
    #[arg(long, value_name = "TYP", value_parser = ["at+jwt"])]
    pub typ: Option<String>,

    /// How far clocks may differ
    #[arg(long, value_name = "SECONDS", default_value_t = 30, allow_hyphen_values = true)]
    pub leeway: u64,

    /// A second issuer, for the same audience
    #[arg(long, value_name = "URL", requires = "also_jwks")]
    pub also_issuer: Option<String>,

    /// A file with the second issuer's JSON Web Key set
    #[arg(long, value_name = "FILE", requires = "also_issuer")]
    pub also_jwks: Option<PathBuf>,

    /// The longest token that is read
    #[arg(long, value_name = "BYTES", default_value_t = 16 * 1024, allow_hyphen_values = true)]
    pub max_token: usize,

    /// A file with personal access tokens, for `Authorization: Token`: a JSON array of
    /// {digest, subject, scopes, expires_at?, revoked?}; digest is the base64 SHA-256 of the token,
    /// scopes an array of strings, expires_at in seconds since 1970. Alone it turns `Bearer` off
    #[arg(long, value_name = "FILE")]
    pub pats: Option<PathBuf>,

    /// A fixed time, in seconds since 1970
    #[arg(long, value_name = "EPOCH", allow_hyphen_values = true)]
    pub now: Option<i64>,
}

/// A flag that cannot be followed.
#[derive(Debug)]
pub(crate) struct BadFlag(&'static str, String);

impl std::fmt::Display for BadFlag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.0, self.1)
    }
}

impl std::error::Error for BadFlag {}

fn bad(flag: &'static str) -> impl FnOnce(ConfigError) -> BadFlag {
    move |error| BadFlag(flag, error.to_string())
}

fn read(flag: &'static str, path: &Path) -> Result<Vec<u8>, BadFlag> {
    std::fs::read(path).map_err(|error| BadFlag(flag, format!("cannot read {}: {error}", path.display())))
}

/// What the flags come to.
pub(crate) struct Setup {
    pub(crate) verifier: Schemes,
    /// Set if the keys were made here.
    pub(crate) signer: Option<JwtSigner>,
    pub(crate) issuer: String,
    pub(crate) audience: String,
}

impl Flags {
    pub(crate) fn clock(&self) -> Result<ServerClock, BadFlag> {
        let Some(now) = self.now else { return Ok(ServerClock(None)) };
        let distance = Duration::from_secs(now.unsigned_abs());
        let time = if now < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
        let time =
            time.ok_or_else(|| BadFlag("--now", "expected a time that this system can hold".to_owned()))?;
        Ok(ServerClock(Some(time)))
    }

    pub(crate) fn set_up(&self) -> Result<Setup, BadFlag> {
        let issuer = self.issuer.clone().unwrap_or_else(|| DEFAULT_ISSUER.to_owned());
        let audience = self.audience.clone().unwrap_or_else(|| DEFAULT_AUDIENCE.to_owned());
        let mut schemes = Schemes::new();
        if let Some(path) = &self.pats {
            let pats = PatFile::parse(&read("--pats", path)?, self.clock()?);
            schemes = schemes.token(pats.map_err(|error| BadFlag("--pats", error))?);
        }
        let mut signer = None;
        let has_keys = self.jwks.is_some() || self.hs256_secret_file.is_some();
        if has_keys || self.issuer.is_some() || self.also_issuer.is_some() || self.pats.is_none() {
            let keys = if has_keys {
                self.keys()?
            } else {
                let made =
                    JwtSigner::generate(Algorithm::ES256).map_err(bad("--jwks"))?.with_clock(self.clock()?);
                Keys::jwks(signer.insert(made).jwks().as_bytes()).map_err(bad("--jwks"))?
            };
            schemes = schemes.bearer_jwt(self.issuers(keys, &issuer, &audience)?);
        }
        Ok(Setup { verifier: schemes, signer, issuer, audience })
    }

    fn keys(&self) -> Result<Keys, BadFlag> {
        let jwks = match &self.jwks {
            Some(path) => Some(Keys::jwks(&read("--jwks", path)?).map_err(bad("--jwks"))?),
            None => None,
        };
        let Some(path) = &self.hs256_secret_file else {
            return jwks.ok_or_else(|| BadFlag("--jwks", "expected a file".to_owned()));
        };
        const FLAG: &str = "--hs256-secret-file";
        let bytes = read(FLAG, path)?;
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let secret = Secret::from(bytes.strip_suffix(b"\r").unwrap_or(bytes));
        let hmac = Keys::hmac(Algorithm::HS256, secret).map_err(bad(FLAG))?;
        match jwks {
            Some(jwks) => jwks.and(hmac).map_err(bad(FLAG)),
            None => Ok(hmac),
        }
    }

    fn issuers(&self, keys: Keys, issuer: &str, audience: &str) -> Result<Issuers, BadFlag> {
        let first =
            self.rules(keys, audience)?.issuer(issuer).build().map_err(bad("--issuer or --audience"))?;
        let mut verifiers = vec![first];
        if let (Some(issuer), Some(path)) = (&self.also_issuer, &self.also_jwks) {
            let keys = Keys::jwks(&read("--also-jwks", path)?).map_err(bad("--also-jwks"))?;
            verifiers.push(self.rules(keys, audience)?.issuer(issuer).build().map_err(bad("--also-issuer"))?);
        }
        Issuers::new(verifiers).map_err(bad("--also-issuer"))
    }

    fn rules(&self, keys: Keys, audience: &str) -> Result<JwtVerifierBuilder, BadFlag> {
        let rules = JwtVerifier::builder(keys)
            .audience(audience)
            .with_leeway(Duration::from_secs(self.leeway))
            .with_max_token_bytes(self.max_token)
            .with_clock(self.clock()?);
        Ok(if self.typ.is_some() { rules.access_token_profile() } else { rules })
    }
}

/// The system's clock, or one that stands still.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerClock(Option<SystemTime>);

impl Clock for ServerClock {
    fn now(&self) -> SystemTime {
        self.0.unwrap_or_else(|| SystemClock::new().now())
    }
}
