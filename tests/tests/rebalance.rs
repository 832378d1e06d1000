//! A gateway that is asked to make room: some of its clients move, and as many as asked stay.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::http::{self, Answer};
use linnet_tests::prelude::*;

const CLIENTS: usize = 40;

async fn post(gateway: &Gateway, kind: &str, body: &str) -> Answer {
    let request = format!(
        "POST /rebalance HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        gateway.internal,
        body.len()
    );
    http::send(gateway.internal, request.as_bytes()).await
}

/// Has `keep` clients stay; gives what the gateway says of it.
async fn rebalance(gateway: &Gateway, keep: usize, seconds: u64) -> Value {
    let body = json!({"keep": keep, "windowSeconds": seconds}).to_string();
    let answer = post(gateway, "application/json", &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

async fn crowded(manifest: &Manifest) -> (Gateway, Vec<Client>) {
    let gateway = Gateway::start(manifest).await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = gateway.client().await;
        client.subscribe("lobby").await;
        clients.push(client);
    }
    (gateway, clients)
}

#[test]
fn as_many_clients_stay_as_asked_and_the_others_are_told_and_closed_with_1012() {
    scenario(60, async {
        let (gateway, clients) = crowded(&Manifest::unhurried()).await;
        assert_eq!(gateway.status().await["moving"], 0);
        // A window in which nobody's turn comes while this is looked at.
        let said = rebalance(&gateway, 10, 3600).await;
        assert_eq!(
            said,
            json!({"connections": CLIENTS, "moving": CLIENTS - 10})
        );
        // Asking again is asking for the same.
        assert_eq!(rebalance(&gateway, 10, 3600).await["moving"], CLIENTS - 10);
        rebalance(&gateway, CLIENTS, 3600).await;
        rebalance(&gateway, 10, 2).await;
        let ends = clients.into_iter().map(|mut client| {
            tokio::spawn(async move {
                let frame = client.next().await;
                if frame["type"] == "goaway" {
                    assert_eq!(client.closed().await, (1012, "draining".to_owned()));
                    return "moved";
                }
                assert_eq!(frame["type"], "message", "{frame}");
                "stayed"
            })
        });
        let ends: Vec<_> = ends.collect();
        until("the others to be gone", || async {
            let status = gateway.status().await;
            (status["connections"] == 10 && status["moving"] == 0).then_some(())
        })
        .await;
        gateway
            .client()
            .await
            .publish("lobby", json!("to all who stayed"))
            .await;
        let mut stayed = 0;
        for end in ends {
            stayed += usize::from(end.await.unwrap() == "stayed");
        }
        assert_eq!(stayed, 10);
    });
}

#[test]
fn who_moves_is_told_in_time_and_closed_with_1012() {
    scenario(60, async {
        let (gateway, clients) = crowded(&Manifest::unhurried()).await;
        rebalance(&gateway, 0, 1).await;
        for mut client in clients {
            let goaway = client.next_of("goaway").await;
            assert!(goaway["within_ms"].as_u64().unwrap() <= 1000, "{goaway}");
            assert_eq!(client.closed().await, (1012, "draining".to_owned()));
        }
        // It serves whoever comes now.
        gateway.client().await.settle().await;
        assert_eq!(gateway.get("/readyz").await.status, 200);
    });
}

#[test]
fn moves_that_nobody_was_told_of_are_taken_back() {
    scenario(60, async {
        let (gateway, clients) = crowded(&Manifest::unhurried()).await;
        assert_eq!(rebalance(&gateway, 0, 3600).await["moving"], CLIENTS);
        assert_eq!(rebalance(&gateway, 30, 3600).await["moving"], CLIENTS - 30);
        // In so long a window hardly anybody was told in between.
        let left = rebalance(&gateway, usize::from(u16::MAX), 3600).await["moving"].clone();
        assert!(left.as_u64().unwrap() <= 2, "{left}");
        drop(clients);
    });
}

#[test]
fn a_drain_does_not_wait_for_moves_that_were_to_take_longer() {
    scenario(60, async {
        let manifest = Manifest::unhurried().spec(json!({"rollout": {"drainSeconds": 1}}));
        let (mut gateway, mut clients) = crowded(&manifest).await;
        rebalance(&gateway, 20, 3600).await;
        gateway.signal("TERM");
        for client in &mut clients {
            client.next_of("goaway").await;
            assert_eq!(client.closed().await, (1012, "draining".to_owned()));
        }
        assert!(gateway.exit(15).await.success());
    });
}

#[test]
fn what_can_not_be_asked_is_refused_with_a_reason_and_moves_nobody() {
    scenario(60, async {
        let manifest = Manifest::unhurried().spec(json!({"rollout": {"drainSeconds": 600}}));
        let gateway = Gateway::start(&manifest).await;
        let client = gateway.client().await;
        let json = "application/json";
        for (kind, body, status, told) in [
            (
                json,
                r#"{"keep": 0, "windowSeconds": 0}"#,
                422,
                "from 1 to 3600",
            ),
            (
                json,
                r#"{"keep": 0, "windowSeconds": 3601}"#,
                422,
                "from 1 to 3600",
            ),
            (json, r#"{"keep": -1, "windowSeconds": 1}"#, 422, "keep"),
            (json, r#"{"keep": 0}"#, 422, "windowSeconds"),
            (
                json,
                r#"{"keep": 0, "windowSeconds": 1, "all": 1}"#,
                422,
                "all",
            ),
            (json, "keep=0", 400, "JSON"),
            (
                "text/plain",
                r#"{"keep": 0, "windowSeconds": 1}"#,
                415,
                "application/json",
            ),
        ] {
            let answer = post(&gateway, kind, body).await;
            assert_eq!(answer.status, status, "{body}: {answer:?}");
            assert!(answer.body.contains(told), "{body}: {answer:?}");
        }
        assert_eq!(gateway.status().await["moving"], 0);
        gateway.signal("TERM");
        let answer = until("a draining gateway", || async {
            let answer = post(&gateway, json, r#"{"keep": 0, "windowSeconds": 1}"#).await;
            (answer.status == 409).then_some(answer)
        })
        .await;
        assert!(answer.body.contains("drain"), "{answer:?}");
        drop(client);
    });
}
