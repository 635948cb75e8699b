//! Clients.

use std::sync::atomic::Ordering;

use super::pool::{Connection, Row, Value};
use super::{Shared, SqlStore, names};
use crate::error::BoxError;
use crate::eventual::Eventual;
use crate::scope::Scopes;
use crate::secret::Secret;
use crate::store::{Client, ClientSecret, ClientStore, Stored, TokenDigest};

const FIND: &str = "SELECT system, id, subject, scopes, secret, jwks FROM bearer_clients WHERE id = $1";
const FIND_BY_DIGEST: &str =
    "SELECT system, id, subject, scopes, secret, jwks FROM bearer_clients WHERE secret_digest = $1";
const ANY_PASSWORD: &str = "SELECT id FROM bearer_clients WHERE is_password = 1 LIMIT 1";
const REMOVE_ALL: &str = "DELETE FROM bearer_clients";
const PUT: &str = "INSERT INTO bearer_clients
    (id, system, subject, scopes, secret, secret_digest, is_password, jwks)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (id, system) DO UPDATE SET subject = excluded.subject, scopes = excluded.scopes,
    secret = excluded.secret, secret_digest = excluded.secret_digest, is_password = excluded.is_password,
    jwks = excluded.jwks";

impl SqlStore {
    /// Registers a client, in the place of the one of the same system and id. It is durable before this answers.
    pub fn put_client(&self, client: Client) -> Stored<()> {
        self.ask(|shared| async move {
            shared.note(&client);
            put(&mut shared.pool.writer().await?, &client).await
        })
    }

    /// Registers these clients and no others: whoever is not among them may ask for nothing any more. All of
    /// it is done, or nothing.
    pub fn set_clients(&self, clients: Vec<Client>) -> Stored<()> {
        self.ask(|shared| async move {
            clients.iter().for_each(|client| shared.note(client));
            let mut connection = shared.pool.transaction().await?;
            connection.execute(REMOVE_ALL, &[]).await?;
            for client in &clients {
                put(&mut connection, client).await?;
            }
            connection.commit().await
        })
    }
}

async fn put(connection: &mut Connection, client: &Client) -> Result<(), BoxError> {
    let texts = [client.id.as_str(), &client.system, &client.subject, client.jwks().unwrap_or_default()];
    names::keep(&texts)?;
    let (scopes, secret) = (client.scopes.to_string(), client.secret().map(ClientSecret::to_stored));
    let digest = client.secret().and_then(ClientSecret::digest);
    let values = [
        (&client.id).into(),
        (&client.system).into(),
        (&client.subject).into(),
        (&scopes).into(),
        Value::Bytes(secret.as_ref().map(Secret::expose)),
        Value::Bytes(digest.as_ref().map(|digest| &digest.as_bytes()[..])),
        i64::from(has_password(client)).into(),
        Value::Text(client.jwks()),
    ];
    connection.execute(PUT, &values).await?;
    Ok(())
}

impl ClientStore for SqlStore {
    fn find(&self, id: &str) -> Stored<Vec<Client>> {
        if !names::can_be_kept(id) {
            return Eventual::now(Ok(Vec::new()));
        }
        let id = id.to_owned();
        self.ask(|shared| async move { shared.clients(FIND, (&id).into()).await })
    }

    fn find_by_digest(&self, digest: TokenDigest) -> Stored<Vec<Client>> {
        self.ask(|shared| async move { shared.clients(FIND_BY_DIGEST, (&digest).into()).await })
    }

    /// True once this process has seen one: when it opened the store, found one, or put one in.
    fn may_hold_passwords(&self) -> bool {
        self.shared.passwords.load(Ordering::Relaxed)
    }
}

impl Shared {
    pub(super) async fn look_for_passwords(&self) -> Result<(), BoxError> {
        let rows = self.pool.reader().await?.fetch(ANY_PASSWORD, &[]).await?;
        self.passwords.fetch_or(!rows.is_empty(), Ordering::Relaxed);
        Ok(())
    }

    async fn clients(&self, sql: &'static str, value: Value<'_>) -> Result<Vec<Client>, BoxError> {
        let rows = self.pool.reader().await?.fetch(sql, &[value]).await?;
        let mut clients = rows.iter().map(client).collect::<Result<Vec<_>, _>>()?;
        clients.sort_by(|a, b| a.system.cmp(&b.system));
        clients.iter().for_each(|client| self.note(client));
        Ok(clients)
    }

    fn note(&self, client: &Client) {
        self.passwords.fetch_or(has_password(client), Ordering::Relaxed);
    }
}

fn has_password(client: &Client) -> bool {
    client.secret().is_some_and(ClientSecret::is_password)
}

fn client(row: &Row) -> Result<Client, BoxError> {
    let secret = row.maybe("secret", Row::bytes)?.map(Secret::new);
    Ok(Client {
        system: row.text("system")?,
        id: row.text("id")?,
        subject: row.text("subject")?,
        scopes: Scopes::parse(&row.text("scopes")?)?,
        secret: secret.as_ref().map(ClientSecret::from_stored).transpose()?,
        jwks: row.maybe("jwks", Row::text)?,
    })
}
