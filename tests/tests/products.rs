//! The example of products: a service, its outbox, two relays and two gateways over NATS, in bad weather.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::net::SocketAddr;
use std::time::Duration;

use linnet_tests::follower::Position;
use linnet_tests::issuer::{SECRET, Secrets};
use linnet_tests::outbox::KEY;
use linnet_tests::prelude::*;
use linnet_tests::products::{self, ROOM, announced, ask, committed};
use linnet_tests::seed::seed;
use linnet_tests::{Outbox, Postgres, Products, ledger};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;

/// How many transactions there are; about a third is rolled back.
const TRANSACTIONS: usize = 10_000;
const WRITERS: usize = 8;
/// Each client cuts its connection after at most so many messages.
const BUDGET: usize = 500;

/// Everything but the relays.
struct Scene {
    postgres: Postgres,
    nats: NatsServer,
    gateways: Vec<Gateway>,
    service: Products,
    _secrets: Secrets,
}

impl Scene {
    async fn build() -> Self {
        let nats = NatsServer::jetstream().await;
        let secrets = Secrets::of(&[]);
        secrets.put("api.outbox", &format!("{KEY}\nscopes: publish history\n"));
        let manifest = Manifest::unhurried()
            .nats(&[nats.url()])
            .history(TRANSACTIONS as u32)
            .spec(json!({"authentication": {"apiKeySecretName": SECRET}}))
            .room(json!({"match": ROOM, "publish": "Nobody"}));
        let mut gateways = Vec::new();
        for number in 0..2 {
            let name = format!("g{number}");
            let args = [
                "--create-stream",
                "--name",
                &name,
                "--secrets",
                secrets.path(),
            ];
            let gateway = Gateway::start_with(&manifest, &args).await;
            gateway.ready().await;
            gateways.push(gateway);
        }
        let postgres = Postgres::start().await;
        let service = Products::start(&postgres).await;
        Self {
            postgres,
            nats,
            gateways,
            service,
            _secrets: secrets,
        }
    }

    /// A relay at gateway `number`.
    async fn relay(&self, number: usize) -> Outbox {
        Outbox::spawn(&self.postgres, self.gateways[number].internal, &[]).await
    }

    /// Where a client stands that has seen nothing.
    async fn beginning(&self) -> Position {
        let mut client = self.gateways[0].client().await;
        Position::of(&client.subscribe(ROOM).await)
    }

    /// The last offset of the room.
    async fn end(&self) -> u64 {
        let mut client = self.gateways[0].client().await;
        let page = client
            .ack(json!({"type": "history", "room": ROOM, "limit": 1}))
            .await;
        page["messages"][0]["offset"].as_u64().unwrap()
    }
}

/// Creates, changes and deletes products of its own, so many times; a third only to try.
async fn trade(service: SocketAddr, times: usize, mut random: StdRng) {
    let mut known: Vec<i64> = Vec::new();
    for number in 0..times {
        let query = ["", "", "?dry_run=true"][random.random_range(0..3)];
        let body = json!({"name": format!("product {number}"), "price_cents": number}).to_string();
        let any = (!known.is_empty()).then(|| random.random_range(0..known.len()));
        let (answer, place) = match any {
            Some(place) if known.len() >= 5 => {
                let path = format!("/products/{}{query}", known[place]);
                let method = ["PUT", "PUT", "PUT", "DELETE"][random.random_range(0..4)];
                let answer = ask(service, method, &path, &body).await;
                (
                    answer,
                    (method == "DELETE" && query.is_empty()).then_some(place),
                )
            }
            _ => (
                ask(service, "POST", &format!("/products{query}"), &body).await,
                None,
            ),
        };
        match answer {
            Some(answer) if answer.status == 201 && query.is_empty() => {
                known.push(answer.json()["id"].as_i64().unwrap());
            }
            // 404: it was deleted by a request whose answer did not come; 503: the database is away.
            Some(answer) => assert!(
                [200, 201, 204, 404, 503].contains(&answer.status),
                "{answer:?}"
            ),
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
        if let Some(place) = place {
            known.swap_remove(place);
        }
    }
}

#[test]
fn clients_see_what_was_committed_once_and_in_order_whoever_dies() {
    scenario(300, async {
        let mut scene = Scene::build().await;
        let seed = seed();
        let mut random = StdRng::seed_from_u64(seed);
        let mut relays = [scene.relay(0).await, scene.relay(1).await];
        let doors = Doors::of(&scene.gateways);
        let beginning = scene.beginning().await;
        let (end, ends) = watch::channel(u64::MAX);
        let clients = (0..4).map(|number| {
            let mut follower = Follower::new(ROOM, beginning.clone());
            let (doors, ends) = (doors.clone(), ends.clone());
            let random = StdRng::seed_from_u64(seed.wrapping_add(100 + number));
            tokio::spawn(async move {
                let first = doors.at(number as usize % 2);
                follower
                    .follow_to_the_end(&doors, first, ends, Some(BUDGET), random)
                    .await;
                follower
            })
        });
        let clients: Vec<_> = clients.collect();
        let writers = (0..WRITERS).map(|number| {
            let random = StdRng::seed_from_u64(seed.wrapping_add(number as u64));
            tokio::spawn(trade(scene.service.address, TRANSACTIONS / WRITERS, random))
        });
        let writers: Vec<_> = writers.collect();

        let mut faults = 0;
        while writers.iter().any(|writer| !writer.is_finished()) || faults < 8 {
            // At any moment of what they are at.
            tokio::time::sleep(Duration::from_millis(random.random_range(200..1_500))).await;
            match (faults, random.random_range(0..3)) {
                (3, _) => scene.postgres.restart().await,
                (5, _) => scene.nats.restart().await,
                (7, _) => {
                    scene.postgres.crash().await;
                    scene.postgres.launch().await;
                }
                (_, 2) => scene.service.kill().await,
                (_, number) => {
                    relays[number].kill().await;
                    relays[number] = scene.relay(number).await;
                }
            }
            faults += 1;
        }
        for writer in writers {
            writer.await.unwrap();
        }
        ledger::is_empty(&scene.postgres).await;
        end.send_replace(scene.end().await);

        let committed = committed(&scene.postgres).await;
        let count: usize = committed.values().map(Vec::len).sum();
        assert!(count > TRANSACTIONS / 4, "only {count} were committed");
        for client in clients {
            let follower = within("a client's end", 300, client).await.unwrap();
            let heard = announced(follower.got.iter().map(|(_, data)| data));
            for (id, changes) in &committed {
                assert_eq!(heard.get(id), Some(changes), "product {id}");
            }
            assert_eq!(heard.len(), committed.len(), "nobody committed others");
        }
    });
}

#[test]
fn a_change_is_announced_with_its_type_and_a_try_is_not() {
    scenario(60, async {
        let scene = Scene::build().await;
        let _relay = scene.relay(0).await;
        let mut client = scene.gateways[1].client().await;
        client.subscribe(ROOM).await;
        let ask = |method, path, body| ask(scene.service.address, method, path, body);
        let soup = r#"{"name": "Soup", "price_cents": 450}"#;
        let tried = ask("POST", "/products?dry_run=true", soup).await.unwrap();
        assert_eq!(tried.status, 201);
        let created = ask("POST", "/products", soup).await.unwrap().json();
        let id = created["id"].as_i64().unwrap();
        let path = format!("/products/{id}");
        for (body, status) in [
            (r#"{"name": "", "price_cents": 1}"#, 400),
            (r#"{"name": "Soup", "price_cents": -1}"#, 400),
            (r#"{"name": "Soup"}"#, 400),
            ("{", 400),
        ] {
            let answer = ask("PUT", &path, body).await.unwrap();
            assert_eq!(answer.status, status, "{answer:?}");
            assert!(answer.json()["error"].is_string(), "{answer:?}");
        }
        let dearer = r#"{"name": "Soup", "price_cents": 490}"#;
        let updated = ask("PUT", &path, dearer).await.unwrap().json();
        let welcome = ask("GET", "/welcome", "").await.unwrap().json();
        assert_eq!(welcome["type"], "WELCOME");
        assert_eq!(welcome["data"]["products"], json!([updated]));
        assert_eq!(ask("DELETE", &path, "").await.unwrap().status, 204);
        assert_eq!(ask("DELETE", &path, "").await.unwrap().status, 404);

        let deleted = json!({"id": id, "version": 3});
        for (kind, data) in [
            ("PRODUCT_CREATED", created),
            ("PRODUCT_UPDATED", updated),
            ("PRODUCT_DELETED", deleted),
        ] {
            let frame = client.next_of("message").await;
            assert_eq!(
                (&frame["event"], &frame["data"]["type"]),
                (&json!(kind), &json!(kind))
            );
            assert_eq!(frame["data"]["data"], data);
            assert!(frame["data"]["timestamp"].is_string(), "{frame}");
        }
        assert_eq!(products::committed(&scene.postgres).await[&id].len(), 3);
    });
}
