//! A message on its way to a worker.

use async_nats::HeaderMap;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::names;
use crate::output::Output;

pub(crate) const ROOM: &str = "Linnet-Room";
pub(crate) const FROM: &str = "Linnet-From";
pub(crate) const INFO: &str = "Linnet-Info";
pub(crate) const EVENT: &str = "Linnet-Event";
pub(crate) const TYPE: &str = "Linnet-Type";
const OUTPUT: &str = "Linnet-Output";

/// What a publisher sent to a room.
#[derive(Debug, Clone)]
pub struct Input {
    /// The room.
    pub room: String,
    /// The user that published, or an anonymous connection as `~…`; `None`: a service.
    pub from: Option<String>,
    /// The publisher's name for the kind of message.
    pub event: Option<String>,
    /// JSON text of what the publisher says of itself.
    pub info: Option<String>,
    /// The content.
    pub data: Data,
    /// The same for a publish that is sent again with its `message_id`, and no other's.
    pub id: String,
    /// How often it was handed to a worker, this time included.
    pub deliveries: u64,
    /// Where output for the same room goes.
    pub(crate) output: String,
    /// All headers.
    pub(crate) headers: HeaderMap,
}

/// The content of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// JSON text.
    Json(String),
    /// A string without quotes: a text frame of the plain protocol.
    Text(String),
    /// Bytes.
    Binary(Bytes),
}

/// Why what came is no message of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The subject names no room.
    #[error("its subject names no room")]
    Room,
    /// A header is missing or can't be read.
    #[error("its header {0} is missing or can't be read")]
    Header(&'static str),
    /// The payload is not what its type says.
    #[error("its payload is not what Linnet-Type says (JSON where there is none)")]
    Payload,
}

impl Input {
    /// Reads a message of the work queue.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn read(
        subject: &str,
        headers: HeaderMap,
        payload: &Bytes,
        deliveries: u64,
    ) -> Result<Self, Malformed> {
        let header = |name| headers.get(name).map(|value| value.as_str());
        let text = |name| match header(name) {
            None => Ok(None),
            Some(value) => serde_json::from_str::<String>(value)
                .map(Some)
                .map_err(|_| Malformed::Header(name)),
        };
        let room = names::room(subject, text(ROOM)?.as_deref()).ok_or(Malformed::Room)?;
        let output = header(OUTPUT).ok_or(Malformed::Header(OUTPUT))?.to_owned();
        let id = header("Nats-Msg-Id").unwrap_or_default().to_owned();
        let utf8 = || String::from_utf8(payload.to_vec()).map_err(|_| Malformed::Payload);
        let data = match header(TYPE) {
            None => {
                serde_json::from_slice::<serde::de::IgnoredAny>(payload)
                    .map_err(|_| Malformed::Payload)?;
                Data::Json(utf8()?)
            }
            Some("text") => Data::Text(utf8()?),
            Some("binary") => Data::Binary(payload.clone()),
            Some(_) => return Err(Malformed::Header(TYPE)),
        };
        Ok(Self {
            room,
            from: text(FROM)?,
            event: text(EVENT)?,
            info: header(INFO).map(ToOwned::to_owned),
            data,
            id,
            deliveries,
            output,
            headers,
        })
    }

    /// The content as `T`, where it is JSON; a text is a JSON string.
    ///
    /// # Errors
    /// When it is not.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        match &self.data {
            Data::Json(text) => serde_json::from_str(text),
            Data::Text(text) => serde_json::from_value(text.as_str().into()),
            Data::Binary(bytes) => serde_json::from_slice(bytes),
        }
    }

    /// Output for the same room in the publisher's name, with `data` as JSON.
    ///
    /// # Errors
    /// When `data` has no JSON form.
    pub fn reply(&self, data: &impl Serialize) -> Result<Output, serde_json::Error> {
        Ok(self.reply_with(Data::Json(serde_json::to_string(data)?)))
    }

    /// Output for the same room in the publisher's name.
    #[must_use]
    pub fn reply_with(&self, data: Data) -> Output {
        Output::of(self, data)
    }

    /// The message as it came.
    #[must_use]
    pub fn pass(&self) -> Output {
        self.reply_with(self.data.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(of: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(OUTPUT, "p.n.c.history.0.r_lobby");
        for (name, value) in of {
            headers.insert(*name, *value);
        }
        headers
    }

    fn read(of: &[(&'static str, &str)], payload: &'static [u8]) -> Result<Input, Malformed> {
        let payload = Bytes::from_static(payload);
        Input::read("p.n.c.work.3.r_lobby", headers(of), &payload, 1)
    }

    #[test]
    fn a_message_of_each_kind_is_read() {
        let input = read(
            &[("Linnet-From", "\"ann\""), ("Nats-Msg-Id", "7f")],
            b"{\"n\":1}",
        )
        .unwrap();
        assert_eq!((input.room.as_str(), input.id.as_str()), ("lobby", "7f"));
        assert_eq!(input.from.as_deref(), Some("ann"));
        assert_eq!(input.json::<serde_json::Value>().unwrap()["n"], 1);
        let text = read(&[(TYPE, "text")], b"say \"hi\"").unwrap();
        assert_eq!(text.json::<String>().unwrap(), "say \"hi\"");
        let bytes = read(&[(TYPE, "binary")], b"\xff").unwrap();
        assert_eq!(bytes.data, Data::Binary(Bytes::from_static(b"\xff")));
    }

    #[test]
    fn what_is_no_message_is_refused_with_what_is_wrong() {
        assert_eq!(read(&[], b"{").unwrap_err(), Malformed::Payload);
        assert_eq!(
            read(&[(TYPE, "text")], b"\xff").unwrap_err(),
            Malformed::Payload
        );
        assert_eq!(
            read(&[(TYPE, "x")], b"1").unwrap_err(),
            Malformed::Header(TYPE)
        );
        assert_eq!(
            read(&[(FROM, "ann")], b"1").unwrap_err(),
            Malformed::Header(FROM)
        );
        let nowhere = Input::read("a.x_b", headers(&[]), &Bytes::from_static(b"1"), 1);
        assert_eq!(nowhere.unwrap_err(), Malformed::Room);
        let lost = Input::read("a.r_b", HeaderMap::new(), &Bytes::from_static(b"1"), 1);
        assert_eq!(lost.unwrap_err(), Malformed::Header(OUTPUT));
    }
}
