//! What is read.

use super::*;

#[tokio::test]
async fn history_is_read_in_pages() {
    let scene = Scene::new();
    for n in 1..=3 {
        scene
            .post("/publish", format!(r#"{{"room":"a","data":{{"n": {n}}}}}"#))
            .await;
    }
    let page = async |query: &str| {
        let (status, _, page) = scene.get(&format!("/history?room=a{query}")).await;
        assert_eq!(status, 200, "{page}");
        let offsets = page["messages"].as_array().unwrap().iter();
        let offsets: Vec<_> = offsets
            .map(|message| message["offset"].as_u64().unwrap())
            .collect();
        (offsets, page["more"].as_bool().unwrap())
    };
    assert_eq!(page("").await, (vec![1, 2, 3], false));
    assert_eq!(page("&limit=2").await, (vec![2, 3], true));
    assert_eq!(page("&after=1&limit=1").await, (vec![2], true));
    assert_eq!(page("&before=2").await, (vec![1], false));
    assert_eq!(page("&after=9007199254740991").await, (vec![], false));
}

#[tokio::test]
async fn bad_questions_are_told_what_is_wrong() {
    let scene = Scene::new();
    for (route, expected) in [
        ("/history", (400, "bad_request")),
        ("/history?room=", (400, "bad_room")),
        ("/history?room=a%00", (400, "bad_room")),
        ("/history?room=a&after=x", (400, "bad_request")),
        ("/history?room=a&after=-1", (400, "bad_request")),
        (
            "/history?room=a&after=9007199254740992",
            (400, "bad_request"),
        ),
        ("/history?room=a&after=1&before=2", (400, "bad_request")),
        ("/history?room=a&limit=0", (400, "bad_request")),
        ("/history?room=a&limit=101", (400, "bad_request")),
        ("/history?room=a&room=b", (400, "bad_request")),
        ("/history?room=a&sice=1", (400, "bad_request")),
        ("/history?room=live.a", (404, "no_history")),
        ("/presence?room=a", (404, "no_presence")),
        ("/presence?room=people.a&after=x", (400, "bad_request")),
        ("/rooms?limit=1001", (400, "bad_request")),
        ("/rooms?limit=x", (400, "bad_request")),
        ("/users/connections", (400, "bad_request")),
        ("/users/connections?user=", (400, "bad_request")),
        ("/users/connections?user=~x", (400, "bad_request")),
        ("/stats?x=1", (400, "bad_request")),
    ] {
        assert_eq!(code(&scene.get(route).await), expected, "{route}");
    }
}

#[tokio::test]
async fn a_room_that_nobody_is_in_has_no_members() {
    let scene = Scene::new();
    let (status, _, page) = scene.get("/presence?room=people.a").await;
    assert_eq!(status, 200);
    assert_eq!(page, json!({"version": 0, "members": [], "more": false}));
}

#[tokio::test]
async fn rooms_are_listed_by_name_in_pages() {
    let scene = Scene::new();
    for room in ["b", "a1", "a3", "a2"] {
        scene.publish(&json!({"room": room, "data": 1})).await;
    }
    let names = async |query: &str| {
        let (_, _, page) = scene.get(&format!("/rooms{query}")).await;
        let rooms = page["rooms"].as_array().unwrap().iter();
        let names: Vec<_> = rooms
            .map(|room| room["room"].as_str().unwrap().to_owned())
            .collect();
        (names.join(" "), page["more"].as_bool().unwrap())
    };
    assert_eq!(names("").await, ("a1 a2 a3 b".into(), false));
    assert_eq!(names("?prefix=a&limit=2").await, ("a1 a2".into(), true));
    assert_eq!(names("?prefix=a&after=a2").await, ("a3".into(), false));
    assert_eq!(names("?prefix=x").await, (String::new(), false));
}

#[tokio::test]
async fn numbers_name_their_gateway() {
    let scene = Scene::new();
    scene.publish(&json!({"room": "a", "data": 1})).await;
    let (status, _, stats) = scene.get("/stats").await;
    assert_eq!(
        (status, &stats["gateway"]),
        (StatusCode::OK, &json!("gw-0"))
    );
    assert_eq!(stats["connections"], 0);
}
