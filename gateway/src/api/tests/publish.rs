//! What is published.

use super::*;

#[tokio::test]
async fn a_message_has_a_position_where_the_room_keeps_it() {
    let scene = Scene::new();
    let (status, _, one) = scene.publish(&json!({"room": "a", "data": {"x": 1}})).await;
    assert_eq!(status, 200);
    assert_eq!((&one["room"], &one["offset"]), (&json!("a"), &json!(1)));
    assert!(
        one["epoch"].is_string() && one["timestamp"].is_u64(),
        "{one}"
    );
    let (_, _, live) = scene
        .publish(&json!({"room": "live.a", "data": 1, "message_id": "x"}))
        .await;
    assert!(
        live.get("offset").is_none() && live["deduplicated"] == false,
        "{live}"
    );
}

#[tokio::test]
async fn a_message_id_makes_a_repeat_the_same_message() {
    let scene = Scene::new();
    let message = json!({"room": "a", "data": 1, "message_id": "x"});
    let (_, _, first) = scene.publish(&message).await;
    let (_, _, again) = scene.publish(&message).await;
    assert_eq!(
        (&again["offset"], &again["duplicate"]),
        (&first["offset"], &json!(true))
    );
    let (_, _, other) = scene
        .publish(&json!({"room": "b", "data": 1, "message_id": "x"}))
        .await;
    assert!(other.get("duplicate").is_none());
}

#[tokio::test]
async fn each_of_several_messages_has_a_result_in_its_place() {
    let scene = Scene::new();
    let (status, _, body) = scene
        .publish(&json!({"messages": [
            {"room": "a", "data": 1},
            {"room": "", "data": 1},
            {"room": "numbers", "data": {"n": "x"}},
            {"room": "a", "data": "x".repeat(1025)},
            {"room": "a", "data": 2},
            5,
        ]}))
        .await;
    assert_eq!(status, 200);
    let results = body["results"].as_array().unwrap();
    assert_eq!(
        (&results[0]["offset"], &results[4]["offset"]),
        (&json!(1), &json!(2))
    );
    let error = |index: usize| {
        let error = &results[index]["error"];
        (
            error["code"].as_str().unwrap(),
            error["pointer"].as_str().unwrap(),
        )
    };
    assert_eq!(error(1), ("bad_room", "/messages/1"));
    assert_eq!(error(2), ("bad_request", "/messages/2/data/n"));
    assert_eq!(error(3), ("message_too_large", "/messages/3"));
    assert_eq!(error(5), ("bad_request", "/messages/5"));
    assert_eq!(results[2]["room"], "numbers");
}

#[tokio::test]
async fn one_message_goes_to_several_rooms() {
    let scene = Scene::new();
    let (_, _, body) = scene
        .publish(&json!({"rooms": ["a", "live.b", "x\u{7f}", "a"], "data": 1, "message_id": "m"}))
        .await;
    let results = body["results"].as_array().unwrap();
    assert_eq!(
        (&results[0]["room"], &results[0]["offset"]),
        (&json!("a"), &json!(1))
    );
    assert_eq!(results[1]["room"], "live.b");
    assert_eq!(results[2]["error"]["code"], "bad_room");
    assert_eq!(
        results[3]["duplicate"], true,
        "the same message to the same room"
    );
}

#[tokio::test]
async fn what_can_not_be_published_is_a_problem() {
    let scene = Scene::new();
    for (body, expected) in [
        (json!({"room": "a"}), (400, "bad_request")),
        (json!({"room": 5, "data": 1}), (400, "bad_request")),
        (json!({"room": "", "data": 1}), (400, "bad_room")),
        (
            json!({"room": "x".repeat(257), "data": 1}),
            (400, "bad_room"),
        ),
        (
            json!({"room": "a", "data": 1, "event": 5}),
            (400, "bad_request"),
        ),
        (
            json!({"room": "a", "data": 1, "event": "x".repeat(65)}),
            (400, "bad_request"),
        ),
        (
            json!({"room": "a", "data": 1, "encoding": "hex"}),
            (400, "bad_request"),
        ),
        (
            json!({"room": "a", "data": "!", "encoding": "base64"}),
            (400, "bad_request"),
        ),
        (json!({"room": "a", "data": 1, "message_id": ""}), (200, "")),
        (
            json!({"room": "a", "data": "x".repeat(1100)}),
            (413, "message_too_large"),
        ),
        (
            json!({"room": "numbers", "data": {"n": "x"}}),
            (400, "bad_request"),
        ),
        (json!({"messages": []}), (400, "bad_request")),
        (json!([]), (400, "bad_request")),
    ] {
        let told = scene.publish(&body).await;
        match expected {
            (200, _) => assert_eq!(told.0, 200, "{body}"),
            _ => assert_eq!(code(&told), expected, "{body}"),
        }
    }
    let told = scene
        .publish(&json!({"room": "numbers", "data": {"n": "x"}}))
        .await;
    assert_eq!(told.2["pointer"], "/data/n");
}

#[tokio::test]
async fn rules_of_rooms_do_not_hold_for_keys() {
    let scene = Scene::new();
    let (status, ..) = scene.publish(&json!({"room": "closed.a", "data": 1})).await;
    assert_eq!(status, 200);
}
