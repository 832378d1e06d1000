//! The requests of one connection, and what they come to.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::routing::future::RouteFuture;
use http::{Request, Response};
use hyper::body::Incoming;
use tower::Service as _;

use super::public::Public;
use super::refusal::Refusal;
use super::upgrade::{Agreed, upgrade};

/// Answers one connection's requests. Lives and dies with it, so what a handshake agreed on is
/// kept here for whoever takes the socket when HTTP is done with it.
#[derive(Debug)]
pub(super) struct Exchange {
    public: Arc<Public>,
    peer: SocketAddr,
    /// Whether a request came.
    asked: AtomicBool,
    /// Nobody else ever has the lock: it is here because a service is called by shared reference.
    agreed: Mutex<Option<Agreed>>,
}

impl Exchange {
    pub(super) fn new(public: Arc<Public>, peer: SocketAddr) -> Self {
        Self {
            public,
            peer,
            asked: AtomicBool::new(false),
            agreed: Mutex::new(None),
        }
    }

    /// Whether the client got as far as a request.
    pub(super) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// What was agreed on, if a request was answered with 101.
    pub(super) fn into_agreed(self) -> Option<Agreed> {
        let agreed = self.agreed.into_inner();
        agreed.unwrap_or_else(PoisonError::into_inner)
    }

    fn upgrade(&self, request: Request<Incoming>) -> Response<Body> {
        let client = self.public.client(self.peer.ip(), request.headers());
        match upgrade(&self.public, client, request) {
            Ok((agreed, response)) => {
                let mut slot = self.agreed.lock().unwrap_or_else(PoisonError::into_inner);
                *slot = Some(agreed);
                response
            }
            Err(refusal) => self.public.refuse(client, refusal),
        }
    }
}

impl hyper::service::Service<Request<Incoming>> for Exchange {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        self.asked.store(true, Ordering::Relaxed);
        // Handshakes do not pass through the router: they are what comes in a storm.
        if request.uri().path() == self.public.socket_path {
            return Answer::Now(ready(Ok(self.upgrade(request))));
        }
        if self.public.lifecycle.is_draining() {
            return Answer::Now(ready(Ok(Refusal::draining().into_response())));
        }
        Answer::Routed(Box::pin(self.public.router.clone().call(request)))
    }
}

/// An answer, or the way to one.
pub(super) enum Answer {
    Now(Ready<Result<Response<Body>, Infallible>>),
    Routed(Pin<Box<RouteFuture<Infallible>>>),
}

impl Future for Answer {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Now(answer) => Pin::new(answer).poll(cx),
            Self::Routed(answer) => answer.as_mut().poll(cx),
        }
    }
}
