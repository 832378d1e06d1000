//! The names that travel through the gateway, each parsed once at the edge.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Longest room name, in bytes of UTF-8.
pub const ROOM_NAME_MAX: usize = 256;

/// A valid room name: 1–256 bytes of UTF-8 without control characters, compared byte for byte.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomName(Arc<str>);

/// Why a text is not a room name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRoomName {
    /// It has no characters.
    #[error("a room name needs at least one character")]
    Empty,
    /// It is over [`ROOM_NAME_MAX`] bytes.
    #[error("a room name has at most 256 bytes of UTF-8")]
    TooLong,
    /// It holds a control character (Unicode category Cc).
    #[error("a room name may not contain control characters")]
    ControlCharacter,
}

impl RoomName {
    /// Parses a name as a client sent it.
    pub fn parse(name: &str) -> Result<Self, BadRoomName> {
        match name {
            "" => Err(BadRoomName::Empty),
            _ if name.len() > ROOM_NAME_MAX => Err(BadRoomName::TooLong),
            _ if name.chars().any(char::is_control) => Err(BadRoomName::ControlCharacter),
            _ => Ok(Self(name.into())),
        }
    }

    /// Stands where a message goes to a user instead of a room; no client can name it.
    pub fn direct() -> Self {
        static DIRECT: std::sync::LazyLock<RoomName> =
            std::sync::LazyLock::new(|| RoomName("".into()));
        DIRECT.clone()
    }

    /// The name as text that is shared with it.
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for RoomName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who a session is: the user of its token, or, for an anonymous one, its connection id.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(Arc<str>);

impl UserId {
    /// A user named by a token; `None` where the name is empty, over 256 bytes or could be taken for an anonymous one.
    pub fn from_token(name: &str) -> Option<Self> {
        let valid = !name.is_empty()
            && name.len() <= 256
            && !name.starts_with('~')
            && !name.chars().any(char::is_control);
        valid.then(|| Self(name.into()))
    }

    /// The user that an anonymous connection is.
    pub fn anonymous(connection: ConnectionId) -> Self {
        Self(connection.to_string().into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// 128 random bits that name one connection; written as `~` and 22 characters of base64url.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ConnectionId([u8; 16]);

/// In the order of the written forms, byte for byte, so that clients can sort as the server does.
impl Ord for ConnectionId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let (mut one, mut two) = ([0; 22], [0; 22]);
        encode_128(&self.0, &mut one).cmp(encode_128(&other.0, &mut two))
    }
}

impl PartialOrd for ConnectionId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl ConnectionId {
    /// Draws a new id.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// Reads the written form.
    pub fn parse(text: &str) -> Option<Self> {
        decode_128(text.strip_prefix('~')?).map(Self)
    }

    /// The id with these 128 bits, as another gateway sent them.
    pub fn from_bytes(bits: [u8; 16]) -> Self {
        Self(bits)
    }

    /// The 128 bits.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 22];
        write!(f, "~{}", encode_128(&self.0, &mut text))
    }
}

/// The secret of a session: 128 random bits, written as 22 characters of base64url. Whoever has it may repeat the
/// publishes of that session; it is never logged.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionSecret([u8; 16]);

impl SessionSecret {
    /// Draws a new secret.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// Reads the written form.
    pub fn parse(text: &str) -> Option<Self> {
        decode_128(text).map(Self)
    }

    /// The 128 bits.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The written form, for the client that owns it.
    pub fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl fmt::Debug for SessionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionSecret(…)")
    }
}

/// Names one life of a room's store; changes when the store was re-created, so that offsets of another life are told
/// apart.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Epoch(Arc<str>);

impl Epoch {
    /// Draws a new epoch.
    pub fn random() -> Self {
        let mut text = [0; 22];
        Self(encode_128(&rand::random(), &mut text).into())
    }

    /// An epoch as a client sent it; any text may be compared, only the current one is equal.
    pub fn from_client(text: &str) -> Self {
        Self(text.into())
    }

    /// The epoch as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The position of a message in its room's store: strictly increasing per room and epoch, not by one, below 2^53.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Offset(pub u64);

fn encode_128<'a>(bits: &[u8; 16], text: &'a mut [u8; 22]) -> &'a str {
    let written = URL_SAFE_NO_PAD.encode_slice(bits, text).unwrap_or(0); // 16 bytes always fill 22 characters
    std::str::from_utf8(&text[..written]).unwrap_or_default()
}

fn decode_128(text: &str) -> Option<[u8; 16]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_names_are_bounded_and_free_of_control_characters() {
        for good in [
            "a",
            "a.b",
            "*",
            ">",
            "$JS",
            "with space",
            "🐦",
            &"x".repeat(256),
        ] {
            assert_eq!(RoomName::parse(good).unwrap().as_str(), good);
        }
        assert_eq!(RoomName::parse(""), Err(BadRoomName::Empty));
        assert_eq!(RoomName::parse(&"x".repeat(257)), Err(BadRoomName::TooLong));
        for bad in ["\0", "a\nb", "\u{7f}", "\u{85}"] {
            assert_eq!(RoomName::parse(bad), Err(BadRoomName::ControlCharacter));
        }
    }

    #[test]
    fn a_connection_id_reads_back_what_it_writes() {
        let id = ConnectionId::random();
        assert_eq!(id.to_string().len(), 23);
        assert_eq!(ConnectionId::parse(&id.to_string()), Some(id));
        assert_eq!(ConnectionId::parse("~short"), None);
        assert_eq!(ConnectionId::parse(&id.to_string()[1..]), None);
    }

    #[test]
    fn connection_ids_sort_as_their_written_forms_do() {
        for _ in 0..1000 {
            let (one, two) = (ConnectionId::random(), ConnectionId::random());
            assert_eq!(one.cmp(&two), one.to_string().cmp(&two.to_string()));
        }
    }

    #[test]
    fn a_token_cannot_name_an_anonymous_user() {
        assert!(UserId::from_token("~abc").is_none());
        assert!(UserId::from_token("").is_none());
        assert!(UserId::from_token("ann").is_some());
    }

    #[test]
    fn a_session_secret_does_not_show_in_debug_output() {
        let secret = SessionSecret::random();
        assert!(!format!("{secret:?}").contains(&secret.reveal()));
        assert_eq!(SessionSecret::parse(&secret.reveal()), Some(secret));
    }
}
