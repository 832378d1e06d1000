//! What a channel's things are called on NATS, as far as workers touch them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// Longest name that stands in a subject as it is, in bytes.
const RAW_MAX: usize = 64;
/// Longest name that stands there as base64url, in bytes; a longer one is hashed.
const ENCODED_MAX: usize = 128;

/// Names one RealtimeChannel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    prefix: String,
    namespace: String,
    name: String,
}

impl Channel {
    /// The channel `name` of `namespace`, which is `default` where its manifest has none.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            prefix: "linnet".to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// The same where gateways run with another `--subject-prefix`.
    #[must_use]
    pub fn with_prefix(self, prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            ..self
        }
    }

    fn base(&self) -> String {
        format!("{}.{}.{}", self.prefix, self.namespace, self.name)
    }

    fn stream(&self) -> String {
        format!("{}_{}_{}", self.prefix, self.namespace, self.name)
    }

    /// The stream that workers take messages from.
    #[must_use]
    pub fn work_stream(&self) -> String {
        format!("{}_work", self.stream())
    }

    /// The consumer of one of its partitions.
    #[must_use]
    pub fn consumer(&self, partition: u16) -> String {
        format!("worker_{partition}")
    }

    /// Where a message of `room` goes that gateways are to deliver; `partitions` are those of the channel's history.
    #[must_use]
    pub fn output(&self, room: &str, partitions: u16) -> String {
        let partition = spread(room, partitions);
        format!("{}.history.{partition}.{}", self.base(), token(room))
    }

    /// Where a message goes that can't be worked; `subject` is the one that it came with.
    #[must_use]
    pub fn dead(&self, subject: &str) -> String {
        let token = subject.rsplit('.').next().unwrap_or_default();
        format!("{}.dead.{token}", self.base())
    }
}

/// Whether a room's token is a hash, so that its name must travel in the header `Linnet-Room`.
#[must_use]
pub fn is_hashed(room: &str) -> bool {
    room.len() > ENCODED_MAX
}

/// The one token of a subject that stands for a room.
#[must_use]
pub fn token(room: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if is_hashed(room) {
        format!("h_{}", URL_SAFE_NO_PAD.encode(Sha256::digest(room)))
    } else if room.len() <= RAW_MAX && room.bytes().all(plain) {
        format!("r_{room}")
    } else {
        format!("b_{}", URL_SAFE_NO_PAD.encode(room))
    }
}

/// The room whose token ends `subject`; `header` is the value of `Linnet-Room`, read as JSON. `None` where it is no
/// room's.
#[must_use]
pub fn room(subject: &str, header: Option<&str>) -> Option<String> {
    let written = subject.rsplit('.').next()?;
    let room = match written.split_at_checked(2)? {
        ("r_", name) => name.to_owned(),
        ("b_", encoded) => String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()?,
        ("h_", _) => header?.to_owned(),
        _ => return None,
    };
    (token(&room) == written).then_some(room)
}

/// The partition of a room's history: the first eight bytes of its SHA-256, as a number, modulo `partitions`.
fn spread(room: &str, partitions: u16) -> u16 {
    if partitions <= 1 {
        return 0;
    }
    let hash = Sha256::digest(room);
    let first = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    let number = hash[..8].iter().fold(0, first);
    (number % u64::from(partitions)) as u16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_those_of_the_gateway() {
        let channel = Channel::new("default", "chat");
        assert_eq!(channel.work_stream(), "linnet_default_chat_work");
        assert_eq!(
            channel.output("a.b", 1),
            "linnet.default.chat.history.0.b_YS5i"
        );
        assert_eq!(
            channel.output("lobby", 8),
            "linnet.default.chat.history.2.r_lobby"
        );
        let other = channel.with_prefix("x");
        assert_eq!(other.dead("a.work.3.r_l"), "x.default.chat.dead.r_l");
    }

    proptest! {
        #[test]
        fn a_room_is_read_back_from_its_subject(name in "\\PC{1,200}") {
            let subject = Channel::new("n", "c").output(&name, 16);
            prop_assert_eq!(room(&subject, Some(&name)), Some(name));
        }
    }
}
