//! A NATS that does not do what the gateway needs: each trouble is told to publishers and in `/readyz`, clients stay, and
//! all is well when it ends.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::time::{Duration, Instant};

use linnet_tests::client::is_passing;
use linnet_tests::prelude::*;
use linnet_tests::wait::STEP;

/// The longest that a publish may take to be answered, whatever is wrong: five seconds, and more on a machine that is busy
/// with other things.
const DEADLINE: Duration = Duration::from_secs(20);

/// By when what is known is answered: well before a publish that has to be tried.
const AT_ONCE: Duration = Duration::from_secs(3);

/// A gateway that logs in as nobody, which this server takes for the user `gateway` with `permissions`.
fn known(permissions: &str) -> String {
    format!(
        "authorization {{users: [{{user: gateway, password: p, permissions: {{{permissions}}}}}]}}\n\
         no_auth_user: gateway"
    )
}

/// What only users with a password may enter.
const UNKNOWN: &str = "authorization {user: gateway, password: p}";

/// A gateway, and clients that are to stay.
struct Scene {
    server: NatsServer,
    fleet: Fleet,
    publisher: Client,
    watcher: Client,
}

impl Scene {
    async fn new(limits: &str, config: &str) -> Self {
        let server = NatsServer::jetstream_with(limits, config).await;
        let manifest = Manifest::unhurried()
            .without_pings()
            .history(10_000)
            .room(json!({"match": "live.*", "history": "Disabled"}))
            .nats(&[server.url()]);
        let fleet = Fleet::start(&manifest, 1).await;
        let publisher = fleet[0].client().await;
        let mut watcher = fleet[0].client().await;
        watcher.subscribe("lobby").await;
        let mut scene = Self {
            server,
            fleet,
            publisher,
            watcher,
        };
        scene.is_well().await;
        scene
    }

    /// The same clients as ever: one publishes, the other hears it.
    async fn is_well(&mut self) {
        self.publisher.publish_at_last("lobby", json!("well")).await;
        while self.watcher.skip_to("message").await["data"] != "well" {}
        self.fleet[0].is_well().await;
    }

    /// Publishes until it is refused with `code`: what comes first may be a part of a restart.
    async fn is_refused_as(&mut self, code: &str) {
        let refused = async { while self.refusal(json!(1)).await != code {} };
        within(("refusals as", code), STEP, refused).await;
    }

    /// Publishes until one is refused; gives the code.
    async fn refusal(&mut self, data: Value) -> String {
        let refused = async {
            loop {
                let begun = Instant::now();
                let request = json!({"type": "publish", "room": "lobby", "data": data});
                let answer = self.publisher.request(request).await;
                assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
                if let Err(error) = answer {
                    return error;
                }
            }
        };
        let error = within("a refusal", STEP, refused).await;
        assert!(is_passing(&error), "{error}");
        error["code"].as_str().unwrap().to_owned()
    }
}

#[test]
fn while_nats_is_away_publishing_is_refused_at_once_and_clients_stay() {
    scenario(120, async {
        let mut scene = Scene::new("", "").await;
        scene.server.stop().await;
        scene.refusal(json!(1)).await;
        scene.fleet[0].stays_ready_but_says(&["nats"]).await;
        // It is known by now, so it is told at once and for certain.
        let begun = Instant::now();
        assert_eq!(scene.refusal(json!(2)).await, "unavailable");
        assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
        let request = json!({"type": "publish", "room": "live.a", "data": 1});
        scene.publisher.refused(request, "unavailable").await;
        scene.server.launch().await;
        scene.is_well().await;
    });
}

#[test]
fn without_nats_at_its_start_a_gateway_is_not_ready_until_it_comes() {
    scenario(120, async {
        let mut server = NatsServer::jetstream().await;
        server.stop().await;
        let manifest = Manifest::unhurried().history(100).nats(&[server.url()]);
        let gateway = Gateway::start_with(&manifest, &["--create-stream"]).await;
        let answer = gateway.get("/readyz").await;
        assert_eq!(answer.status, 503, "{answer:?}");
        server.launch().await;
        gateway.ready().await;
        gateway.client().await.publish("lobby", json!(1)).await;
    });
}

#[test]
fn a_nats_without_jetstream_is_named_and_healed() {
    scenario(120, async {
        let mut scene = Scene::new("", "").await;
        let config = scene.server.with_store("", "");
        scene.server.restart_with("").await;
        scene.is_refused_as("no_storage").await;
        scene.fleet[0].stays_ready_but_says(&["jetstream"]).await;
        scene.server.restart_with(&config).await;
        scene.is_well().await;
    });
}

#[test]
fn credentials_that_are_refused_are_named_and_healed() {
    scenario(120, async {
        let mut scene = Scene::new("", &known("")).await;
        let wrong = scene.server.with_store("", UNKNOWN);
        scene.server.restart_with(&wrong).await;
        scene.is_refused_as("broker_unauthorized").await;
        for request in [
            json!({"type": "publish", "room": "live.a", "data": 1}),
            json!({"type": "send", "to": scene.publisher.id(), "data": 1}),
        ] {
            // A try to connect that fails for another reason may come between: then it is only unavailable.
            let publisher = &mut scene.publisher;
            let refused = async {
                loop {
                    let error = publisher.request(request.clone()).await.unwrap_err();
                    if error["code"] == "broker_unauthorized" {
                        return;
                    }
                    assert_eq!(error["code"], "unavailable", "{error}");
                }
            };
            within(("a refusal of", &request), STEP, refused).await;
        }
        scene.fleet[0]
            .stays_ready_but_says(&["refuses the credentials"])
            .await;
        let right = scene.server.with_store("", &known(""));
        scene.server.restart_with(&right).await;
        scene.is_well().await;
    });
}

#[test]
fn a_permission_that_is_missing_is_named_and_healed() {
    scenario(120, async {
        let mut scene = Scene::new("", &known("")).await;
        let less = known("publish: {deny: [\"linnet.*.*.history.>\"]}");
        let denied = scene.server.with_store("", &less);
        scene.server.restart_with(&denied).await;
        // Both connections of the gateway stand again, else it is the restart that refuses.
        scene.fleet[0]
            .metric_reaches("linnet_broker_connects_total", 4.0)
            .await;
        scene.is_refused_as("broker_denied").await;
        scene.fleet[0].stays_ready_but_says(&["permission"]).await;
        let right = scene.server.with_store("", &known(""));
        scene.server.restart_with(&right).await;
        scene.is_well().await;
    });
}

#[test]
fn a_full_store_is_named_and_healed() {
    scenario(120, async {
        let mut scene = Scene::new("max_file: 1M", "").await;
        let code = scene.refusal(json!("x".repeat(50_000))).await;
        assert_eq!(code, "storage_full");
        scene.fleet[0].stays_ready_but_says(&["storage"]).await;
        let more = scene.server.with_store("max_file: 64M", "");
        scene.server.restart_with(&more).await;
        scene.is_well().await;
    });
}

#[test]
fn an_account_that_is_used_up_is_named_and_healed() {
    scenario(120, async {
        let account = |file: &str| {
            format!(
                "accounts {{a: {{jetstream: {{max_file: {file}, max_mem: 1M}}, users: [{{user: gateway, password: p}}]}}}}\n\
                 no_auth_user: gateway"
            )
        };
        let mut scene = Scene::new("", &account("1M")).await;
        let code = scene.refusal(json!("x".repeat(50_000))).await;
        assert_eq!(code, "storage_limit");
        scene.fleet[0].stays_ready_but_says(&["account"]).await;
        let more = scene.server.with_store("", &account("64M"));
        scene.server.restart_with(&more).await;
        scene.is_well().await;
    });
}

#[test]
fn a_server_that_hangs_is_noticed_and_healed() {
    scenario(120, async {
        let mut scene = Scene::new("", "").await;
        scene.server.pause();
        scene.refusal(json!(1)).await;
        scene.fleet[0].stays_ready_but_says(&["nats"]).await;
        scene.server.resume();
        scene.is_well().await;
    });
}
