//! What the rules allow, and how many rooms there may be.

use super::*;

fn history(name: &str) -> Command {
    Command::History {
        room: room(name),
        range: HistoryRange::Newest,
        limit: 5,
    }
}

fn presence(name: &str) -> Command {
    Command::Presence {
        room: room(name),
        after: None,
    }
}

#[test]
fn who_may_subscribe_may_read_history_and_presence() {
    let mut scene = Scene::new(open("rooms: [{match: 'closed.*', subscribe: Nobody}]"));
    for command in [
        subscribe("closed.a"),
        history("closed.a"),
        presence("closed.a"),
    ] {
        assert_eq!(code(scene.ask(command)), ErrorCode::Forbidden);
    }
    for command in [subscribe("open"), history("open"), presence("open")] {
        hub(scene.ask(command));
    }
    assert!(
        !scene.session.rooms.contains_key("closed.a"),
        "what is refused leaves nothing behind"
    );
}

#[test]
fn the_user_template_stands_for_the_connection_of_an_anonymous_session() {
    let mut scene = Scene::new(open(
        "rooms: [{match: 'inbox.{user_id}'}, {match: 'inbox.*', subscribe: Nobody}]",
    ));
    let own = format!("inbox.{}", scene.session.connection());
    hub(scene.ask(subscribe(&own)));
    assert_eq!(
        code(scene.ask(subscribe("inbox.ann"))),
        ErrorCode::Forbidden
    );
    let mut scene = Scene::new(open(
        "rooms: [{match: 'inbox.{user_id}'}, {match: 'inbox.*', subscribe: Nobody}]",
    ));
    scene.session.identify(Box::new(identity("ann", "[]")));
    hub(scene.ask(subscribe("inbox.ann")));
}

#[test]
fn new_rules_decide_who_may_stay() {
    let mut scene = Scene::new(open(""));
    hub(scene.ask(subscribe("r")));
    assert!(scene.session.may_stay(&room("r"), &open("")));
    assert!(
        !scene
            .session
            .may_stay(&room("r"), &open("rooms: [{match: r, subscribe: Nobody}]"))
    );
}

#[test]
fn a_subscription_is_for_the_member_that_others_see() {
    let mut scene = Scene::new(open(""));
    let since = Some(Since {
        epoch: crate::names::Epoch::random(),
        offset: crate::names::Offset(4),
    });
    let wanted = Command::Subscribe {
        room: room("r"),
        since: since.clone(),
        presence: true,
    };
    let CommandKind::Subscribe {
        room,
        since: got,
        presence,
        member,
    } = hub(scene.ask(wanted))
    else {
        panic!()
    };
    assert_eq!((room.as_str(), got, presence), ("r", since, true));
    assert_eq!(
        member,
        Member {
            connection: scene.session.connection(),
            user: None,
            info: None
        }
    );
}

#[test]
fn a_room_over_the_limit_is_refused_and_one_that_it_is_in_is_not() {
    let mut scene = Scene::new(open("limits: {roomsPerConnection: 2}"));
    hub(scene.ask(subscribe("a")));
    hub(scene.ask(subscribe("b")));
    assert_eq!(code(scene.ask(subscribe("c"))), ErrorCode::TooManyRooms);
    hub(scene.ask(subscribe("a")));
    hub(scene.ask(publish("c")));
}

#[test]
fn a_room_that_was_asked_to_leave_makes_room_at_once() {
    let mut scene = Scene::new(open("limits: {roomsPerConnection: 2}"));
    for command in [
        subscribe("a"),
        subscribe("b"),
        unsubscribe("a"),
        subscribe("c"),
    ] {
        hub(scene.ask(command));
    }
    assert_eq!(
        code(scene.ask(subscribe("a"))),
        ErrorCode::TooManyRooms,
        "to come back counts again"
    );
    hub(scene.ask(unsubscribe("b")));
    hub(scene.ask(subscribe("a")));
    scene.left("a");
    scene.left("b");
    let mut rooms: Vec<&str> = scene.session.rooms.keys().map(RoomName::as_str).collect();
    rooms.sort();
    assert_eq!(
        rooms,
        ["a", "c"],
        "the answer to the first unsubscribe does not end the second subscription"
    );
}

#[test]
fn a_lower_limit_keeps_rooms_and_refuses_new_ones() {
    let mut scene = Scene::new(open(""));
    for name in ["a", "b", "c"] {
        hub(scene.ask(subscribe(name)));
    }
    scene.channel = open("limits: {roomsPerConnection: 1}");
    hub(scene.ask(subscribe("b")));
    assert_eq!(code(scene.ask(subscribe("d"))), ErrorCode::TooManyRooms);
}

#[test]
fn leaving_a_room_that_it_is_not_in_is_done_at_once() {
    let mut scene = Scene::new(open(""));
    assert!(matches!(scene.ask(unsubscribe("r")), Outcome::Done(_)));
    hub(scene.ask(subscribe("r")));
    let CommandKind::Unsubscribe { room, connection } = hub(scene.ask(unsubscribe("r"))) else {
        panic!()
    };
    assert_eq!(
        (room.as_str(), connection),
        ("r", scene.session.connection())
    );
    hub(scene.ask(unsubscribe("r")));
    scene.left("r");
    assert!(matches!(scene.ask(unsubscribe("r")), Outcome::Done(_)));
}
