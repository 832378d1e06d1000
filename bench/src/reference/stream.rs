//! A bare tonic server that decodes the messages of a stream and publishes each to NATS core.

use anyhow::{Context, Result};
use axum::{Router, extract::Request, response::Response, routing::post};
use linnet_proto::v1::{PublishRequest, PublishStreamResponse, publish_request::Data};
use tokio::{net::TcpListener, runtime};
use tonic::{Status, Streaming, server::Grpc, service::Routes, transport::Server};
use tonic_prost::ProstCodec;
use tower::service_fn;

use super::connect::stdin_ended;
use crate::nats::{Entry, Way};

/// Serves `linnet.v1.Channel/PublishStream` until stdin ends, on one thread as the gateway's internal port is.
pub fn serve(way: Way) -> Result<()> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let entry: &'static Entry = Box::leak(Box::new(way.enter().await?));
            let listener = TcpListener::bind("127.0.0.1:0")
                .await
                .context("cannot listen")?;
            println!("listening public={}", listener.local_addr()?);
            let publish = move |request: Request| async move { answer(entry, request).await };
            let router = Router::new().route("/linnet.v1.Channel/PublishStream", post(publish));
            let incoming =
                tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
            let serving = Server::builder()
                .add_routes(Routes::from(router))
                .serve_with_incoming(incoming);
            tokio::select! {
                result = serving => result.context("cannot serve"),
                () = stdin_ended() => Ok(()),
            }
        })
}

async fn answer(entry: &'static Entry, request: Request) -> Response {
    let codec = ProstCodec::<PublishStreamResponse, PublishRequest>::default();
    let publish = |request: tonic::Request<Streaming<PublishRequest>>| async move {
        let mut messages = request.into_inner();
        let mut told = PublishStreamResponse::default();
        while let Some(message) = messages.message().await? {
            let payload = match message.data {
                Some(Data::Json(text)) => text.into_bytes(),
                Some(Data::Binary(bytes)) => bytes,
                None => Vec::new(),
            };
            let published = entry.publish(payload.into()).await;
            published.map_err(|error| Status::unavailable(error.to_string()))?;
            told.received += 1;
            told.published += 1;
        }
        Ok(tonic::Response::new(told))
    };
    let response = Grpc::new(codec)
        .client_streaming(service_fn(publish), request)
        .await;
    response.map(axum::body::Body::new)
}
