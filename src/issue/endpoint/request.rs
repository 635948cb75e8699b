//! A request, read as one of the contracts describes it: the way back from `source`'s.

use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method};

use super::super::fault::Fault;
use super::super::form::Form;
use crate::contract::{ClientAuth, Parameter, Place, TokenContract, lifetime};
use crate::scope::Scopes;
use crate::secret::Secret;

/// What was asked, and by which contract.
pub(super) struct Asked<'a> {
    pub(super) contract: &'a TokenContract,
    pub(super) form: Form,
    query: Form,
    headers: &'a HeaderMap,
}

impl<'a> Asked<'a> {
    pub(super) async fn read(
        contracts: &'a [TokenContract],
        head: &'a Parts,
        body: Bytes,
    ) -> Result<Self, Fault> {
        let query = Form::parse(head.uri.query().unwrap_or_default().as_bytes())?;
        let in_body = contracts.iter().any(has_body);
        let form = if in_body {
            let accepts = |encoding| contracts.iter().any(|contract| contract.accepts(encoding));
            Form::read(&head.headers, body, accepts).await?
        } else {
            Form::parse(&[])?
        };
        // RFC 6749 §2.3.1: what belongs into the body must not be in the URL, where logs keep it.
        let misplaced = ["client_secret", "client_assertion", "refresh_token"];
        if in_body && misplaced.iter().any(|name| query.get(name).is_some()) {
            return Err(Fault::Request("expected credentials in the body, not in the query"));
        }
        let contract = choose(contracts, &form)?;
        Ok(Self { contract, form, query, headers: &head.headers })
    }

    /// The id and the secret of systems that have parameters of their own for them.
    pub(super) fn id_and_secret(&self) -> Result<Option<(&str, Secret)>, Fault> {
        if self.contract.client_auth != ClientAuth::None {
            return Ok(None);
        }
        let id = self.value(&Parameter::ClientId)?;
        let secret = self.value(&Parameter::ClientSecret)?;
        Ok(Some((id, secret.into())))
    }

    /// The refresh token, where it is all the proof.
    pub(super) fn refresh_token_alone(&self) -> Result<Option<&str>, Fault> {
        match self.contract.client_auth {
            ClientAuth::None => self.refresh_token().map(Some),
            _ => Ok(None),
        }
    }

    pub(super) fn refresh_token(&self) -> Result<&str, Fault> {
        self.value(&Parameter::RefreshToken)
    }

    /// The value of a parameter that the contract has.
    fn value(&self, parameter: &Parameter) -> Result<&str, Fault> {
        let described = self.contract.parameters.iter().find(|(_, _, own)| own == parameter);
        let (place, name, _) = described.ok_or(Fault::Client)?;
        let value = match place {
            Place::Body => self.form.get(name),
            Place::Query => self.query.get(name),
            Place::Header => {
                let mut lines = self.headers.get_all(name.as_str()).iter();
                match (lines.next(), lines.next()) {
                    (Some(line), None) => line.to_str().ok().filter(|value| !value.is_empty()),
                    _ => None,
                }
            }
        };
        value.ok_or_else(|| Fault::Parameter(name.clone()))
    }

    /// RFC 6749 §3.3: what is asked for, of what may be had; all of it where nothing is asked for. A refresh
    /// token has to be asked for.
    pub(super) fn scopes(&self, allowed: &Scopes) -> Result<Scopes, Fault> {
        let Some(text) = self.scope_text() else {
            return Ok(Scopes::from_values(allowed.iter().filter(|scope| *scope != super::OFFLINE_ACCESS)));
        };
        let scopes = Scopes::parse(text).map_err(|_| Fault::Scope)?;
        if allowed.contains_all(&scopes) { Ok(scopes) } else { Err(Fault::Scope) }
    }

    fn scope_text(&self) -> Option<&str> {
        self.contract.scope_at.as_ref().and_then(|_| self.form.get("scope"))
    }

    pub(super) fn wants(&self, scope: &str) -> bool {
        self.scope_text().is_some_and(|text| text.split(' ').any(|own| own == scope))
    }

    /// RFC 6749 §5.1: the scope is said unless it is what was asked for.
    pub(super) fn says_scope(&self) -> bool {
        self.contract.scope_at.is_some() && self.scope_text().is_none()
    }

    /// The lifetime that is asked for. One that is over as it begins is none.
    pub(super) fn lifetime(&self) -> Result<Option<Duration>, Fault> {
        let Some((place, name)) = &self.contract.lifetime_parameter else { return Ok(None) };
        let text = match place {
            Place::Body => self.form.raw(name),
            Place::Query => self.query.raw(name),
            Place::Header => self.headers.get(name.as_str()).and_then(|value| value.to_str().ok()),
        };
        let Some(text) = text else { return Ok(None) };
        let lifetime = lifetime::parse(text).filter(|lifetime| lifetime.as_secs() > 0);
        let wrong = "\"expiresIn\" should be a number of seconds or string representing a timespan";
        lifetime.map(Some).ok_or(Fault::Lifetime(wrong))
    }
}

/// The contract whose fixed parameters are all there.
fn choose<'a>(contracts: &'a [TokenContract], form: &Form) -> Result<&'a TokenContract, Fault> {
    let fixed = |contract: &'a TokenContract| {
        contract.parameters.iter().filter_map(|(place, name, parameter)| match (place, parameter) {
            (Place::Body, Parameter::Literal(text)) => Some((name.as_str(), text.as_str())),
            _ => None,
        })
    };
    let fits = |contract: &&TokenContract| {
        contract.parameters.iter().all(|(place, name, parameter)| match (place, parameter) {
            (Place::Body, Parameter::Literal(text)) => form.get(name) == Some(text),
            _ => true,
        })
    };
    if let Some(contract) = contracts.iter().find(fits) {
        return Ok(contract);
    }
    let missing = contracts.iter().flat_map(fixed).find(|(name, _)| form.get(name).is_none());
    match missing {
        Some((name, _)) => Err(Fault::Parameter(name.to_owned())),
        None => Err(Fault::GrantType),
    }
}

/// True if something of the request is in its body.
pub(super) fn has_body(contract: &TokenContract) -> bool {
    contract.method != Method::GET
        && (contract.client_auth != ClientAuth::None
            || contract.parameters.iter().any(|(place, _, _)| *place == Place::Body))
}

pub(super) fn is_by_refresh_token(contract: &TokenContract) -> bool {
    contract.parameters.iter().any(|(_, _, parameter)| *parameter == Parameter::RefreshToken)
}
