use serde_json::{Value, json};

use super::*;

/// The smallest spec that is valid, and `more`.
pub(crate) fn channel(more: Value) -> RealtimeChannel {
    let mut spec = json!({"authentication": {"anonymous": "Allow"}});
    let more = more.as_object().unwrap().clone();
    spec.as_object_mut().unwrap().extend(more);
    let mut channel = RealtimeChannel::new("chat", serde_json::from_value(spec).unwrap());
    channel.metadata.namespace = Some("talk".into());
    channel.metadata.uid = Some("0f1e".into());
    channel.metadata.generation = Some(1);
    channel
}

pub(crate) fn validated(more: Value, settings: &Settings) -> Validated {
    validate(&channel(more), &[], settings).unwrap()
}

fn rejected(more: Value) -> Rejection {
    validate(&channel(more), &[], &Settings::plain()).unwrap_err()
}

fn with_broker() -> Settings {
    let broker =
        json!({"nats": {"urls": ["nats://default:4222"], "credentialsSecretName": "creds"}});
    Settings {
        default_broker: Some(serde_json::from_value(broker).unwrap()),
        ..Settings::plain()
    }
}

fn nats() -> Value {
    json!({"nats": {"urls": ["nats://own:4222"]}})
}

#[test]
fn the_smallest_channel_is_valid_and_embedded() {
    let validated = validated(json!({}), &Settings::plain());
    assert!(validated.is_embedded());
    assert_eq!(validated.image, "linnet-gateway:test");
    assert_eq!(validated.owner.unwrap().uid, "0f1e");
    assert_eq!(validated.hash, document::hash(&validated.document));
}

#[test]
fn a_channel_without_a_broker_has_that_of_the_installation() {
    let ours = validated(json!({}), &with_broker());
    assert!(
        ours.document.contains("nats://default:4222"),
        "{}",
        ours.document
    );
    assert_eq!(ours.secrets, ["creds".to_owned()].into());
    let own = validated(json!({"broker": nats()}), &with_broker());
    assert!(own.document.contains("nats://own:4222"));
    assert!(own.secrets.is_empty());
}

#[test]
fn several_gateways_need_a_broker() {
    for more in [
        json!({"replicas": 2}),
        json!({"autoscaling": {"maxReplicas": 3}}),
    ] {
        let rejection = rejected(more.clone());
        assert_eq!(rejection.reason, "BrokerRequired", "{more}");
        assert!(validate(&channel(more), &[], &with_broker()).is_ok());
    }
    assert!(validate(&channel(json!({"replicas": 0})), &[], &Settings::plain()).is_ok());
}

#[test]
fn what_nobody_serves_yet_is_not_supported_and_what_the_operator_does_is() {
    let rejection = rejected(json!({"history": {"replicas": 3}}));
    assert_eq!(rejection.reason, "NotSupported");
    assert!(rejection.message.starts_with("spec.history.replicas: "));
    let ours = json!({
        "replicas": 3, "broker": nats(), "service": {"type": "NodePort"},
        "networkPolicy": {"mode": "None"}, "gateway": {"image": "x"},
        "expose": {"hosts": ["a.example"], "ingress": {}}, "rollout": {"maxSurge": 1},
    });
    assert!(validate(&channel(ours), &[], &Settings::plain()).is_ok());
}

#[test]
fn what_the_gateways_would_refuse_never_reaches_them() {
    let rejection = rejected(json!({"rooms": [{"match": "{who}"}]}));
    assert_eq!(rejection.reason, "InvalidSpec");
    assert!(
        rejection
            .message
            .starts_with("spec.rooms[0].match: unknown template")
    );
}

#[test]
fn a_configuration_that_no_config_map_holds_is_refused() {
    let rule = |i: usize| json!({"match": format!("{i}{}", "ü".repeat(120))});
    let rooms: Vec<_> = (0..256).map(rule).collect();
    assert!(validate(&channel(json!({"rooms": rooms})), &[], &Settings::plain()).is_ok());
    let mut huge = channel(json!({}));
    huge.spec.authentication.allowed_origins = vec!["x".repeat(DOCUMENT_BYTES)];
    let rejection = validate(&huge, &[], &Settings::plain()).unwrap_err();
    assert_eq!(rejection.reason, "ConfigurationTooLarge");
}

#[test]
fn resources_and_pod_template_are_read_strictly() {
    let rejection = rejected(json!({"gateway": {"resources": {"limit": {"cpu": 1}}}}));
    assert_eq!(rejection.reason, "InvalidSpec");
    assert!(rejection.message.contains("spec.gateway.resources.limit: "));
    let rejection = rejected(json!({"gateway": {"podTemplate": {"spec": {"hostnam": "x"}}}}));
    assert_eq!(rejection.reason, "InvalidPodTemplate");
}

#[test]
fn variables_of_the_operator_can_not_be_given() {
    let rejection = rejected(json!({"gateway": {"env": [{"name": "A"}, {"name": "POD_NAME"}]}}));
    assert_eq!(rejection.reason, "InvalidSpec");
    assert!(rejection.message.starts_with("spec.gateway.env[1]: "));
}

#[test]
fn the_pull_policy_of_the_installation_is_that_of_its_own_image() {
    let settings = Settings {
        image_pull_policy: Some(linnet_crds::gateway::ImagePullPolicy::Never),
        ..Settings::plain()
    };
    let policy =
        |gateway: Value| validated(json!({"gateway": gateway}), &settings).image_pull_policy;
    assert_eq!(policy(json!({})), Some("Never"));
    assert_eq!(policy(json!({"image": "x"})), None);
    assert_eq!(
        policy(json!({"image": "x", "imagePullPolicy": "Always"})),
        Some("Always")
    );
}
