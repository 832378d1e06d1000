//! Passes against an API server in memory.

use http::Method;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use linnet_crds::RealtimeChannel;
use linnet_crds::status::RealtimeChannelStatus;
use serde_json::{Value, json};

use super::*;
use crate::settings::Settings;
use crate::testing::api_server::ApiServer;

const CHANNEL: &str = "/apis/realtime.linnet.dev/v1alpha1/namespaces/talk/realtimechannels/chat";
const CONFIG_MAP: &str = "/api/v1/namespaces/talk/configmaps/chat-gateway";
const SERVICE: &str = "/api/v1/namespaces/talk/services/chat-gateway";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/talk/deployments/chat-gateway";
const INGRESS: &str = "/apis/networking.k8s.io/v1/namespaces/talk/ingresses/chat-gateway";
const HTTP_ROUTE: &str =
    "/apis/gateway.networking.k8s.io/v1/namespaces/talk/httproutes/chat-gateway";
const BUDGET: &str = "/apis/policy/v1/namespaces/talk/poddisruptionbudgets/chat-gateway";

struct Scene {
    server: ApiServer,
    context: Context,
}

impl Scene {
    fn new(spec: Value) -> Self {
        let server = ApiServer::default();
        server.put(
            CHANNEL,
            json!({
                "apiVersion": "realtime.linnet.dev/v1alpha1", "kind": "RealtimeChannel",
                "metadata": {
                    "name": "chat", "namespace": "talk", "uid": "channel", "generation": 1,
                },
                "spec": {"authentication": {"anonymous": "Allow"}},
            }),
        );
        let context = Context::new(server.client(), Settings::plain(), None);
        let scene = Self { server, context };
        scene.spec(spec);
        scene
    }

    /// Sets fields of the spec.
    fn spec(&self, more: Value) {
        self.server.edit(CHANNEL, |channel| {
            for (field, value) in more.as_object().unwrap() {
                channel["spec"][field] = value.clone();
            }
            let generation = channel["metadata"]["generation"].as_i64().unwrap();
            channel["metadata"]["generation"] = (generation + 1).into();
        });
    }

    async fn pass(&self) -> Result<Next, PassError> {
        pass(&self.context, "talk", "chat").await
    }

    /// A pass that writes what it is to, and one in which nothing is left to do.
    async fn settle(&self) {
        self.pass().await.unwrap();
        self.server.writes();
        self.pass().await.unwrap();
        assert_eq!(self.server.writes(), [], "it was settled");
    }

    /// Methods and paths of what was written, the status aside.
    fn written(&self) -> Vec<(Method, String)> {
        let writes = self.server.writes().into_iter();
        let children = writes.filter(|write| !write.path.ends_with("/status"));
        children.map(|write| (write.method, write.path)).collect()
    }

    fn status(&self) -> RealtimeChannelStatus {
        let channel: RealtimeChannel =
            serde_json::from_value(self.server.get(CHANNEL).unwrap()).unwrap();
        channel.status.unwrap()
    }

    fn condition(&self, type_: &str) -> Condition {
        let conditions = self.status().conditions;
        let condition = conditions.into_iter().find(|c| c.type_ == type_);
        condition.unwrap_or_else(|| panic!("there is no condition {type_}"))
    }
}

fn patch(path: &str) -> (Method, String) {
    (Method::PATCH, path.to_owned())
}

#[tokio::test]
async fn a_channel_gets_all_its_children_and_the_configuration_before_the_pods() {
    let scene = Scene::new(json!({}));
    scene.pass().await.unwrap();
    let written = scene.written();
    assert_eq!(written.len(), 7, "{written:?}");
    let place = |path| {
        written
            .iter()
            .position(|write| *write == patch(path))
            .unwrap()
    };
    assert!(place(CONFIG_MAP) < place(DEPLOYMENT));
    let owner = &scene.server.get(SERVICE).unwrap()["metadata"]["ownerReferences"][0];
    assert_eq!(owner["uid"], "channel");
    assert_eq!(scene.condition("Accepted").status, "True");
    assert_eq!(
        scene.status().selector.unwrap(),
        crate::names::selector_text("chat")
    );
}

#[tokio::test]
async fn in_a_steady_state_nothing_is_written() {
    let scene = Scene::new(json!({
        "expose": {"hosts": ["a.example"], "ingress": {}},
        "gateway": {"resources": {"limits": {"memory": "1024Mi"}}, "env": [{"name": "A", "value": ""}]},
    }));
    scene.settle().await;
    // The real server writes amounts in their canonical form.
    scene.server.edit(DEPLOYMENT, |deployment| {
        let container = &mut deployment["spec"]["template"]["spec"]["containers"][0];
        container["resources"]["limits"]["memory"] = "1Gi".into();
    });
    scene.pass().await.unwrap();
    assert_eq!(scene.server.writes(), []);
}

#[tokio::test]
async fn an_edited_field_of_ours_is_put_back_and_what_others_added_stays() {
    let scene = Scene::new(json!({}));
    scene.settle().await;
    scene.server.edit(DEPLOYMENT, |deployment| {
        deployment["spec"]["replicas"] = 7.into();
        let template = &mut deployment["spec"]["template"]["metadata"];
        template["annotations"]["kubectl.kubernetes.io/restartedAt"] = "now".into();
    });
    scene.pass().await.unwrap();
    assert_eq!(scene.written(), [patch(DEPLOYMENT)]);
    let deployment = scene.server.get(DEPLOYMENT).unwrap();
    assert_eq!(deployment["spec"]["replicas"], 1);
    let template = &deployment["spec"]["template"]["metadata"];
    assert_eq!(
        template["annotations"]["kubectl.kubernetes.io/restartedAt"],
        "now"
    );
}

#[tokio::test]
async fn an_annotation_of_somebody_else_is_no_reason_to_write() {
    let scene = Scene::new(json!({}));
    scene.settle().await;
    scene.server.edit(SERVICE, |service| {
        service["metadata"]["annotations"]["cloud.example/id"] = "7".into();
    });
    scene.pass().await.unwrap();
    assert_eq!(scene.server.writes(), []);
}

#[tokio::test]
async fn a_live_change_is_written_to_the_config_map_alone() {
    let scene = Scene::new(json!({}));
    scene.settle().await;
    scene.spec(json!({"limits": {"messagesPerSecond": 7}}));
    scene.pass().await.unwrap();
    assert_eq!(scene.written(), [patch(CONFIG_MAP)]);
}

#[tokio::test]
async fn a_child_that_falls_out_of_the_spec_is_deleted() {
    let scene = Scene::new(json!({"expose": {"ingress": {}}}));
    scene.settle().await;
    scene.spec(json!({"expose": {}}));
    scene.pass().await.unwrap();
    assert_eq!(scene.written(), [(Method::DELETE, INGRESS.into())]);
    assert_eq!(scene.server.get(INGRESS), None);
    scene.settle().await;
}

#[tokio::test]
async fn an_ingress_of_the_same_name_that_is_not_ours_stays() {
    let scene = Scene::new(json!({}));
    scene
        .server
        .put(INGRESS, json!({"metadata": {"name": "chat-gateway"}}));
    scene.settle().await;
    assert!(scene.server.get(INGRESS).is_some());
}

#[tokio::test]
async fn anothers_object_in_the_way_is_named_and_nothing_is_touched() {
    let scene = Scene::new(json!({}));
    let theirs = json!({"metadata": {"name": "chat-gateway"}, "spec": {"selector": {"a": "b"}}});
    scene.server.put(SERVICE, theirs);
    let before = scene.server.get(SERVICE);
    scene.pass().await.unwrap();
    assert_eq!(scene.written(), []);
    assert_eq!(scene.server.get(SERVICE), before);
    let accepted = scene.condition("Accepted");
    assert_eq!(accepted.reason, "NameConflict");
    assert!(
        accepted.message.contains("Service chat-gateway"),
        "{}",
        accepted.message
    );
    assert_eq!(scene.condition("Ready").status, "False");
    assert_eq!(scene.server.events(), ["NameConflict"]);
}

#[tokio::test]
async fn a_spec_that_can_not_be_had_leaves_the_children_as_they_are() {
    let scene = Scene::new(json!({}));
    scene.settle().await;
    scene.spec(json!({"replicas": 3, "limits": {"messagesPerSecond": 7}}));
    scene.pass().await.unwrap();
    assert_eq!(scene.written(), []);
    assert_eq!(scene.condition("Accepted").reason, "BrokerRequired");
    assert_eq!(
        scene.condition("ConfigurationApplied").reason,
        "NotAccepted"
    );
    assert_eq!(scene.status().observed_generation, Some(3));
}

#[tokio::test]
async fn a_missing_right_is_named_and_the_rest_is_done() {
    let scene = Scene::new(json!({}));
    scene.server.forbid(Method::PATCH, "poddisruptionbudgets");
    let error = scene.pass().await.unwrap_err();
    assert!(matches!(error, PassError::Refused(_)), "{error}");
    let written = scene.written();
    assert!(written.contains(&patch(DEPLOYMENT)));
    let ready = scene.condition("Ready");
    assert_eq!(ready.status, "False");
    scene.server.allow();
    scene.settle().await;
    assert!(scene.server.get(BUDGET).is_some());
}

#[tokio::test]
async fn without_its_configuration_no_gateway_is_started() {
    let scene = Scene::new(json!({}));
    scene.server.forbid(Method::PATCH, "configmaps");
    scene.pass().await.unwrap_err();
    assert_eq!(scene.server.get(DEPLOYMENT), None);
    let ready = scene.condition("Ready");
    assert_eq!(ready.reason, "ApplyFailed");
    assert!(
        ready
            .message
            .contains("cannot patch ConfigMap chat-gateway"),
        "{}",
        ready.message
    );
}

#[tokio::test]
async fn a_cluster_without_the_gateway_api_is_told_so_and_no_loop_of_errors() {
    let scene = Scene::new(json!({"expose": {"httpRoute": {"parentRefs": [{"name": "g"}]}}}));
    scene.server.lacks("gateway.networking.k8s.io");
    scene.settle().await;
    assert_eq!(scene.condition("Exposed").reason, "NoGatewayAPI");
}

#[tokio::test]
async fn a_route_is_applied_and_counts_once_it_is_taken() {
    let scene = Scene::new(json!({"expose": {"httpRoute": {"parentRefs": [{"name": "g"}]}}}));
    scene.settle().await;
    assert_eq!(scene.condition("Exposed").reason, "RoutePending");
    scene.server.edit(HTTP_ROUTE, |route| {
        let accepted = json!({"type": "Accepted", "status": "True"});
        route["status"] = json!({"parents": [{"conditions": [accepted]}]});
    });
    scene.settle().await;
    assert_eq!(scene.condition("Exposed").status, "True");
}

#[tokio::test]
async fn a_paused_channel_is_not_written_to_and_says_so() {
    let scene = Scene::new(json!({}));
    scene.settle().await;
    scene.server.edit(CHANNEL, |channel| {
        channel["metadata"]["annotations"] = json!({crate::names::PAUSED: "true"});
    });
    scene.spec(json!({"limits": {"messagesPerSecond": 7}, "expose": {"ingress": {}}}));
    scene.server.events();
    scene.pass().await.unwrap();
    assert_eq!(scene.written(), []);
    assert_eq!(scene.condition("Paused").status, "True");
    assert_eq!(scene.server.events(), ["Annotated"]);
    scene.server.edit(CHANNEL, |channel| {
        channel["metadata"]["annotations"] = json!({});
    });
    scene.pass().await.unwrap();
    assert_eq!(scene.written(), [patch(CONFIG_MAP), patch(INGRESS)]);
    assert!(
        scene
            .status()
            .conditions
            .iter()
            .all(|c| c.type_ != "Paused")
    );
    assert!(scene.server.events().contains(&"Resumed".into()));
}

#[tokio::test]
async fn a_secret_of_the_broker_that_is_missing_or_must_not_be_read_is_told() {
    let nats = json!({"nats": {"urls": ["nats://127.0.0.1:1"], "credentialsSecretName": "creds"}});
    let scene = Scene::new(json!({"broker": nats}));
    scene.pass().await.unwrap();
    let broker = scene.condition("BrokerReady");
    assert_eq!(broker.reason, "SecretMissing");
    assert!(broker.message.contains("creds"));
    scene.server.forbid(Method::GET, "secrets");
    scene.pass().await.unwrap();
    assert_eq!(scene.condition("BrokerReady").reason, "SecretUnreadable");
    scene.server.allow();
    let secret = json!({"metadata": {"name": "creds"}, "data": {"token": "eA=="}});
    scene
        .server
        .put("/api/v1/namespaces/talk/secrets/creds", secret);
    scene.settle().await;
    assert_eq!(scene.condition("BrokerReady").reason, "Unreachable");
}

#[tokio::test]
async fn a_channel_that_is_being_deleted_or_is_gone_is_left_alone() {
    let scene = Scene::new(json!({}));
    scene.server.edit(CHANNEL, |channel| {
        channel["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    });
    assert_eq!(scene.pass().await.unwrap(), None);
    assert_eq!(pass(&scene.context, "talk", "nobody").await.unwrap(), None);
    assert_eq!(scene.server.writes(), []);
}

#[tokio::test]
async fn a_pod_that_serves_an_older_configuration_is_annotated_once() {
    let scene = Scene::new(json!({}));
    scene.settle().await;
    let pod = "/api/v1/namespaces/talk/pods/a";
    scene.server.put(
        pod,
        json!({
            "metadata": {"name": "a", "namespace": "talk", "labels": crate::names::labels("chat")},
            "status": {"phase": "Running"},
        }),
    );
    scene.pass().await.unwrap();
    assert_eq!(scene.written(), [patch(pod)]);
    let annotations = &scene.server.get(pod).unwrap()["metadata"]["annotations"];
    let hash = &scene.server.get(CONFIG_MAP).unwrap()["metadata"]["annotations"];
    assert_eq!(
        annotations[crate::names::CONFIGURATION],
        hash[crate::names::CONFIGURATION]
    );
    scene.settle().await;
}

#[tokio::test]
async fn in_a_namespace_that_is_being_deleted_one_write_is_tried_and_nothing_is_complained_of() {
    let scene = Scene::new(json!({}));
    scene.settle().await;
    scene.server.remove(SERVICE);
    scene.server.remove(BUDGET);
    scene.server.end();
    let next = scene.pass().await.unwrap();
    assert!(next.unwrap() > Duration::from_secs(30), "{next:?}");
    assert_eq!(scene.written(), [patch(SERVICE)]);
    let ready = scene.condition("Ready");
    assert_eq!(ready.reason, "ApplyFailed");
    assert!(
        ready.message.contains("being terminated"),
        "{}",
        ready.message
    );
}

#[tokio::test]
async fn a_channel_that_can_not_be_read_is_told_of_at_the_channel() {
    let scene = Scene::new(json!({}));
    let unreadable = kube::core::error_boundary::InvalidObject {
        error: "unknown variant".into(),
        metadata: serde_json::from_value(json!({"name": "chat", "namespace": "talk", "uid": "u"}))
            .unwrap(),
    };
    events::unreadable(&scene.context.recorder, &unreadable).await;
    assert_eq!(scene.server.events(), ["Unreadable"]);
}
