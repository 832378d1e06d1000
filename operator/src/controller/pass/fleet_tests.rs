//! Passes that wait for rollouts, or take gateways away.

use http::Method;
use serde_json::{Value, json};

use super::*;
use crate::settings::Settings;
use crate::testing::api_server::ApiServer;
use crate::{names, scaling};

const CHANNEL: &str = "/apis/realtime.linnet.dev/v1alpha1/namespaces/talk/realtimechannels/chat";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/talk/deployments/chat-gateway";

struct Scene {
    server: ApiServer,
    context: Context,
}

impl Scene {
    /// A channel with three gateways that are ready. Its broker is nowhere, which is no matter here.
    async fn new() -> Self {
        let server = ApiServer::default();
        server.put(
            CHANNEL,
            json!({
                "apiVersion": "realtime.linnet.dev/v1alpha1", "kind": "RealtimeChannel",
                "metadata": {"name": "chat", "namespace": "talk", "uid": "channel", "generation": 1},
                "spec": {
                    "authentication": {"anonymous": "Allow"}, "replicas": 3,
                    "broker": {"nats": {"urls": ["nats://127.0.0.1:1"]}},
                },
            }),
        );
        let context = Context::new(server.client(), Settings::plain(), None);
        let scene = Self { server, context };
        scene.pass().await;
        let template = scene.template();
        for number in 0..3 {
            scene.server.put(
                &pod(number),
                json!({
                    "metadata": {
                        "name": format!("chat-{number}"), "namespace": "talk",
                        "labels": names::labels("chat"), "annotations": {names::TEMPLATE: template},
                    },
                    "status": {"phase": "Pending", "conditions": [{"type": "Ready", "status": "True"}]},
                }),
            );
        }
        scene.server.edit(DEPLOYMENT, |deployment| {
            deployment["metadata"]["generation"] = json!(1);
            deployment["status"] = json!({"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3,
                "availableReplicas": 3, "readyReplicas": 3});
        });
        scene.pass().await; // the pods get their configuration
        scene.server.writes();
        scene
    }

    async fn pass(&self) -> Next {
        pass(&self.context, "talk", "chat").await.unwrap()
    }

    fn edit(&self, edit: impl FnOnce(&mut Value)) {
        self.server.edit(CHANNEL, |channel| {
            edit(&mut channel["spec"]);
            let generation = channel["metadata"]["generation"].as_i64().unwrap();
            channel["metadata"]["generation"] = json!(generation + 1);
        });
    }

    fn template(&self) -> Value {
        let deployment = self.server.get(DEPLOYMENT).unwrap();
        deployment["spec"]["template"]["metadata"]["annotations"][names::TEMPLATE].clone()
    }

    fn replicas(&self) -> Value {
        self.server.get(DEPLOYMENT).unwrap()["spec"]["replicas"].clone()
    }

    fn message(&self) -> String {
        let channel = self.server.get(CHANNEL).unwrap();
        let conditions = channel["status"]["conditions"].as_array().unwrap();
        let condition = conditions
            .iter()
            .find(|one| one["type"] == "GatewaysAvailable");
        condition.unwrap()["message"].as_str().unwrap().to_owned()
    }
}

fn pod(number: usize) -> String {
    format!("/api/v1/namespaces/talk/pods/chat-{number}")
}

#[tokio::test]
async fn a_pod_is_marked_before_the_number_falls() {
    let scene = Scene::new().await;
    scene.edit(|spec| spec["replicas"] = json!(2));
    scene.pass().await;
    let marked = scene.server.writes().into_iter().find(|write| {
        write.body["metadata"]["annotations"][scaling::COST_ANNOTATION] == scaling::COST
    });
    assert_eq!(marked.unwrap().path, pod(0));
    assert_eq!(scene.replicas(), 3);
    scene.pass().await;
    assert_eq!(scene.replicas(), 2);
}

#[tokio::test]
async fn a_mark_that_can_not_be_written_keeps_the_number_as_it_is() {
    let scene = Scene::new().await;
    scene.edit(|spec| spec["replicas"] = json!(2));
    scene.server.forbid(Method::PATCH, "pods");
    for _ in 0..2 {
        assert!(pass(&scene.context, "talk", "chat").await.is_err());
        assert_eq!(scene.replicas(), 3);
    }
}

#[tokio::test]
async fn while_a_pod_goes_another_template_waits_and_says_so_but_more_gateways_do_not() {
    let scene = Scene::new().await;
    let template = scene.template();
    let until = Timestamp::now() + jiff::SignedDuration::from_secs(60);
    scene.server.edit(&pod(0), |pod| {
        pod["metadata"]["deletionTimestamp"] =
            json!(until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    });
    scene.edit(|spec| {
        spec["gateway"] = json!({"env": [{"name": "A", "value": "b"}]});
        spec["replicas"] = json!(4);
    });
    let next = scene.pass().await;
    assert_eq!(
        (scene.template(), scene.replicas()),
        (template.clone(), json!(4))
    );
    assert!(
        scene.message().contains("a new pod template waits"),
        "{}",
        scene.message()
    );
    assert!(next.unwrap() < std::time::Duration::from_secs(7));
    scene.server.remove(&pod(0));
    scene.pass().await;
    assert_ne!(scene.template(), template);
    assert!(!scene.message().contains("waits"));
}

#[tokio::test]
async fn a_release_waits_for_its_turn() {
    let mut scene = Scene::new().await;
    let template = scene.template();
    scene.context.settings.gateway_image = "linnet-gateway:next".into();
    let rolling = json!({"spec": {"replicas": 1, "selector": {}, "template": {
        "spec": {"containers": [{"name": "gateway", "image": "linnet-gateway:next"}]},
    }}});
    let rolling = serde_json::from_value(rolling).unwrap();
    let other = ("talk/other".to_owned(), &rolling);
    scene.context.fleets.resume("linnet-gateway:next", [other]);
    scene.pass().await;
    assert_eq!(scene.template(), template);
    assert!(
        scene.message().contains("a new release waits"),
        "{}",
        scene.message()
    );
    scene.context.forget("talk/other", None);
    scene.pass().await;
    assert_ne!(scene.template(), template);
}
