//! One request to a gateway's internal port.

use std::fmt::Display;
use std::net::SocketAddr;

use axum::body::{Body, Bytes, to_bytes};
use http::{Request, StatusCode, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::reading::Missing;

/// Longest answer that is read, in bytes: the errors of a configuration may be many.
const LONGEST: usize = 256 * 1024;

/// Sends `request`, which names a path, and gives the body of its answer.
///
/// # Errors
/// When there is none, or it has another status than 200.
pub(super) async fn exchange(
    address: SocketAddr,
    mut request: Request<Body>,
) -> Result<Bytes, Missing> {
    let unreachable = |error: &dyn Display| Missing::Unreachable(error.to_string());
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| unreachable(&error))?;
    let (mut sender, connection) = http1::handshake::<_, Body>(TokioIo::new(stream))
        .await
        .map_err(|error| unreachable(&error))?;
    let question = async {
        let host = header::HeaderValue::try_from(address.to_string());
        let host = host.map_err(|error| unreachable(&error))?;
        request.headers_mut().insert(header::HOST, host);
        let close = header::HeaderValue::from_static("close");
        request.headers_mut().insert(header::CONNECTION, close);
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| unreachable(&error))?;
        if answer.status() != StatusCode::OK {
            return Err(Missing::Malformed(format!(
                "HTTP status {}",
                answer.status()
            )));
        }
        to_bytes(Body::new(answer.into_body()), LONGEST)
            .await
            .map_err(|error| Missing::Malformed(error.to_string()))
    };
    // The connection is driven for as long as the question lasts, and ends with it.
    tokio::pin!(question);
    tokio::select! {
        body = &mut question => body,
        driven = connection => match driven {
            Ok(()) => question.await,
            Err(error) => Err(unreachable(&error)),
        },
    }
}
