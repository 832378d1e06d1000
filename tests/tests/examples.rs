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
