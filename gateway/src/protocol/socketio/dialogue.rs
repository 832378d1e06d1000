//! What is kept of one connection, and what its frames amount to.

use super::assembly::{Assembly, TooLarge};
use super::events::{self, Event};
use super::packet::{Kind, Packet};
use crate::names::{ConnectionId, RoomName};
use crate::protocol::engineio::{self, Data};
use crate::protocol::json::decode::command_of;
use crate::protocol::json::fields::{Fields, Parsed, parse};
use crate::protocol::{
    Command, ErrorCode, Fault, Frame, Heard, PacketAnswer, PacketId, Request, RequestId,
};

/// Namespaces that one connection may know.
const MOST_NAMESPACES: usize = 16;

/// The state of one connection.
#[derive(Debug)]
pub struct Dialogue {
    connection: ConnectionId,
    /// In the order in which the client has asked for them; one that it leaves keeps its place.
    namespaces: Vec<Namespace>,
    /// Whether a namespace was ever open: then it is known who this is.
    greeted: bool,
    assembly: Option<Box<Assembly>>,
    /// Bytes of a packet with its attachments, at most.
    largest: usize,
}

/// A namespace that the client has asked for.
#[derive(Debug)]
struct Namespace {
    name: Box<str>,
    open: bool,
}

/// What the client must not do: the connection closes, as the protocol wants it.
pub(super) fn broken(message: impl Into<std::borrow::Cow<'static, str>>) -> Fault {
    Fault {
        id: None,
        code: ErrorCode::BadRequest,
        message: message.into(),
        fatal: true,
    }
}

impl Dialogue {
    /// The frame that asks the client for a sign of life.
    pub const PING: &'static [u8] = b"2";

    /// The state of a connection whose client has said nothing yet.
    pub(super) fn new(connection: ConnectionId, largest: usize) -> Self {
        Self {
            connection,
            namespaces: Vec::new(),
            greeted: false,
            assembly: None,
            largest,
        }
    }

    /// Whether a packet has begun and is not whole.
    pub fn mid_packet(&self) -> bool {
        self.assembly.is_some()
    }

    /// What a frame amounts to.
    pub(super) fn hear(&mut self, frame: Frame<'_>) -> Result<Heard, Fault> {
        use engineio::Kind::{Close, Message, Pong};
        let packet =
            engineio::Packet::from_frame(frame).map_err(|error| broken(error.to_string()))?;
        match (packet.kind, packet.data) {
            (Message, Data::Text(text)) => self.text(text),
            (Message, Data::Binary(bytes)) => self.bytes(bytes),
            (Pong, Data::Text("")) => Ok(Heard::Pulse),
            (Close, Data::Text("")) => Ok(Heard::End),
            _ => Err(broken("a client sends no such Engine.IO packet")),
        }
    }

    fn text(&mut self, text: &str) -> Result<Heard, Fault> {
        if self.assembly.is_some() {
            return Err(broken("bytes of the packet before are missing"));
        }
        let packet = Packet::parse(text).map_err(|error| broken(error.to_string()))?;
        if packet.attachments == 0 {
            return self.packet(packet, Vec::new());
        }
        self.open(packet.namespace)?;
        self.assembly = Some(Box::new(Assembly::new(text, packet.attachments)));
        Ok(Heard::Part)
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<Heard, Fault> {
        let Some(assembly) = &mut self.assembly else {
            return Err(broken("no packet with bytes was announced"));
        };
        match assembly.add(bytes, self.largest) {
            Ok(false) => return Ok(Heard::Part),
            Ok(true) => {}
            Err(TooLarge) => {
                self.assembly = None;
                return Err(Fault {
                    code: ErrorCode::MessageTooLarge,
                    ..broken("a packet with its bytes is too large")
                });
            }
        }
        let Some(assembly) = self.assembly.take() else {
            return Ok(Heard::Part); // it was there above
        };
        let (text, attachments) = assembly.finish();
        let packet = Packet::parse(&text).map_err(|error| broken(error.to_string()))?;
        self.packet(packet, attachments)
    }

    fn packet(&mut self, packet: Packet<'_>, attachments: Vec<Box<[u8]>>) -> Result<Heard, Fault> {
        match packet.kind {
            Kind::Connect => self.connect(packet.namespace, packet.data),
            Kind::Disconnect => {
                let namespace = self.open(packet.namespace)?;
                self.namespaces[usize::from(namespace)].open = false;
                Ok(Heard::Leave {
                    prefix: prefix(packet.namespace).into(),
                })
            }
            Kind::Event => {
                let namespace = self.open(packet.namespace)?;
                let answer = packet.id.map_or(PacketAnswer::None, PacketAnswer::Ack);
                let id = request_id(namespace, packet.namespace, answer);
                let event = Event::parse(packet.data.unwrap_or_default())
                    .ok_or_else(|| broken("an event is an array that begins with its name"))?;
                match events::command(&event, attachments, prefix(packet.namespace)) {
                    Ok(command) => Ok(Heard::Request(Request {
                        id: Some(id),
                        command,
                    })),
                    Err(problem) => Err(problem.with(Some(id))),
                }
            }
            Kind::Ack => {
                self.open(packet.namespace)?;
                // The gateway asks for none; one that is well formed is passed over, as a late one would be.
                match events::is_array(packet.data.unwrap_or_default()) {
                    true => Ok(Heard::Pulse),
                    false => Err(broken("an acknowledgement is an array")),
                }
            }
            Kind::ConnectError => Err(broken("a client refuses no namespace")),
        }
    }

    fn connect(&mut self, name: &str, data: Option<&str>) -> Result<Heard, Fault> {
        let known = (self.namespaces.iter()).position(|namespace| *namespace.name == *name);
        let index = match known {
            Some(index) if self.namespaces[index].open => {
                return Err(broken("the namespace is open already"));
            }
            Some(index) => index,
            None if self.namespaces.len() < MOST_NAMESPACES => {
                self.namespaces.push(Namespace {
                    name: name.into(),
                    open: false,
                });
                self.namespaces.len() - 1
            }
            None => return Err(broken("a connection has at most 16 namespaces")),
        };
        let id = request_id(index as u8, name, PacketAnswer::Connect);
        match self.who(data) {
            Ok(command) => Ok(Heard::Enter {
                prefix: prefix(name).into(),
                request: Request {
                    id: Some(id),
                    command,
                },
            }),
            Err(problem) => Err(problem.with(Some(id))),
        }
    }

    /// Who the client says it is. A connection is one session: a further namespace may only show a newer token of it.
    fn who(&self, data: Option<&str>) -> Parsed<Command> {
        let mut fields = Fields::default();
        if let Some(data) = data {
            parse(data, &mut fields)?;
        }
        match command_of("connect", &fields)? {
            Command::Connect { token, .. } if self.greeted => Ok(Command::Enter { token }),
            command => Ok(command),
        }
    }

    /// The place of a namespace that is open.
    fn open(&self, name: &str) -> Result<u8, Fault> {
        let mut namespaces = self.namespaces.iter();
        let open = namespaces.position(|namespace| namespace.open && *namespace.name == *name);
        let index = open.ok_or_else(|| broken("the namespace is not open: connect to it first"))?;
        Ok(index as u8) // at most 16
    }

    /// What the client calls the connection: `socket.id`.
    pub(super) fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// The name of a namespace that was asked for.
    pub(super) fn name(&self, namespace: u8) -> &str {
        let namespace = self.namespaces.get(usize::from(namespace));
        namespace.map_or("/", |namespace| &namespace.name)
    }

    /// A namespace is open from now on.
    pub(super) fn entered(&mut self, namespace: u8) {
        self.greeted = true;
        if let Some(namespace) = self.namespaces.get_mut(usize::from(namespace)) {
            namespace.open = true;
        }
    }

    /// The namespaces that are open.
    pub(super) fn namespaces(&self) -> impl Iterator<Item = &str> {
        let open = self.namespaces.iter().filter(|namespace| namespace.open);
        open.map(|namespace| &*namespace.name)
    }

    /// How many bytes of a room's name the client leaves out, where it has not joined the room itself: those of the open
    /// namespace that says the most of it.
    pub fn sees(&self, room: &RoomName) -> u8 {
        let namespaces = self.namespaces();
        let around = namespaces.filter(|name| room.as_str().starts_with(&prefix(name)));
        around.map(prefix_length).max().unwrap_or(0)
    }

    /// Where the client is told what concerns no room: `/`, or else the namespace that it has asked for first.
    pub(super) fn main(&self) -> Option<&str> {
        let main = self.namespaces().find(|name| *name == "/");
        main.or_else(|| self.namespaces().next())
    }
}

/// What the rooms of a namespace begin with: nothing in `/`, `chat/` in `/chat`.
fn prefix(namespace: &str) -> String {
    match namespace.strip_prefix('/') {
        None | Some("") => String::new(),
        Some(name) => format!("{name}/"),
    }
}

/// The length of that. A slash has moved from the front to the end.
fn prefix_length(namespace: &str) -> u8 {
    match namespace {
        "/" => 0,
        name => name.len() as u8, // at most 100
    }
}

fn request_id(namespace: u8, name: &str, answer: PacketAnswer) -> RequestId {
    RequestId::Packet(PacketId {
        namespace,
        prefix: prefix_length(name),
        answer,
    })
}
