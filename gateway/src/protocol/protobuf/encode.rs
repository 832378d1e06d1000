//! What the gateway tells, as messages of the API.

use linnet_proto::v1;
use linnet_proto::v1::message::Data;
use linnet_proto::v1::presence_response::Members;

use crate::broker;
use crate::message::{Message, Payload};
use crate::protocol::{HistoryPage, PresenceMembers, PresencePage};

/// A message of a room.
#[must_use]
pub fn message(message: &Message) -> v1::Message {
    v1::Message {
        room: message.room.to_string(),
        offset: message.offset.map(|offset| offset.0),
        from: message.from.as_ref().map(|from| from.as_str().to_owned()),
        event: message.event.as_deref().map(str::to_owned),
        timestamp: message.timestamp,
        info: message.info.as_deref().map(str::to_owned),
        data: Some(match &message.data {
            Payload::Json(text) => Data::Json(text.to_string()),
            Payload::Text(text) => Data::Json(quoted(text)),
            Payload::Binary(bytes) => Data::Binary(bytes.to_vec()),
        }),
    }
}

/// A page of a room's messages.
#[must_use]
pub fn history(page: &HistoryPage) -> v1::HistoryResponse {
    v1::HistoryResponse {
        epoch: page.epoch.as_str().to_owned(),
        messages: page.messages.iter().map(|kept| message(kept)).collect(),
        more: page.more,
    }
}

/// Who is in a room, or how many.
#[must_use]
pub fn presence(page: &PresencePage) -> v1::PresenceResponse {
    v1::PresenceResponse {
        version: page.version,
        members: Some(match &page.members {
            PresenceMembers::Count(count) => Members::Count(*count as u64),
            PresenceMembers::Page { members, more } => Members::Page(v1::MemberPage {
                members: members.iter().map(member).collect(),
                more: *more,
            }),
        }),
    }
}

/// One connection that is in a room.
pub(super) fn member(member: &broker::Member) -> v1::Member {
    v1::Member {
        connection_id: member.connection.to_string(),
        user_id: member.user.as_ref().map(|user| user.as_str().to_owned()),
        info: member.info.as_deref().map(str::to_owned),
    }
}

/// The JSON text of a string.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{Offset, RoomName};

    #[test]
    fn the_text_of_plain_clients_is_a_string_and_bytes_are_bytes() {
        let kept = |data| {
            message(&Message {
                room: RoomName::parse("a").unwrap(),
                offset: Some(Offset(7)),
                timestamp: 5,
                from: None,
                event: None,
                data,
                info: None,
                skip: None,
                trace: None,
            })
        };
        let text = kept(Payload::Text("say \"hi\"".into()));
        assert_eq!(text.data, Some(Data::Json(r#""say \"hi\"""#.into())));
        assert_eq!((text.offset, text.from, text.timestamp), (Some(7), None, 5));
        let bytes = kept(Payload::Binary([1, 2].into()));
        assert_eq!(bytes.data, Some(Data::Binary(vec![1, 2])));
    }
}
