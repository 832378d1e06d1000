//! Routes in front of a hub with the embedded broker.

mod admission;
mod again;
mod publish;
mod reading;
mod users;

use axum::body::{Body, to_bytes};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::desk::DeskOutlet;
use super::*;
use crate::auth::Tokens;
use crate::broker::embedded::Embedded;
use crate::hub::actor::handle;
use crate::hub::state::Hub;
use crate::hub::{Delivery, Outlet};
use crate::message::Message;
use crate::names::RoomName;

/// A key with all scopes.
const KEY: &str = "all-0123456789abcdef0123456789abcdef";
/// A key with none.
const NONE: &str = "none-0123456789abcdef0123456789abcdef";

const MANIFEST: &str = "\
apiVersion: realtime.linnet.dev/v1alpha1
kind: RealtimeChannel
metadata: {name: tests}
spec:
  authentication: {anonymous: Allow, apiKeySecretName: keys}
  history: {maxMessagesPerRoom: 10}
  limits: {messageSize: 1Ki}
  rooms:
    - {match: live.*, history: Disabled}
    - {match: closed.*, publish: Nobody}
    - {match: people.*, presence: {mode: Full}}
    - match: numbers
      schema: {type: object, properties: {n: {type: number}}}
";

/// Nobody is connected.
struct Nobody;

impl Outlet for Nobody {
    fn messages(&mut self, _: &RoomName, _: Vec<Arc<Message>>, _: std::time::Instant, _: &[u32]) {}

    fn send(&mut self, _: u16, _: Delivery) {}

    fn is_full(&self, _: u16) -> bool {
        false
    }

    fn flush(&mut self) {}
}

struct Scene {
    api: Api,
    router: Router,
    _secrets: tempfile::TempDir,
}

/// An answer: its status, its content type and its body.
type Told = (StatusCode, String, Value);

impl Scene {
    fn new() -> Self {
        Self::of(MANIFEST)
    }

    fn of(manifest: &str) -> Self {
        let secrets = tempfile::tempdir().unwrap();
        let folder = secrets.path().join("keys");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("api.all"), KEY).unwrap();
        std::fs::write(folder.join("api.none"), format!("{NONE}\nscopes:")).unwrap();
        let channel = Arc::new(Channel::compile(&linnet_crds::parse(manifest).unwrap()));
        let (hub, inbox) = handle();
        let desk = Desk::new(hub.clone());
        let outlet = DeskOutlet::new(Nobody, Arc::clone(&desk));
        let broker = Embedded::new(&channel);
        let state = Hub::new(Arc::clone(&channel), broker, outlet, 1, Arc::default());
        hub.start(state, inbox);
        let tokens = Arc::new(Tokens::default());
        let revoker = Revoker::new(Arc::clone(tokens.revocations()), None);
        let counts = Counts {
            gateway: "gw-0".into(),
            shards: Vec::new(),
            hub: Arc::default(),
        };
        let access = ApiAccess::new(Some(secrets.path().to_owned()), tokens);
        let api = Api::new(channel, access, desk, revoker, counts, None);
        Self {
            router: router(api.clone()),
            api,
            _secrets: secrets,
        }
    }

    async fn send(&self, request: Request<Body>) -> (http::HeaderMap, Told) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let kind = parts
            .headers
            .get("content-type")
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        (parts.headers, (parts.status, kind, body))
    }

    async fn post(&self, route: &str, body: impl Into<Body>) -> Told {
        let request = Request::post(route).header("authorization", format!("Bearer {KEY}"));
        let request = request.header("content-type", "application/json");
        self.send(request.body(body.into()).unwrap()).await.1
    }

    async fn get(&self, route: &str) -> Told {
        let request = Request::get(route).header("authorization", format!("Bearer {KEY}"));
        self.send(request.body(Body::empty()).unwrap()).await.1
    }

    async fn publish(&self, body: &Value) -> Told {
        self.post("/publish", body.to_string()).await
    }
}

/// The code of a problem, once it looks like one.
fn code((status, kind, body): &Told) -> (u16, &str) {
    assert_eq!(kind, "application/problem+json", "{body}");
    assert_eq!(body["status"], status.as_u16());
    let code = body["code"].as_str().unwrap();
    assert!(body["type"].as_str().unwrap().ends_with(code), "{body}");
    assert!(
        body["title"].is_string() && body["detail"].is_string(),
        "{body}"
    );
    (status.as_u16(), code)
}
