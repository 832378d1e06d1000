//! Requests for the channel's handler, and rooms that it puts sessions in.

use super::*;

fn with_handler(spec: &str) -> Channel {
    open(&format!(
        "handler: {{url: 'http://b', events: [request]}}, {spec}"
    ))
}

#[track_caller]
fn put_in(scene: &mut Scene, name: &str) -> Result<CommandKind, ErrorCode> {
    scene.session.put_in(room(name), 0, &scene.channel)
}

#[test]
fn a_request_goes_to_a_handler_that_answers_them_and_to_no_other() {
    let mut scene = Scene::new(with_handler(""));
    match scene.ask(question(1)) {
        Outcome::Handler(Some(RequestId::Number(1)), question) => {
            assert_eq!(&*question.event, "price");
        }
        other => panic!("{other:?}"),
    }
    let tells = "handler: {url: 'http://b', events: [connect, disconnect]}";
    let mut scene = Scene::new(open(tells));
    assert_eq!(code(scene.ask(question(1))), ErrorCode::NoHandler);
}

#[test]
fn a_request_is_bounded_as_a_message_is() {
    let limits = "limits: {messageSize: 100, messagesPerSecond: 1, messageBurst: 2}";
    let mut scene = Scene::new(with_handler(limits));
    assert_eq!(code(scene.ask(question(101))), ErrorCode::MessageTooLarge);
    assert!(matches!(scene.ask(question(100)), Outcome::Handler(..)));
    assert_eq!(code(scene.ask(question(1))), ErrorCode::RateLimited);
}

#[test]
fn who_is_put_in_a_room_may_be_there_whatever_the_rules_say_until_he_is_taken_out() {
    let mut scene = Scene::new(with_handler(
        "rooms: [{match: 'vip', subscribe: Nobody, publish: Nobody}]",
    ));
    assert_eq!(code(scene.ask(subscribe("vip"))), ErrorCode::Forbidden);
    assert!(put_in(&mut scene, "vip").is_ok());
    assert!(scene.session.may_stay(&room("vip"), &scene.channel));
    hub(scene.ask(unsubscribe("vip")));
    hub(scene.ask(subscribe("vip")));
    assert_eq!(code(scene.ask(publish("vip"))), ErrorCode::Forbidden);
    assert!(scene.session.take_out(&room("vip")));
    assert!(!scene.session.may_stay(&room("vip"), &scene.channel));
    assert_eq!(code(scene.ask(subscribe("vip"))), ErrorCode::Forbidden);
}

#[test]
fn the_handler_does_not_put_anybody_in_more_rooms_than_there_may_be() {
    let mut scene = Scene::new(with_handler("limits: {roomsPerConnection: 2}"));
    hub(scene.ask(subscribe("a")));
    assert!(put_in(&mut scene, "b").is_ok());
    assert!(put_in(&mut scene, "b").is_ok(), "it is there already");
    let refused = put_in(&mut scene, "c").unwrap_err();
    assert_eq!(refused, ErrorCode::TooManyRooms);
    assert_eq!(code(scene.ask(subscribe("c"))), ErrorCode::TooManyRooms);
}
