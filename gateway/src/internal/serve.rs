//! Connections to the internal port: HTTP/1.1, and HTTP/2 without TLS for who begins with its preface (gRPC).

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tower::ServiceBuilder;

use super::{Internal, router};
use crate::drain::{Lifecycle, Phase};

/// How often a client of HTTP/2 that says nothing is asked whether it lives, and how long it may take to say so.
const PING_AFTER: Duration = Duration::from_secs(30);
const PONG_WITHIN: Duration = Duration::from_secs(10);
/// Calls of one connection at once: a proxy has one connection for many clients.
const STREAMS: u32 = 4096;
/// Headers of a call, and what of an answer waits in this process for its client: as for a WebSocket's socket.
const HEADER_BYTES: u32 = 16 * 1024;
const UNSENT_BYTES: usize = 64 * 1024;
/// After a socket could not be accepted: most of those faults pass when others close.
const AGAIN: Duration = Duration::from_millis(50);

/// Serves the internal port until it is dropped. When the gateway drains, clients of HTTP/2 are told to call elsewhere;
/// what is under way goes on.
pub async fn serve(listener: TcpListener, internal: Internal) {
    let lifecycle = Arc::clone(&internal.lifecycle);
    let router = router(internal);
    let mut http = Builder::new(TokioExecutor::new());
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PONG_WITHIN)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADER_BYTES)
        .max_send_buf_size(UNSENT_BYTES);
    let http = Arc::new(http);
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                let (http, router) = (Arc::clone(&http), router.clone());
                let lifecycle = Arc::clone(&lifecycle);
                tokio::spawn(
                    async move { connection(&http, socket, peer, router, &lifecycle).await },
                );
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to the internal port can't be accepted");
                sleep(AGAIN).await;
            }
        }
    }
}

async fn connection(
    http: &Builder<TokioExecutor>,
    socket: TcpStream,
    peer: SocketAddr,
    router: Router,
    lifecycle: &Lifecycle,
) {
    let service = ServiceBuilder::new()
        .map_request(move |mut request: http::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            request.map(axum::body::Body::new)
        })
        .service(router);
    let serving = http.serve_connection(TokioIo::new(socket), TowerToHyperService::new(service));
    let mut serving = pin!(serving);
    // One that comes later may look how far the drain is, as supervisors do.
    if !lifecycle.is_draining() {
        tokio::select! {
            _ = serving.as_mut() => return, // how it ended is the client's affair
            () = lifecycle.until(Phase::Draining) => serving.as_mut().graceful_shutdown(),
        }
    }
    let _ = serving.await;
}
