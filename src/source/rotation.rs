use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{BoxError, TokenError};
use crate::eventual::Eventual;
use crate::secret::Secret;

/// Keeps a new refresh token somewhere that outlives the process.
///
/// It is called before anything that came with the new refresh token is used, so that a crash right
/// afterwards loses nothing. Any closure of this form is one.
pub trait SaveRefreshToken: Send + Sync + 'static {
    /// Saves it; when this resolves, the token is safe.
    fn save(&self, refresh_token: &Secret) -> Eventual<Result<(), BoxError>>;
}

impl<F> SaveRefreshToken for F
where
    F: Fn(&Secret) -> Eventual<Result<(), BoxError>> + Send + Sync + 'static,
{
    fn save(&self, refresh_token: &Secret) -> Eventual<Result<(), BoxError>> {
        self(refresh_token)
    }
}

/// The refresh token in use. Clones share it.
#[derive(Clone)]
pub(super) struct Rotation {
    state: Arc<Mutex<State>>,
    saver: Option<Arc<dyn SaveRefreshToken>>,
}

struct State {
    token: Option<Secret>,
    saved: bool,
}

impl Rotation {
    pub(super) fn new(token: Option<Secret>) -> Self {
        Self { state: Arc::new(Mutex::new(State { token, saved: true })), saver: None }
    }

    pub(super) fn saved_by(&mut self, saver: Arc<dyn SaveRefreshToken>) {
        self.saver = Some(saver);
    }

    pub(super) fn current(&self) -> Option<Secret> {
        self.lock().token.clone()
    }

    /// Takes note of a new refresh token. The old one may be worth nothing by now, so the new one is in
    /// use from here on even if it cannot be saved; what came with it is not.
    pub(super) async fn replace(&self, token: Secret) -> Result<(), TokenError> {
        let saved = {
            let mut state = self.lock();
            if state.token.as_ref() != Some(&token) {
                *state = State { token: Some(token), saved: false };
            }
            state.saved
        };
        if saved { Ok(()) } else { self.save().await }
    }

    /// Saves what could not be saved before.
    pub(super) async fn save(&self) -> Result<(), TokenError> {
        let token = {
            let state = self.lock();
            state.token.clone().filter(|_| !state.saved)
        };
        let Some(token) = token else { return Ok(()) };
        if let Some(saver) = &self.saver {
            let failed =
                |error| TokenError::transient("the new refresh token could not be saved").with_source(error);
            saver.save(&token).await.map_err(failed)?;
        }
        let mut state = self.lock();
        if state.token.as_ref() == Some(&token) {
            state.saved = true;
        }
        Ok(())
    }

    /// A panic elsewhere leaves it whole: each change is one assignment.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rotation")
    }
}
