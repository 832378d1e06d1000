//! What the API server refuses by the rules of the CustomResourceDefinition, and what it takes.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::collections::BTreeSet;

use linnet_cluster_tests::channel::{channel, merge};
use linnet_cluster_tests::{Kubectl, Namespace};
use linnet_tests::scenario;
use serde_json::{Value, json};

/// A rule by its message, what breaks it, and what just does not.
struct Rule {
    message: &'static str,
    breaks: Vec<Value>,
    keeps: Vec<Value>,
}

fn rule<const B: usize, const K: usize>(
    message: &'static str,
    breaks: [Value; B],
    keeps: [Value; K],
) -> Rule {
    let (breaks, keeps) = (breaks.into(), keeps.into());
    Rule {
        message,
        breaks,
        keeps,
    }
}

/// A rule on the size `limits.FIELD`.
fn size(field: &str, message: &'static str, breaks: [&str; 2], keeps: [&str; 2]) -> Rule {
    let spec = |size| json!({"limits": {field: size}});
    rule(message, breaks.map(spec), keeps.map(spec))
}

const NAME: &str = "metadata.name must start with a letter, end with a letter or digit, hold only a-z, 0-9 and -, and \
                    be at most 50 characters long";
const PARTITIONS: &str = "partitions is immutable: make a new channel to change it";
const STORAGE: &str = "storage is immutable: make a new channel to change it";

/// All rules of the spec but those of a transition.
fn rules() -> Vec<Rule> {
    let jwt = |jwt: Value| json!({"authentication": {"jwt": jwt}});
    let handler = |mut more: Value| {
        more["events"] = json!(["connect"]);
        json!({"handler": more})
    };
    let surge = |surge: Value| json!({"rollout": {"maxSurge": surge}});
    let route = json!({"parentRefs": [{"name": "contour"}]});
    vec![
        rule(
            "set exactly one of jwksUri and keySecretName",
            [
                jwt(json!({})),
                jwt(json!({"jwksUri": "https://id.example/keys", "keySecretName": "keys"})),
            ],
            [
                jwt(json!({"jwksUri": "https://id.example/keys"})),
                jwt(json!({"keySecretName": "keys"})),
            ],
        ),
        rule(
            "HS algorithms need keySecretName: a published key is no secret",
            [jwt(
                json!({"jwksUri": "https://id.example/keys", "algorithms": ["RS256", "HS256"]}),
            )],
            [
                jwt(json!({"jwksUri": "https://id.example/keys", "algorithms": ["RS256"]})),
                jwt(json!({"keySecretName": "keys", "algorithms": ["HS256"]})),
            ],
        ),
        rule(
            "must be networks in CIDR notation, such as 10.0.0.0/8",
            [
                json!({"authentication": {"trustedProxies": ["10.0.0.0/33"]}}),
                json!({"authentication": {"trustedProxies": ["10.0.0.0/8", "10.0.0/8"]}}),
            ],
            [json!({"authentication": {"trustedProxies": ["10.0.0.0/32", "fd00::/128"]}})],
        ),
        rule(
            "queryToken: Allow needs jwt",
            [json!({"authentication": {"queryToken": "Allow"}})],
            [
                json!({"authentication": {"queryToken": "Deny"}}),
                json!({"authentication": {"queryToken": "Allow", "jwt": {"keySecretName": "keys"}}}),
            ],
        ),
        rule(
            "Paced needs service.sessionAffinity: None: a client whose address is kept on its gateway comes straight back",
            [
                json!({"rollout": {"rebalance": "Paced"}}),
                json!({"rollout": {"rebalance": "Paced"}, "service": {"sessionAffinity": "ClientIP"}}),
            ],
            [
                json!({"rollout": {"rebalance": "Paced"}, "service": {"sessionAffinity": "None"}}),
                json!({"rollout": {"rebalance": "Disabled"}}),
            ],
        ),
        rule(
            "minReplicas must not be more than maxReplicas",
            [json!({"autoscaling": {"minReplicas": 4, "maxReplicas": 3}})],
            [json!({"autoscaling": {"minReplicas": 3, "maxReplicas": 3}})],
        ),
        rule(
            "set one of ingress and httpRoute, or neither",
            [json!({"expose": {"ingress": {}, "httpRoute": route}})],
            [
                json!({"expose": {"ingress": {}}}),
                json!({"expose": {"httpRoute": route}}),
                json!({"expose": {}}),
            ],
        ),
        rule(
            "set exactly one of url and natsSubject",
            [
                handler(json!({})),
                handler(json!({"url": "http://back", "natsSubject": "back"})),
            ],
            [
                handler(json!({"url": "http://back"})),
                handler(json!({"natsSubject": "back"})),
            ],
        ),
        rule(
            "deduplicationSeconds must not be more than maxAgeSeconds",
            [json!({"history": {"maxAgeSeconds": 60, "deduplicationSeconds": 61}})],
            [json!({"history": {"maxAgeSeconds": 60, "deduplicationSeconds": 60}})],
        ),
        size(
            "bytesPerSecond",
            "must be from 1 to 16Gi",
            ["0", "16385Mi"],
            ["1", "16Gi"],
        ),
        size(
            "messageSize",
            "must be from 1 to 16Mi",
            ["0", "16385Ki"],
            ["1", "16Mi"],
        ),
        size(
            "historyMemory",
            "must be from 16Ki to 1Ti",
            ["16383", "1025Gi"],
            ["16Ki", "1Ti"],
        ),
        size(
            "queueMemory",
            "must be from 16Ki to 1Ti",
            ["16383", "1025Gi"],
            ["16Ki", "1Ti"],
        ),
        size(
            "sendQueueSize",
            "must be from 16Ki to 256Mi",
            ["16383", "257Mi"],
            ["16Ki", "256Mi"],
        ),
        rule(
            "must be a number from 1 to 10000, or a percentage from 1% to 100%",
            [json!(0), json!("0%"), json!("101%"), json!(-1)].map(surge),
            [json!(1), json!(9999), json!("1%"), json!("100%")].map(surge),
        ),
        rule(
            "externalTrafficPolicy needs type NodePort or LoadBalancer",
            [json!({"service": {"externalTrafficPolicy": "Local"}})],
            [
                json!({"service": {"type": "NodePort", "externalTrafficPolicy": "Local"}}),
                json!({"service": {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}}),
            ],
        ),
        rule(
            "loadBalancerClass needs type LoadBalancer",
            [json!({"service": {"type": "NodePort", "loadBalancerClass": "a.example/b"}})],
            [json!({"service": {"type": "LoadBalancer", "loadBalancerClass": "a.example/b"}})],
        ),
        rule(
            "nobody could connect: set authentication.jwt, or authentication.anonymous: Allow",
            [
                json!({"authentication": {"anonymous": "Deny"}}),
                json!({"authentication": null}),
            ],
            [json!({"authentication": {"anonymous": "Deny", "jwt": {"keySecretName": "keys"}}})],
        ),
        rule(
            "autoscaling.targetConnections must not be more than limits.connectionsPerGateway",
            [json!({"autoscaling": {"maxReplicas": 3, "targetConnections": 20_001}})],
            [json!({"autoscaling": {"maxReplicas": 3, "targetConnections": 20_000}})],
        ),
        rule(
            "a room with delivery: Worker can't have history: Disabled: workers put their output there",
            [
                json!({"history": {}, "rooms": [{"match": "*", "delivery": "Worker", "history": "Disabled"}]}),
            ],
            [
                json!({"history": {}, "rooms": [{"match": "*", "delivery": "Worker"}]}),
                json!({"rooms": [{"match": "*", "delivery": "Direct", "history": "Disabled"}]}),
            ],
        ),
        rule(
            "workers.acknowledgeSeconds must be less than history.deduplicationSeconds, or output could double",
            [
                json!({"history": {"deduplicationSeconds": 60}, "workers": {"acknowledgeSeconds": 60},
                "rooms": [{"match": "*", "delivery": "Worker"}]}),
            ],
            [
                json!({"history": {"deduplicationSeconds": 60}, "workers": {"acknowledgeSeconds": 59},
                "rooms": [{"match": "*", "delivery": "Worker"}]}),
            ],
        ),
        rule(
            "rooms with delivery: Worker need history: workers put their output there",
            [json!({"rooms": [{"match": "*", "delivery": "Worker"}]})],
            [
                json!({"history": {}, "rooms": [{"match": "*", "delivery": "Worker"}]}),
                json!({"rooms": [{"match": "*", "delivery": "Direct"}]}),
            ],
        ),
        rule(
            "Authenticated and Claim need authentication.jwt",
            [
                json!({"rooms": [{"match": "*", "subscribe": "Authenticated"}]}),
                json!({"rooms": [{"match": "a"}, {"match": "b", "publish": "Claim"}]}),
            ],
            [
                json!({"rooms": [{"match": "*", "subscribe": "Everyone", "publish": "Nobody"}]}),
                json!({"rooms": [{"match": "*", "publish": "Claim"}],
                    "authentication": {"jwt": {"keySecretName": "keys"}}}),
            ],
        ),
    ]
}

/// What the API server would say to each of `manifests`, in their order; an empty text where it would take it.
async fn verdicts(kubectl: &Kubectl, manifests: Vec<Value>) -> Vec<String> {
    // One kubectl for all: a line of its answer tells by the name whom it is about.
    let mut manifests = manifests;
    for (number, manifest) in manifests.iter_mut().enumerate() {
        manifest["metadata"]["name"] = json!(format!("case-{number}"));
    }
    let count = manifests.len();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": manifests});
    let create = ["create", "--dry-run=server", "--filename", "-"];
    let refused = kubectl.feed(&create, &list.to_string()).await;
    let refused = refused.err().unwrap_or_default();
    let about = |number: usize| {
        let name = format!("\"case-{number}\" is invalid");
        let mut lines = refused.lines();
        lines.find(|line| line.contains(&name)).unwrap_or_default()
    };
    let verdicts: Vec<_> = (0..count).map(|number| about(number).to_owned()).collect();
    let told = verdicts
        .iter()
        .filter(|verdict| !verdict.is_empty())
        .count();
    assert_eq!(
        told,
        refused.lines().count(),
        "something else went wrong:\n{refused}"
    );
    verdicts
}

/// The messages of all rules in a schema.
fn messages(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            let rules = fields
                .get("x-kubernetes-validations")
                .and_then(Value::as_array);
            for rule in rules.into_iter().flatten() {
                found.insert(rule["message"].as_str().unwrap().to_owned());
            }
            fields.values().for_each(|field| messages(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| messages(item, found)),
        _ => {}
    }
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn every_rule_refuses_its_bad_case_in_our_words_and_takes_its_edge() {
    scenario(120, async {
        let namespace = Namespace::create("rules").await;
        let kubectl = namespace.kubectl();
        let rules = rules();
        let (mut bad, mut edges) = (Vec::new(), Vec::new());
        for rule in &rules {
            bad.extend(rule.breaks.iter().map(|spec| (rule.message, spec)));
            edges.extend(rule.keeps.iter().map(|spec| (rule.message, spec)));
        }
        let manifests = |cases: &[(&str, &Value)]| {
            cases
                .iter()
                .map(|(_, spec)| channel("case", spec))
                .collect()
        };
        let refusals = verdicts(&kubectl, manifests(&bad)).await;
        for ((message, spec), refusal) in bad.iter().zip(refusals) {
            assert!(
                refusal.contains(message),
                "{spec}\nwas to be refused with: {message}\nbut: {refusal}"
            );
        }
        let refusals = verdicts(&kubectl, manifests(&edges)).await;
        for ((message, spec), refusal) in edges.iter().zip(refusals) {
            assert_eq!(refusal, "", "{spec}\nkeeps the rule: {message}");
        }

        let definition = kubectl
            .get("crd/realtimechannels.realtime.linnet.dev")
            .await;
        let mut all = BTreeSet::new();
        messages(&definition["spec"], &mut all);
        let mut tried: BTreeSet<_> = rules.iter().map(|rule| rule.message.to_owned()).collect();
        tried.extend([NAME, PARTITIONS, STORAGE].map(str::to_owned));
        let uneven: Vec<_> = all.symmetric_difference(&tried).collect();
        assert!(
            uneven.is_empty(),
            "rules without a case here, or cases without a rule: {uneven:#?}"
        );
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn a_name_leaves_room_for_those_of_the_children() {
    scenario(60, async {
        let namespace = Namespace::create("names").await;
        let kubectl = namespace.kubectl();
        let create = ["create", "--dry-run=server", "--filename", "-"];
        let longest = "a".repeat(50);
        for name in ["1chat", "chat.one", &format!("{longest}a")] {
            let refused = kubectl
                .feed(&create, &channel(name, &json!({})).to_string())
                .await;
            let refused = refused.expect_err(name);
            assert!(refused.contains(NAME), "{refused}");
        }
        for name in ["a", "a-1", &longest] {
            let taken = kubectl
                .feed(&create, &channel(name, &json!({})).to_string())
                .await;
            taken.unwrap();
        }
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn what_streams_are_made_of_can_not_change_and_the_rest_of_history_can() {
    scenario(60, async {
        let namespace = Namespace::create("immutable").await;
        let kubectl = namespace.kubectl();
        let mut chat = channel(
            "chat",
            &json!({"replicas": 0, "history": {"partitions": 2, "storage": "Memory"}}),
        );
        kubectl.apply(&chat.to_string()).await;
        let apply = [
            "apply",
            "--server-side",
            "--dry-run=server",
            "--filename",
            "-",
        ];
        for (history, message) in [
            (json!({"partitions": 3}), PARTITIONS),
            (json!({"storage": "File"}), STORAGE),
        ] {
            let mut other = chat.clone();
            merge(&mut other["spec"]["history"], &history);
            let refused = kubectl.feed(&apply, &other.to_string()).await.unwrap_err();
            assert!(refused.contains(message), "{refused}");
        }
        let rest = json!({"maxMessagesPerRoom": 7, "maxAgeSeconds": 3600, "deduplicationSeconds": 60, "replicas": 3,
            "deletionPolicy": "Delete"});
        merge(&mut chat["spec"]["history"], &rest);
        kubectl.feed(&apply, &chat.to_string()).await.unwrap();
    });
}
