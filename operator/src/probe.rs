//! Asks an HTTP server whether it is well: for images that hold nothing else to ask with.

use std::time::Duration;

use anyhow::{Context, bail};
use axum::body::Body;
use http::{Request, Uri, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How long the answer may take.
const LONGEST: Duration = Duration::from_secs(10);

/// Whether a GET of `url`, which is `http://host[:port]/path`, is answered with a status of success.
///
/// # Errors
/// Why it is not.
pub async fn probe(url: &str) -> anyhow::Result<()> {
    let asked = tokio::time::timeout(LONGEST, ask(url)).await;
    asked.with_context(|| format!("no answer within {} s", LONGEST.as_secs()))?
}

async fn ask(url: &str) -> anyhow::Result<()> {
    let uri: Uri = url.parse().with_context(|| format!("{url} is no URL"))?;
    if uri.scheme_str() != Some("http") {
        bail!("{url}: only http:// is asked");
    }
    let authority = uri
        .authority()
        .with_context(|| format!("{url} names no host"))?;
    let host = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80)))
        .await
        .with_context(|| format!("cannot connect to {authority}"))?;
    let (mut sender, connection) = http1::handshake::<_, Body>(TokioIo::new(stream)).await?;
    let driven = tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(header::HOST, authority.as_str())
        .header(header::CONNECTION, "close")
        .body(Body::empty())?;
    let answer = sender.send_request(request).await;
    driven.abort();
    let status = answer?.status();
    match status.is_success() {
        true => Ok(()),
        false => bail!("{url} answers {status}"),
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use http::StatusCode;

    use super::*;

    async fn server() -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/good", get(|| async { "good" }))
            .route("/bad", get(|| async { StatusCode::SERVICE_UNAVAILABLE }));
        tokio::spawn(axum::serve(listener, router).into_future());
        format!("http://{address}")
    }

    #[tokio::test]
    async fn a_success_is_one_and_all_else_is_not() {
        let server = server().await;
        assert!(probe(&format!("{server}/good")).await.is_ok());
        let error = probe(&format!("{server}/bad")).await.unwrap_err();
        assert!(error.to_string().contains("503"), "{error}");
        assert!(probe("https://127.0.0.1/").await.is_err());
        assert!(probe("http://127.0.0.1:1/").await.is_err());
        assert!(probe("nonsense").await.is_err());
    }
}
