use proptest::prelude::*;
use serde_json::Value;

use super::super::cursor::Cursor;
use super::*;

const EPOCH: &str = "Zk3vT0q9S2mB1xYc7LwJdA";

fn rooms(names: &[&str], from: Option<&str>) -> Rooms {
    bounded(names, from, 1 << 20)
}

fn bounded(names: &[&str], from: Option<&str>, most: usize) -> Rooms {
    let names = names.iter().map(|name| RoomName::parse(name).unwrap());
    let from = from.map(|text| match Cursor::read(text) {
        Ok(Cursor::At(positions)) => positions,
        other => panic!("{other:?}"),
    });
    Rooms::new(names.collect(), from.as_ref(), false, most)
}

/// A cursor at these offsets.
fn cursor_at(rooms: &[(&str, u64)]) -> String {
    let names: Vec<_> = rooms.iter().map(|(name, _)| *name).collect();
    let mut at = self::rooms(&names, None);
    for (index, (_, offset)) in rooms.iter().enumerate() {
        at.request();
        tell(
            &mut at,
            json!({"type": "ack", "id": index, "epoch": EPOCH, "offset": offset}),
        );
    }
    while at.next().is_some() {}
    at.cursor().unwrap()
}

fn tell(rooms: &mut Rooms, frame: Value) {
    let payload = Payload::of(frame.to_string().as_bytes());
    let bytes = payload.clone();
    let told = Told::read(&bytes).unwrap();
    match &*told.kind {
        "ack" => rooms.subscribed(&told, &payload),
        "message" => rooms.message(&told, payload),
        "gap" => rooms.gap(&told, payload),
        "unsubscribed" => rooms.unsubscribed(&told),
        "error" if told.retry_after_ms.is_some() => rooms.postponed(&told),
        "error" => rooms.refused(&told),
        other => panic!("{other}"),
    }
}

fn live(rooms: &mut Rooms, room: &str, offset: u64, at: u64) {
    tell(
        rooms,
        json!({"type": "message", "room": room, "offset": offset, "data": offset, "timestamp": at}),
    );
}

/// An answer to a request with `since`: (offset, time) of each message.
fn page(rooms: &mut Rooms, id: usize, messages: &[(u64, u64)], offset: u64, more: bool) {
    let message =
        |(offset, at): &(u64, u64)| json!({"offset": offset, "data": offset, "timestamp": at});
    let messages: Vec<_> = messages.iter().map(message).collect();
    tell(
        rooms,
        json!({"type": "ack", "id": id, "epoch": EPOCH, "offset": offset, "recovered": true, "messages": messages, "more": more}),
    );
}

fn requests(rooms: &mut Rooms) -> Vec<Value> {
    let requests = std::iter::from_fn(|| rooms.request());
    requests
        .map(|text| serde_json::from_str(&text).unwrap())
        .collect()
}

/// All that goes out: of messages the room and the offset, of others the name.
fn out(rooms: &mut Rooms) -> Vec<String> {
    let all = std::iter::from_fn(|| rooms.next());
    let all = all.filter_map(|out| {
        let data: Value = serde_json::from_slice(&out.data?).unwrap();
        Some(match out.name {
            None => {
                assert_eq!(data["type"], "message");
                assert_eq!(data["data"], data["offset"]);
                format!("{}{}", data["room"].as_str().unwrap(), data["offset"])
            }
            Some(name) => format!("{name} {}", data["room"].as_str().unwrap()),
        })
    });
    all.collect()
}

#[test]
fn a_stream_without_a_cursor_begins_live_and_has_a_position_at_once() {
    let mut rooms = rooms(&["a", "live"], None);
    let asked = requests(&mut rooms);
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|request| request.get("since").is_none()));
    tell(
        &mut rooms,
        json!({"type": "ack", "id": 0, "epoch": EPOCH, "offset": 12}),
    );
    assert!(!rooms.all_answered());
    tell(&mut rooms, json!({"type": "ack", "id": 1}));
    assert!(rooms.all_answered());
    assert_eq!(out(&mut rooms), [""; 0]);
    assert_eq!(
        rooms.cursor().unwrap(),
        cursor_at(&[("a", 12), ("live", 0)][..1])
    );
    live(&mut rooms, "a", 13, 1);
    tell(
        &mut rooms,
        json!({"type": "message", "room": "live", "data": 1, "timestamp": 1}),
    );
    let next = rooms.next().unwrap();
    assert!(next.moves && next.name.is_none());
    let next = rooms.next().unwrap();
    assert!(!next.moves, "nothing is kept of that room");
    assert_eq!(rooms.held, 0);
}

#[test]
fn what_was_missed_is_merged_by_time_before_anything_live() {
    let from = cursor_at(&[("a", 1), ("b", 5)]);
    let mut rooms = rooms(&["a", "b"], Some(&from));
    let asked = requests(&mut rooms);
    assert_eq!(asked[1]["since"], json!({"epoch": EPOCH, "offset": 5}));
    page(&mut rooms, 0, &[(2, 10), (3, 30)], 3, false);
    live(&mut rooms, "a", 4, 100);
    assert_eq!(out(&mut rooms), [""; 0], "b's might come before it");
    page(&mut rooms, 1, &[(6, 20), (7, 40)], 7, false);
    live(&mut rooms, "b", 8, 99);
    assert_eq!(out(&mut rooms), ["a2", "b6", "a3", "b7", "b8", "a4"]);
    live(&mut rooms, "a", 5, 98);
    assert_eq!(out(&mut rooms), ["a5"], "and then nobody waits");
    assert_eq!(rooms.cursor().unwrap(), cursor_at(&[("a", 5), ("b", 8)]));
    assert_eq!(rooms.held, 0);
}

#[test]
fn the_next_page_is_asked_for_when_the_one_before_is_out() {
    let from = cursor_at(&[("a", 1), ("b", 1)]);
    let mut rooms = rooms(&["a", "b"], Some(&from));
    requests(&mut rooms);
    page(&mut rooms, 0, &[(2, 10), (3, 20)], 3, true);
    page(&mut rooms, 1, &[(2, 15), (3, 50)], 3, false);
    assert_eq!(requests(&mut rooms).len(), 0, "its page waits still");
    assert_eq!(out(&mut rooms), ["a2", "b2", "a3"], "b3 waits for a's next");
    let asked = requests(&mut rooms);
    assert_eq!(
        (&asked[0]["id"], &asked[0]["since"]["offset"]),
        (&json!(0), &json!(3))
    );
    // It was too slow for the gateway meanwhile, which costs nothing.
    tell(
        &mut rooms,
        json!({"type": "unsubscribed", "room": "a", "code": "catch_up_timeout", "message": ""}),
    );
    page(&mut rooms, 0, &[(4, 40)], 4, false);
    assert_eq!(out(&mut rooms), ["a4", "b3"]);
}

#[test]
fn the_cursor_is_that_of_what_is_out() {
    let from = cursor_at(&[("a", 1), ("b", 1)]);
    let mut rooms = rooms(&["a", "b"], Some(&from));
    assert_eq!(rooms.cursor().unwrap(), from);
    requests(&mut rooms);
    page(&mut rooms, 0, &[(2, 10)], 2, false);
    page(&mut rooms, 1, &[(2, 5), (9, 50)], 9, false);
    assert_eq!(rooms.cursor().unwrap(), from);
    rooms.next().unwrap();
    assert_eq!(rooms.cursor().unwrap(), cursor_at(&[("a", 1), ("b", 2)]));
}

#[test]
fn what_can_not_be_had_any_more_is_a_gap_and_the_others_go_on() {
    let from = cursor_at(&[("a", 1), ("b", 1)]);
    let mut rooms = rooms(&["a", "b"], Some(&from));
    requests(&mut rooms);
    tell(
        &mut rooms,
        json!({"type": "ack", "id": 0, "epoch": "new", "offset": 7, "recovered": false, "messages": [], "more": false}),
    );
    page(&mut rooms, 1, &[(2, 10)], 2, false);
    assert_eq!(out(&mut rooms), ["gap a", "b2"]);
    live(&mut rooms, "a", 8, 1);
    assert_eq!(out(&mut rooms), ["a8"]);
}

#[test]
fn a_live_gap_is_filled_and_told_only_where_that_fails() {
    let mut rooms = rooms(&["a", "b"], None);
    requests(&mut rooms);
    for id in 0..2 {
        tell(
            &mut rooms,
            json!({"type": "ack", "id": id, "epoch": EPOCH, "offset": 1}),
        );
    }
    out(&mut rooms);
    let gap = json!({"type": "gap", "room": "a", "reason": "lagged", "epoch": EPOCH, "offset": 5});
    live(&mut rooms, "a", 2, 1);
    tell(&mut rooms, gap.clone());
    live(&mut rooms, "a", 6, 1);
    live(&mut rooms, "b", 2, 1);
    assert_eq!(requests(&mut rooms).len(), 0);
    assert_eq!(out(&mut rooms), ["a2", "b2"], "b does not wait");
    assert_eq!(requests(&mut rooms)[0]["since"]["offset"], 2);
    live(&mut rooms, "a", 7, 1);
    page(&mut rooms, 0, &[(4, 1), (5, 1), (6, 1)], 6, false);
    assert_eq!(out(&mut rooms), ["a4", "a5", "a6", "a7"]);
    tell(&mut rooms, gap);
    requests(&mut rooms);
    tell(
        &mut rooms,
        json!({"type": "ack", "id": 0, "epoch": EPOCH, "offset": 20, "recovered": false, "messages": [], "more": false}),
    );
    assert_eq!(out(&mut rooms), ["gap a"]);
    tell(
        &mut rooms,
        json!({"type": "gap", "room": "b", "reason": "overload"}),
    );
    assert_eq!(out(&mut rooms), ["gap b"], "nothing of it can be asked for");
    assert_eq!(rooms.held, 0);
}

#[test]
fn what_is_refused_for_now_is_asked_again_and_what_is_refused_for_good_is_told() {
    let mut rooms = rooms(&["a", "b"], None);
    requests(&mut rooms);
    tell(
        &mut rooms,
        json!({"type": "error", "id": 0, "code": "rate_limited", "message": "", "retry_after_ms": 5}),
    );
    tell(
        &mut rooms,
        json!({"type": "error", "id": 1, "code": "forbidden", "message": "no"}),
    );
    assert!(!rooms.all_answered());
    assert_eq!(requests(&mut rooms)[0]["room"], "a");
    tell(
        &mut rooms,
        json!({"type": "error", "id": 0, "code": "forbidden", "message": "no"}),
    );
    assert!(rooms.all_answered() && rooms.all_gone());
    assert_eq!(out(&mut rooms), ["unsubscribed a", "unsubscribed b"]);
}

#[test]
fn beyond_the_bound_what_is_there_goes_out_and_no_more_is_asked_for() {
    let names: Vec<_> = (0..20).map(|n| format!("r{n:02}.")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let at: Vec<_> = names.iter().map(|name| (*name, 1)).collect();
    let mut rooms = bounded(&names, Some(&cursor_at(&at)), 60);
    assert_eq!(requests(&mut rooms).len(), ASKED_AT_ONCE);
    page(&mut rooms, 0, &[(2, 9), (3, 11)], 3, false);
    page(&mut rooms, 1, &[(2, 10)], 2, false);
    assert!(rooms.held >= 60, "{}", rooms.held);
    assert_eq!(requests(&mut rooms).len(), 0);
    assert_eq!(
        out(&mut rooms),
        ["r00.2", "r01.2"],
        "until less is held than may be"
    );
    assert_eq!(requests(&mut rooms).len(), 2);
}

proptest! {
    /// Whatever comes in whichever order, each room's messages go out once and in order, and the cursor follows.
    #[test]
    fn nothing_is_lost_or_doubled(
        pages in proptest::collection::vec((0..3_usize, 1..6_usize, 0..50_u64), 0..40),
        answers in proptest::collection::vec(0..8_usize, 1..60),
    ) {
        let names = ["a.", "b.", "c."];
        let mut stored: [Vec<(u64, u64)>; 3] = Default::default();
        let mut clock = 0;
        for (room, count, step) in pages {
            for _ in 0..count {
                clock += step;
                let offset = stored[room].last().map_or(2, |(offset, _)| offset + 1 + step % 3);
                stored[room].push((offset, clock));
            }
        }
        let from = cursor_at(&[(names[0], 1), (names[1], 1), (names[2], 1)]);
        let mut rooms = rooms(&names, Some(&from));
        let (mut open, mut sent): (Vec<Value>, Vec<String>) = Default::default();
        let mut answers = answers.into_iter().cycle();
        for _ in 0..1000 {
            open.extend(requests(&mut rooms));
            sent.extend(out(&mut rooms));
            if open.is_empty() {
                open.extend(requests(&mut rooms));
                if open.is_empty() {
                    break;
                }
            }
            let choice = answers.next().unwrap();
            let request = open.remove(choice % open.len());
            let id = request["id"].as_u64().unwrap() as usize;
            let since = request["since"]["offset"].as_u64().unwrap();
            let rest: Vec<_> = stored[id].iter().filter(|(offset, _)| *offset > since).copied().collect();
            let size = 1 + choice % 3;
            let more = rest.len() > size;
            let last = stored[id].last().map_or(1, |(offset, _)| *offset);
            let end = if more { rest[size - 1].0 } else { last };
            page(&mut rooms, id, &rest[..rest.len().min(size)], end, more);
        }
        sent.extend(out(&mut rooms));
        let mut expected: Vec<_> = stored
            .iter()
            .zip(names)
            .flat_map(|(messages, name)| messages.iter().map(move |(offset, at)| (*at, name, *offset)))
            .collect();
        expected.sort_unstable();
        let expected: Vec<_> = expected.iter().map(|(_, name, offset)| format!("{name}{offset}")).collect();
        prop_assert_eq!(sent, expected);
        prop_assert_eq!(rooms.held, 0);
    }
}
