//! Where clients ask about tokens that were issued here, or hand them back: who asks, and what a token is.

use std::sync::Arc;

use http::Method;
use http::request::Parts;
use http_body::Body;
use zeroize::Zeroizing;

use super::clients::Clients;
use super::fault::Fault;
use super::form::Form;
use super::http::read;
use crate::contract::Encoding;
use crate::credential::{Credential, Scheme};
use crate::error::BoxError;
use crate::identity::Identity;
use crate::rejection::{Rejection, RejectionKind};
use crate::store::{Client, ClientStore, RefreshStore};
use crate::verify::Verify;

/// What introspection and revocation have in common.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) clients: Clients,
    pub(super) verifier: Arc<dyn Verify>,
    pub(super) refresh: Option<Arc<dyn RefreshStore>>,
}

impl Desk {
    pub(super) fn new(verifier: impl Verify, clients: impl ClientStore) -> Self {
        Self { clients: Clients::new(Arc::new(clients)), verifier: Arc::new(verifier), refresh: None }
    }

    /// The client that asks, and the token that it asks about.
    pub(super) async fn open<B>(&self, head: &Parts, body: B) -> Result<(Client, Zeroizing<String>), Fault>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        if head.method != Method::POST {
            return Err(Fault::Method("POST"));
        }
        let only_forms = |encoding| encoding == Encoding::Form;
        let form = Form::read(&head.headers, read(body).await?, only_forms).await?;
        let client = self.clients.authenticate(&head.headers, &form).await?;
        let token = form.get("token").ok_or_else(|| Fault::Parameter("token".to_owned()))?;
        Ok((client, Zeroizing::new(token.to_owned())))
    }

    /// What a token proves. `None` if it proves nothing.
    pub(super) async fn identify(&self, token: &str) -> Result<Option<Identity>, Fault> {
        match self.verifier.verify(&Credential::new(Scheme::Bearer, token)).await {
            Ok(identity) => Ok(Some(identity)),
            Err(rejection) if rejection.kind() == RejectionKind::Unavailable => Err(unavailable(&rejection)),
            Err(_) => Ok(None),
        }
    }
}

fn unavailable(rejection: &Rejection) -> Fault {
    let source = std::error::Error::source(rejection).map(ToString::to_string);
    Fault::Unavailable(source.unwrap_or_else(|| rejection.to_string()).into())
}
