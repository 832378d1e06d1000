//! A bare axum server that answers everything with one text from memory.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use axum::{Router, body::Bytes};
use tokio::{net::TcpListener, runtime};

use super::connect::stdin_ended;

/// Serves the text of `file` until stdin ends, on one thread: without wake-ups across threads it needs the least CPU time.
pub fn serve(file: &Path) -> Result<()> {
    let text = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let text = Bytes::from(text);
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0")
                .await
                .context("cannot listen")?;
            println!("listening public={}", listener.local_addr()?);
            let router = Router::new().fallback(move || {
                let text = text.clone();
                async move { text }
            });
            tokio::select! {
                result = axum::serve(listener, router).into_future() => result.context("cannot serve"),
                () = stdin_ended() => Ok(()),
            }
        })
}
