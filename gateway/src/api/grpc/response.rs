//! How answers are written: "gRPC over HTTP2", Responses.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use prost::Message;
use tokio::sync::mpsc;
use tonic::Status;

use super::super::problem::Problem;

/// Before each message: whether it is compressed, in one byte, and its length in four.
const PREFIX: usize = 5;

/// Appends a message.
pub(super) fn frame(message: &impl Message, out: &mut Vec<u8>) {
    prefix(message.encoded_len(), out);
    let _ = message.encode(out); // it grows as need be
}

/// Appends a message that is written already.
pub(super) fn frame_of(message: &[u8], out: &mut Vec<u8>) {
    prefix(message.len(), out);
    out.extend_from_slice(message);
}

fn prefix(length: usize, out: &mut Vec<u8>) {
    out.reserve(PREFIX + length);
    out.push(0);
    out.extend_from_slice(&(length as u32).to_be_bytes()); // pages and messages are far below 4 GiB
}

/// The one answer to a call.
pub(super) fn answered(message: &impl Message) -> Response {
    let mut bytes = Vec::new();
    frame(message, &mut bytes);
    let trailers = async { Some(Ok(trailers(&Status::ok("")))) };
    response(Full::from(bytes).with_trailers(trailers))
}

/// The answer that what `run` sends is, and at the end what it gives.
pub(super) fn stream<F>(run: impl FnOnce(mpsc::Sender<Bytes>) -> F) -> Response
where
    F: Future<Output = Status> + Send + 'static,
{
    let (sender, pieces) = mpsc::channel(1);
    response(Pieces {
        run: Some(Box::pin(run(sender))),
        pieces,
        status: None,
    })
}

fn response<B>(body: B) -> Response
where
    B: http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let mut response = Response::new(Body::new(body));
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// An answer that is an error.
pub(super) fn refused(problem: Problem) -> Response {
    Status::from(problem).into_http()
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    let _ = status.add_header(&mut trailers); // what it says is percent-encoded
    trailers
}

/// A stream that tells piece by piece. It does its work when it is asked for more: while the client takes nothing, nothing is
/// taken of its session either, and that finds a slow client.
struct Pieces {
    /// Until it has ended.
    run: Option<Pin<Box<dyn Future<Output = Status> + Send>>>,
    pieces: mpsc::Receiver<Bytes>,
    /// How it has ended, until that is told.
    status: Option<Status>,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Poll::Ready(Some(piece)) = self.pieces.poll_recv(context) {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if let Some(run) = &mut self.run
            && let Poll::Ready(status) = run.as_mut().poll(context)
        {
            self.run = None;
            self.status = Some(status);
        }
        // What it has sent meanwhile, or the end.
        match ready!(self.pieces.poll_recv(context)) {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None => {
                let status = self.status.take();
                Poll::Ready(status.map(|status| Ok(Frame::trailers(trailers(&status)))))
            }
        }
    }
}
