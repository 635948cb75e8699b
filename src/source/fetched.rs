use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response, StatusCode, Uri};

use super::TokenSource;
use super::answer;
use super::request::Call;
use super::rotation::{Rotation, SaveRefreshToken};
use crate::clock::{Clock, SharedClock};
use crate::contract::{Credentials, TokenAt, TokenContract};
use crate::error::{ConfigError, TokenError};
use crate::eventual::Eventual;
use crate::flight::SingleFlight;
use crate::token::Token;
use crate::transport::{Door, Failed, Transport};

/// As long as the refresh of a cached source may take in all.
const DEADLINE: Duration = Duration::from_secs(10);
/// As golang.org/x/oauth2 has it; no token answer comes near.
const MAX_BODY: usize = 1024 * 1024;

/// Asks a token endpoint, each time it is asked: see [`CachedSource`](super::CachedSource) for one that
/// keeps the token.
///
/// The endpoint's answer is read within 10 s and 1 MiB. Redirects are refused: the request has a secret in
/// it. No error and no `Debug` shows the request's URL, which may be a secret by itself.
#[derive(Clone)]
pub struct FetchedSource {
    fetcher: Arc<Fetcher>,
    /// A refresh token that may change is used by one request at a time.
    flight: Arc<SingleFlight<Result<Token, TokenError>>>,
}

#[derive(Clone)]
struct Fetcher {
    contract: TokenContract,
    endpoint: Uri,
    credentials: Credentials,
    rotation: Rotation,
    door: Door,
    clock: SharedClock,
    posts: Arc<AtomicBool>,
}

impl FetchedSource {
    /// Asks `endpoint` as `contract` says, with `credentials`.
    ///
    /// # Errors
    ///
    /// When the endpoint is not one that secrets may be sent to (see [`transport`](crate::transport)), when
    /// a credential that the contract asks for is missing or cannot be sent that way, or when the contract
    /// contradicts itself.
    pub fn new(
        contract: TokenContract,
        endpoint: &str,
        credentials: Credentials,
        transport: impl Transport,
    ) -> Result<Self, ConfigError> {
        let door = Door::new(transport, DEADLINE, MAX_BODY);
        let endpoint = door.url("token endpoint", endpoint)?;
        let rotation = Rotation::new(credentials.refresh_token.clone());
        let posts = Arc::new(AtomicBool::new(false));
        let fetcher =
            Fetcher { contract, endpoint, credentials, rotation, door, clock: SharedClock::default(), posts };
        fetcher.check()?;
        Ok(Self { fetcher: Arc::new(fetcher), flight: Arc::new(SingleFlight::new()) })
    }

    /// Saves each new refresh token before what came with it is used. If it cannot be saved, there is no
    /// token, and the next fetch begins with saving.
    #[must_use]
    pub fn with_saver(self, saver: impl SaveRefreshToken) -> Self {
        self.with(|fetcher| fetcher.rotation.saved_by(Arc::new(saver)))
    }

    /// The clock that lifetimes are counted on.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock) -> Self {
        self.with(|fetcher| fetcher.clock = SharedClock::new(clock))
    }

    fn with(mut self, change: impl FnOnce(&mut Fetcher)) -> Self {
        change(Arc::make_mut(&mut self.fetcher));
        self
    }
}

impl Fetcher {
    fn check(&self) -> Result<(), ConfigError> {
        let contract = &self.contract;
        let in_body = match &contract.token_at {
            TokenAt::Json(pointer) => Some(pointer),
            _ => None,
        };
        let optional = [&contract.token_type_at, &contract.lifetime_at, &contract.refresh_token_at];
        let pointers = contract.required.iter().chain(in_body).chain(optional.into_iter().flatten());
        for pointer in pointers {
            if !pointer.starts_with('/') {
                return Err(ConfigError::new(
                    "pointer",
                    "expected a JSON pointer to a member, such as /access_token",
                ));
            }
        }
        self.call().request(&contract.method).map(drop)
    }

    fn call(&self) -> Call<'_> {
        Call {
            contract: &self.contract,
            endpoint: &self.endpoint,
            credentials: &self.credentials,
            refresh_token: self.rotation.current(),
            now: self.clock.now(),
        }
    }

    async fn fetch(&self) -> Result<Token, TokenError> {
        self.rotation.save().await?;
        let sent = self.clock.now();
        let first = if self.posts.load(Ordering::Relaxed) { &Method::POST } else { &self.contract.method };
        let mut response = self.send(first).await?;
        if self.contract.or_post && *first == Method::GET && is_unknown_method(response.status()) {
            response = self.send(&Method::POST).await?;
            if !is_unknown_method(response.status()) {
                self.posts.store(true, Ordering::Relaxed);
            }
        }
        let answer = answer::read(&self.contract, &response, sent)?;
        if let Some(refresh_token) = answer.refresh_token {
            self.rotation.replace(refresh_token).await?;
        }
        Ok(answer.token)
    }

    async fn send(&self, method: &Method) -> Result<Response<Bytes>, TokenError> {
        let request = self.call().request(method);
        let request = request.map_err(|error| {
            TokenError::permanent("the token request could not be made").with_source(error)
        })?;
        self.door.send(request).await.map_err(|failed| match failed {
            Failed::TimedOut | Failed::Transport(_) => {
                TokenError::transient("the token endpoint did not answer").with_source(failed)
            }
            Failed::Encoded | Failed::Redirect(_) | Failed::TooLarge => {
                TokenError::permanent("the token endpoint gave no usable answer").with_source(failed)
            }
        })
    }
}

impl TokenSource for FetchedSource {
    fn token(&self) -> Eventual<Result<Token, TokenError>> {
        let fetcher = Arc::clone(&self.fetcher);
        let fetch = async move { fetcher.fetch().await };
        if self.fetcher.contract.refresh_token_at.is_none() {
            return Eventual::later(fetch);
        }
        let flight = Arc::clone(&self.flight);
        Eventual::later(async move {
            let landed = flight.join((), fetch).await;
            landed.unwrap_or_else(|| Err(TokenError::transient("the refresh ended without an outcome")))
        })
    }
}

fn is_unknown_method(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED)
}

impl fmt::Debug for FetchedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.fetcher.endpoint.authority().map(http::uri::Authority::as_str);
        f.debug_struct("FetchedSource")
            .field("contract", &self.fetcher.contract)
            .field("endpoint", &authority)
            .field("credentials", &self.fetcher.credentials)
            .finish_non_exhaustive()
    }
}
