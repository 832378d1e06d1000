//! A stream of messages over gRPC at a steady pace.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use futures_util::stream;
use linnet_proto::v1::{PublishRequest, channel_client::ChannelClient, publish_request::Data};
use tokio::{
    runtime,
    time::{MissedTickBehavior, interval},
};
use tonic::{Request, transport::Endpoint};

/// Messages are sent this often, as many as are due.
const TICK: Duration = Duration::from_millis(5);

/// Where to, and how much.
#[derive(Debug, Clone, Copy)]
pub struct Streaming<'a> {
    /// Whom.
    pub address: SocketAddr,
    /// The API key.
    pub key: &'a str,
    /// Bytes of data of each message.
    pub data_bytes: usize,
    /// Messages of the one stream.
    pub per_second: f64,
    /// For so long.
    pub seconds: f64,
}

/// Sends one stream as told; gives how many messages were published.
///
/// # Errors
/// When one was not.
pub fn publish(told: Streaming<'_>) -> Result<u64> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let endpoint = Endpoint::from_shared(format!("http://{}", told.address))?;
        let mut client = ChannelClient::new(endpoint.connect().await.context("cannot connect")?);
        let message = PublishRequest {
            room: "bench".to_owned(),
            event: Some("bench".to_owned()),
            data: Some(Data::Json(format!(
                "\"{}\"",
                "x".repeat(told.data_bytes - 2)
            ))),
            ..PublishRequest::default()
        };
        let total = (told.per_second * told.seconds).round() as u64;
        let a_tick = told.per_second * TICK.as_secs_f64();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        // How many were sent, how many are due, and the clock.
        let begun = (0_u64, 0.0_f64, ticks);
        let messages = stream::unfold(begun, move |(sent, mut due, mut ticks)| {
            let message = message.clone();
            async move {
                if sent == total {
                    return None;
                }
                while (sent as f64) >= due {
                    ticks.tick().await;
                    due += a_tick;
                }
                Some((message, (sent + 1, due, ticks)))
            }
        });
        let mut request = Request::new(messages);
        let key = format!("Bearer {}", told.key).parse()?;
        request.metadata_mut().insert("authorization", key);
        let answer = client.publish_stream(request).await?.into_inner();
        ensure!(answer.published == total, "{answer:?}");
        Ok(total)
    })
}
