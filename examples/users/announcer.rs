//! Publishes changes to a room, one after the other, each until a gateway has it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use linnet_proto::v1::PublishRequest;
use linnet_proto::v1::channel_client::ChannelClient;
use linnet_proto::v1::publish_request::Data;
use serde_json::json;
use tokio::sync::mpsc::Receiver;
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::v1::Change;
use crate::v1::change::Type;

/// How long a call may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// Between one try and the next: at first, and at most.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

pub struct Announcer {
    /// To the gateways.
    pub channel: Channel,
    /// Read for each call: a new key holds at once. What follows the first line are its scopes, for the gateways.
    pub api_key_file: PathBuf,
    pub room: String,
}

impl Announcer {
    /// Until there are no more changes.
    pub async fn announce(self, mut changes: Receiver<Change>) {
        while let Some(change) = changes.recv().await {
            let message = message(&self.room, &change);
            let mut wait = FIRST_WAIT;
            while let Err(error) = self.publish(&message).await {
                let status = error.downcast_ref::<Status>();
                if status.is_some_and(|status| status.code() == Code::InvalidArgument) {
                    tracing::error!("a change is refused, and left out: {error:#}");
                    break;
                }
                tracing::warn!("a change is not published yet: {error:#}");
                sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }

    /// One try. What the gateways did of one that fails may be unknown: the message's id makes the next one the same.
    async fn publish(&self, message: &PublishRequest) -> anyhow::Result<()> {
        let key = std::fs::read_to_string(&self.api_key_file);
        let key = key.context("no API key")?;
        let mut request = Request::new(message.clone());
        request.set_timeout(DEADLINE);
        let key = key.lines().next().unwrap_or_default().trim();
        let key = format!("Bearer {key}").parse();
        let key = key.context("the API key can't stand in a header")?;
        request.metadata_mut().insert("authorization", key);
        let mut client = ChannelClient::new(self.channel.clone());
        // The deadline of the request begins when there is a gateway to take it.
        let published = timeout(DEADLINE, client.publish(request)).await;
        published.context("no gateway answers")??;
        Ok(())
    }
}

/// What the room gets of a change.
fn message(room: &str, change: &Change) -> PublishRequest {
    let user = change.user.clone().unwrap_or_default();
    let kind = change.r#type().as_str_name();
    let data = match change.r#type() {
        Type::UserDeleted => json!({"id": user.id, "version": user.version}),
        _ => {
            json!({"id": user.id, "name": user.name, "email": user.email, "version": user.version})
        }
    };
    PublishRequest {
        room: room.to_owned(),
        event: Some(kind.to_owned()),
        data: Some(Data::Json(json!({"type": kind, "data": data}).to_string())),
        message_id: Some(format!("{}.{}", user.id, user.version)),
        ..PublishRequest::default()
    }
}
