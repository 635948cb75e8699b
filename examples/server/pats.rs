//! Personal access tokens from a file: only their digests are in it, and in memory.

use std::collections::HashMap;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tower_bearer::verify::Verify;
use tower_bearer::{Clock, Credential, Eventual, Identity, Rejection, Scheme, Scopes};

use crate::flags::ServerClock;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    digest: String,
    subject: String,
    #[serde(default)]
    scopes: List,
    expires_at: Option<Instant>,
    #[serde(default)]
    revoked: bool,
}

/// An array of scopes, or one space-separated string.
#[derive(Deserialize)]
#[serde(untagged)]
enum List {
    Array(Vec<String>),
    Text(String),
}

impl Default for List {
    fn default() -> Self {
        Self::Array(Vec::new())
    }
}

/// Seconds since 1970, or a date of RFC 3339.
#[derive(Deserialize)]
#[serde(untagged)]
enum Instant {
    Epoch(u64),
    Date(String),
}

pub(crate) struct PatFile {
    rows: HashMap<[u8; 32], Pat>,
    clock: ServerClock,
}

struct Pat {
    identity: Identity,
    revoked: bool,
}

impl PatFile {
    pub(crate) fn parse(json: &[u8], clock: ServerClock) -> Result<Self, String> {
        let rows: Vec<Row> = serde_json::from_slice(json).map_err(|error| {
            format!("expected an array of {{digest, subject, scopes, expires_at?, revoked?}}: {error}")
        })?;
        let rows = rows
            .into_iter()
            .enumerate()
            .map(|(index, row)| row.read().map_err(|error| format!("row {index}: {error}")));
        Ok(Self { rows: rows.collect::<Result<_, _>>()?, clock })
    }

    fn find(&self, token: &str) -> Option<Identity> {
        // The map's key is a digest, so the time of the lookup tells nothing about a token.
        let pat = self.rows.get(&<[u8; 32]>::from(Sha256::digest(token)))?;
        let expired = pat.identity.expires_at().is_some_and(|at| at <= self.clock.now());
        (!pat.revoked && !expired).then(|| pat.identity.clone())
    }
}

impl Row {
    fn read(self) -> Result<([u8; 32], Pat), String> {
        let digest = STANDARD.decode(&self.digest).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let digest = digest.ok_or("expected a digest of 32 bytes in base64")?;
        let scopes = Scopes::parse(&match self.scopes {
            List::Array(scopes) => scopes.join(" "),
            List::Text(scopes) => scopes,
        })
        .map_err(|error| error.to_string())?;
        let mut identity = Identity::builder(self.subject).scopes(scopes);
        if let Some(at) = self.expires_at {
            identity = identity.expires_at(match at {
                Instant::Epoch(seconds) => UNIX_EPOCH
                    .checked_add(Duration::from_secs(seconds))
                    .ok_or("expires_at is out of range")?,
                Instant::Date(date) => {
                    humantime::parse_rfc3339_weak(&date).map_err(|error| error.to_string())?
                }
            });
        }
        Ok((digest, Pat { identity: identity.build(), revoked: self.revoked }))
    }
}

impl Verify for PatFile {
    /// Unknown, expired and revoked get one answer.
    fn verify(&self, credential: &Credential<'_>) -> Eventual<Result<Identity, Rejection>> {
        Eventual::now(self.find(credential.expose()).ok_or_else(Rejection::invalid_token))
    }

    fn schemes(&self) -> &[Scheme] {
        &[Scheme::Token]
    }
}
