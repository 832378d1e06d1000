//! Who is let in, and with what.

use super::*;
use crate::auth::api_access::Caller;

fn request(authorization: Option<&str>) -> Request<Body> {
    let mut request = Request::post("/publish").header("content-type", "application/json");
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    request
        .body(Body::from(r#"{"room": "a", "data": 1}"#))
        .unwrap()
}

#[tokio::test]
async fn a_call_without_a_good_key_is_told_what_is_missing() {
    let scene = Scene::new();
    for (authorization, expected, challenge) in [
        (None, (401, "unauthenticated"), "Bearer"),
        (
            Some("Basic YTpi".to_owned()),
            (401, "unauthenticated"),
            "Bearer",
        ),
        (
            Some("Bearer nobodys-0123456789abcdef".to_owned()),
            (401, "unauthenticated"),
            "Bearer error=\"invalid_token\"",
        ),
        (
            Some(format!("Bearer {NONE}")),
            (403, "forbidden"),
            "Bearer error=\"insufficient_scope\", scope=\"linnet:publish\"",
        ),
    ] {
        let (headers, told) = scene.send(request(authorization.as_deref())).await;
        assert_eq!(code(&told), expected);
        assert_eq!(headers["www-authenticate"], challenge);
    }
    let key = format!("Bearer {KEY}");
    let (_, (status, _, body)) = scene.send(request(Some(&key))).await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let scene = Scene::new();
    assert_eq!(
        code(&scene.post("/nothing", "{}").await),
        (404, "not_found")
    );
    let get = Request::get("/publish").body(Body::empty()).unwrap();
    let (headers, told) = scene.send(get).await;
    assert_eq!(code(&told), (405, "method_not_allowed"));
    assert_eq!(headers["allow"], "POST");
}

#[tokio::test]
async fn a_body_must_be_json_of_a_size_that_fits() {
    let scene = Scene::new();
    for (kind, body, expected) in [
        (
            Some("text/plain"),
            "{}".to_owned(),
            (415, "unsupported_media_type"),
        ),
        (None, "{}".to_owned(), (415, "unsupported_media_type")),
        (
            Some("application/json"),
            "{".to_owned(),
            (400, "bad_request"),
        ),
        (
            Some("application/json; charset=utf-8"),
            String::new(),
            (400, "bad_request"),
        ),
        (
            Some("application/json"),
            "\u{0}".to_owned(),
            (400, "bad_request"),
        ),
        (
            Some("application/json"),
            "x".repeat(5 << 20),
            (413, "message_too_large"),
        ),
    ] {
        let mut request =
            Request::post("/publish").header("authorization", format!("Bearer {KEY}"));
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        let request = request.body(Body::from(body)).unwrap();
        let (_, told) = scene.send(request).await;
        assert_eq!(code(&told), expected);
    }
    let not_text = scene.post("/publish", vec![0xff_u8, 0xfe]).await;
    assert_eq!(code(&not_text), (400, "bad_request"));
}

#[tokio::test]
async fn the_document_needs_no_key_and_names_every_route() {
    let scene = Scene::new();
    let get = Request::get("/openapi.json").body(Body::empty()).unwrap();
    let (_, (status, _, document)) = scene.send(get).await;
    assert_eq!(
        (status, &document["openapi"]),
        (StatusCode::OK, &json!("3.1.0"))
    );
    for (path, of) in document["paths"].as_object().unwrap() {
        let route = path.strip_prefix("/v1").unwrap();
        for method in of.as_object().unwrap().keys() {
            let request = Request::builder().method(method.to_uppercase().as_str());
            let request = request.uri(route).body(Body::empty()).unwrap();
            let (_, (status, ..)) = scene.send(request).await;
            let expected = if route == "/openapi.json" { 200 } else { 401 };
            assert_eq!(status, expected, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn who_asks_too_much_is_told_when_to_come_again() {
    let scene = Scene::new();
    let messages = json!({"messages": vec![json!({"room": "live.a", "data": 1}); 100]});
    let key = Caller::Key("all".into()).scope();
    let limited = loop {
        while scene.api.0.rates.take(&key, 10).is_ok() {}
        let told = scene.publish(&messages).await;
        if told.0 != StatusCode::OK {
            break told; // else the machine was held up between the two
        }
    };
    assert_eq!(code(&limited), (429, "rate_limited"));
    assert!(
        limited.2["retry_after_ms"]
            .as_u64()
            .is_some_and(|wait| wait > 0)
    );
}

#[tokio::test]
async fn a_user_is_signed_out_by_those_who_may() {
    let scene = Scene::new();
    let (status, _, body) = scene.post("/revoke", r#"{"user": "ann"}"#).await;
    assert_eq!((status, &body["user"]), (StatusCode::OK, &json!("ann")));
    assert!(body["at"].is_u64());
    for bad in [
        r#"{"user": ""}"#,
        r#"{"user": "~ann"}"#,
        r#"{"user": 1}"#,
        "{}",
        "[]",
    ] {
        assert_eq!(
            code(&scene.post("/revoke", bad).await),
            (400, "bad_request"),
            "{bad}"
        );
    }
}
