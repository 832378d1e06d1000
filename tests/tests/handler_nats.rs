//! The channel's handler behind a subject of NATS: shared by back ends, and what happens when it or NATS is away.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::backend::{BackEnd, Received, Says};
use linnet_tests::prelude::*;

const SUBJECT: &str = "shop.backend";

fn manifest(server: &NatsServer, more: Value) -> Manifest {
    let handler = json!({"natsSubject": SUBJECT, "events": ["connect", "disconnect", "request"]});
    Manifest::unhurried()
        .nats(&[server.url()])
        .spec(json!({ "handler": handler }))
        .spec(json!({ "handler": more }))
}

async fn gateway(manifest: &Manifest) -> Gateway {
    let gateway = Gateway::start(manifest).await;
    gateway.ready().await;
    gateway
}

fn request(event: &str, data: Value) -> Value {
    json!({"type": "request", "event": event, "data": data})
}

/// Answers with what was asked, and greets with a name.
fn called(name: &'static str) -> impl Fn(&Received) -> Says {
    move |received| {
        Says::Json(match received.kind() {
            "request" => json!({"data": received.data()["data"]}),
            "connect" => json!({"data": name, "join": ["lobby"]}),
            _ => json!({}),
        })
    }
}

#[test]
fn back_ends_of_a_queue_group_share_the_calls_of_all_gateways() {
    scenario(120, async {
        let server = NatsServer::jetstream().await;
        let one = BackEnd::over_nats(server.client().await, SUBJECT, called("one")).await;
        let two = BackEnd::over_nats(server.client().await, SUBJECT, called("two")).await;
        let manifest = manifest(&server, json!({}));
        let gateways = [gateway(&manifest).await, gateway(&manifest).await];
        let mut clients = Vec::new();
        for number in 0..20 {
            let mut client = gateways[number % 2].client().await;
            assert!(["one", "two"].contains(&client.connected["data"].as_str().unwrap()));
            assert_eq!(client.next_of("subscribed").await["room"], "lobby");
            for data in 0..5 {
                assert_eq!(client.ack(request("e", json!(data))).await["data"], data);
            }
            clients.push(client);
        }
        for client in clients {
            client.close().await;
        }
        let counts = |kind: &str| [one.seen_of(kind).len(), two.seen_of(kind).len()];
        assert_eq!(counts("connect").iter().sum::<usize>(), 20);
        let requests = counts("request");
        assert_eq!(
            requests.iter().sum::<usize>(),
            100,
            "each went to one of them"
        );
        assert!(requests.iter().all(|count| *count > 0), "{requests:?}");
        until("all to be told", || async {
            (counts("disconnect").iter().sum::<usize>() == 20).then_some(())
        })
        .await;
        let asked = &one.seen_of("request")[0];
        assert_eq!(asked.header("webhook-id"), asked.event["id"]);
        let kind = "application/cloudevents+json; charset=utf-8";
        assert_eq!(asked.header("content-type"), kind);
    });
}

#[test]
fn without_a_back_end_without_an_answer_and_without_nats_clients_are_told() {
    scenario(180, async {
        let mut server = NatsServer::jetstream().await;
        let manifest = manifest(&server, json!({"timeoutSeconds": 2, "onFailure": "Allow"}));
        let gateway = gateway(&manifest).await;
        let mut ann = gateway.client().await; // let in without an answer
        ann.refused(request("e", json!(1)), "handler_failed").await;

        let back_end =
            BackEnd::over_nats(server.client().await, SUBJECT, |received| {
                match received.data()["event"].as_str() {
                    Some("slow") => Says::Hangs,
                    Some("lie") => Says::Text("yes".into()),
                    Some("large") => Says::Json(json!({"data": "x".repeat(70_000)})),
                    _ => called("one")(received),
                }
            })
            .await;
        assert_eq!(ann.ack(request("e", json!(2))).await["data"], 2);
        ann.refused(request("slow", json!(1)), "handler_timeout")
            .await;
        ann.refused(request("lie", json!(1)), "handler_failed")
            .await;
        ann.refused(request("large", json!(1)), "handler_failed")
            .await;

        server.stop().await;
        let error = ann.request(request("e", json!(1))).await.unwrap_err();
        let code = error["code"].as_str().unwrap();
        assert!(
            ["handler_timeout", "handler_failed"].contains(&code),
            "{error}"
        );
        server.launch().await;
        until("the back end to be asked again", || async {
            let mut bob = gateway.client().await;
            bob.request(request("e", json!(3))).await.ok()
        })
        .await;
        drop(back_end);
    });
}

#[test]
fn a_handler_may_move_from_http_to_nats_while_clients_stay() {
    scenario(90, async {
        let server = NatsServer::jetstream().await;
        let http = BackEnd::start(|_: &Received| Says::Json(json!({"data": "http"}))).await;
        let handler = json!({"url": http.url(), "events": ["request"]});
        let plain = Manifest::unhurried().nats(&[server.url()]);
        let gateway = gateway(&plain.clone().spec(json!({ "handler": handler }))).await;
        let mut ann = gateway.client().await;
        assert_eq!(ann.ack(request("e", json!(1))).await["data"], "http");
        let answer = |_: &Received| Says::Json(json!({"data": "nats"}));
        let _nats = BackEnd::over_nats(server.client().await, SUBJECT, answer).await;
        let handler = json!({"natsSubject": SUBJECT, "events": ["request"]});
        gateway
            .reconfigure(&plain.spec(json!({ "handler": handler })))
            .await;
        assert_eq!(ann.ack(request("e", json!(1))).await["data"], "nats");
    });
}
