//! Secrets that change under a channel that serves.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::env;
use std::time::{Duration, Instant};

use linnet_cluster_tests::channel::{READY, channel, settled};
use linnet_cluster_tests::{Cluster, Guest, Kubectl, Namespace};
use linnet_tests::scenario;
use serde_json::{Value, json};

const CHAT: &str = "realtimechannel/chat";

/// Seconds within which the contents of a Secret arrive. The kubelet takes up to 90 by itself.
const ARRIVES: u64 = 120;

/// A NATS that knows two users.
fn nats() -> String {
    let tag = env::var("LINNET_IMAGE_TAG").unwrap_or_else(|_| "dev".into());
    format!(
        r#"
apiVersion: v1
kind: ConfigMap
metadata: {{name: nats}}
data:
  nats.conf: |
    http: 0.0.0.0:8222
    jetstream {{ store_dir: /data }}
    authorization {{ users: [{{user: old, password: one}}, {{user: new, password: two}}] }}
---
apiVersion: v1
kind: Service
metadata: {{name: nats}}
spec:
  selector: {{app: nats}}
  ports: [{{port: 4222}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: nats, labels: {{app: nats}}}}
spec:
  automountServiceAccountToken: false
  securityContext: {{runAsNonRoot: true, runAsUser: 65532, fsGroup: 65532, seccompProfile: {{type: RuntimeDefault}}}}
  containers:
    - name: nats
      image: linnet-nats:{tag}
      imagePullPolicy: Never
      command: [nats-server, --config, /etc/nats/nats.conf]
      readinessProbe: {{httpGet: {{path: /healthz, port: 8222}}, periodSeconds: 1}}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {{drop: [ALL]}}
      volumeMounts: [{{name: configuration, mountPath: /etc/nats}}, {{name: data, mountPath: /data}}]
  volumes: [{{name: configuration, configMap: {{name: nats}}}}, {{name: data, emptyDir: {{}}}}]
"#
    )
}

fn login(user: &str, password: &str) -> String {
    let data = json!({"username": user, "password": password});
    let login = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"}, "stringData": data});
    login.to_string()
}

/// The users of the gateways' connections.
async fn users(namespace: &Namespace, kubectl: &Kubectl) -> Vec<String> {
    let raw = format!(
        "/api/v1/namespaces/{}/pods/nats:8222/proxy/connz?auth=true",
        namespace.name()
    );
    let answer: Value = serde_json::from_str(&kubectl.run(&["get", "--raw", &raw]).await).unwrap();
    let pods = kubectl.get("pods").await;
    let addresses: Vec<_> = pods["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|pod| pod["metadata"]["name"] != "nats")
        .map(|pod| pod["status"]["podIP"].clone())
        .collect();
    let connections = answer["connections"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let of_gateways = connections
        .iter()
        .filter(|connection| addresses.contains(&connection["ip"]));
    of_gateways
        .map(|connection| connection["authorized_user"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn a_secret_that_is_rotated_is_in_use_within_two_minutes_and_nobody_is_dropped() {
    scenario(300, async {
        let (cluster, namespace) = (Cluster::current(), Namespace::create("rotated").await);
        let kubectl = namespace.kubectl();
        kubectl.apply(&nats()).await;
        kubectl.apply(&login("old", "one")).await;
        kubectl.wait("condition=Ready", "pod/nats", 60).await;
        let host = format!("{}.linnet.localhost", namespace.name());
        let url = format!("nats://nats.{}.svc:4222", namespace.name());
        let spec = json!({
            "replicas": 2,
            "broker": {"nats": {"urls": [url], "credentialsSecretName": "login"}},
            "expose": {"hosts": [host], "ingress": {"className": "contour"}},
        });
        kubectl.apply(&channel("chat", &spec).to_string()).await;
        kubectl.wait("condition=Ready", CHAT, READY).await;
        settled(&kubectl, CHAT, READY, |chat| {
            chat["status"]["updatedReplicas"] == 2
        })
        .await;
        let before = users(&namespace, &kubectl).await;
        assert!(
            before.len() >= 2 && before.iter().all(|user| user == "old"),
            "{before:?}"
        );
        let pods = kubectl.run(&["get", "pods", "--output=name"]).await;

        let door = cluster.http(&host);
        let (mut ann, mut bob) = (Guest::enter(&door).await, Guest::enter(&door).await);
        bob.subscribe("lobby").await;
        let begin = Instant::now();
        kubectl.apply(&login("new", "two")).await;
        loop {
            let now = users(&namespace, &kubectl).await;
            if now.len() >= 2 && now.iter().all(|user| user == "new") {
                break;
            }
            assert!(begin.elapsed().as_secs() < ARRIVES, "{now:?}");
            // A connection that nobody uses would be closed, and a listener that says nothing too.
            ann.ping().await;
            bob.ping().await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        println!(
            "Secret rotated → in use on both gateways: {:.1} s",
            begin.elapsed().as_secs_f64()
        );
        ann.publish("lobby", &json!("still here")).await;
        assert_eq!(bob.message().await, json!("still here"));
        assert_eq!(
            kubectl.run(&["get", "pods", "--output=name"]).await,
            pods,
            "no pod was replaced"
        );
    });
}
