//! The image of the gateway, run by hand without an operator: it starts under Pod Security `restricted`, and clients
//! reach it through the ingress.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::env;

use linnet_cluster_tests::{Cluster, Door, Guest, Kubectl, Namespace, scenario};
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;

/// A gateway with the built-in broker behind a Service and an Ingress.
fn manifests(host: &str) -> String {
    let tag = env::var("LINNET_IMAGE_TAG").unwrap_or_else(|_| "dev".into());
    format!(
        r#"
apiVersion: v1
kind: ConfigMap
metadata: {{name: chat}}
data:
  channel.yaml: |
    apiVersion: realtime.linnet.dev/v1alpha1
    kind: RealtimeChannel
    metadata: {{name: chat}}
    spec: {{authentication: {{anonymous: Allow}}, console: Enabled}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: chat}}
spec:
  selector: {{matchLabels: {{app: chat}}}}
  template:
    metadata: {{labels: {{app: chat}}}}
    spec:
      automountServiceAccountToken: false
      securityContext: {{runAsNonRoot: true, seccompProfile: {{type: RuntimeDefault}}}}
      containers:
        - name: gateway
          image: linnet-gateway:{tag}
          imagePullPolicy: Never
          args: [/etc/linnet/channel.yaml, --internal=0.0.0.0:9090]
          ports: [{{name: public, containerPort: 8080}}, {{name: internal, containerPort: 9090}}]
          readinessProbe: {{httpGet: {{path: /readyz, port: internal}}, periodSeconds: 1}}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {{drop: [ALL]}}
          volumeMounts: [{{name: channel, mountPath: /etc/linnet}}]
      volumes: [{{name: channel, configMap: {{name: chat}}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: chat}}
spec:
  selector: {{app: chat}}
  ports: [{{name: websocket, port: 80, targetPort: public, protocol: TCP, appProtocol: kubernetes.io/ws}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: chat}}
spec:
  ingressClassName: contour
  tls: [{{hosts: [{host}], secretName: tls}}]
  rules:
    - host: {host}
      http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: chat, port: {{name: websocket}}}}}}}}]}}
"#
    )
}

/// Makes a certificate for `host` in `folder`, and the Secret `tls` of it.
async fn certificate(
    host: &str,
    folder: &std::path::Path,
    kubectl: &Kubectl,
) -> std::path::PathBuf {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![host.to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let (certificate_file, key_file) = (folder.join("tls.crt"), folder.join("tls.key"));
    std::fs::write(&certificate_file, certificate.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let (cert, key) = (
        format!("--cert={}", certificate_file.display()),
        format!("--key={}", key_file.display()),
    );
    kubectl
        .run(&["create", "secret", "tls", "tls", &cert, &key])
        .await;
    certificate_file
}

async fn chat(one: &Door, other: &Door) {
    let (mut ann, mut bob) = (Guest::enter(one).await, Guest::enter(other).await);
    bob.subscribe("lobby").await;
    ann.publish("lobby", &json!({"text": "hello"})).await;
    assert_eq!(bob.message().await, json!({"text": "hello"}));
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn clients_chat_through_the_ingress_with_and_without_tls() {
    scenario(180, async {
        let cluster = Cluster::current();
        let namespace = Namespace::create("image").await;
        let kubectl = namespace.kubectl();
        let folder = tempfile::tempdir().unwrap();
        let host = format!("{}.linnet.localhost", namespace.name());
        let trusted = certificate(&host, folder.path(), &kubectl).await;
        kubectl.apply(&manifests(&host)).await;
        kubectl
            .wait("condition=Available", "deployment/chat", 60)
            .await;

        let (http, https) = (cluster.http(&host), cluster.https(&host, &trusted));
        chat(&http, &https).await;
        let (status, page) = https.get("/").await;
        assert_eq!(status, 200);
        assert!(page.contains("<html"), "the console page: {page}");
    });
}
