//! `examples/products/run` starts everything and ends it.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::example::Run;
use linnet_tests::prelude::*;
use linnet_tests::products::ask;

const SCRIPT: &str = "examples/products/run";

#[test]
fn the_shop_runs_on_one_machine_and_its_changes_are_heard() {
    scenario(400, async {
        let mut run = Run::start(SCRIPT, &[]);
        let gateway = run.says("gateway at ").await.parse().unwrap();
        let service = run.says("service at ").await.parse().unwrap();
        let page = run.says("open http://").await;
        assert!(page.starts_with(&format!("{service}/")), "{page}");
        let mut client = Client::open(gateway, "").await.unwrap();
        client.subscribe("products").await;
        let page = ask(service, "GET", "/", "").await.unwrap();
        assert!(page.body.contains("<title>Products</title>"), "{page:?}");
        for path in ["/page.js", "/linnet.js"] {
            let script = ask(service, "GET", path, "").await.unwrap();
            assert_eq!(
                script.header("content-type"),
                Some("text/javascript"),
                "{path}"
            );
        }
        let channel = ask(service, "GET", "/channel", "").await.unwrap().body;
        assert_eq!(channel, format!("ws://{gateway}/ws"));
        let cake = r#"{"name": "Cake", "price_cents": 350}"#;
        assert_eq!(
            ask(service, "POST", "/products", cake)
                .await
                .unwrap()
                .status,
            201
        );
        let frame = client.next_of("message").await;
        assert_eq!(frame["data"]["type"], "PRODUCT_CREATED", "{frame}");
        assert_eq!(frame["data"]["data"]["name"], "Cake", "{frame}");
        // What the script has changed is in the room's history, and not what it rolled back.
        let page = client
            .ack(json!({"type": "history", "room": "products"}))
            .await;
        let events = page["messages"].as_array().unwrap().iter();
        let events: Vec<&str> = events
            .map(|message| message["event"].as_str().unwrap())
            .collect();
        assert_eq!(
            events,
            [
                "PRODUCT_CREATED",
                "PRODUCT_CREATED",
                "PRODUCT_UPDATED",
                "PRODUCT_CREATED"
            ]
        );
        run.terminate();
        assert!(!run.ended().await.success());
        let again = tokio::net::TcpStream::connect(service).await;
        assert!(again.is_err(), "the service went with it");
    });
}

#[test]
fn with_once_it_ends_by_itself() {
    scenario(400, async {
        let mut run = Run::start(SCRIPT, &["--once"]);
        assert!(run.ended().await.success(), "{:#?}", run.said);
        let last = run.said.last().unwrap();
        assert!(
            last.contains("nothing waits in the outbox"),
            "{:#?}",
            run.said
        );
    });
}
