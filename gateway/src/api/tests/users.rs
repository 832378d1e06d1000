//! What is said and done to users, when nobody is there.

use super::*;

#[tokio::test]
async fn who_is_offline_gets_nothing_and_the_answer_says_so() {
    let scene = Scene::new();
    let (status, _, sent) = scene.post("/send", r#"{"to": "ann", "data": 1}"#).await;
    assert_eq!((status, sent), (StatusCode::OK, json!({"connections": 0})));
    let (_, _, closed) = scene.post("/disconnect", r#"{"user": "ann"}"#).await;
    assert_eq!(closed, json!({"connections": 0}));
    let (_, _, known) = scene.get("/users/connections?user=ann").await;
    assert_eq!(known, json!({"user": "ann", "connections": []}));
}

#[tokio::test]
async fn what_can_not_be_sent_is_a_problem() {
    let scene = Scene::new();
    for body in [
        json!({"data": 1}),
        json!({"to": "ann"}),
        json!({"to": "", "data": 1}),
        json!({"to": "~x", "data": 1}),
        json!({"to": "ann", "room": "a", "data": 1}),
    ] {
        let told = scene.post("/send", body.to_string()).await;
        assert_eq!(code(&told), (400, "bad_request"), "{body}");
    }
    let large = json!({"to": "ann", "data": "x".repeat(1100)});
    let told = scene.post("/send", large.to_string()).await;
    assert_eq!(code(&told), (413, "message_too_large"));
}

#[tokio::test]
async fn what_names_nobody_or_no_close_code_disconnects_nobody() {
    let scene = Scene::new();
    for body in [
        json!({}),
        json!({"user": null}),
        json!({"user": "ann", "connection": "~AAAAAAAAAAAAAAAAAAAAAA"}),
        json!({"connection": "ann"}),
        json!({"user": "~ann"}),
        json!({"user": "ann", "code": 1000}),
        json!({"user": "ann", "code": 5000}),
        json!({"user": "ann", "code": "4001"}),
        json!({"user": "ann", "reason": "x".repeat(124)}),
        json!({"user": "ann", "resaon": "x"}),
    ] {
        let told = scene.post("/disconnect", body.to_string()).await;
        assert_eq!(code(&told), (400, "bad_request"), "{body}");
    }
}
