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

use super::entrance::Entrance;
use super::lease::Lease;
use super::public::Public;
use super::refusal::Refusal;
use super::upgrade::{Admitted, Agreed, Unidentified, change, upgrade, verb};
use crate::auth::TokenError;
use crate::protocol::engineio::Step;
use crate::transport::address::client::Client;
use crate::transport::{polling, sse};

/// Answers one connection's requests. Lives and dies with it, so what a handshake agreed on is
/// kept here for whoever takes the socket when HTTP is done with it.
#[derive(Debug)]
pub(super) struct Exchange {
    public: Arc<Public>,
    peer: SocketAddr,
    lease: Arc<Lease>,
    /// Whether a request came.
    asked: AtomicBool,
    /// Where the first handshake was let in already.
    admitted: Mutex<Option<Admitted>>,
    /// Nobody else ever has the lock: it is here because a service is called by shared reference.
    agreed: Arc<Mutex<Option<Agreed>>>,
}

impl Exchange {
    pub(super) fn new(
        public: Arc<Public>,
        peer: SocketAddr,
        lease: Arc<Lease>,
        admitted: Option<Admitted>,
    ) -> Self {
        Self {
            public,
            peer,
            lease,
            asked: AtomicBool::new(false),
            admitted: Mutex::new(admitted),
            agreed: Arc::default(),
        }
    }

    /// The port that it came through.
    pub(super) fn public(&self) -> &Arc<Public> {
        &self.public
    }

    /// Whether the client got as far as a request.
    pub(super) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// The time that it has.
    pub(super) fn lease(&self) -> &Arc<Lease> {
        &self.lease
    }

    /// What was agreed on, if a request was answered with 101.
    pub(super) fn into_agreed(self) -> Option<Agreed> {
        let mut agreed = self.agreed.lock().unwrap_or_else(PoisonError::into_inner);
        agreed.take()
    }

    fn enter(&self, request: Request<Incoming>, entrance: Entrance) -> Answer {
        let client = self.public.client(self.peer.ip(), request.headers());
        if entrance == Entrance::Socket {
            return self.upgrade(request, entrance, client);
        }
        let query = request.uri().query().unwrap_or_default();
        match Step::read(query, verb(request.method(), request.headers())) {
            Ok(Step::WebSocket) => self.upgrade(request, entrance, client),
            Ok(Step::Upgrade(sid)) => {
                let sid = sid.to_owned();
                let agreed = change(&self.public, entrance, request, &sid);
                Answer::now(settle(&self.public, client, &self.agreed, agreed))
            }
            _ => {
                let (public, lease) = (Arc::clone(&self.public), Arc::clone(&self.lease));
                let protocols = entrance.protocols();
                let answer = polling::answer(public, protocols, client, request, lease);
                Answer::Later(Box::pin(answer))
            }
        }
    }

    fn upgrade(&self, request: Request<Incoming>, entrance: Entrance, client: Client) -> Answer {
        let admitted = {
            let mut admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner);
            admitted.take()
        };
        let candidate = match upgrade(&self.public, client, entrance, request, admitted) {
            Ok(candidate) => candidate,
            Err(refusal) => return Answer::now(self.public.refuse(client.address, refusal)),
        };
        match candidate.identify(&self.public) {
            Ok(identity) => {
                let agreed = candidate.agree(identity);
                Answer::now(settle(&self.public, client, &self.agreed, agreed))
            }
            Err(Unidentified::Refused(refusal)) => {
                Answer::now(self.public.refuse(client.address, refusal))
            }
            Err(Unidentified::Fetching) => {
                let public = Arc::clone(&self.public);
                let slot = Arc::clone(&self.agreed);
                Answer::Later(Box::pin(async move {
                    public.tokens.fetched().await;
                    let agreed = match candidate.identify(&public) {
                        Ok(identity) => candidate.agree(identity),
                        Err(Unidentified::Refused(refusal)) => Err(refusal),
                        Err(Unidentified::Fetching) => Err(Refusal::token(TokenError::Fetching)),
                    };
                    settle(&public, client, &slot, agreed)
                }))
            }
        }
    }
}

/// Keeps what was agreed on, and gives the answer.
fn settle(
    public: &Public,
    client: Client,
    slot: &Mutex<Option<Agreed>>,
    agreed: Result<(Agreed, Response<Body>), Refusal>,
) -> Response<Body> {
    match agreed {
        Ok((agreed, response)) => {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(agreed);
            response
        }
        Err(refusal) => public.refuse(client.address, refusal),
    }
}

impl hyper::service::Service<Request<Incoming>> for Exchange {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        self.asked.store(true, Ordering::Relaxed);
        // Handshakes do not pass through the router: they are what comes in a storm.
        if let Some(entrance) = self.public.entrance(request.uri().path()) {
            return self.enter(request, entrance);
        }
        if request.uri().path() == self.public.events_path {
            let client = self.public.client(self.peer.ip(), request.headers());
            let (public, lease) = (Arc::clone(&self.public), Arc::clone(&self.lease));
            return Answer::Later(Box::pin(sse::answer(public, client, request, lease)));
        }
        if self.public.lifecycle.is_draining() {
            return Answer::now(Refusal::draining().into_response());
        }
        Answer::Routed(Box::pin(self.public.router.clone().call(request)))
    }
}

/// An answer, or the way to one.
pub(super) enum Answer {
    Now(Ready<Result<Response<Body>, Infallible>>),
    Routed(Pin<Box<RouteFuture<Infallible>>>),
    Later(Pin<Box<dyn Future<Output = Response<Body>> + Send>>),
}

impl Answer {
    fn now(response: Response<Body>) -> Self {
        Self::Now(ready(Ok(response)))
    }
}

impl Future for Answer {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Now(answer) => Pin::new(answer).poll(cx),
            Self::Routed(answer) => answer.as_mut().poll(cx),
            Self::Later(answer) => answer.as_mut().poll(cx).map(Ok),
        }
    }
}
