//! `Converse`: a session of the client protocol in protocol buffers.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use futures_util::stream;
use linnet_proto::v1::converse_request::Command;
use linnet_proto::v1::converse_response::Event;
use linnet_proto::v1::{
    ConverseRequest, ConverseResponse, HistoryRequest, Join, Leave, Ping, Position, Publish, Send,
    send,
};
use linnet_tests::api::{Api, KEY, gateway};
use linnet_tests::grpc::{Grpc, codes, message};
use linnet_tests::issuer::{SECRET, Secrets, Signer, now};
use linnet_tests::prelude::*;
use tokio::sync::mpsc;
use tonic::{Code, Status, Streaming};

fn manifest() -> Manifest {
    let jwt = json!({"keySecretName": SECRET});
    Manifest::unhurried()
        .history(100)
        .spec(json!({"rollout": {"drainSeconds": 2}}))
        .spec(json!({"authentication": {"jwt": jwt, "apiKeySecretName": SECRET}}))
        .room(json!({"match": "closed.*", "publish": "Nobody", "subscribe": "Nobody"}))
}

fn secrets(signers: &[&Signer]) -> Secrets {
    let secrets = Secrets::of(signers);
    secrets.put("api.test", KEY);
    secrets
}

/// Both ways of a session.
struct Session {
    sender: mpsc::Sender<ConverseRequest>,
    stream: Streaming<ConverseResponse>,
    id: u64,
}

impl Session {
    async fn of(grpc: &Grpc) -> Self {
        let (sender, mut requests) = mpsc::channel::<ConverseRequest>(16);
        let requests = stream::poll_fn(move |context| requests.poll_recv(context));
        let stream = grpc.client().converse(grpc.call(requests)).await;
        Self {
            sender,
            stream: stream.unwrap().into_inner(),
            id: 0,
        }
    }

    async fn next(&mut self) -> Result<ConverseResponse, Status> {
        Ok(self.stream.message().await?.unwrap())
    }

    async fn event(&mut self) -> Event {
        self.next().await.unwrap().event.unwrap()
    }

    async fn send(&mut self, command: Command) {
        self.id += 1;
        let (id, command) = (Some(self.id), Some(command));
        let request = ConverseRequest { id, command };
        self.sender.send(request).await.unwrap();
    }

    /// The answer to a command; what comes before it is passed over.
    async fn ask(&mut self, command: Command) -> Event {
        self.send(command).await;
        loop {
            let told = self.next().await.unwrap();
            if told.id == Some(self.id) {
                return told.event.unwrap();
            }
        }
    }

    /// The code that a command is refused with.
    async fn refused(&mut self, command: Command) -> String {
        match self.ask(command).await {
            Event::Error(error) => error.code,
            other => panic!("{other:?}"),
        }
    }
}

fn join(room: &str, since: Option<Position>) -> Command {
    let room = room.to_owned();
    let presence = false;
    Command::Subscribe(Join {
        room,
        since,
        presence,
    })
}

fn publish(room: &str, json: &str) -> Command {
    let message = Some(message(room, json));
    let echo = Some(false);
    Command::Publish(Publish { message, echo })
}

#[test]
fn a_session_joins_publishes_reads_and_sends_and_is_told() {
    scenario(60, async {
        let signer = Signer::new("a");
        let secrets = secrets(&[&signer]);
        let gateway = gateway(&manifest(), &secrets, "g0").await;
        let mut client = gateway.client().await;
        client.subscribe("lobby").await;
        let token = |user: &str| signer.token(user, &json!({"scope": "linnet:subscribe"}));
        let mut ann = Session::of(&Grpc::with(&gateway, &token("ann"))).await;
        let Event::Connected(connected) = ann.event().await else {
            panic!("the greeting");
        };
        assert_eq!(
            (connected.user_id.as_deref(), &*connected.gateway),
            (Some("ann"), "g0")
        );
        let Event::Subscribed(joined) = ann.ask(join("lobby", None)).await else {
            panic!("it is joined");
        };
        let before = joined.position.unwrap();
        let Event::Published(published) = ann.ask(publish("lobby", "1")).await else {
            panic!("it is published");
        };
        let frame = client.next_of("message").await;
        assert_eq!((&frame["data"], &frame["from"]), (&json!(1), &json!("ann")));
        Api::of(&gateway)
            .done("/publish", &json!({"room": "lobby", "data": 2}))
            .await;
        let Event::Message(message) = ann.event().await else {
            panic!("a message");
        };
        assert!(message.offset > published.position.map(|at| at.offset) && message.from.is_none());
        let Event::Subscribed(joined) = ann.ask(join("lobby", Some(before))).await else {
            panic!("it is joined anew");
        };
        assert_eq!(
            (joined.recovered, joined.messages.len(), joined.more),
            (Some(true), 2, false)
        );
        let history = Command::History(HistoryRequest {
            room: "lobby".into(),
            limit: Some(1),
            range: None,
        });
        let Event::History(page) = ann.ask(history).await else {
            panic!("a page");
        };
        assert_eq!((page.messages.len(), page.more), (1, true));
        let mut bob = Session::of(&Grpc::with(&gateway, &token("bob"))).await;
        let direct = Command::Send(Send {
            to: "ann".into(),
            data: Some(send::Data::Json("\"psst\"".into())),
            ..Send::default()
        });
        assert!(matches!(bob.ask(direct).await, Event::Sent(sent) if sent.connections == 1));
        assert!(
            matches!(ann.event().await, Event::Direct(direct) if direct.from.as_deref() == Some("bob"))
        );
        assert!(matches!(
            ann.ask(Command::Ping(Ping {})).await,
            Event::Pong(_)
        ));
        let leave = Command::Unsubscribe(Leave {
            room: "lobby".into(),
        });
        assert!(matches!(ann.ask(leave).await, Event::Done(_)));
        // Who half-closes ends the session, and that is no error.
        let Session {
            sender, mut stream, ..
        } = ann;
        drop(sender);
        assert_eq!(stream.message().await.unwrap(), None);
    });
}

#[test]
fn a_command_that_is_wrong_is_refused_and_the_session_goes_on() {
    scenario(120, async {
        let signer = Signer::new("a");
        let secrets = secrets(&[&signer]);
        let half = "half-0123456789abcdef0123456789abcd";
        secrets.put("api.half", &format!("{half}\nscopes: subscribe, history"));
        let mut gateway = gateway(&manifest(), &secrets, "g0").await;
        let claims = json!({"scope": "linnet:subscribe", "exp": now() + 600});
        let mut ann = Session::of(&Grpc::with(&gateway, &signer.token("ann", &claims))).await;
        assert_eq!(ann.refused(join("closed.a", None)).await, "forbidden");
        assert_eq!(ann.refused(publish("closed.a", "1")).await, "forbidden");
        assert_eq!(ann.refused(publish("lobby", "{")).await, "bad_request");
        assert_eq!(ann.refused(join("", None)).await, "bad_room");
        let empty = ConverseRequest {
            id: Some(99),
            command: None,
        };
        ann.sender.send(empty).await.unwrap();
        let told = ann.next().await.unwrap();
        let Some(Event::Error(error)) = told.event else {
            panic!("{told:?}");
        };
        assert_eq!((told.id, &*error.code), (Some(99), "unknown_type"));
        assert!(matches!(
            ann.ask(join("lobby", None)).await,
            Event::Subscribed(_)
        ));
        // A key is bound by its scopes instead, and a session can do all that they let.
        let mut service = Session::of(&Grpc::of(&gateway)).await;
        assert!(matches!(
            service.ask(join("closed.a", None)).await,
            Event::Subscribed(_)
        ));
        assert!(matches!(
            service.ask(publish("lobby", "5")).await,
            Event::Published(_)
        ));
        let Event::Message(message) = ann.event().await else {
            panic!("a message");
        };
        assert!(message.from.is_none(), "a key is nobody");
        let grpc = Grpc::with(&gateway, half);
        let nothing = grpc.call(stream::pending::<ConverseRequest>());
        let status = grpc.client().converse(nothing).await.unwrap_err();
        assert_eq!(codes(&status), (Code::PermissionDenied, "forbidden".into()));
        // A drain is told before, and ends it.
        gateway.signal("TERM");
        let mut warned = false;
        let status = loop {
            match ann.next().await {
                Ok(told) => warned |= matches!(told.event, Some(Event::GoAway(_))),
                Err(status) => break status,
            }
        };
        assert!(warned);
        assert_eq!(codes(&status), (Code::Unavailable, "draining".into()));
        drop(service);
        assert!(gateway.exit(60).await.success());
    });
}
