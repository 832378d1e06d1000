//! An API server that keeps one Lease, and fails as tests want it to.

use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, StatusCode};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::client::Body;
use serde_json::json;

/// An API server with one Lease.
#[derive(Clone, Default)]
pub(super) struct Server(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    lease: Option<Lease>,
    version: u64,
    /// How requests fail at present.
    fault: Fault,
    /// How often it was written.
    writes: usize,
}

#[derive(Default, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    #[default]
    None,
    /// Answers 500.
    Error,
    /// Does not answer.
    Silent,
    /// Does what it is asked, but the answer is lost.
    AnswerLost,
}

impl Server {
    pub(super) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        Client::new(service, "default")
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await.unwrap();
        let fault = self.0.lock().unwrap().fault;
        match fault {
            Fault::Silent => pending().await,
            Fault::Error => return status(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
            Fault::None | Fault::AnswerLost => {}
        }
        let answer = self.keep(&parts.method, &body);
        if fault == Fault::AnswerLost {
            pending::<()>().await;
        }
        answer
    }

    fn keep(&self, method: &Method, body: &[u8]) -> Response<Body> {
        let mut kept = self.0.lock().unwrap();
        if method == Method::GET {
            return match &kept.lease {
                Some(lease) => ok(lease),
                None => status(StatusCode::NOT_FOUND, "NotFound"),
            };
        }
        let mut lease: Lease = serde_json::from_slice(body).unwrap();
        match (method, &kept.lease) {
            (&Method::POST, Some(_)) => return status(StatusCode::CONFLICT, "AlreadyExists"),
            (&Method::POST, None) => {}
            (&Method::PUT, Some(old))
                if old.metadata.resource_version == lease.metadata.resource_version => {}
            _ => return status(StatusCode::CONFLICT, "Conflict"),
        }
        kept.version += 1;
        lease.metadata.resource_version = Some(kept.version.to_string());
        kept.writes += 1;
        kept.lease = Some(lease.clone());
        ok(&lease)
    }

    /// Fails that way from now on.
    pub(super) fn fail(&self, fault: Fault) {
        self.0.lock().unwrap().fault = fault;
    }

    /// The pod that holds the Lease.
    pub(super) fn holder(&self) -> Option<String> {
        let kept = self.0.lock().unwrap();
        let holder = kept
            .lease
            .as_ref()?
            .spec
            .as_ref()?
            .holder_identity
            .clone()?;
        Some(holder.split('_').next().unwrap().to_owned())
    }

    /// How often the Lease was written.
    pub(super) fn writes(&self) -> usize {
        self.0.lock().unwrap().writes
    }

    /// Somebody else writes the Lease.
    pub(super) fn take_away(&self) {
        let mut kept = self.0.lock().unwrap();
        let lease = kept.lease.as_mut().unwrap();
        lease.metadata.resource_version = Some("1000".into());
        lease.spec.as_mut().unwrap().holder_identity = Some("somebody_else".into());
    }

    /// Somebody deletes the Lease.
    pub(super) fn delete(&self) {
        self.0.lock().unwrap().lease = None;
    }
}

fn ok(lease: &Lease) -> Response<Body> {
    Response::new(Body::from(serde_json::to_vec(lease).unwrap()))
}

fn status(code: StatusCode, reason: &str) -> Response<Body> {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "reason": reason, "message": reason, "code": code.as_u16(),
    });
    let mut response = Response::new(Body::from(body.to_string().into_bytes()));
    *response.status_mut() = code;
    response
}
