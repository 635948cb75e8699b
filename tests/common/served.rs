//! What tests of services share: whole answers, and stores that count and do as they are told.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tokio::sync::Notify;
use tower::{Service, ServiceExt};
use tower_bearer::Eventual;
use tower_bearer::store::{MemoryStore, PersonalToken, Revocations, Stored, TokenDigest, TokenStore};

pub(crate) type Body = Full<Bytes>;

/// A whole answer; two of them are equal only byte for byte.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn of<S>(service: &S, request: Request<Body>) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>> + Clone,
        S::Error: std::fmt::Debug,
    {
        let (head, body) = service.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        Self { status: head.status.as_u16(), headers: head.headers, text }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub(crate) fn at(unix_seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(unix_seconds.try_into().unwrap())
}

/// Lets background work run without moving time.
pub(crate) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Touch {
    Fail,
    Hang,
    Work,
}

/// A store of personal access tokens in memory that counts what it is asked, and can be down, slow, or both.
#[derive(Clone)]
pub(crate) struct Scripted(Arc<Inner>);

struct Inner {
    store: MemoryStore,
    finds: AtomicUsize,
    down: AtomicBool,
    touch: Mutex<Touch>,
    touches: Mutex<Vec<SystemTime>>,
    slow: Mutex<Option<Arc<Notify>>>,
}

impl Scripted {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            store: MemoryStore::new(),
            finds: AtomicUsize::new(0),
            down: AtomicBool::new(false),
            touch: Mutex::new(Touch::Work),
            touches: Mutex::default(),
            slow: Mutex::default(),
        }))
    }

    pub(crate) fn finds(&self) -> usize {
        self.0.finds.load(Ordering::SeqCst)
    }

    pub(crate) fn touches(&self) -> Vec<SystemTime> {
        self.0.touches.lock().unwrap().clone()
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.0.down.store(down, Ordering::SeqCst);
    }

    pub(crate) fn set_touch(&self, touch: Touch) {
        *self.0.touch.lock().unwrap() = touch;
    }

    /// From now on, what is found is read at once and told only when the returned bell rings.
    pub(crate) fn slow_down(&self) -> Arc<Notify> {
        let bell = Arc::new(Notify::new());
        *self.0.slow.lock().unwrap() = Some(Arc::clone(&bell));
        bell
    }

    pub(crate) fn speed_up(&self) {
        *self.0.slow.lock().unwrap() = None;
    }

    fn or_down<T>(&self, work: impl FnOnce(&MemoryStore) -> Stored<T>) -> Stored<T> {
        if self.0.down.load(Ordering::SeqCst) {
            Eventual::now(Err("canary: connection refused".into()))
        } else {
            work(&self.0.store)
        }
    }
}

impl TokenStore for Scripted {
    fn find(&self, digest: TokenDigest) -> Stored<Option<PersonalToken>> {
        self.0.finds.fetch_add(1, Ordering::SeqCst);
        let found = self.or_down(|store| TokenStore::find(store, digest));
        match self.0.slow.lock().unwrap().clone() {
            None => found,
            Some(bell) => Eventual::later(async move {
                bell.notified().await;
                found.await
            }),
        }
    }

    fn insert(&self, digest: TokenDigest, token: PersonalToken) -> Stored<()> {
        self.or_down(|store| store.insert(digest, token))
    }

    fn list(&self, owner: &str) -> Stored<Vec<PersonalToken>> {
        self.or_down(|store| store.list(owner))
    }

    fn revoke(&self, owner: &str, id: &str) -> Stored<bool> {
        self.or_down(|store| TokenStore::revoke(store, owner, id))
    }

    fn touch(&self, id: &str, at: SystemTime) -> Stored<()> {
        self.0.touches.lock().unwrap().push(at);
        match *self.0.touch.lock().unwrap() {
            Touch::Fail => Eventual::now(Err("canary: read-only".into())),
            Touch::Hang => Eventual::later(std::future::pending()),
            Touch::Work => self.or_down(|store| store.touch(id, at)),
        }
    }

    fn revocations(&self) -> Revocations {
        TokenStore::revocations(&self.0.store)
    }
}
