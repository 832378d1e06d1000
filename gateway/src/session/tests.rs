//! Requests in, outcomes out.

mod handler;
mod identity;
mod publishing;
mod rates;
mod rooms;

use super::*;
use crate::broker::DeduplicationKey;
use crate::message::{Message, Payload};
use crate::protocol::{Content, HistoryRange, Since};

/// A channel with the given fields of `spec`.
fn channel(spec: &str) -> Channel {
    let text = format!(
        "apiVersion: realtime.linnet.dev/v1alpha1\nkind: RealtimeChannel\nmetadata: {{name: t}}\nspec: {{{spec}}}\n"
    );
    let manifest =
        linnet_crds::parse(&text).unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
    Channel::compile(&manifest)
}

/// One that lets anybody in.
fn open(spec: &str) -> Channel {
    channel(&format!("authentication: {{anonymous: Allow}}, {spec}"))
}

/// One session and its clock.
struct Scene {
    channel: Channel,
    tokens: Tokens,
    session: Session,
    now_ms: u64,
    hub_full: bool,
    token_wait: Option<Duration>,
}

impl Scene {
    fn new(channel: Channel) -> Self {
        let session = Session::new(None, &channel, 0);
        Self {
            channel,
            tokens: Tokens::default(),
            session,
            now_ms: 0,
            hub_full: false,
            token_wait: None,
        }
    }

    fn request(&mut self, id: Option<u64>, command: Command) -> Outcome {
        self.ask_as(id.map(RequestId::Number), command)
    }

    fn ask_as(&mut self, id: Option<RequestId>, command: Command) -> Outcome {
        let around = Surroundings {
            channel: &self.channel,
            tokens: &self.tokens,
            now_ms: self.now_ms,
            hub_full: self.hub_full,
            token_wait: self.token_wait,
        };
        self.session.handle(Request { id, command }, &around)
    }

    fn ask(&mut self, command: Command) -> Outcome {
        self.request(Some(1), command)
    }

    fn receive(&mut self, bytes: usize) -> Result<(), Outcome> {
        let around = Surroundings {
            channel: &self.channel,
            tokens: &self.tokens,
            now_ms: self.now_ms,
            hub_full: self.hub_full,
            token_wait: None,
        };
        self.session.receive(bytes, None, &around)
    }

    fn fault(&mut self, code: ErrorCode) -> Outcome {
        let around = Surroundings {
            channel: &self.channel,
            tokens: &self.tokens,
            now_ms: self.now_ms,
            hub_full: self.hub_full,
            token_wait: None,
        };
        self.session.fault(Refusal::new(None, code), &around)
    }

    /// What the shard does when the hub refuses.
    fn refused_by_hub(&mut self, code: ErrorCode) -> Outcome {
        let around = Surroundings {
            channel: &self.channel,
            tokens: &self.tokens,
            now_ms: self.now_ms,
            hub_full: self.hub_full,
            token_wait: None,
        };
        self.session
            .refuse(Some(RequestId::Number(1)), code, &around)
    }

    /// What the shard does when the hub has ended a subscription.
    fn left(&mut self, name: &str) {
        if self
            .session
            .rooms
            .get(&room(name))
            .is_some_and(|membership| membership.leaving)
        {
            self.session.rooms.remove(&room(name));
        }
    }
}

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

fn refresh(token: &str) -> Command {
    Command::Refresh {
        token: token.into(),
    }
}

/// What a token of `user` with this claim of rooms says.
fn identity(user: &str, rooms: &str) -> Identity {
    Identity {
        user: UserId::from_token(user).unwrap(),
        grants: Arc::new(crate::auth::grants::Grants::parse(rooms).unwrap()),
        scopes: crate::auth::api_keys::Scopes::NONE,
        ends: u64::MAX,
        issued: None,
    }
}

fn subscribe(name: &str) -> Command {
    Command::Subscribe {
        room: room(name),
        since: None,
        presence: false,
    }
}

fn unsubscribe(name: &str) -> Command {
    Command::Unsubscribe { room: room(name) }
}

fn content(size: usize) -> Content {
    Content {
        event: None,
        data: Payload::Json("7".repeat(size).into()),
        message_id: None,
        caller: None,
    }
}

fn publish(name: &str) -> Command {
    Command::Publish {
        room: room(name),
        content: content(1),
        echo: true,
    }
}

fn send(to: &str) -> Command {
    Command::Send {
        to: to.into(),
        content: content(1),
    }
}

/// A request for the handler with data of that size.
fn question(size: usize) -> Command {
    Command::Request(Question {
        event: "price".into(),
        data: content(size).data,
        caller: None,
    })
}

fn connect() -> Command {
    Command::Connect {
        token: None,
        session: None,
        info: None,
    }
}

fn with_token() -> Command {
    Command::Connect {
        token: Some("t".into()),
        session: None,
        info: None,
    }
}

/// The command for the hub.
#[track_caller]
fn hub(outcome: Outcome) -> CommandKind {
    match outcome {
        Outcome::Hub(_, kind) => kind,
        other => panic!("{other:?}"),
    }
}

/// The message that the hub is to publish.
#[track_caller]
fn message(outcome: Outcome) -> (Message, Option<DeduplicationKey>) {
    match hub(outcome) {
        CommandKind::Publish { message, key } => (*message, key),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refusal(outcome: Outcome) -> Refusal {
    match outcome {
        Outcome::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn code(outcome: Outcome) -> ErrorCode {
    refusal(outcome).code
}
