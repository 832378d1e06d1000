//! A bare axum server that reads a body of JSON and answers with another, as the gateway's API does for a publish.

use anyhow::{Context, Result};
use axum::{Router, body::Bytes, http::header, routing::post};
use tokio::{net::TcpListener, runtime};

use super::connect::stdin_ended;

/// Serves `POST /v1/publish` until stdin ends, on one thread as the gateway's internal port is, with an answer of so many
/// bytes.
pub fn serve(bytes: usize) -> Result<()> {
    let answer = Bytes::from(vec![b' '; bytes]);
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0")
                .await
                .context("cannot listen")?;
            println!("listening public={}", listener.local_addr()?);
            let publish = move |_body: Bytes| {
                let answer = answer.clone();
                async move { ([(header::CONTENT_TYPE, "application/json")], answer) }
            };
            let router = Router::new().route("/v1/publish", post(publish));
            tokio::select! {
                result = axum::serve(listener, router).into_future() => result.context("cannot serve"),
                () = stdin_ended() => Ok(()),
            }
        })
}
