//! `examples/products` on the cluster: a service and a relay of two pods each on PostgreSQL, beside gateways.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::collections::BTreeMap;

use linnet_cluster_tests::application::on_stage;
use linnet_cluster_tests::operator::crash;
use linnet_cluster_tests::wait::until;
use linnet_cluster_tests::{Cluster, Door, Guest, Kubectl, Namespace, scenario};
use serde_json::{Value, json};

const WORKLOADS: [&str; 3] = [
    "statefulset/products-database",
    "deployment/products",
    "deployment/products-outbox",
];

/// The Secrets that the example's README makes.
async fn secrets(kubectl: &Kubectl) {
    for (name, entry) in [
        ("products-keys", "api.outbox"),
        ("products-database", "password"),
    ] {
        let entry = format!("--from-literal={entry}={}", "0123456789abcdef".repeat(4));
        let create = ["create", "secret", "generic", name, &entry];
        kubectl.run(&create).await;
    }
}

/// A way in to the service, which the example has not.
async fn shop(namespace: &Namespace) -> Door {
    let host = format!("shop-{}.linnet.localhost", namespace.name());
    let backend = json!({"service": {"name": "products", "port": {"name": "http"}}});
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "shop"},
        "spec": {"ingressClassName": "contour", "rules": [
            {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}},
        ]},
    });
    namespace.kubectl().apply(&ingress.to_string()).await;
    let shop = Cluster::current().http(&host);
    until("the shop", || async {
        (shop.get("/healthz").await.0 == 200).then_some(())
    })
    .await;
    shop
}

/// Asks until it is done: the service may be away, and may have done it when it says nothing good.
async fn change(shop: &Door, method: &str, path: &str, product: &Value) -> Value {
    let body = product.to_string();
    until((method, path), || async {
        let (status, answer) = shop.ask(method, path, &body).await;
        (200..300)
            .contains(&status)
            .then(|| serde_json::from_str(&answer).unwrap())
    })
    .await
}

/// Kills the processes of the first pod with this label.
async fn kill(kubectl: &Kubectl, app: &str) {
    let selector = format!("--selector=app={app}");
    let pods = kubectl
        .run(&["get", "pods", &selector, "--output", "json"])
        .await;
    let pods: Value = serde_json::from_str(&pods).unwrap();
    crash(&pods["items"][0]);
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn pages_see_each_change_once_and_in_order_though_the_relay_the_service_and_the_database_are_killed()
 {
    scenario(300, async {
        let namespace = Namespace::create("products").await;
        let kubectl = namespace.kubectl();
        secrets(&kubectl).await;
        let channel = "realtimechannel/products";
        let host = on_stage("products", channel, &WORKLOADS, &namespace).await;
        let mut page = Guest::enter(&Cluster::current().http(&host)).await;
        page.subscribe("products").await;
        let shop = shop(&namespace).await;
        assert!(shop.get("/").await.1.contains("<title>Products</title>"));
        let welcome: Value = serde_json::from_str(&shop.get("/welcome").await.1).unwrap();
        assert_eq!(welcome["type"], "WELCOME", "{welcome}");

        let mut ids = Vec::new();
        for name in ["Soup", "Bread", "Tea", "Cake"] {
            let product = json!({"name": name, "price_cents": 100});
            ids.push(change(&shop, "POST", "/products", &product).await["id"].clone());
        }
        for round in 1..=20 {
            for id in &ids {
                let product = json!({"name": "Soup of the day", "price_cents": 100 + round});
                change(&shop, "PUT", &format!("/products/{id}"), &product).await;
                let undone = format!("/products/{id}?dry_run=true");
                shop.ask("PUT", &undone, &product.to_string()).await;
            }
            page.ping().await;
            match round {
                5 => kill(&kubectl, "products-outbox").await,
                10 => kill(&kubectl, "products").await,
                15 => kill(&kubectl, "products-database").await,
                _ => {}
            }
        }
        // A version counts what was committed, also where the service died before it said so.
        let products = until("the shop", || async {
            let (status, products) = shop.get("/products").await;
            (status == 200).then_some(products)
        })
        .await;
        let products: Value = serde_json::from_str(&products).unwrap();
        let versions = products.as_array().unwrap().iter();
        let versions: BTreeMap<String, u64> = versions
            .map(|product| {
                (
                    product["id"].to_string(),
                    product["version"].as_u64().unwrap(),
                )
            })
            .collect();
        let mut seen: BTreeMap<String, u64> = BTreeMap::new();
        for _ in 0..versions.values().sum() {
            let message = page.message().await;
            let product = &message["data"];
            let version = seen.entry(product["id"].to_string()).or_default();
            *version += 1;
            assert_eq!(product["version"], *version, "{message}");
            let kind = if *version == 1 {
                "PRODUCT_CREATED"
            } else {
                "PRODUCT_UPDATED"
            };
            assert_eq!(message["type"], kind, "{message}");
        }
        assert_eq!(seen, versions);
        change(
            &shop,
            "POST",
            "/products",
            &json!({"name": "Last", "price_cents": 1}),
        )
        .await;
        let last = page.message().await;
        assert_eq!(last["data"]["name"], "Last", "nothing came twice: {last}");
    });
}
