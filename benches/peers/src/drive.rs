//! Tower services under measurement: no runtime, no network, nothing to wait for.

use std::convert::Infallible;
use std::fmt::Debug;
use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use tower::Service;

use crate::measure::{Batch, Contestant};

/// The body of requests and of responses, where a peer leaves the choice.
pub type Body = Empty<Bytes>;

/// The head of requests that a batch is made of.
pub type Heads = Arc<[Request<()>]>;

/// A service that answers at once, after `look` found what it looks for in the request.
pub fn handler<B, R>(
    look: fn(&Request<B>) -> bool,
) -> impl Service<Request<B>, Response = Response<R>, Error = Infallible, Future: Send> + Clone + Send + 'static
where
    B: 'static,
    R: Default + Send + 'static,
{
    tower::service_fn(move |request: Request<B>| -> Ready<Result<Response<R>, Infallible>> {
        let mut response = Response::new(R::default());
        if !look(&request) {
            *response.status_mut() = http::StatusCode::IM_A_TEAPOT;
        }
        ready(Ok(response))
    })
}

/// A contestant that is a tower service; `make` makes it anew for each batch.
pub fn service<B, R, S>(
    name: &'static str,
    over: Option<&'static str>,
    heads: &Heads,
    mut make: impl FnMut() -> S + 'static,
) -> Contestant
where
    B: Default + 'static,
    R: 'static,
    S: Service<Request<B>, Response = R> + 'static,
    S::Error: Debug,
    R: Status,
{
    let heads = heads.clone();
    Contestant::new(name, over, move || -> Batch {
        let mut requests = requests(&heads).into_iter();
        let mut service = make();
        Box::new(move || drive(&mut service, &mut requests))
    })
}

/// How many of the requests are answered with a 200.
pub fn drive<B, S>(service: &mut S, requests: impl Iterator<Item = Request<B>>) -> usize
where
    S: Service<Request<B>>,
    S::Error: Debug,
    S::Response: Status,
{
    let mut context = Context::from_waker(Waker::noop());
    let mut good = 0;
    for request in requests {
        assert!(service.poll_ready(&mut context).is_ready(), "the service is ready");
        match pin!(service.call(request)).poll(&mut context) {
            Poll::Ready(Ok(response)) => good += usize::from(response.is_ok()),
            Poll::Ready(Err(error)) => panic!("{error:?}"),
            Poll::Pending => panic!("there is nothing to wait for"),
        }
    }
    good
}

fn requests<B: Default>(heads: &Heads) -> Vec<Request<B>> {
    heads.iter().map(|head| head.clone().map(|()| B::default())).collect()
}

/// What a response says of itself.
pub trait Status {
    fn is_ok(&self) -> bool;
}

impl<R> Status for Response<R> {
    fn is_ok(&self) -> bool {
        self.status() == http::StatusCode::OK
    }
}
