//! The same APIs over gRPC on the same port (`docs/grpc.md`): `linnet.v1.Channel`, and how a gateway is and what there is,
//! as gRPC has it.
//!
//! A method is a route. [`request`] is what comes in, [`exchange`] what stands around a call that has one answer, [`status`]
//! an answer that is an error, and [`response`] how answers are written. Streams that last are connections:
//! [`crate::transport::grpc`].

mod converse;
mod exchange;
mod health;
mod publish;
mod publish_stream;
mod read;
mod request;
mod response;
mod status;
mod subscribe;
mod watch;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use linnet_proto::v1::DESCRIPTOR;
use tonic::Status;
use tonic_reflection::server::Builder;

use super::Api;
use crate::drain::Lifecycle;
use crate::transport::http::Public;

/// What methods need.
#[derive(Debug, Clone)]
struct Grpc {
    api: Api,
    lifecycle: Arc<Lifecycle>,
    /// Where streams become connections.
    public: Arc<Public>,
}

impl FromRef<Grpc> for Api {
    fn from_ref(grpc: &Grpc) -> Self {
        grpc.api.clone()
    }
}

/// The services of the internal port. Their health follows `lifecycle`, in a task of the runtime that this is called in.
pub fn router(api: Api, lifecycle: Arc<Lifecycle>, public: Arc<Public>) -> Router {
    let health = health::service(Arc::clone(&lifecycle));
    let reflection = || Builder::configure().register_encoded_file_descriptor_set(DESCRIPTOR);
    let grpc = Grpc {
        api,
        lifecycle,
        public,
    };
    let mut router = Router::new()
        .route("/linnet.v1.Channel/Publish", post(publish::publish))
        .route(
            "/linnet.v1.Channel/PublishStream",
            post(publish_stream::publish_stream),
        )
        .route("/linnet.v1.Channel/History", post(read::history))
        .route("/linnet.v1.Channel/Presence", post(read::presence))
        .route("/linnet.v1.Channel/Subscribe", post(subscribe::subscribe))
        .route("/linnet.v1.Channel/Converse", post(converse::converse))
        .route("/linnet.v1.Channel/{method}", post(no_method))
        .with_state(grpc)
        .route_service("/grpc.health.v1.Health/{method}", health);
    // The descriptor is the crate's own, and a test reads it.
    if let Ok(reflection) = reflection().build_v1() {
        let path = "/grpc.reflection.v1.ServerReflection/{method}";
        router = router.route_service(path, reflection);
    }
    if let Ok(reflection) = reflection().build_v1alpha() {
        let path = "/grpc.reflection.v1alpha.ServerReflection/{method}";
        router = router.route_service(path, reflection);
    }
    router.route_layer(from_fn(only_grpc))
}

async fn no_method() -> Response {
    Status::unimplemented("there is no such method").into_http::<axum::body::Body>()
}

/// Refuses what is not gRPC as its protocol says: "gRPC over HTTP2", Requests. A browser can't send that content type to
/// another origin without asking first, and is not answered.
async fn only_grpc(request: Request, next: Next) -> Response {
    match is_grpc(request.headers()) {
        true => next.run(request).await,
        false => StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response(),
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    matches!(kind, "application/grpc" | "application/grpc+proto")
        || kind.starts_with("application/grpc;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_may_send_unasked_is_not_grpc() {
        let of = |kind: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, kind.parse().unwrap());
            is_grpc(&headers)
        };
        assert!(of("application/grpc") && of("application/grpc+proto") && of("application/grpc;x"));
        for other in [
            "text/plain",
            "application/grpc-web",
            "application/grpc+json",
            "",
        ] {
            assert!(!of(other), "{other}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }

    #[test]
    fn reflection_can_read_the_descriptor() {
        let builder = Builder::configure().register_encoded_file_descriptor_set(DESCRIPTOR);
        assert!(builder.build_v1().is_ok());
    }
}
