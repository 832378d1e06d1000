//! Someone who has nothing to do with it: a connection that must not notice what others do wrong.

use serde_json::json;

use crate::client::Client;
use crate::gateway::Gateway;

/// A connection in a room of its own.
#[derive(Debug)]
pub struct Bystander {
    client: Client,
    said: u64,
}

impl Bystander {
    /// Joins its room.
    pub async fn new(gateway: &Gateway) -> Self {
        let mut client = gateway.client().await;
        client.subscribe("bystander").await;
        Self { client, said: 0 }
    }

    /// Says something and hears it, and nothing else since the last time.
    ///
    /// # Panics
    /// When anything but that comes.
    pub async fn is_well(&mut self) {
        self.said += 1;
        self.client.publish("bystander", json!(self.said)).await;
        let frame = self.client.next_of("message").await;
        assert_eq!(frame["room"], "bystander");
        assert_eq!(frame["data"], self.said, "{frame}");
    }
}
