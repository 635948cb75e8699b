//! The command line, read into a token source. Every mistake names its flag.

use std::num::NonZeroU32;
use std::sync::Arc;

use clap::{Parser, ValueEnum};
use http::{Method, Uri};
use tower_bearer::attach::{IntoOrigins, Origins};
use tower_bearer::contract::{Credentials, Encoding, TokenContract};
use tower_bearer::source::{CachedSource, FetchedSource, StaticToken, TokenSource};
use tower_bearer::{ConfigError, Scheme, Secret};

use crate::calls::Tally;
use crate::network;

/// A client that puts a fresh token on every call, and counts what it took.
#[derive(Debug, Parser)]
#[command(name = "client")]
pub(crate) struct Flags {
    /// The kind of system that the tokens come from
    #[arg(long, value_enum)]
    pub(crate) contract: Contract,

    /// Where tokens are asked for
    #[arg(long, value_name = "URL")]
    token_url: Option<String>,

    /// The client's id; botlhale has none and ignores it
    #[arg(long)]
    id: Option<String>,

    /// The environment variable with the secret; for botlhale, the refresh token
    #[arg(long, value_name = "VAR")]
    secret_env: Option<String>,

    /// The environment variable with a token that never changes, for the contract static
    #[arg(long, value_name = "VAR")]
    static_token_env: Option<String>,

    /// The word in front of the token
    #[arg(long, value_enum, default_value = "Bearer")]
    scheme: Word,

    /// The method of token requests, instead of the contract's own
    #[arg(long = "method", value_name = "METHOD", value_parser = ["GET", "POST"])]
    token_method: Option<String>,

    /// How the body of token requests is written, instead of the contract's own
    #[arg(long, value_enum)]
    encoding: Option<Written>,

    /// How many calls to make
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) calls: u32,

    /// How many of them at a time
    #[arg(long, value_name = "C", default_value = "1")]
    pub(crate) concurrency: NonZeroU32,

    /// Allow plain http to loopback addresses and localhost
    #[arg(long)]
    pub(crate) insecure_http_loopback: bool,

    /// Follow redirects of the API: inside, nearer to the network than the layer, or outside of it
    #[arg(long, value_enum)]
    pub(crate) follow_redirects: Option<Follow>,

    /// Call the gRPC health service
    #[arg(long, conflicts_with = "follow_redirects")]
    pub(crate) grpc: bool,

    /// The method of the calls
    #[arg(value_name = "METHOD")]
    call_method: Method,

    /// What is called
    pub(crate) url: Uri,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Contract {
    TwoBttns,
    Gifthub,
    Botlhale,
    Spotnana,
    ClientCredentials,
    Static,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Word {
    #[value(name = "Bearer", alias = "bearer")]
    Bearer,
    #[value(name = "Token", alias = "token")]
    Token,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Written {
    Form,
    Multipart,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Follow {
    Inside,
    Outside,
}

impl Flags {
    pub(crate) fn method(&self) -> Method {
        self.call_method.clone()
    }

    /// The one origin that tokens go to.
    pub(crate) fn origins(&self) -> Result<Origins, ConfigError> {
        let (scheme, authority) = (self.url.scheme_str(), self.url.authority());
        let (Some(scheme), Some(authority)) = (scheme, authority) else {
            return Err(ConfigError::new("URL", "expected an absolute one"));
        };
        let origin = format!("{scheme}://{authority}");
        if self.insecure_http_loopback {
            Origins::insecure_http_loopback([origin])
        } else {
            origin.as_str().into_origins()
        }
    }

    pub(crate) fn source(&self, tally: &Arc<Tally>) -> Result<Arc<dyn TokenSource>, ConfigError> {
        self.origins()?;
        let scheme = match self.scheme {
            Word::Bearer => Scheme::Bearer,
            Word::Token => Scheme::Token,
        };
        let contract = match self.contract {
            Contract::TwoBttns => TokenContract::two_bttns(),
            Contract::Gifthub => TokenContract::gifthub(),
            Contract::Botlhale => TokenContract::botlhale(),
            Contract::Spotnana => TokenContract::spotnana(),
            Contract::ClientCredentials => TokenContract::client_credentials(),
            Contract::Static => {
                let token = variable("--static-token-env", self.static_token_env.as_deref())?;
                return Ok(Arc::new(StaticToken::new(scheme, token)?));
            }
        };
        let contract = match self.token_method.as_deref() {
            Some("GET") => contract.with_method(Method::GET),
            Some(_) => contract.with_method(Method::POST),
            None => contract,
        };
        let contract = match self.encoding {
            Some(Written::Form) => contract.with_encoding(Encoding::Form),
            Some(Written::Multipart) => contract.with_encoding(Encoding::Multipart),
            None => contract,
        };
        let secret = variable("--secret-env", self.secret_env.as_deref())?;
        let credentials = match (&self.id, self.contract) {
            (_, Contract::Botlhale) => Credentials::refresh_token(secret),
            (Some(id), _) => Credentials::client(id, secret),
            (None, _) => return Err(ConfigError::new("--id", "expected one for this contract")),
        };
        let missing = || ConfigError::new("--token-url", "expected one for this contract");
        let url = self.token_url.as_deref().ok_or_else(missing)?;
        let transport = network::transport(url, self.insecure_http_loopback, tally)?;
        let fetched = FetchedSource::new(contract.with_scheme(scheme), url, credentials, transport)?;
        Ok(Arc::new(CachedSource::new(fetched)))
    }
}

fn variable(flag: &'static str, name: Option<&str>) -> Result<Secret, ConfigError> {
    let name = name.ok_or_else(|| ConfigError::new(flag, "expected one for this contract"))?;
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => Ok(Secret::from(value)),
        _ => Err(ConfigError::new(flag, "expected the name of a variable that is set")),
    }
}
