//! `spec.handler`: a back end that is asked about connections and answers requests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::patterns::{HTTP_URL, NATS_SUBJECT, OBJECT_NAME};
use crate::rules::invalid;
use crate::toggle::Permission;

/// A back end of the channel, reached over HTTP or NATS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [invalid(
    "has(self.url) != has(self.natsSubject)",
    "set exactly one of url and natsSubject",
)]))]
pub struct Handler {
    /// Where events are posted as CloudEvents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 2048),
        regex(pattern = HTTP_URL)
    )]
    pub url: Option<String>,

    /// NATS subject that events are sent to as requests, over the channel's broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = NATS_SUBJECT)
    )]
    pub nats_subject: Option<String>,

    /// What the back end is asked or told about.
    #[schemars(length(min = 1, max = 3), extend("x-kubernetes-list-type" = "set"))]
    pub events: Vec<HandlerEvent>,

    /// Seconds that an answer may take.
    #[serde(default = "timeout_seconds")]
    #[schemars(range(min = 1, max = 300))]
    pub timeout_seconds: u32,

    /// Whether a client may connect when the back end gives no answer.
    #[serde(default)]
    pub on_failure: Permission,

    /// Secret whose `signing.<name>` entries are keys that sign what is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub signing_secret_name: Option<String>,
}

fn timeout_seconds() -> u32 {
    5
}

/// What a handler is asked or told about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum HandlerEvent {
    /// Someone connects: it may reject, add rooms or data.
    Connect,
    /// Someone has left.
    Disconnect,
    /// A client's request, which it answers.
    Request,
}
