//! Publish and send: sizes, rules, echo, and what makes a repeat.

use super::*;

fn sized(size: usize) -> Command {
    Command::Publish {
        room: room("r"),
        content: content(size),
        echo: true,
    }
}

fn named(name: &str, id: &str) -> Command {
    let content = Content {
        message_id: Some(id.into()),
        ..content(1)
    };
    Command::Publish {
        room: room(name),
        content,
        echo: true,
    }
}

fn scope_of(
    user: Option<&str>,
    secret: Option<SessionSecret>,
    command: Command,
) -> Option<DeduplicationKey> {
    let mut scene = Scene::new(open(""));
    scene.session.member.user = user.and_then(UserId::from_token);
    scene.session.secret = secret.unwrap_or(scene.session.secret);
    message(scene.ask(command)).1
}

#[test]
fn a_message_is_what_was_published() {
    let mut scene = Scene::new(open(""));
    let content = Content {
        event: Some("chat".into()),
        data: Payload::Text("hi".into()),
        message_id: None,
        caller: None,
    };
    let (message, key) = message(scene.ask(Command::Publish {
        room: room("r"),
        content,
        echo: true,
    }));
    assert_eq!(
        (message.room.as_str(), message.event.as_deref()),
        ("r", Some("chat"))
    );
    assert_eq!(
        (message.data, message.offset, message.skip),
        (Payload::Text("hi".into()), None, None)
    );
    assert!(key.is_none());
}

#[test]
fn echo_false_skips_this_connection_only() {
    let mut scene = Scene::new(open(""));
    let (message, _) = message(scene.ask(Command::Publish {
        room: room("r"),
        content: content(1),
        echo: false,
    }));
    assert_eq!(message.skip, Some(scene.session.connection()));
}

#[test]
fn a_payload_may_be_as_large_as_the_limit_in_any_form() {
    for (payload, expected) in [
        (Payload::Json("7".repeat(100).into()), true),
        (Payload::Json("7".repeat(101).into()), false),
        (Payload::Text("é".repeat(50).into()), true),
        (Payload::Text("é".repeat(51).into()), false),
        (Payload::Binary(vec![0; 100].into()), true),
        (Payload::Binary(vec![0; 101].into()), false),
    ] {
        let mut scene = Scene::new(open("limits: {messageSize: 100}"));
        let content = Content {
            event: None,
            data: payload,
            message_id: None,
            caller: None,
        };
        for command in [
            Command::Publish {
                room: room("r"),
                content: content.clone(),
                echo: true,
            },
            Command::Send {
                to: "u".into(),
                content,
            },
        ] {
            match scene.ask(command) {
                Outcome::Hub(..) => assert!(expected),
                other => {
                    let refusal = refusal(other);
                    assert_eq!(
                        (refusal.code, expected),
                        (ErrorCode::MessageTooLarge, false)
                    );
                    assert!(refusal.message.contains("100"), "{}", refusal.message);
                }
            }
        }
    }
}

#[test]
fn a_smaller_limit_holds_from_the_next_message_on() {
    let mut scene = Scene::new(open("limits: {messageSize: 100}"));
    hub(scene.ask(sized(100)));
    scene.channel = open("limits: {messageSize: 50}");
    assert_eq!(code(scene.ask(sized(51))), ErrorCode::MessageTooLarge);
}

#[test]
fn publishing_needs_the_right_to_publish_and_no_subscription() {
    let mut scene = Scene::new(open(
        "rooms: [{match: news, publish: Nobody}, {match: drop, subscribe: Nobody}]",
    ));
    assert_eq!(code(scene.ask(publish("news"))), ErrorCode::Forbidden);
    hub(scene.ask(publish("drop")));
}

#[test]
fn a_full_hub_refuses_publish_and_send_and_nothing_else() {
    let mut scene = Scene::new(open(""));
    scene.hub_full = true;
    for command in [publish("r"), send("u")] {
        let refusal = refusal(scene.ask(command));
        assert_eq!(
            (refusal.code, refusal.id),
            (ErrorCode::Overloaded, Some(RequestId::Number(1)))
        );
    }
    hub(scene.ask(subscribe("r")));
    hub(scene.ask(unsubscribe("r")));
}

#[test]
fn send_is_for_a_user_and_has_no_room() {
    let mut scene = Scene::new(open(""));
    let CommandKind::Send { to, message } = hub(scene.ask(send("~abc"))) else {
        panic!()
    };
    assert_eq!(
        (&*to, message.room.as_str(), message.offset),
        ("~abc", "", None)
    );
    assert_eq!(
        message.from,
        Some(UserId::anonymous(scene.session.connection()))
    );
}

#[test]
fn a_repeat_has_room_publisher_and_id_in_common() {
    let secret = Some(SessionSecret::random());
    let base = scope_of(None, secret, named("r", "m"));
    assert!(base.is_some());
    assert_eq!(
        scope_of(None, secret, named("r", "m")),
        base,
        "another connection of the session"
    );
    assert_ne!(scope_of(None, secret, named("r", "n")), base);
    assert_ne!(scope_of(None, secret, named("s", "m")), base);
    assert_ne!(
        scope_of(None, None, named("r", "m")),
        base,
        "another session"
    );
}

#[test]
fn for_a_user_the_publisher_is_the_user_whatever_the_session() {
    let base = scope_of(Some("ann"), None, named("r", "m"));
    assert_eq!(scope_of(Some("ann"), None, named("r", "m")), base);
    assert_ne!(scope_of(Some("bob"), None, named("r", "m")), base);
}

#[test]
fn no_session_can_stand_for_a_user() {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let name = "ann@example.com!";
    let forged = SessionSecret::parse(&URL_SAFE_NO_PAD.encode(name)).unwrap();
    assert_ne!(
        scope_of(None, Some(forged), named("r", "m")),
        scope_of(Some(name), None, named("r", "m"))
    );
}

fn say(data: Payload) -> Command {
    Command::Publish {
        room: room("orders"),
        content: Content {
            event: None,
            data,
            message_id: None,
            caller: None,
        },
        echo: true,
    }
}

const ORDERS: &str = "rooms: [{match: orders, schema: {type: object, properties: {count: {type: integer}}}}, \
                      {match: closed, publish: Nobody, schema: {type: object}}, {match: words, schema: {type: string}}]";

#[test]
fn data_that_does_not_fit_the_schema_is_refused_with_its_place_and_the_connection_stays() {
    let mut scene = Scene::new(open(ORDERS));
    let json = |text: &str| Payload::Json(text.into());
    for (data, pointer) in [
        (json(r#"{"count":"3"}"#), "/data/count"),
        (json("7"), "/data"),
        (Payload::Text("{}".into()), "/data"),
        (Payload::Binary([1, 2].into()), "/data"),
    ] {
        let refusal = refusal(scene.ask(say(data)));
        assert_eq!(refusal.code, ErrorCode::BadRequest);
        assert_eq!(refusal.id, Some(RequestId::Number(1)));
        assert_eq!(
            refusal.pointer.as_deref(),
            Some(pointer),
            "{}",
            refusal.message
        );
    }
    hub(scene.ask(say(json(r#"{"count":3}"#))));
}

#[test]
fn who_may_not_publish_is_told_nothing_of_the_schema() {
    let mut scene = Scene::new(open(ORDERS));
    let refused = refusal(scene.ask(publish("closed")));
    assert_eq!(
        (refused.code, refused.pointer),
        (ErrorCode::Forbidden, None)
    );
}

#[test]
fn insistence_on_data_that_does_not_fit_ends_in_a_close() {
    let limits = "limits: {messagesPerSecond: 100, messageBurst: 3}";
    let mut scene = Scene::new(open(&format!("{limits}, {ORDERS}")));
    for _ in 0..3 {
        refusal(scene.ask(say(Payload::Json("7".into()))));
    }
    scene.now_ms = 30; // the rate has three more, patience as well
    for _ in 0..3 {
        refusal(scene.ask(say(Payload::Json("7".into()))));
    }
    let outcome = scene.ask(say(Payload::Json("7".into())));
    assert!(matches!(outcome, Outcome::WornOut(ErrorCode::RateLimited)));
}

#[test]
fn a_new_schema_holds_from_the_next_message_on() {
    let mut scene = Scene::new(open("rooms: [{match: orders, schema: {type: string}}]"));
    refusal(scene.ask(say(Payload::Json("7".into()))));
    scene.channel = open("rooms: [{match: orders, schema: {type: integer}}]");
    hub(scene.ask(say(Payload::Json("7".into()))));
}
