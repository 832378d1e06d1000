//! Who a session is, and when it may say so.

use super::*;

#[test]
fn connect_is_taken_as_the_first_request_only() {
    let mut scene = Scene::new(open(""));
    assert!(scene.session.is_identified());
    assert!(matches!(
        scene.ask(connect()),
        Outcome::Identified(Some(RequestId::Number(1)))
    ));
    assert_eq!(code(scene.ask(connect())), ErrorCode::AlreadyConnected);
}

#[test]
fn after_any_other_request_it_is_too_late_for_connect() {
    let since = Some(Since {
        epoch: crate::names::Epoch::random(),
        offset: Default::default(),
    });
    for first in [
        Command::Ping,
        subscribe("r"),
        Command::Subscribe {
            room: room("r"),
            since,
            presence: true,
        },
        unsubscribe("r"),
        publish("r"),
        send("u"),
        Command::History {
            room: room("r"),
            range: HistoryRange::Newest,
            limit: 1,
        },
        Command::Presence {
            room: room("r"),
            after: None,
        },
        question(1),
        refresh("t"),
    ] {
        let mut scene = Scene::new(open(""));
        scene.ask(first);
        assert_eq!(code(scene.ask(connect())), ErrorCode::AlreadyConnected);
    }
}

#[test]
fn a_further_namespace_is_entered_by_who_is_connected() {
    let enter = |token: Option<&str>| Command::Enter {
        token: token.map(Into::into),
    };
    let mut scene = Scene::new(open(""));
    scene.ask(connect());
    assert!(matches!(scene.ask(enter(None)), Outcome::Done(Some(_))));
    let other = scene.ask(enter(Some("t")));
    assert_eq!(
        code(other),
        ErrorCode::Unauthenticated,
        "an anonymous one becomes nobody else"
    );
}

#[test]
fn a_room_is_seen_as_the_namespace_that_joined_it_last_sees_it() {
    let mut scene = Scene::new(open(""));
    for prefix in [5, 0] {
        let id = RequestId::Packet(crate::protocol::PacketId {
            namespace: 1,
            prefix,
            answer: crate::protocol::PacketAnswer::None,
        });
        scene.ask_as(Some(id), subscribe("chat/lobby"));
        assert_eq!(scene.session.rooms[&room("chat/lobby")].prefix, prefix);
    }
}

#[test]
fn a_faulty_frame_is_no_request() {
    let mut scene = Scene::new(open(""));
    assert_eq!(
        code(scene.fault(ErrorCode::BadRequest)),
        ErrorCode::BadRequest
    );
    assert!(matches!(scene.ask(connect()), Outcome::Identified(_)));
}

#[test]
fn where_anonymous_is_denied_everything_waits_for_a_token() {
    let mut scene = Scene::new(channel("authentication: {anonymous: Allow}"));
    scene.channel.anonymous = false;
    scene.session = Session::new(None, &scene.channel, 0);
    assert!(!scene.session.is_identified());
    for command in [
        Command::Ping,
        subscribe("r"),
        unsubscribe("r"),
        publish("r"),
        send("u"),
        refresh("t"),
        connect(),
    ] {
        assert_eq!(code(scene.ask(command)), ErrorCode::Unauthenticated);
    }
    assert_eq!(code(scene.ask(with_token())), ErrorCode::InvalidToken);
    assert!(!scene.session.is_identified() && scene.session.rooms.is_empty());
}

#[test]
fn a_token_is_refused_and_changes_nothing() {
    let mut scene = Scene::new(open(""));
    let (connection, secret) = (scene.session.connection(), scene.session.secret());
    let refused = Command::Connect {
        token: Some("t".into()),
        session: Some(SessionSecret::random()),
        info: Some("1".into()),
    };
    assert_eq!(code(scene.ask(refused)), ErrorCode::InvalidToken);
    assert_eq!(
        (scene.session.connection(), scene.session.secret()),
        (connection, secret)
    );
    assert_eq!(scene.session.user(), None);
    assert_eq!(message(scene.ask(publish("r"))).0.info, None);
    assert_eq!(code(scene.ask(refresh("t"))), ErrorCode::Unauthenticated);
}

#[test]
fn a_token_of_an_address_that_must_wait_is_not_looked_at() {
    let mut scene = Scene::new(open(""));
    scene.token_wait = Some(Duration::from_millis(3500));
    let refused = refusal(scene.ask(with_token()));
    assert_eq!(
        (refused.code, refused.retry_after_ms),
        (ErrorCode::RateLimited, Some(3500))
    );
    assert!(matches!(scene.ask(connect()), Outcome::Identified(_)));
    scene.session.identify(Box::new(identity("ann", "[]")));
    let refused = refusal(scene.ask(refresh("t")));
    assert_eq!(refused.code, ErrorCode::RateLimited);
    scene.token_wait = None;
    assert_eq!(code(scene.ask(refresh("t"))), ErrorCode::InvalidToken);
}

#[test]
fn connect_takes_over_a_secret_and_the_connection_stays_itself() {
    let mut scene = Scene::new(open(""));
    let (connection, secret) = (scene.session.connection(), SessionSecret::random());
    scene.ask(Command::Connect {
        token: None,
        session: Some(secret),
        info: None,
    });
    assert_eq!(
        (scene.session.connection(), scene.session.secret()),
        (connection, secret)
    );
}

#[test]
fn info_of_connect_replaces_that_of_the_handshake_and_none_keeps_it() {
    for (given, expected) in [
        (Some("{\"b\":2}"), "{\"b\":2}"),
        (None, "{\"name\":\"Ann\"}"),
    ] {
        let mut scene = Scene::new(open(""));
        scene.session = Session::new(Some("{\"name\":\"Ann\"}".into()), &scene.channel, 0);
        scene.ask(Command::Connect {
            token: None,
            session: None,
            info: given.map(Into::into),
        });
        assert_eq!(
            message(scene.ask(publish("r"))).0.info.as_deref(),
            Some(expected)
        );
        let CommandKind::Subscribe { member, .. } = hub(scene.ask(subscribe("r"))) else {
            panic!()
        };
        assert_eq!(member.info.as_deref(), Some(expected));
    }
}

#[test]
fn an_anonymous_session_publishes_as_its_connection() {
    let mut scene = Scene::new(open(""));
    let id = scene.session.connection().to_string();
    assert_eq!(
        message(scene.ask(publish("r"))).0.from.unwrap().as_str(),
        id
    );
}

#[test]
fn a_session_with_a_user_publishes_as_the_user() {
    let mut scene = Scene::new(open(""));
    scene.session.identify(Box::new(identity("ann", "[]")));
    assert_eq!(
        message(scene.ask(publish("r"))).0.from.unwrap().as_str(),
        "ann"
    );
}

#[test]
fn a_user_publishes_as_such_even_if_the_rules_were_asked_about_the_anonymous_session_before() {
    let mut scene = Scene::new(open(""));
    assert!(scene.session.may_stay(&room("r"), &scene.channel));
    scene.session.identify(Box::new(identity("ann", "[]")));
    assert_eq!(
        message(scene.ask(publish("r"))).0.from.unwrap().as_str(),
        "ann"
    );
}

#[test]
fn every_request_keeps_its_id() {
    let mut scene = Scene::new(open(""));
    for id in [Some(7), None] {
        let expected = id.map(RequestId::Number);
        for command in [subscribe("r"), publish("r"), unsubscribe("r"), send("u")] {
            let Outcome::Hub(got, _) = scene.request(id, command) else {
                panic!()
            };
            assert_eq!(got, expected);
        }
        let Outcome::Done(got) = scene.request(id, unsubscribe("other")) else {
            panic!()
        };
        assert_eq!(got, expected);
        let Outcome::Pong(got) = scene.request(id, Command::Ping) else {
            panic!()
        };
        assert_eq!(got, expected);
        for command in [connect(), refresh("t"), question(1)] {
            assert_eq!(refusal(scene.request(id, command)).id, expected);
        }
    }
}

mod tokens {
    use super::*;
    use crate::auth::testing::{claims, key, sign};
    use crate::auth::tokens::unix_seconds;
    use jsonwebtoken::Algorithm;
    use serde_json::{Value, json};

    const JWT: &str = "authentication: {anonymous: Allow, jwt: {keySecretName: keys}}, \
        rooms: [{match: 'club.*', subscribe: Claim, publish: Claim}]";

    fn scene(spec: &str) -> Scene {
        let mut scene = Scene::new(channel(spec));
        let keys = vec![key("k", Algorithm::HS256)];
        scene.tokens = Tokens::with(crate::auth::keyring::Keyring::new(keys));
        scene
    }

    fn token(more: Value) -> Box<str> {
        let mut claims = claims();
        claims["exp"] = json!(unix_seconds() + 1000);
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        sign(Algorithm::HS256, Some("k"), &claims).into()
    }

    fn connect_as(more: Value) -> Command {
        Command::Connect {
            token: Some(token(more)),
            session: None,
            info: None,
        }
    }

    #[test]
    fn connect_gives_the_session_its_user_and_rooms() {
        let mut scene = scene(JWT);
        let connect = connect_as(json!({"rooms": ["club.a"]}));
        assert!(matches!(scene.ask(connect), Outcome::Identified(_)));
        assert_eq!(scene.session.user().unwrap().as_str(), "ann");
        hub(scene.ask(subscribe("club.a")));
        assert_eq!(code(scene.ask(subscribe("club.b"))), ErrorCode::Forbidden);
        assert!(scene.session.ends().is_some());
    }

    #[test]
    fn where_anonymous_is_denied_a_good_token_opens_the_session() {
        let mut scene = scene("authentication: {jwt: {keySecretName: keys}}");
        assert!(!scene.session.is_identified());
        assert_eq!(code(scene.ask(connect())), ErrorCode::Unauthenticated);
        assert!(matches!(
            scene.ask(connect_as(json!({}))),
            Outcome::Identified(_)
        ));
        hub(scene.ask(subscribe("r")));
    }

    #[test]
    fn a_handshakes_token_is_followed_by_connect_of_the_same_user_only() {
        let mut scene = scene(JWT);
        scene.session.identify(Box::new(identity("ann", "[]")));
        let other = connect_as(json!({"sub": "bob"}));
        assert_eq!(code(scene.ask(other)), ErrorCode::InvalidToken);
        assert!(matches!(
            scene.ask(connect_as(json!({}))),
            Outcome::Identified(_)
        ));
    }

    #[test]
    fn refresh_replaces_what_the_token_allows_and_not_the_user() {
        let mut scene = scene(JWT);
        scene.ask(connect_as(json!({"rooms": ["club.a"]})));
        hub(scene.ask(subscribe("club.a")));
        let refused = scene.ask(refresh(&token(json!({"sub": "bob"}))));
        assert_eq!(code(refused), ErrorCode::InvalidToken);
        assert_eq!(scene.session.user().unwrap().as_str(), "ann");
        let newer = refresh(&token(json!({"rooms": ["club.b"]})));
        assert!(matches!(scene.ask(newer), Outcome::Refreshed(_)));
        assert!(!scene.session.may_stay(&room("club.a"), &scene.channel));
        hub(scene.ask(subscribe("club.b")));
    }

    #[test]
    fn an_anonymous_session_cannot_refresh() {
        let mut scene = scene(JWT);
        let asked = refresh(&token(json!({})));
        assert_eq!(code(scene.ask(asked)), ErrorCode::Unauthenticated);
        assert_eq!(scene.session.user(), None);
    }

    #[test]
    fn an_expired_token_and_missing_keys_have_codes_of_their_own() {
        let mut scene = scene(JWT);
        let old = connect_as(json!({"exp": unix_seconds() - 100}));
        assert_eq!(code(scene.ask(old)), ErrorCode::TokenExpired);
        scene.tokens = Tokens::default();
        let refused = refusal(scene.ask(connect_as(json!({}))));
        assert_eq!(refused.code, ErrorCode::KeysUnavailable);
        assert_eq!(refused.retry_after_ms, Some(1000));
    }

    #[test]
    fn a_refused_token_is_not_in_the_answer() {
        let mut scene = scene(JWT);
        let token = token(json!({"exp": 1}));
        let connect = Command::Connect {
            token: Some(token.clone()),
            session: None,
            info: None,
        };
        assert!(!format!("{connect:?}").contains(&*token));
        let refused = refusal(scene.ask(connect));
        assert!(refused.message.contains("expired"));
        assert!(token.split('.').all(|part| !refused.message.contains(part)));
    }
}
