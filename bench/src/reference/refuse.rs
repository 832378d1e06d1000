//! A bare axum server that refuses everything: 401 and a line of text, as the gateway says it.

use anyhow::{Context, Result};
use axum::Router;
use axum::http::{StatusCode, header};
use tokio::{net::TcpListener, runtime};

use super::connect::stdin_ended;

/// What the answer says; as long as the gateway's longest words for it.
const BODY: &str = "invalid_token: the token is not accepted";

/// Serves until stdin ends, on one thread: without wake-ups across threads it needs the least CPU time.
pub fn serve() -> Result<()> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0")
                .await
                .context("cannot listen")?;
            println!("listening public={}", listener.local_addr()?);
            let refuse = || async {
                let challenge = [(header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")];
                (StatusCode::UNAUTHORIZED, challenge, BODY)
            };
            let router = Router::new().fallback(refuse);
            tokio::select! {
                result = axum::serve(listener, router).into_future() => result.context("cannot serve"),
                () = stdin_ended() => Ok(()),
            }
        })
}
