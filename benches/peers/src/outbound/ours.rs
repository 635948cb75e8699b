//! `AttachLayer` over a `CachedSource` and over a `StaticToken`.

use std::time::Duration;

use tower::Layer;
use tower_bearer::source::{CachedSource, StaticToken, TokenSource};
use tower_bearer::{AttachLayer, Clock, Eventual, Scheme, SystemClock, Token, TokenError};

use super::{cloned, sent, token};
use crate::drive::{self, Body, Heads};
use crate::measure::Contestant;

/// In place of a token endpoint: a token for a day.
struct Day;

impl TokenSource for Day {
    fn token(&self) -> Eventual<Result<Token, TokenError>> {
        let made = Token::new(Scheme::Bearer, token()).expect("a token");
        Eventual::now(Ok(made.expiring(SystemClock::new().now(), Duration::from_secs(24 * 3600))))
    }
}

pub async fn contestants(heads: &Heads) -> Vec<Contestant> {
    let cached = CachedSource::new(Day);
    cached.token().await.expect("a token");
    let cached = AttachLayer::to("https://api.example", cached).expect("an origin");
    let fixed = StaticToken::new(Scheme::Bearer, token()).expect("a token");
    let fixed = AttachLayer::to("https://api.example", fixed).expect("an origin");
    vec![
        cloned("tower-bearer, cached", heads, cached.layer(drive::handler::<Body, Body>(sent))),
        cloned("tower-bearer, static", heads, fixed.layer(drive::handler::<Body, Body>(sent))),
    ]
}
