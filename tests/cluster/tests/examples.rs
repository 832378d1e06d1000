//! The examples: the API server takes each, and what is said in them holds once they are applied.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_cluster_tests::channel::{READY, because, settled};
use linnet_cluster_tests::stage::gateways;
use linnet_cluster_tests::{Cluster, Guest, Kubectl, Namespace, cluster, scenario};
use serde_json::{Value, json};

/// The manifests in `examples/` itself.
fn examples() -> Vec<(String, String)> {
    let folder = std::fs::read_dir(cluster::file("examples")).unwrap();
    let mut found: Vec<_> = folder
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    found.sort();
    found
}

/// An example under a host of its own, so that tests beside each other do not meet.
fn example(name: &str, host: &str) -> String {
    let text = std::fs::read_to_string(cluster::file("examples").join(name)).unwrap();
    let line = text.lines().find(|line| line.contains("hosts:")).unwrap();
    text.replace(line, &format!("    hosts: [{host}]"))
}

/// Applies an example, and gives its host and kubectl once its channel is Ready and has `replicas` gateways.
async fn on_stage(
    name: &str,
    channel: &str,
    replicas: u64,
    namespace: &Namespace,
) -> (Kubectl, String) {
    let kubectl = namespace.kubectl();
    let host = format!("{}.linnet.localhost", namespace.name());
    kubectl.apply(&example(name, &host)).await;
    kubectl.wait("condition=Ready", channel, READY).await;
    settled(&kubectl, channel, READY, |channel| {
        channel["status"]["readyReplicas"] == replicas
    })
    .await;
    (kubectl, host)
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn the_api_server_takes_every_example() {
    scenario(120, async {
        let namespace = Namespace::create("examples").await;
        let examples = examples();
        let names: Vec<_> = examples.iter().map(|(name, _)| name.as_str()).collect();
        for expected in [
            "autoscaling.yaml",
            "chat.yaml",
            "gateway-api.yaml",
            "ingress.yaml",
            "orders.yaml",
        ] {
            assert!(names.contains(&expected), "{names:?}");
        }
        for (name, text) in &examples {
            let refusal = namespace.kubectl().dry_run(text).await.err();
            assert_eq!(refusal, None, "{name}");
        }
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn chat_is_one_room_after_another_with_people_and_a_past() {
    scenario(240, async {
        let namespace = Namespace::create("chat").await;
        let kubectl = namespace.kubectl();
        let (_, mut text) = examples()
            .into_iter()
            .find(|(name, _)| name == "chat.yaml")
            .unwrap();
        // The example is for one machine, and has no way in from outside.
        let host = format!("{}.linnet.localhost", namespace.name());
        text.push_str(&format!(
            "  expose: {{hosts: [{host}], ingress: {{className: contour}}}}\n"
        ));
        kubectl.apply(&text).await;
        kubectl
            .wait("condition=Ready", "realtimechannel/chat", READY)
            .await;
        let door = Cluster::current().http(&host);
        let mut ann = Guest::enter(&door).await;
        ann.publish("lobby", &json!("hello")).await;
        let mut bob = Guest::enter(&door).await;
        let request = json!({"type": "subscribe", "room": "lobby", "presence": true});
        let ack = bob.ask(request).await;
        assert_eq!(ack["type"], "ack", "{ack}");
        let history = bob.ask(json!({"type": "history", "room": "lobby"})).await;
        assert_eq!(history["messages"][0]["data"], "hello", "{history}");
    });
}

async fn forbidden(guest: &mut Guest, request: Value) {
    let answer = guest.ask(request.clone()).await;
    assert_eq!(answer["code"], "forbidden", "{request}: {answer}");
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn orders_lets_everybody_do_what_its_rules_say_and_no_more() {
    scenario(240, async {
        let namespace = Namespace::create("orders").await;
        let (_, host) = on_stage("orders.yaml", "realtimechannel/orders", 2, &namespace).await;
        let door = Cluster::current().http(&host);
        let mut kitchen = Guest::enter(&door).await;
        let mut customer = Guest::enter(&door).await;
        kitchen.subscribe("orders.new").await;
        let order = json!({"order": "A-7", "items": ["soup"]});
        customer.publish("orders.new", &order).await;
        assert_eq!(kitchen.message().await, order);
        let bad = json!({"order": "A-8", "items": ["soup", 7]});
        let bad = json!({"type": "publish", "room": "orders.new", "data": bad});
        let refused = customer.ask(bad).await;
        assert_eq!(
            (&refused["code"], &refused["pointer"]),
            (&json!("bad_request"), &json!("/data/items/1")),
            "{refused}"
        );
        let order = json!({"order": "A-9", "items": ["tea"]});
        customer.publish("orders.new", &order).await;
        assert_eq!(kitchen.message().await, order, "the bad one reached nobody");

        let own = customer.connected["user_id"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let id = customer.connected["connection_id"]
            .as_str()
            .unwrap()
            .to_owned();
        let own = if own.is_empty() { id } else { own };
        customer.subscribe(&format!("customer.{own}")).await;
        customer.subscribe("menu.today").await;
        forbidden(
            &mut customer,
            json!({"type": "publish", "room": "menu.today", "data": 1}),
        )
        .await;
        for room in [format!("customer.{own}"), "elsewhere".into()] {
            forbidden(&mut kitchen, json!({"type": "subscribe", "room": room})).await;
        }
        // A room whose rule keeps nothing tells no position.
        let ack = kitchen
            .ask(json!({"type": "subscribe", "room": "courier.7"}))
            .await;
        assert_eq!(
            (&ack["type"], &ack["offset"]),
            (&json!("ack"), &Value::Null),
            "{ack}"
        );
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn autoscaling_begins_with_its_minimum_and_looks_at_its_gateways() {
    scenario(240, async {
        let namespace = Namespace::create("crowd").await;
        let channel = "realtimechannel/crowd";
        let (kubectl, host) = on_stage("autoscaling.yaml", channel, 2, &namespace).await;
        because(&kubectl, channel, ("ScalingActive", "AtMinimum"), 90).await;
        let pods = kubectl.get("pods").await;
        assert_eq!(gateways(&pods).count(), 2, "{pods:#}");
        let mut guest = Guest::enter(&Cluster::current().http(&host)).await;
        guest.ping().await;
    });
}
