//! What a handler is sent: a CloudEvent (CloudEvents 1.0, JSON format, structured mode) for each thing that happens.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::metrics::Event;
use crate::broker::Member;
use crate::hub::Address;
use crate::message::Payload;
use crate::protocol::RequestId;
use crate::traces::CallSpan;

/// What is sent over HTTP, by its media type.
pub const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// Something that a handler is asked or told about one connection.
#[derive(Debug)]
pub struct Call {
    /// Where the connection lives.
    pub to: Address,
    /// Who it is.
    pub member: Member,
    /// What is asked.
    pub kind: Kind,
    /// Its span, and what the handler gets as `traceparent`.
    pub span: CallSpan,
}

/// What is asked, or told.
#[derive(Debug)]
pub enum Kind {
    /// May it connect?
    Connect {
        /// Its protocol, such as `linnet.v1.json`.
        protocol: &'static str,
    },
    /// It has left.
    Disconnect {
        /// The close code.
        code: u16,
        /// Why, in a word.
        reason: Box<str>,
    },
    /// It asks this.
    Request {
        /// The client's id of the request, for the answer.
        id: Option<RequestId>,
        /// Its name for the kind of question.
        event: Box<str>,
        /// The question.
        data: Payload,
    },
}

/// The names of who asks.
#[derive(Debug, Clone)]
pub struct Names {
    /// The channel's namespace.
    pub namespace: String,
    /// The channel's name.
    pub channel: String,
    /// The gateway's name.
    pub gateway: String,
}

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: &'a str,
    source: String,
    #[serde(rename = "type")]
    kind: &'static str,
    subject: &'a str,
    time: String,
    datacontenttype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    channel: &'a str,
    namespace: &'a str,
    gateway: &'a str,
    connection_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
}

impl Call {
    /// Which kind of event it is.
    #[must_use]
    pub fn event(&self) -> Event {
        match self.kind {
            Kind::Connect { .. } => Event::Connect,
            Kind::Disconnect { .. } => Event::Disconnect,
            Kind::Request { .. } => Event::Request,
        }
    }

    /// Bytes that wait with it.
    #[must_use]
    pub fn weight(&self) -> usize {
        let info = self.member.info.as_ref().map_or(0, |info| info.len());
        let data = match &self.kind {
            Kind::Request { data, .. } => data.len(),
            Kind::Connect { .. } | Kind::Disconnect { .. } => 0,
        };
        512 + info + data
    }

    /// The event as it is sent, with an id of its own, at that time in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// When what came from the client is no JSON after all.
    pub fn encode(&self, id: &str, names: &Names, now_ms: u64) -> serde_json::Result<Vec<u8>> {
        let connection = self.member.connection.to_string();
        let info = self.member.info.as_deref();
        let mut data = Data {
            channel: &names.channel,
            namespace: &names.namespace,
            gateway: &names.gateway,
            connection_id: &connection,
            user_id: self.member.user.as_ref().map(|user| user.as_str()),
            info: info.map(serde_json::from_str).transpose()?,
            protocol: None,
            code: None,
            reason: None,
            event: None,
            data: None,
            encoding: None,
        };
        match &self.kind {
            Kind::Connect { protocol } => data.protocol = Some(protocol),
            Kind::Disconnect { code, reason } => {
                (data.code, data.reason) = (Some(*code), Some(&**reason));
            }
            Kind::Request {
                event, data: of, ..
            } => {
                data.event = Some(event);
                data.data = Some(match of {
                    Payload::Json(json) => RawValue::from_string(json.to_string())?,
                    Payload::Text(text) => to_raw_value(text)?,
                    Payload::Binary(bytes) => to_raw_value(&STANDARD.encode(bytes))?,
                });
                data.encoding = matches!(of, Payload::Binary(_)).then_some("base64");
            }
        }
        serde_json::to_vec(&CloudEvent {
            specversion: "1.0",
            id,
            source: format!("/namespaces/{}/channels/{}", names.namespace, names.channel),
            kind: self.event().kind(),
            subject: &connection,
            time: time(now_ms),
            datacontenttype: "application/json",
            traceparent: self.span.passed().map(|context| context.to_string()),
            data,
        })
    }
}

/// RFC 3339, as CloudEvents asks for.
fn time(now_ms: u64) -> String {
    let ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
    // The clock is between 1970 and 9999.
    jiff::Timestamp::from_millisecond(ms)
        .unwrap_or_default()
        .to_string()
}
