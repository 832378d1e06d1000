//! One packet of Socket.IO, as its text says it; bytes follow in frames of their own.
//!
//! `<type>[<attachments>-][<namespace>,][<id>][<JSON>]`, after
//! <https://github.com/socketio/socket.io-protocol>. Stricter than the reference: what it guesses at is refused.

/// Attachments of one packet at most, as in the reference implementation.
pub const MOST_ATTACHMENTS: usize = 10;
/// Longest name of a namespace, in bytes.
pub const MOST_NAMESPACE: usize = 100;
/// Largest id: every JSON reader keeps it exactly.
const MOST_ID: u64 = (1 << 53) - 1;

/// What a packet is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Opens a namespace, or says that it is open.
    Connect,
    /// Leaves a namespace.
    Disconnect,
    /// An event.
    Event,
    /// The answer to an event.
    Ack,
    /// Refuses to open a namespace.
    ConnectError,
}

/// The text of a packet, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What it is for.
    pub kind: Kind,
    /// Binary frames that belong to it.
    pub attachments: usize,
    /// The namespace, `/` where it names none.
    pub namespace: &'a str,
    /// The id that its answer carries.
    pub id: Option<u64>,
    /// What it carries: text that begins as the JSON of its kind does, and is not looked into.
    pub data: Option<&'a str>,
}

/// What is no packet; the connection closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// No type, or one that there is not.
    #[error("a Socket.IO packet's type is a digit from 0 to 6")]
    Type,
    /// A binary packet that does not say how many frames follow, or too many.
    #[error("a binary packet has 1 to 10 attachments")]
    Attachments,
    /// A namespace that is no name.
    #[error("a namespace has at most 100 bytes, none of them ?, or a control character")]
    Namespace,
    /// An id where there is none, none where there must be one, or too large a one.
    #[error("an acknowledgement's id is an integer from 0 to 2^53-1")]
    Id,
    /// Not what its kind carries.
    #[error("the packet does not carry what its type wants")]
    Data,
}

impl<'a> Packet<'a> {
    /// Reads a packet's text.
    pub fn parse(text: &'a str) -> Result<Self, PacketError> {
        let (kind, binary) = match text.as_bytes().first() {
            Some(b'0') => (Kind::Connect, false),
            Some(b'1') => (Kind::Disconnect, false),
            Some(b'2') => (Kind::Event, false),
            Some(b'3') => (Kind::Ack, false),
            Some(b'4') => (Kind::ConnectError, false),
            Some(b'5') => (Kind::Event, true),
            Some(b'6') => (Kind::Ack, true),
            _ => return Err(PacketError::Type),
        };
        let mut rest = &text[1..]; // the type is one byte
        let mut attachments = 0;
        if binary {
            let (count, after) = rest.split_once('-').ok_or(PacketError::Attachments)?;
            attachments = digits(count)
                .filter(|count| (1..=MOST_ATTACHMENTS as u64).contains(count))
                .ok_or(PacketError::Attachments)? as usize;
            rest = after;
        }
        let mut namespace = "/";
        if rest.starts_with('/') {
            (namespace, rest) = rest.split_once(',').unwrap_or((rest, ""));
            let odd = |char: char| char == '?' || char.is_control();
            if namespace.len() > MOST_NAMESPACE || namespace.contains(odd) {
                return Err(PacketError::Namespace);
            }
        }
        let end = rest
            .find(|char: char| !char.is_ascii_digit())
            .unwrap_or(rest.len());
        let (id, data) = rest.split_at(end);
        let id = match id {
            "" => None,
            id => Some(digits(id).ok_or(PacketError::Id)?),
        };
        let packet = Self {
            kind,
            attachments,
            namespace,
            id,
            data: (!data.is_empty()).then_some(data),
        };
        packet.check().map(|()| packet)
    }

    fn check(&self) -> Result<(), PacketError> {
        match (self.kind, self.id) {
            (Kind::Event, _) | (Kind::Ack, Some(_)) => {}
            (Kind::Connect | Kind::Disconnect | Kind::ConnectError, None) => {}
            _ => return Err(PacketError::Id),
        }
        let fits = match (self.kind, self.data) {
            (Kind::Connect | Kind::Disconnect, None) => true,
            (Kind::Connect, Some(data)) => data.starts_with('{'),
            (Kind::ConnectError, Some(data)) => data.starts_with(['{', '"']),
            (Kind::Event | Kind::Ack, Some(data)) => data.starts_with('['),
            _ => false,
        };
        match fits {
            true => Ok(()),
            false => Err(PacketError::Data),
        }
    }
}

/// A number without a sign or zeros in front.
fn digits(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = plain && (text == "0" || !text.starts_with('0'));
    let number = canonical.then(|| text.parse().ok())?;
    number.filter(|number| *number <= MOST_ID)
}

/// Appends the beginning of a packet, with the Engine.IO type before it, up to its JSON. `digit` is its type and, of a
/// binary one, the number of attachments: `2`, `51-`.
pub fn begin(digit: &str, namespace: &str, id: Option<u64>, out: &mut String) {
    out.push('4');
    out.push_str(digit);
    if namespace != "/" {
        out.push_str(namespace);
        out.push(',');
    }
    if let Some(id) = id {
        out.push_str(&id.to_string());
    }
}
