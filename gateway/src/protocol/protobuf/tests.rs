use linnet_proto::v1::converse_request::Command as Asked;
use linnet_proto::v1::converse_response::Event;
use linnet_proto::v1::publish_request::Data;
use linnet_proto::v1::{self, ConverseResponse, PublishRequest};

use super::*;
use crate::names::{Epoch, Offset, RoomName};
use crate::protocol::{AckBody, Command, PROTOCOLS, Refusal, Subscribed};

fn heard(id: Option<u64>, command: Option<Asked>) -> Result<Heard, Fault> {
    let bytes = ConverseRequest { id, command }.encode_to_vec();
    Protobuf.decode(Frame::Binary(&bytes), &mut Memory::default())
}

#[derive(Default)]
struct Frames(Vec<ConverseResponse>);

impl FrameSink for Frames {
    fn text(&mut self, _: &[u8]) {
        panic!("a message is bytes");
    }

    fn binary(&mut self, payload: &[u8]) {
        self.0.push(ConverseResponse::decode(payload).unwrap());
    }
}

fn told(reply: &Reply<'_>) -> (Option<u64>, Event) {
    let mut frames = Frames::default();
    let verdict = Protobuf.encode_reply(reply, &mut Memory::default(), 0, &mut frames);
    assert_eq!(verdict, Verdict::Continue);
    let frame = frames.0.pop().unwrap();
    (frame.id, frame.event.unwrap())
}

#[test]
fn a_command_keeps_its_id_and_its_fields() {
    let since = Some(v1::Position {
        epoch: "e".into(),
        offset: 7,
    });
    let join = Asked::Subscribe(v1::Join {
        room: "a".into(),
        since,
        presence: true,
    });
    let Ok(Heard::Request(request)) = heard(Some(5), Some(join)) else {
        panic!("a request");
    };
    assert_eq!(request.id, Some(RequestId::Number(5)));
    let Command::Subscribe {
        room,
        since: Some(since),
        presence: true,
    } = request.command
    else {
        panic!("{:?}", request.command);
    };
    assert_eq!((room.as_str(), since.offset), ("a", Offset(7)));
    let message = Some(PublishRequest {
        room: "a".into(),
        data: Some(Data::Json("1".into())),
        ..PublishRequest::default()
    });
    let publish = Asked::Publish(v1::Publish {
        message,
        echo: None,
    });
    let published = heard(None, Some(publish));
    assert!(matches!(
        published,
        Ok(Heard::Request(Request {
            id: None,
            command: Command::Publish { echo: true, .. }
        }))
    ));
}

#[test]
fn a_faulty_message_is_refused_under_its_id_and_the_stream_goes_on() {
    let room = "x".repeat(257);
    for (command, code) in [
        (None, ErrorCode::UnknownType),
        (
            Some(Asked::Unsubscribe(v1::Leave { room })),
            ErrorCode::BadRoom,
        ),
        (
            Some(Asked::Publish(v1::Publish::default())),
            ErrorCode::BadRequest,
        ),
        (
            Some(Asked::Send(v1::Send::default())),
            ErrorCode::BadRequest,
        ),
        (
            Some(Asked::Request(v1::Question::default())),
            ErrorCode::BadRequest,
        ),
        (
            Some(Asked::Subscribe(v1::Join {
                room: "a".into(),
                since: Some(v1::Position {
                    epoch: "e".into(),
                    offset: 1 << 53,
                }),
                presence: false,
            })),
            ErrorCode::BadRequest,
        ),
    ] {
        let fault = heard(Some(5), command).unwrap_err();
        assert_eq!(fault.id, Some(RequestId::Number(5)));
        assert_eq!((fault.code, fault.fatal), (code, false));
    }
    let fault = Protobuf.decode(Frame::Binary(&[0xFF]), &mut Memory::default());
    assert_eq!(fault.unwrap_err().code, ErrorCode::BadRequest);
}

#[test]
fn answers_have_the_id_of_their_command() {
    let id = RequestId::Number(9);
    let epoch = Epoch::from_client("e");
    let subscribed = Subscribed {
        position: Some((epoch, Offset(3))),
        recovered: Some(true),
        messages: Vec::new(),
        more: true,
    };
    let ack = Reply::Ack {
        id: Some(&id),
        body: AckBody::Subscribed(&subscribed),
    };
    let (told_id, event) = told(&ack);
    let Event::Subscribed(joined) = event else {
        panic!("{event:?}");
    };
    assert_eq!(
        (told_id, joined.recovered, joined.more),
        (Some(9), Some(true), true)
    );
    assert_eq!(joined.position.unwrap().offset, 3);
    let refusal = Refusal {
        retry_after_ms: Some(5),
        ..Refusal::new(Some(id), ErrorCode::RateLimited)
    };
    let (told_id, event) = told(&Reply::Error(&refusal));
    let Event::Error(error) = event else {
        panic!("{event:?}");
    };
    assert_eq!(
        (told_id, &*error.code, error.retry_after_ms),
        (Some(9), "rate_limited", Some(5))
    );
}

#[test]
fn a_message_is_a_frame_of_its_own() {
    let mut frames = Frames::default();
    let message = Message {
        room: RoomName::parse("a").unwrap(),
        offset: Some(Offset(1)),
        timestamp: 5,
        from: None,
        event: None,
        data: crate::message::Payload::Binary([1].into()),
        info: None,
        skip: None,
        trace: None,
    };
    Protobuf.encode_message(&message, 0, &mut frames);
    let Some(Event::Message(told)) = &frames.0[0].event else {
        panic!("{:?}", frames.0);
    };
    assert_eq!((&*told.room, told.offset), ("a", Some(1)));
}

#[test]
fn it_is_where_streams_look_for_it() {
    let found = PROTOCOLS[usize::from(crate::protocol::PROTOBUF)];
    assert_eq!(found.short_name(), Protobuf.short_name());
}
