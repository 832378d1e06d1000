//! Every example manifest is served, and does what its comments say.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::gateway::workspace;
use linnet_tests::prelude::*;
use tempfile::TempDir;

/// Serves a copy of `examples/<name>`.
async fn serve(name: &str) -> Gateway {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join(name);
    std::fs::copy(workspace().join("examples").join(name), &file).unwrap();
    Gateway::start_file(folder, file, &[]).await
}

#[test]
fn chat_is_open_with_history_presence_and_a_page() {
    scenario(60, async {
        let gateway = serve("chat.yaml").await;
        let mut ann = gateway.client_with("name=Ann").await;
        ann.ack(json!({"type": "subscribe", "room": "lobby", "presence": true}))
            .await;
        let frame = ann.next_of("presence").await;
        assert_eq!(frame["join"][0]["info"]["name"], "Ann", "{frame}");
        ann.publish("lobby", json!("hello")).await;
        ann.skip_to("message").await;
        let history = ann.ack(json!({"type": "history", "room": "lobby"})).await;
        assert_eq!(history["messages"][0]["data"], "hello");
        let mut plain = gateway.plain("lobby").await;
        plain.settle("hello from a script").await;

        let page = gateway.get_public("/").await;
        assert_eq!(page.status, 200);
        assert!(
            page.header("content-type")
                .unwrap()
                .starts_with("text/html"),
            "{page:?}"
        );
        let policy = page.header("content-security-policy").unwrap();
        assert!(
            !policy.contains("unsafe-inline") && !policy.contains("unsafe-eval"),
            "{policy}"
        );
    });
}

#[test]
fn limits_shows_every_limit_and_holds_them() {
    scenario(60, async {
        let text = std::fs::read_to_string(workspace().join("examples/limits.yaml")).unwrap();
        for limit in [
            "messageSize",
            "messagesPerSecond",
            "messageBurst",
            "bytesPerSecond",
            "subscribesPerSecond",
            "roomsPerConnection",
            "connectionsPerUser",
            "connectionsPerGateway",
            "connectsPerSecond",
            "sendQueueSize",
            "queueMemory",
            "historyMemory",
        ] {
            let line = text
                .lines()
                .find(|line| line.trim_start().starts_with(&format!("{limit}:")));
            assert!(
                line.is_some_and(|line| line.contains('#')),
                "{limit} with a comment"
            );
        }
        let gateway = serve("limits.yaml").await;
        let mut client = gateway.client().await;
        let size = client.connected["limits"]["message_size"].as_u64().unwrap();
        let burst = client.connected["limits"]["message_burst"]
            .as_u64()
            .unwrap();
        let large = json!({"type": "publish", "room": "lobby", "data": "x".repeat(size as usize)});
        client.refused(large, "message_too_large").await;
        let mut refused = 0;
        for n in 0..burst + 5 {
            let publish = json!({"type": "publish", "room": "lobby", "data": n});
            refused += u64::from(client.request(publish).await.is_err());
        }
        assert!(refused > 0, "over the burst");
    });
}

#[test]
fn orders_takes_orders_and_nothing_else_where_orders_come_in() {
    scenario(60, async {
        // Hosts and gateways are for the operator; the rules are what a gateway serves.
        let text = std::fs::read_to_string(workspace().join("examples/orders.yaml")).unwrap();
        let rooms = linnet_crds::parse(&text).unwrap().spec.rooms;
        let manifest = Manifest::unhurried().spec(json!({ "rooms": rooms }));
        let gateway = Gateway::start(&manifest).await;
        let (mut kitchen, mut customer) = (gateway.client().await, gateway.client().await);
        kitchen.subscribe("orders.new").await;
        for (order, pointer) in [
            (
                json!({"order": "A-8", "items": ["soup", 7]}),
                "/data/items/1",
            ),
            (json!({"order": "A-8", "items": []}), "/data/items"),
            (json!({"order": "8", "items": ["soup"]}), "/data/order"),
            (json!({"order": "A-8"}), "/data"),
            (
                json!({"order": "A-8", "items": ["soup"], "price": 0}),
                "/data",
            ),
            (json!("soup"), "/data"),
        ] {
            let publish = json!({"type": "publish", "room": "orders.new", "data": order});
            let refused = customer.refused(publish, "bad_request").await;
            assert_eq!(refused["pointer"], pointer, "{order}: {refused}");
        }
        let order = json!({"order": "A-7", "items": ["soup"], "note": "hot"});
        customer.publish("orders.new", order.clone()).await;
        assert_eq!(kitchen.next_of("message").await["data"], order);
    });
}

#[test]
fn behind_an_envoy_no_example_stops_at_its_default_of_1024_connections() {
    let mut exposed = 0;
    for entry in std::fs::read_dir(workspace().join("examples")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let spec = linnet_crds::parse(&std::fs::read_to_string(&file).unwrap());
        let spec = spec.unwrap().spec;
        if spec.expose.ingress.is_none() && spec.expose.http_route.is_none() {
            continue;
        }
        exposed += 1;
        for name in ["max-connections", "max-pending-requests"] {
            let told = spec
                .service
                .annotations
                .get(&format!("projectcontour.io/{name}"));
            assert!(told.is_some(), "{} without {name}", file.display());
        }
    }
    assert!(exposed >= 4, "{exposed}");
}

#[test]
fn the_page_is_only_there_where_the_manifest_enables_it() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        assert_eq!(gateway.get_public("/").await.status, 404);
        gateway
            .reconfigure(&Manifest::unhurried().spec(json!({"console": "Enabled"})))
            .await;
        assert_eq!(gateway.get_public("/").await.status, 200);
    });
}

#[test]
fn a_channel_under_a_path_is_served_there_only() {
    scenario(60, async {
        let manifest =
            Manifest::unhurried().spec(json!({"expose": {"path": "/chat"}, "console": "Enabled"}));
        let gateway = Gateway::start(&manifest).await;
        assert_eq!(gateway.get_public("/").await.status, 404);
        assert_eq!(gateway.get_public("/ws").await.status, 404);
        let page = gateway.get_public("/chat").await;
        assert!(matches!(page.status, 200 | 307 | 308 | 301), "{page:?}");
        assert_eq!(gateway.get_public("/chat/").await.status, 200);
        let mut raw = Raw::tcp(gateway.public).await;
        assert_eq!(raw.upgrade("/chat/ws", "").await.status, 101);
    });
}

#[test]
fn private_lets_in_who_has_a_token_and_each_into_its_own_rooms() {
    use jsonwebtoken::{EncodingKey, Header, encode};
    use linnet_tests::issuer::now;
    scenario(60, async {
        linnet_gateway::auth::crypto::install();
        let secrets = TempDir::new().unwrap();
        let keys = secrets.path().join("private-keys");
        std::fs::create_dir(&keys).unwrap();
        // As `openssl rand -hex 32 > jwt.secret` leaves it.
        let secret = "0123456789abcdef".repeat(4);
        std::fs::write(keys.join("jwt.secret"), format!("{secret}\n")).unwrap();
        std::fs::write(keys.join("api.shop"), format!("{secret}\n")).unwrap();
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("private.yaml");
        std::fs::copy(workspace().join("examples/private.yaml"), &file).unwrap();
        let args = ["--secrets", secrets.path().to_str().unwrap()];
        let gateway = Gateway::start_file(folder, file, &args).await;
        let claims = json!({
            "iss": "https://id.example.com", "sub": "ann", "exp": now() + 600, "rooms": ["team.red"],
        });
        let key = EncodingKey::from_secret(secret.as_bytes());
        let token = encode(&Header::default(), &claims, &key).unwrap();
        let mut ann = Client::with_token(gateway.public, &token).await.unwrap();
        for room in ["user.ann.alerts", "team.red", "lobby"] {
            ann.subscribe(room).await;
        }
        for room in ["user.bob.alerts", "team.blue"] {
            let ask = json!({"type": "subscribe", "room": room});
            ann.refused(ask, "forbidden").await;
        }
        let mut nobody = Client::silent(gateway.public).await;
        let ask = json!({"type": "subscribe", "room": "lobby"});
        nobody.refused(ask, "unauthenticated").await;
    });
}
