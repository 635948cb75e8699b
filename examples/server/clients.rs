//! The clients that may ask for tokens: from a file, or made up to show how.

use serde::Deserialize;
use tower_bearer::issue::JwtSigner;
use tower_bearer::store::{Client, ClientSecret};
use tower_bearer::{Algorithm, Scopes, Secret};

/// A secret of this length was made by a machine; a shorter one is kept as a password hash.
const MACHINE_MADE: usize = 32;

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Contract {
    TwoBttns,
    Gifthub,
    Botlhale,
    Spotnana,
    Netbird,
}

impl Contract {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::TwoBttns => "two-bttns",
            Self::Gifthub => "gifthub",
            Self::Botlhale => "botlhale",
            Self::Spotnana => "spotnana",
            Self::Netbird => "netbird",
        }
    }
}

/// A row of the file, with the secret as it is.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    pub(crate) contract: Contract,
    pub(crate) id: String,
    pub(crate) secret: String,
    subject: Option<String>,
    #[serde(default)]
    scopes: Vec<String>,
    /// For clients that prove themselves with a key as well.
    jwks: Option<serde_json::Value>,
}

/// The rows of a file.
pub(crate) fn parse(json: &[u8]) -> Result<Vec<Row>, String> {
    let rows: Vec<Row> = serde_json::from_slice(json).map_err(|error| {
        format!("expected an array of {{contract, id, secret, subject?, scopes?, jwks?}}: {error}")
    })?;
    for (index, row) in rows.iter().enumerate() {
        let same = |other: &Row| (other.contract, &other.id) == (row.contract, &row.id);
        let named = || format!("client {} ({}, {})", index + 1, row.contract.name(), row.id);
        if rows[..index].iter().any(same) {
            return Err(format!("{}: expected each id once for each contract", named()));
        }
        // It is all that tells whose token is asked for.
        let is_bot = |other: &Row| other.contract == Contract::Botlhale && other.secret == row.secret;
        if row.contract == Contract::Botlhale && rows[..index].iter().any(is_bot) {
            return Err(format!("{}: expected each refresh token once", named()));
        }
        row.client().map_err(|error| format!("{}: {error}", named()))?;
    }
    Ok(rows)
}

/// A client for each system, with secrets made now. The one of NetBird speaks for a user.
pub(crate) fn made_up() -> Result<Vec<Row>, String> {
    let row = |contract, id: &str, subject: Option<&str>, scopes: &[&str]| {
        Ok::<_, String>(Row {
            contract,
            id: id.to_owned(),
            secret: secret()?,
            subject: subject.map(str::to_owned),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            jwks: None,
        })
    };
    Ok(vec![
        row(Contract::TwoBttns, "example-app", None, &[])?,
        row(Contract::Gifthub, "gift-shop", None, &["read"])?,
        row(Contract::Botlhale, "chat-bot", None, &["read"])?,
        row(Contract::Spotnana, "travel-desk", None, &["read"])?,
        row(Contract::Netbird, "netbird-cli", Some("alice"), &["read", "offline_access"])?,
    ])
}

impl Row {
    pub(crate) fn subject(&self) -> &str {
        self.subject.as_ref().unwrap_or(&self.id)
    }

    /// For calls that are printed: whoever pastes one fills it in.
    pub(crate) fn without_secret(&self) -> Self {
        Self { secret: "SECRET".to_owned(), ..self.clone() }
    }

    pub(crate) fn client(&self) -> Result<Client, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        if self.id.is_empty() || self.secret.is_empty() {
            return Err("expected an id and a secret".to_owned());
        }
        let plain = Secret::from(self.secret.as_str());
        let secret = match self.contract {
            // Tokens are signed with it: too short a one signs nothing.
            Contract::TwoBttns => {
                JwtSigner::hmac(Algorithm::HS256, plain.clone()).map(|_| ClientSecret::hmac_key(plain))
            }
            // Found by its digest alone.
            Contract::Botlhale => ClientSecret::random(&plain),
            _ if self.secret.len() >= MACHINE_MADE => ClientSecret::random(&plain),
            _ => ClientSecret::password(&plain),
        };
        let scopes = Scopes::parse(&self.scopes.join(" ")).map_err(|error| text(&error))?;
        let mut client = Client::new(&self.id, secret.map_err(|error| text(&error))?)
            .of_system(self.contract.name())
            .with_subject(self.subject())
            .with_scopes(scopes);
        if let Some(jwks) = &self.jwks {
            client = client.or_key(jwks.to_string());
        }
        Ok(client)
    }
}

/// 256 random bits in base64, with the characters that clients forget to encode.
fn secret() -> Result<String, String> {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use tower_bearer::pat::PatFormat;
    // The crate has no generator of its own to offer; a token of its format has 178 bits.
    let random = PatFormat::netbird().generate().map_err(|error| error.to_string())?;
    Ok(STANDARD.encode(&random.expose()[4..34]))
}
