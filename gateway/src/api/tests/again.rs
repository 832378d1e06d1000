//! Calls that are sent again with their Idempotency-Key.

use super::*;

async fn publish(scene: &Scene, idempotency: &str, body: &Value) -> (bool, Told) {
    let request = Request::post("/publish")
        .header("authorization", format!("Bearer {KEY}"))
        .header("content-type", "application/json")
        .header("idempotency-key", idempotency);
    let request = request.body(Body::from(body.to_string())).unwrap();
    let (headers, told) = scene.send(request).await;
    (headers.contains_key("idempotency-replayed"), told)
}

#[tokio::test]
async fn a_call_that_is_sent_again_has_the_same_answer_and_no_effect() {
    let scene = Scene::new();
    for room in ["a", "live.a"] {
        let body = json!({"room": room, "data": 1});
        let (replayed, first) = publish(&scene, room, &body).await;
        assert!(!replayed && first.0 == 200, "{first:?}");
        assert_eq!(publish(&scene, room, &body).await, (true, first));
    }
    let (_, _, history) = scene.get("/history?room=a").await;
    assert_eq!(history["messages"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn another_body_is_refused_and_another_key_is_another_call() {
    let scene = Scene::new();
    let body = |n: u32| json!({"room": "a", "data": n});
    publish(&scene, "k", &body(1)).await;
    let (_, changed) = publish(&scene, "k", &body(2)).await;
    assert_eq!(code(&changed), (422, "idempotency_mismatch"));
    let (replayed, other) = publish(&scene, "l", &body(2)).await;
    assert!(!replayed && other.2["offset"] == 2);
}

#[tokio::test]
async fn a_call_that_was_refused_may_be_put_right() {
    let scene = Scene::new();
    let (_, refused) = publish(&scene, "k", &json!({"room": "", "data": 1})).await;
    assert_eq!(code(&refused), (400, "bad_room"));
    let (replayed, good) = publish(&scene, "k", &json!({"room": "a", "data": 1})).await;
    assert!(!replayed && good.0 == 200);
}

#[tokio::test]
async fn several_messages_of_a_call_are_several_also_where_they_are_alike() {
    let scene = Scene::new();
    let message = json!({"room": "a", "data": 1});
    let (_, told) = publish(&scene, "k", &json!({"messages": [message, message]})).await;
    let results = told.2["results"].as_array().unwrap();
    assert_eq!(
        (&results[0]["offset"], &results[1]["offset"]),
        (&json!(1), &json!(2))
    );
    let (_, bad) = publish(&scene, "", &json!({"room": "a", "data": 1})).await;
    assert_eq!(code(&bad), (400, "bad_request"));
}
