use linnet_proto::v1::message::Data;

use super::*;

fn rooms(names: &[&str], cursor: &str) -> Rooms {
    let names = names.iter().map(|name| RoomName::parse(name).unwrap());
    Rooms::new(names.collect(), cursor, false).unwrap()
}

fn position(offset: u64) -> Option<Position> {
    let epoch = "e".to_owned();
    Some(Position { epoch, offset })
}

fn message(room: &str, offset: Option<u64>) -> Message {
    Message {
        room: room.to_owned(),
        offset,
        data: Some(Data::Json("1".into())),
        ..Message::default()
    }
}

fn live(room: &str, offset: Option<u64>) -> ConverseResponse {
    told(None, Event::Message(message(room, offset)))
}

fn told(id: Option<u64>, event: Event) -> ConverseResponse {
    let event = Some(event);
    ConverseResponse { id, event }
}

fn joined(
    id: u64,
    at: u64,
    offsets: &[u64],
    recovered: Option<bool>,
    more: bool,
) -> ConverseResponse {
    let messages = offsets.iter().map(|offset| message("a", Some(*offset)));
    told(
        Some(id),
        Event::Subscribed(Joined {
            position: position(at),
            recovered,
            messages: messages.collect(),
            more,
        }),
    )
}

/// What goes out after this, by offset; `None` for what is no message.
fn out(rooms: &mut Rooms, frame: ConverseResponse) -> Vec<Option<u64>> {
    let mut out = Vec::new();
    rooms.heed(frame, &mut out);
    let offset = |told: SubscribeResponse| match told.event {
        Some(Told::Message(message)) => message.offset,
        _ => None,
    };
    out.into_iter().map(offset).collect()
}

fn since(request: Option<ConverseRequest>) -> Option<u64> {
    match request.unwrap().command.unwrap() {
        Command::Subscribe(join) => join.since.map(|at| at.offset),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_room_is_followed_from_its_answer_on_and_each_message_goes_out_once() {
    let mut rooms = rooms(&["a"], "");
    assert_eq!(since(rooms.request()), None);
    assert!(rooms.request().is_none());
    assert_eq!(out(&mut rooms, joined(0, 5, &[], None, false)), [None]);
    assert_eq!(out(&mut rooms, live("a", Some(6))), [Some(6)]);
    assert!(out(&mut rooms, live("a", Some(6))).is_empty());
    assert!(
        out(&mut rooms, live("b", Some(7))).is_empty(),
        "not asked for"
    );
    assert_eq!(out(&mut rooms, live("a", Some(9))), [Some(9)]);
    let again = self::rooms(&["a"], &rooms.cursor()).request();
    assert_eq!(since(again), Some(9));
}

#[test]
fn what_was_missed_comes_page_by_page_before_what_is_live() {
    let mut first = rooms(&["a"], "");
    first.request();
    out(&mut first, joined(0, 5, &[], None, false));
    let mut rooms = rooms(&["a"], &first.cursor());
    assert_eq!(since(rooms.request()), Some(5));
    assert_eq!(
        out(&mut rooms, joined(0, 7, &[6, 7], Some(true), true)),
        [Some(6), Some(7)]
    );
    assert_eq!(since(rooms.request()), Some(7));
    assert!(out(&mut rooms, live("a", Some(8))).is_empty());
    assert_eq!(
        out(&mut rooms, joined(0, 9, &[8, 9], Some(true), false)),
        [Some(8), Some(9)]
    );
    assert_eq!(out(&mut rooms, live("a", Some(10))), [Some(10)]);
}

#[test]
fn a_gap_is_filled_from_history_or_told() {
    let mut rooms = rooms(&["a", "live"], "");
    rooms.request();
    rooms.request();
    out(&mut rooms, joined(0, 5, &[], None, false));
    let live_room = Joined::default();
    out(&mut rooms, told(Some(1), Event::Subscribed(live_room)));
    let gap = |room: &str, position| {
        let (room, reason) = (room.to_owned(), "lagged".to_owned());
        told(
            None,
            Event::Gap(Gap {
                room,
                reason,
                position,
            }),
        )
    };
    assert!(out(&mut rooms, gap("a", position(8))).is_empty());
    assert!(out(&mut rooms, live("a", Some(9))).is_empty());
    assert_eq!(since(rooms.request()), Some(5));
    assert_eq!(
        out(&mut rooms, joined(0, 9, &[6, 9], Some(true), false)),
        [Some(6), Some(9)]
    );
    let mut told = Vec::new();
    rooms.heed(gap("live", None), &mut told);
    assert!(matches!(
        &told[..],
        [SubscribeResponse {
            event: Some(Told::Gap(_)),
            ..
        }]
    ));
    assert_eq!(out(&mut rooms, live("live", None)), [None]);
}

#[test]
fn what_is_not_kept_any_more_is_told_and_the_cursor_goes_on_from_there() {
    let mut rooms = rooms(&["a"], "");
    rooms.request();
    let mut told = Vec::new();
    rooms.heed(joined(0, 50, &[], Some(false), false), &mut told);
    let [
        SubscribeResponse {
            cursor,
            event: Some(Told::Gap(gap)),
        },
    ] = &told[..]
    else {
        panic!("{told:?}");
    };
    assert_eq!(gap.reason, "not_recovered");
    assert_eq!(since(self::rooms(&["a"], cursor).request()), Some(50));
}

#[test]
fn a_room_that_may_not_be_had_is_told_and_one_that_must_wait_is_asked_again() {
    let mut rooms = rooms(&["a", "b"], "");
    rooms.request();
    rooms.request();
    let refused = |id, code: &str, retry_after_ms| {
        let error = Error {
            code: code.to_owned(),
            retry_after_ms,
            ..Error::default()
        };
        told(Some(id), Event::Error(error))
    };
    let mut told = Vec::new();
    let heeded = rooms.heed(refused(0, "rate_limited", Some(70)), &mut told);
    assert_eq!((heeded, told.len()), (Heeded::Wait(70), 0));
    assert_eq!(since(rooms.request()), None);
    rooms.heed(refused(0, "forbidden", None), &mut told);
    assert!(matches!(
        &told[..],
        [SubscribeResponse {
            event: Some(Told::Unsubscribed(_)),
            ..
        }]
    ));
    assert!(!rooms.all_gone());
    rooms.heed(refused(1, "forbidden", None), &mut told);
    assert!(rooms.all_gone());
}

#[test]
fn a_cursor_that_no_gateway_gave_is_refused() {
    let room = || vec![RoomName::parse("a").unwrap()];
    for text in ["x", "AQ", &"A".repeat(10_000), &cursor::end(4004)] {
        assert_eq!(Rooms::new(room(), text, false).err(), Some(BadCursor));
    }
}
