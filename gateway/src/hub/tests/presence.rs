//! Joins and leaves as subscribers are told, on a clock that is moved by hand.

use super::support::*;
use crate::broker::embedded::Embedded;
use crate::broker::{Event, Member, Request};
use crate::names::Epoch;
use crate::protocol::PresenceMembers;

fn with(presence: &str) -> Stage<Embedded> {
    Stage::new(channel(&format!(
        "rooms: [{{match: '*', presence: {{{presence}}}}}]"
    )))
}

#[test]
fn changes_of_half_a_second_are_one_frame_per_shard() {
    let mut stage = with("mode: Full");
    let (ann, bob, eve) = (client(0, 1), client(0, 2), client(1, 3));
    stage.turn([ann.subscribe("r")]);
    stage.pass(300);
    stage.turn([bob.subscribe("r"), eve.subscribe("r"), eve.unsubscribe("r")]);
    assert!(stage.pass(199).is_empty());
    assert_eq!(lines(&stage.pass(1)), ["r presence 1: +2 -0"]);
    assert!(stage.pass(1000).is_empty(), "told once");
    stage.turn([eve.subscribe("r")]);
    assert_eq!(
        lines(&stage.pass(500)),
        ["r presence 2: +1 -0", "r presence 2: +1 -0"],
        "one for each shard"
    );
}

#[test]
fn a_join_and_a_leave_within_the_time_cancel() {
    let mut stage = with("mode: Full");
    let (ann, bob) = (client(0, 1), client(0, 2));
    stage.turn([ann.subscribe("r")]);
    stage.pass(500);
    stage.turn([bob.subscribe("r")]);
    stage.turn([bob.disconnect(&["r"])]);
    assert!(stage.pass(500).is_empty());
    stage.turn([bob.subscribe("r")]);
    stage.pass(500);
    stage.turn([bob.unsubscribe("r"), bob.subscribe("r")]);
    assert!(stage.pass(500).is_empty(), "a leave and a join as well");
}

#[test]
fn versions_count_up_by_one() {
    let mut stage = with("mode: Full");
    let (ann, bob) = (client(0, 1), client(0, 2));
    stage.turn([ann.subscribe("r")]);
    let mut frames = lines(&stage.pass(500));
    for _ in 0..3 {
        stage.turn([bob.subscribe("r")]);
        frames.extend(lines(&stage.pass(500)));
        stage.turn([bob.unsubscribe("r")]);
        frames.extend(lines(&stage.pass(500)));
    }
    let expected = [
        "1: +1 -0", "2: +1 -0", "3: +0 -1", "4: +1 -0", "5: +0 -1", "6: +1 -0", "7: +0 -1",
    ];
    assert_eq!(frames, expected.map(|frame| format!("r presence {frame}")));
}

#[test]
fn a_snapshot_is_as_of_the_last_frame() {
    let mut stage = with("mode: Full");
    let (ann, bob) = (client(0, 1), client(0, 2));
    assert_eq!(
        lines(&stage.turn([ann.presence("r", None)])),
        ["1 presence 0: 0 members"]
    );
    stage.turn([ann.subscribe("r")]);
    stage.pass(500);
    stage.turn([bob.subscribe("r")]);
    assert_eq!(
        lines(&stage.turn([ann.presence("r", None)])),
        ["1 presence 1: 1 members"]
    );
    stage.pass(500);
    assert_eq!(
        lines(&stage.turn([ann.presence("r", None)])),
        ["1 presence 2: 2 members"]
    );
}

#[test]
fn pages_go_by_connection_id() {
    let mut stage = with("mode: Full");
    let all: Vec<Client> = (0..250).map(|slot| client(slot as u16 % 3, slot)).collect();
    stage.turn(all.iter().map(|client| client.subscribe("r")));
    stage.pass(500);
    let (mut after, mut found, mut pages) = (None, Vec::new(), Vec::new());
    while pages.len() < 3 {
        let said = stage.turn([all[0].presence("r", after)]);
        let Some(crate::hub::Answer::Presence(page)) = answer(&said) else {
            panic!("{said:?}")
        };
        let PresenceMembers::Page { members, more } = &page.members else {
            panic!("{said:?}")
        };
        found.extend(members.iter().map(|member| member.connection));
        pages.push((members.len(), *more));
        after = found.last().copied();
    }
    assert_eq!(pages, [(100, true), (100, true), (50, false)]);
    let mut expected: Vec<_> = all.iter().map(|client| client.connection).collect();
    expected.sort_by_key(ToString::to_string);
    found.sort_by_key(ToString::to_string);
    assert_eq!(found, expected);
}

#[test]
fn count_tells_a_number() {
    let mut stage = with("mode: Count");
    let (ann, bob) = (client(0, 1), client(0, 2));
    assert_eq!(
        lines(&stage.turn([ann.presence("r", None)])),
        ["1 presence 0: 0"]
    );
    stage.turn([ann.subscribe("r"), bob.subscribe("r")]);
    assert_eq!(lines(&stage.pass(500)), ["r presence 1: 2"]);
    assert_eq!(
        lines(&stage.turn([ann.presence("r", None)])),
        ["1 presence 1: 2"]
    );
}

#[test]
fn off_tells_nothing() {
    let mut stage = with("mode: 'Off'");
    let ann = client(0, 1);
    stage.turn([ann.subscribe("r")]);
    assert!(stage.pass(500).is_empty());
    assert_eq!(
        lines(&stage.turn([ann.presence("r", None)])),
        ["1 refused no_presence"]
    );
}

#[test]
fn beyond_max_members_full_becomes_count_and_back_with_a_jump() {
    let mut stage = with("mode: Full, maxMembers: 2");
    let all: Vec<Client> = (0..3).map(|slot| client(0, slot)).collect();
    let mut frames = Vec::new();
    for one in &all {
        stage.turn([one.subscribe("r")]);
        frames.extend(lines(&stage.pass(500)));
    }
    stage.turn([all[2].unsubscribe("r")]);
    frames.extend(lines(&stage.pass(500)));
    let expected = ["1: +1 -0", "2: +1 -0", "3: 3", "5: +0 -1"];
    assert_eq!(frames, expected.map(|frame| format!("r presence {frame}")));
}

#[test]
fn new_rules_that_count_are_told_at_once() {
    for rules in ["mode: Count", "mode: Full, maxMembers: 1"] {
        let mut stage = with("mode: Full");
        stage.turn([client(0, 1).subscribe("r"), client(0, 2).subscribe("r")]);
        stage.pass(500);
        stage.configure(
            [],
            channel(&format!("rooms: [{{match: '*', presence: {{{rules}}}}}]")),
        );
        assert_eq!(lines(&stage.pass(500)), ["r presence 2: 2"], "{rules}");
        assert!(stage.pass(500).is_empty());
    }
}

#[test]
fn who_is_in_a_room_already_is_a_member_once_new_rules_tell_of_members() {
    let mut stage = with("mode: 'Off'");
    let all @ [ann, bob, eve] = &[client(0, 1), client(0, 2), client(1, 3)];
    stage.turn(all.iter().map(|client| client.subscribe("r")));
    let full = || channel("rooms: [{match: '*', presence: {mode: Full}}]");
    let said = stage.configure([], full());
    assert_eq!(lines(&said), ["r enlist [1, 2]", "r enlist [3]"]);
    let stranger = client(2, 4);
    stage.turn([
        eve.unsubscribe("r"),
        ann.join("r"),
        bob.join("r"),
        eve.join("r"),
        stranger.join("r"),
    ]);
    assert_eq!(lines(&stage.pass(500)), ["r presence 1: +2 -0"]);
    stage.turn([ann.disconnect(&["r"])]);
    assert_eq!(lines(&stage.pass(500)), ["r presence 2: +0 -1"]);
    assert!(
        stage.configure([], full()).is_empty(),
        "nobody is asked again"
    );
}

#[test]
fn new_rules_that_tell_nothing_are_silent_and_leave_no_room_behind() {
    let mut stage = with("mode: Full");
    let (ann, bob) = (client(0, 1), client(0, 2));
    stage.turn([ann.subscribe("r"), bob.subscribe("r")]);
    stage.configure([], channel(""));
    assert!(stage.pass(500).is_empty());
    stage.turn([bob.disconnect(&["r"])]);
    assert!(stage.pass(500).is_empty());
    stage.turn([ann.disconnect(&["r"])]);
    stage.pass(500);
    assert_eq!(stage.rooms(), 0);
}

#[test]
fn frames_lead_from_a_snapshot_to_the_truth() {
    let mut stage = with("mode: Full");
    let (watcher, others): (_, Vec<Client>) =
        (client(0, 0), (1..6).map(|slot| client(0, slot)).collect());
    stage.turn([watcher.subscribe("r")]);
    stage.pass(500);
    let said = stage.turn([watcher.presence("r", None), others[0].subscribe("r")]);
    let Some(crate::hub::Answer::Presence(page)) = answer(&said) else {
        panic!("{said:?}")
    };
    let PresenceMembers::Page { members, .. } = &page.members else {
        panic!("{said:?}")
    };
    let mut known: Vec<_> = members.iter().map(|member| member.connection).collect();
    let mut version = page.version;
    for step in [
        vec![others[1].subscribe("r"), others[0].unsubscribe("r")],
        vec![others[2].subscribe("r")],
        vec![others[1].disconnect(&["r"])],
    ] {
        stage.turn(step);
        for said in stage.pass(500) {
            let Said::Sent(delivery) = said else { panic!() };
            let crate::hub::Delivery::Presence { change, .. } = &*delivery else {
                panic!()
            };
            let crate::protocol::PresenceChangeKind::Members { join, leave } = &change.kind else {
                panic!()
            };
            version += 1;
            assert_eq!(change.version, version);
            known.extend(join.iter().map(|member| member.connection));
            known.retain(|one| leave.iter().all(|member| member.connection != *one));
        }
    }
    assert_eq!(known, [watcher.connection, others[2].connection]);
}

/// Asks for the members of a room that nobody here is in, and has the broker answer with `known` of `count`.
fn elsewhere(presence: &str, count: usize, known: usize) -> Vec<String> {
    let spec = format!("rooms: [{{match: '*', presence: {{{presence}}}}}]");
    let mut stage = Stage::manual(channel(&spec), &Epoch::random(), 0);
    assert!(stage.turn([client(0, 1).presence("r", None)]).is_empty());
    let requests = std::mem::take(&mut stage.hub.broker().requests);
    let [Request::Members { token, limit, .. }] = requests[..] else {
        panic!("{requests:?}")
    };
    let members: Vec<Member> = (0..known.min(limit))
        .map(|_| client(1, 2).member())
        .collect();
    let answer = Event::Members {
        token,
        count,
        members,
    };
    lines(&stage.events([answer]))
}

#[test]
fn members_of_a_room_that_nobody_here_is_in_are_asked_of_the_broker() {
    assert_eq!(elsewhere("mode: Full", 2, 2), ["1 presence 0: 2 members"]);
    assert_eq!(
        elsewhere("mode: Full", 150, 150),
        ["1 presence 0: 100 members more"]
    );
    assert_eq!(elsewhere("mode: Count", 2, 2), ["1 presence 0: 2"]);
    assert_eq!(
        elsewhere("mode: Full, maxMembers: 2", 3, 3),
        ["1 presence 0: 3"]
    );
}

#[test]
fn a_join_that_was_under_way_when_the_last_one_left_leaves_nothing_behind() {
    let spec = "history: {}, rooms: [{match: '*', presence: {mode: Full}}]";
    let mut stage = Stage::manual(channel(spec), &Epoch::random(), 0);
    let ann = client(0, 1);
    stage.events([aged("r", 1, 0)]); // it keeps a message, so it stays in memory
    stage.turn([ann.subscribe("r"), ann.unsubscribe("r")]);
    let (room, member) = (room("r"), client(1, 2).member());
    stage.events([Event::Joined { room, member }]);
    stage.pass(500);
    stage.hub.broker().requests.clear();
    stage.turn([ann.presence("r", None)]);
    let asked = &stage.hub.broker().requests;
    assert!(matches!(asked[..], [Request::Members { .. }]), "{asked:?}");
}

#[test]
fn before_the_first_frame_a_subscriber_is_told_of_nobody_so_that_frames_lead_on_from_it() {
    let spec = "rooms: [{match: '*', presence: {mode: Full}}]";
    let mut stage = Stage::manual(channel(spec), &Epoch::random(), 0);
    let ann = client(0, 1);
    stage.turn([ann.subscribe("r")]);
    stage.hub.broker().requests.clear();
    let said = stage.turn([ann.presence("r", None)]);
    assert_eq!(lines(&said), ["1 presence 0: 0 members"]);
    assert!(stage.hub.broker().requests.is_empty());
}
