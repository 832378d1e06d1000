//! The children of small channels. `edits`: what an edit changes of them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::settings::Settings;
use crate::validate::tests::{channel, validated};
use crate::validate::validate;

mod edits;

fn children(more: Value) -> BTreeMap<Child, Value> {
    let validated = validated(more, &Settings::plain());
    let replicas = validated.spec.replicas;
    let manifests = build(&validated, replicas).manifests().unwrap();
    manifests
        .into_iter()
        .filter_map(|(child, manifest)| Some((child, manifest?)))
        .collect()
}

fn one(child: Child, more: Value) -> Value {
    children(more).remove(&child).unwrap()
}

fn nats() -> Value {
    json!({"nats": {"urls": ["nats://n:4222"], "credentialsSecretName": "creds"}})
}

fn labels() -> Value {
    json!({
        "app.kubernetes.io/component": "gateway",
        "app.kubernetes.io/instance": "chat",
        "app.kubernetes.io/managed-by": "linnet-operator",
        "app.kubernetes.io/name": "linnet-gateway",
        "app.kubernetes.io/part-of": "linnet",
    })
}

fn selector() -> Value {
    json!({"app.kubernetes.io/instance": "chat", "app.kubernetes.io/name": "linnet-gateway"})
}

fn owners() -> Value {
    json!([{
        "apiVersion": "realtime.linnet.dev/v1alpha1", "kind": "RealtimeChannel",
        "name": "chat", "uid": "0f1e", "controller": true,
    }])
}

#[test]
fn the_service_of_the_smallest_channel() {
    let mut service = one(Child::Service, json!({}));
    let annotations = service["metadata"]["annotations"].take();
    assert_eq!(annotations.as_object().unwrap().len(), 1, "the stamp alone");
    assert_eq!(
        service,
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": "chat-gateway", "namespace": "talk", "annotations": null,
                "labels": labels(), "ownerReferences": owners(),
            },
            "spec": {
                "type": "ClusterIP",
                "selector": selector(),
                "ports": [{
                    "name": "websocket", "port": 80, "targetPort": "public", "protocol": "TCP",
                    "appProtocol": "kubernetes.io/ws",
                }],
                "sessionAffinity": "ClientIP",
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}},
            },
        })
    );
}

#[test]
fn the_service_is_what_the_spec_says() {
    let service = one(
        Child::Service,
        json!({"service": {
            "type": "LoadBalancer", "sessionAffinity": "None", "annotations": {"a/b": "c"},
            "externalTrafficPolicy": "Local", "loadBalancerClass": "x.example/lb",
        }}),
    );
    assert_eq!(service["metadata"]["annotations"]["a/b"], "c");
    let spec = &service["spec"];
    assert_eq!(spec["type"], "LoadBalancer");
    assert_eq!(spec["sessionAffinity"], "None");
    assert_eq!(spec.get("sessionAffinityConfig"), None);
    assert_eq!(spec["externalTrafficPolicy"], "Local");
    assert_eq!(spec["loadBalancerClass"], "x.example/lb");
}

#[test]
fn the_pods_service_is_headless_with_two_ports_on_the_internal_one() {
    let service = one(Child::PodsService, json!({}));
    assert_eq!(service["spec"]["clusterIP"], "None");
    let ports = service["spec"]["ports"].as_array().unwrap();
    assert!(ports.iter().all(|port| port["targetPort"] == "internal"));
    assert_eq!(ports[1]["name"], "grpc");
    assert_eq!(ports[1]["appProtocol"], "kubernetes.io/h2c");
}

#[test]
fn the_network_policy_opens_the_public_port_and_keeps_the_internal_one() {
    let from = json!({"namespaceSelector": {"matchLabels": {"team": "monitoring"}}});
    let policy = one(
        Child::NetworkPolicy,
        json!({"networkPolicy": {"internalFrom": [from]}}),
    );
    assert_eq!(
        policy["spec"],
        json!({
            "podSelector": {"matchLabels": selector()},
            "policyTypes": ["Ingress"],
            "ingress": [
                {"ports": [{"port": "public", "protocol": "TCP"}]},
                {
                    "ports": [{"port": "internal", "protocol": "TCP"}],
                    "from": [
                        {"podSelector": {}},
                        {
                            "namespaceSelector": {
                                "matchLabels": {"kubernetes.io/metadata.name": "linnet-system"},
                            },
                            "podSelector": {
                                "matchLabels": {"app.kubernetes.io/name": "linnet-operator"},
                            },
                        },
                        from,
                    ],
                },
            ],
        })
    );
    let none = children(json!({"networkPolicy": {"mode": "None"}}));
    assert!(!none.contains_key(&Child::NetworkPolicy));
}

#[test]
fn an_ingress_has_a_rule_for_each_host_and_its_certificate() {
    let ingress = one(
        Child::Ingress,
        json!({"expose": {
            "hosts": ["a.example", "b.example"], "path": "/chat",
            "ingress": {"className": "x", "tlsSecretName": "t", "annotations": {"a/b": "c"}},
        }}),
    );
    let rule = |host: &str| {
        json!({"host": host, "http": {"paths": [{
            "path": "/chat", "pathType": "Prefix",
            "backend": {"service": {"name": "chat-gateway", "port": {"name": "websocket"}}},
        }]}})
    };
    assert_eq!(
        ingress["spec"],
        json!({
            "ingressClassName": "x",
            "rules": [rule("a.example"), rule("b.example")],
            "tls": [{"hosts": ["a.example", "b.example"], "secretName": "t"}],
        })
    );
    let any = one(Child::Ingress, json!({"expose": {"ingress": {}}}));
    assert_eq!(any["spec"]["rules"][0].get("host"), None);
}

#[test]
fn a_route_has_fields_of_the_standard_channel_only() {
    let parents = json!([{"name": "g", "namespace": "infra", "sectionName": "https"}]);
    let route = one(
        Child::HttpRoute,
        json!({"expose": {
            "hosts": ["a.example"],
            "httpRoute": {"parentRefs": parents, "requestTimeoutSeconds": 3600},
        }}),
    );
    assert_eq!(route["apiVersion"], "gateway.networking.k8s.io/v1");
    assert_eq!(route["kind"], "HTTPRoute");
    assert_eq!(
        route["spec"],
        json!({
            "parentRefs": parents,
            "hostnames": ["a.example"],
            "rules": [{
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [{"name": "chat-gateway", "port": 80}],
                "timeouts": {"request": "3600s"},
            }],
        })
    );
}

#[test]
fn pods_meet_the_restricted_standard() {
    let deployment = one(Child::Deployment, json!({}));
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(
        pod["securityContext"]["seccompProfile"]["type"],
        "RuntimeDefault"
    );
    let container = &pod["containers"][0]["securityContext"];
    assert_eq!(
        *container,
        json!({
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        })
    );
}

#[test]
fn a_pod_has_time_to_drain() {
    let deployment = one(Child::Deployment, json!({"rollout": {"drainSeconds": 100}}));
    assert_eq!(deployment["spec"]["progressDeadlineSeconds"], 600 + 115);
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["terminationGracePeriodSeconds"], 5 + 100 + 10);
    let lifecycle = &pod["containers"][0]["lifecycle"];
    assert_eq!(*lifecycle, json!({"preStop": {"sleep": {"seconds": 5}}}));
}

#[test]
fn secrets_are_mounted_as_folders_below_their_names() {
    let deployment = one(Child::Deployment, json!({"broker": nats()}));
    let pod = &deployment["spec"]["template"]["spec"];
    let mount = &pod["containers"][0]["volumeMounts"][1];
    assert_eq!(mount["mountPath"], "/etc/linnet/secrets/creds");
    assert_eq!(mount.get("subPath"), None);
    assert_eq!(pod["volumes"][1]["secret"]["secretName"], "creds");
    assert_eq!(pod["volumes"][1]["name"], mount["name"]);
}

#[test]
fn two_embedded_brokers_never_run_side_by_side() {
    let strategy = |more| one(Child::Deployment, more)["spec"]["strategy"].clone();
    assert_eq!(strategy(json!({})), json!({"type": "Recreate"}));
    let rolling = json!({"maxSurge": 3, "maxUnavailable": 0});
    assert_eq!(
        strategy(json!({"broker": nats(), "rollout": {"maxSurge": 3}})),
        json!({"type": "RollingUpdate", "rollingUpdate": rolling})
    );
}

#[test]
fn the_pod_template_of_the_spec_is_merged_as_a_strategic_merge_patch_is() {
    let template = json!({
        "metadata": {"labels": {"team": "a"}},
        "spec": {
            "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"key": "k", "operator": "Exists"}],
            "securityContext": {"fsGroup": 5},
            "containers": [
                {"name": "gateway", "env": [{"name": "LINNET_SHARDS", "value": "2"}],
                 "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}]},
                {"name": "helper", "image": "h"},
            ],
            "volumes": [{"name": "scratch", "emptyDir": {}}],
        },
    });
    let deployment = one(
        Child::Deployment,
        json!({"gateway": {"podTemplate": template}}),
    );
    let template = &deployment["spec"]["template"];
    assert_eq!(template["metadata"]["labels"]["team"], "a");
    assert_eq!(
        template["metadata"]["labels"]["app.kubernetes.io/instance"],
        "chat"
    );
    let pod = &template["spec"];
    assert_eq!(pod["nodeSelector"]["disk"], "ssd");
    assert_eq!(pod["securityContext"]["fsGroup"], 5);
    assert_eq!(
        pod["securityContext"]["runAsNonRoot"], true,
        "the rest of it stays"
    );
    let containers = pod["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 2);
    let names = |list: &Value, key: &str| -> Vec<String> {
        let items = list.as_array().unwrap().iter();
        items
            .map(|item| item[key].as_str().unwrap().to_owned())
            .collect()
    };
    let environment = names(&containers[0]["env"], "name");
    assert_eq!(
        environment,
        ["POD_NAME", "POD_NAMESPACE", "NODE_NAME", "LINNET_SHARDS"]
    );
    let mounts = names(&containers[0]["volumeMounts"], "mountPath");
    assert_eq!(mounts, ["/etc/linnet/channel", "/tmp"]);
    assert_eq!(names(&pod["volumes"], "name"), ["configuration", "scratch"]);
    assert!(containers[0]["livenessProbe"].is_object());
}

#[test]
fn the_gateways_read_from_the_config_map_what_the_operator_meant() {
    let channel = channel(json!({"rooms": [{"match": "a"}], "replicas": 1}));
    let validated = validate(&channel, &[], &Settings::plain()).unwrap();
    let config_map = config_map::build(&validated);
    let document = &config_map.data.unwrap()["channel.yaml"];
    let (read, _) = linnet_crds::check_managed(document).unwrap();
    assert_eq!(read.spec.rooms, channel.spec.rooms);
    assert!(!document.contains("replicas"));
}
