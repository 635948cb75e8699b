//! `tower-oauth2-resource-server`, with aws-lc-rs and a fixed key set.

use http::Request;
use jsonwebtoken::Algorithm;
use tower::Layer;
use tower_oauth2_resource_server::server::OAuth2ResourceServer;
use tower_oauth2_resource_server::tenant::TenantConfiguration;
use tower_oauth2_resource_server::validation::ClaimsValidationSpec;

use super::{BARE, Claims};
use crate::drive::{self, Body, Heads};
use crate::measure::Contestant;
use crate::tokens::{AUDIENCE, Corpus, ISSUER};

pub async fn contestants(corpus: &Corpus, heads: &Heads) -> Vec<Contestant> {
    let algorithm: Algorithm = corpus.algorithm.name().parse().expect("a known algorithm");
    let rules = ClaimsValidationSpec::new().iss(ISSUER).aud(&vec![AUDIENCE.to_owned()]).exp(true);
    let tenant = TenantConfiguration::static_builder(corpus.jwks.clone())
        .claims_validation(rules)
        .allowed_algorithms(&[algorithm])
        .build()
        .expect("a tenant");
    let server = OAuth2ResourceServer::<Claims>::builder().add_tenant(tenant).build().await;
    let service = server.expect("a server").into_layer::<Body>().layer(drive::handler::<Body, Body>(
        |request: &Request<Body>| request.extensions().get::<Claims>().is_some_and(Claims::look),
    ));
    vec![drive::service::<Body, _, _>("tower-oauth2-resource-server 0.12", Some(BARE), heads, move || {
        service.clone()
    })]
}
