//! Messages of a `Converse` stream to commands.

use linnet_proto::v1::converse_request::Command as Asked;
use linnet_proto::v1::publish_request::Data;
use linnet_proto::v1::{self, ConverseRequest, PublishRequest, Send};

use super::decode::{self, Wrong};
use crate::names::{Epoch, Offset};
use crate::protocol::json::decode::MAX_SAFE_INTEGER;
use crate::protocol::{Command, ErrorCode, Question, Since};

/// Longest epoch, in bytes.
const MAX_EPOCH: usize = 128;

/// What a request asks for.
///
/// # Errors
/// The first field that is wrong.
pub fn command(request: ConverseRequest) -> Result<Command, Wrong> {
    if request.id.is_some_and(|id| id > MAX_SAFE_INTEGER) {
        return Err(Wrong::new("id", "`id` is from 0 to 2^53-1"));
    }
    let Some(command) = request.command else {
        return Err(Wrong {
            code: ErrorCode::UnknownType,
            ..Wrong::new("command", "the request has no command that is known here")
        });
    };
    Ok(match command {
        Asked::Subscribe(join) => Command::Subscribe {
            room: decode::room(&join.room)?,
            since: join.since.map(since).transpose()?,
            presence: join.presence,
        },
        Asked::Unsubscribe(leave) => Command::Unsubscribe {
            room: decode::room(&leave.room)?,
        },
        Asked::Publish(publish) => {
            let Some(message) = publish.message else {
                return Err(Wrong::new("message", "`message` is missing"));
            };
            let (room, content) = decode::publish(message)?;
            Command::Publish {
                room,
                content,
                echo: publish.echo.unwrap_or(true),
            }
        }
        Asked::Send(send) => self::send(send)?,
        Asked::History(asked) => {
            let (room, range, limit) = decode::history(&asked)?;
            Command::History { room, range, limit }
        }
        Asked::Presence(asked) => {
            let (room, after) = decode::presence(&asked)?;
            Command::Presence { room, after }
        }
        Asked::Request(question) => Command::Request(self::question(question)?),
        Asked::Refresh(refresh) => Command::Refresh {
            token: refresh.token.into(),
        },
        Asked::Ping(_) => Command::Ping,
    })
}

fn since(position: v1::Position) -> Result<Since, Wrong> {
    let v1::Position { epoch, offset } = position;
    if epoch.len() > MAX_EPOCH || offset > MAX_SAFE_INTEGER {
        let wanted = "`since` must be a position that the server gave";
        return Err(Wrong::new("since", wanted));
    }
    Ok(Since {
        epoch: Epoch::from_client(&epoch),
        offset: Offset(offset),
    })
}

fn send(send: Send) -> Result<Command, Wrong> {
    use linnet_proto::v1::send::Data as Sent;
    let content = decode::content(PublishRequest {
        room: String::new(),
        event: send.event,
        message_id: send.message_id,
        traceparent: None,
        data: send.data.map(|data| match data {
            Sent::Json(text) => Data::Json(text),
            Sent::Binary(bytes) => Data::Binary(bytes),
        }),
    })?;
    let to = send.to.into();
    Ok(Command::Send { to, content })
}

fn question(question: v1::Question) -> Result<Question, Wrong> {
    use linnet_proto::v1::question::Data as Sent;
    let content = decode::content(PublishRequest {
        room: String::new(),
        event: Some(question.event),
        message_id: None,
        traceparent: question.traceparent,
        data: question.data.map(|data| match data {
            Sent::Json(text) => Data::Json(text),
            Sent::Binary(bytes) => Data::Binary(bytes),
        }),
    })?;
    match content.event {
        Some(event) if !event.is_empty() => Ok(Question {
            event,
            data: content.data,
            caller: content.caller,
        }),
        _ => Err(Wrong::new("event", "the question has no `event`")),
    }
}
