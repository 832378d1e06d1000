//! Calls in lines, against a back end that answers when it is told to.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use super::super::{Call, Event, Full, Handle, Handled, Kind, Names, Of, Outcome};
use crate::broker::Member;
use crate::config::handler::{Handler, Target};
use crate::hub::Address;
use crate::message::Payload;
use crate::names::ConnectionId;
use crate::protocol::RequestId;
use crate::traces::CallSpan;

/// A question that has come, and where its answer goes.
type Asked = (Value, oneshot::Sender<String>);

struct Scene {
    handle: Handle,
    handler: Arc<Handler>,
    asked: mpsc::UnboundedReceiver<Asked>,
    handled: mpsc::UnboundedReceiver<Handled>,
}

impl Scene {
    async fn new() -> Self {
        let (ask, asked) = mpsc::unbounded_channel::<Asked>();
        let answer = move |body: String| {
            let ask = ask.clone();
            async move {
                let (told, answer) = oneshot::channel();
                ask.send((serde_json::from_str(&body).unwrap(), told))
                    .unwrap();
                answer.await.unwrap_or_default()
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let app = Router::new().route("/", post(answer));
        tokio::spawn(async move { axum::serve(listener, app).await });
        let names = Names {
            namespace: "n".into(),
            channel: "c".into(),
            gateway: "g".into(),
        };
        let handle = Handle::new(names, None, tokio::runtime::Handle::current());
        let (tell, handled) = mpsc::unbounded_channel();
        handle.answer_to(move |handled| drop(tell.send(handled)));
        let handler = Arc::new(Handler {
            target: Target::Http(url),
            connect: true,
            disconnect: true,
            request: true,
            timeout: Duration::from_secs(60),
            lets_in: false,
            signing_secret: None,
        });
        Self {
            handle,
            handler,
            asked,
            handled,
        }
    }

    fn request(&self, connection: ConnectionId, number: u64) -> Result<(), Full> {
        let kind = Kind::Request {
            id: Some(RequestId::Number(number)),
            event: "e".into(),
            data: Payload::Json(number.to_string().into()),
        };
        self.call(connection, kind)
    }

    fn leaves(&self, connection: ConnectionId) -> Result<(), Full> {
        let reason = "client".into();
        self.call(connection, Kind::Disconnect { code: 1000, reason })
    }

    fn call(&self, connection: ConnectionId, kind: Kind) -> Result<(), Full> {
        let call = Call {
            to: Address {
                shard: 0,
                slot: 0,
                generation: 0,
            },
            member: Member {
                connection,
                user: None,
                info: None,
            },
            kind,
            span: CallSpan::default(),
        };
        self.handle.ask(call, &self.handler, 1000)
    }

    async fn next(&mut self) -> Asked {
        self.asked.recv().await.unwrap()
    }

    async fn told(&mut self) -> (u64, String) {
        let handled = self.handled.recv().await.unwrap();
        let Of::Request(Some(RequestId::Number(number))) = handled.of else {
            panic!("{handled:?}");
        };
        match handled.outcome.unwrap().data {
            Some(Payload::Json(json)) => (number, json.into()),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn calls_of_one_connection_wait_for_each_other_and_for_nobody_else() {
    let mut scene = Scene::new().await;
    let [ann, bob] = [(); 2].map(|()| ConnectionId::random());
    scene.request(ann, 1).unwrap();
    let (first, answer_first) = scene.next().await;
    assert_eq!(first["data"]["data"], 1);
    scene.request(ann, 2).unwrap();
    scene.leaves(ann).unwrap();
    scene.request(bob, 3).unwrap();
    let (other, answer_other) = scene.next().await;
    assert_eq!(other["data"]["data"], 3, "Ann's second one waits");
    answer_other.send(r#"{"data":"other"}"#.into()).unwrap();
    assert_eq!(scene.told().await, (3, "\"other\"".into()));
    answer_first.send(r#"{"data":"first"}"#.into()).unwrap();
    assert_eq!(scene.told().await, (1, "\"first\"".into()));
    let (second, answer_second) = scene.next().await;
    assert_eq!(second["data"]["data"], 2);
    answer_second.send(r#"{"data":"second"}"#.into()).unwrap();
    assert_eq!(scene.told().await, (2, "\"second\"".into()));
    let (left, answer_left) = scene.next().await;
    assert_eq!(left["type"], "dev.linnet.disconnect");
    answer_left.send("it does not matter what".into()).unwrap();
    scene.handle.idle().await;
    let metrics = scene.handle.metrics();
    assert_eq!(metrics.calls(Event::Request, Outcome::Answered), 3);
    assert_eq!(metrics.calls(Event::Disconnect, Outcome::Answered), 1);
    assert_eq!(metrics.in_flight.get(), 0);
}

#[tokio::test]
async fn a_line_is_bounded_but_that_somebody_left_is_told() {
    let mut scene = Scene::new().await;
    let ann = ConnectionId::random();
    scene.request(ann, 0).unwrap();
    let (_, under_way) = scene.next().await;
    let mut waiting = 0;
    while scene.request(ann, waiting + 1).is_ok() {
        waiting += 1;
        assert!(waiting < 1000);
    }
    assert_eq!(scene.request(ann, 0), Err(Full));
    assert_eq!(scene.leaves(ann), Ok(()));
    let overloaded = |scene: &Scene| {
        scene
            .handle
            .metrics()
            .calls(Event::Request, Outcome::Overloaded)
    };
    assert_eq!(overloaded(&scene), 2);
    drop(under_way);
    for number in 1..=waiting {
        let (asked, answer) = scene.next().await;
        assert_eq!(asked["data"]["data"], number);
        drop(answer);
    }
    let (left, _) = scene.next().await;
    assert_eq!(left["type"], "dev.linnet.disconnect");
}
