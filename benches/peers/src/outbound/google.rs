//! `google-cloud-auth` has no layer: its credentials of a service account, which sign a token themselves and
//! keep it, asked for each request.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use google_cloud_auth::credentials::CacheableResource;
use google_cloud_auth::credentials::service_account::Builder;
use http::{Extensions, Request};
use serde_json::json;
use tower::filter::AsyncFilterLayer;
use tower::{BoxError, Layer};

use super::{cloned, sent};
use crate::drive::{self, Body, Heads};
use crate::measure::Contestant;
use crate::tokens;

pub async fn contestants(heads: &Heads) -> Vec<Contestant> {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let account = json!({
        "client_email": "peers@project.example",
        "private_key_id": "key-1",
        "private_key": tokens::pem(pair.as_der().expect("a key").as_ref()),
        "project_id": "project",
        "universe_domain": "googleapis.com",
    });
    let credentials = Builder::new(account).build().expect("credentials");
    credentials.headers(Extensions::new()).await.expect("a token");
    let layer = AsyncFilterLayer::new(move |mut request: Request<Body>| {
        let credentials = credentials.clone();
        async move {
            match credentials.headers(Extensions::new()).await? {
                CacheableResource::New { data, .. } => request.headers_mut().extend(data),
                CacheableResource::NotModified => return Err("nothing was kept".into()),
            }
            Ok::<_, BoxError>(request)
        }
    });
    vec![cloned(
        "google-cloud-auth 1, a service account",
        heads,
        layer.layer(drive::handler::<Body, Body>(sent)),
    )]
}
