//! The work queue as its stream's metadata describe it.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::Client;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::names::Channel;

/// How long the server has to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// What a worker needs to know of its channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Queue {
    /// Names with a sequence one message for ever.
    pub epoch: String,
    /// How many consumers there are.
    pub partitions: u16,
    /// How many partitions the history has.
    pub history_partitions: u16,
    /// How often a message is tried.
    pub max_deliveries: u64,
    /// How long a worker has for one.
    pub acknowledge: Duration,
}

/// Makes a request to JetStream: `subject` without the prefix of its API.
///
/// # Errors
/// What the server says, or that it says nothing.
pub(crate) async fn api<T: DeserializeOwned>(
    client: &Client,
    subject: &str,
    payload: &Value,
) -> Result<T, String> {
    let request = async_nats::Request::new()
        .payload(payload.to_string().into())
        .timeout(Some(ANSWER));
    let answer = client.send_request(format!("$JS.API.{subject}"), request);
    let answer = answer.await.map_err(|error| error.to_string())?;
    let value: Value = serde_json::from_slice(&answer.payload).map_err(|e| e.to_string())?;
    match value["error"]["description"].as_str() {
        Some(error) => Err(error.to_owned()),
        None => serde_json::from_value(value).map_err(|error| error.to_string()),
    }
}

impl Queue {
    /// Reads it.
    ///
    /// # Errors
    /// Why it can't be used yet.
    pub async fn open(client: &Client, channel: &Channel) -> Result<Self, String> {
        let name = channel.work_stream();
        let info: Value = api(client, &format!("STREAM.INFO.{name}"), &json!({})).await?;
        let metadata: HashMap<String, String> =
            serde_json::from_value(info["config"]["metadata"].clone()).unwrap_or_default();
        let consumer = channel.consumer(0);
        let ask = format!("CONSUMER.INFO.{name}.{consumer}");
        let info: Value = api(client, &ask, &json!({})).await?;
        let wait = info["config"]["ack_wait"].as_u64();
        let wait = wait.ok_or("its consumer has no ack_wait")?;
        Self::read(&metadata, Duration::from_nanos(wait))
    }

    fn read(metadata: &HashMap<String, String>, acknowledge: Duration) -> Result<Self, String> {
        let text = |key: &str| {
            let value = metadata.get(key).filter(|value| !value.is_empty());
            value.ok_or_else(|| format!("its metadata have no {key}"))
        };
        let number = |key: &str| {
            let value = text(key)?.parse::<u16>().ok().filter(|value| *value > 0);
            value.ok_or_else(|| format!("its {key} is no number"))
        };
        Ok(Self {
            epoch: text("linnet-epoch")?.clone(),
            partitions: number("linnet-partitions")?,
            history_partitions: number("linnet-history-partitions")?,
            max_deliveries: number("linnet-max-deliveries")?.into(),
            acknowledge,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let mut metadata = HashMap::new();
        for (key, value) in [
            ("linnet-epoch", "e"),
            ("linnet-partitions", "8"),
            ("linnet-history-partitions", "2"),
            ("linnet-max-deliveries", "5"),
        ] {
            let fault = Queue::read(&metadata, Duration::ZERO).unwrap_err();
            assert!(fault.contains(key), "{fault}");
            metadata.insert(key.to_owned(), value.to_owned());
        }
        let queue = Queue::read(&metadata, Duration::from_secs(1)).unwrap();
        assert_eq!((queue.partitions, queue.history_partitions), (8, 2));
        metadata.insert("linnet-partitions".into(), "0".into());
        assert!(Queue::read(&metadata, Duration::ZERO).is_err());
    }
}
