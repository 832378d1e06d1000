//! The names that a channel has on NATS: its subjects, its streams, and the token that stands for a room.
//!
//! A room's token is injective and holds nothing that NATS gives a meaning to, so a room named `>` or `a.b` stays one
//! room, and no name can make a protocol line too long for the server (4096 bytes, beyond which it closes the
//! connection).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::names::RoomName;

/// Longest name that stands in a subject as it is, in bytes.
const RAW_MAX: usize = 64;
/// Longest name that stands in a subject as base64url, in bytes of UTF-8; longer ones are hashed.
const ENCODED_MAX: usize = 128;
/// Subjects that the rooms without history of a channel are spread over; the same on every gateway. It bounds the
/// subscriptions of a gateway, and what it hears of rooms that nobody here is in.
const LIVE_PARTITIONS: u16 = 256;

/// The subjects and streams of one channel.
#[derive(Debug, Clone)]
pub struct Subjects {
    base: String,
    stream: String,
    owner: String,
    partitions: u16,
}

impl Subjects {
    /// `prefix` is the installation's, one NATS token; `namespace` and `channel` are Kubernetes names, which have
    /// neither dots nor underscores; `partitions` are `spec.history`'s.
    pub fn new(prefix: &str, namespace: &str, channel: &str, partitions: u16) -> Self {
        Self {
            base: format!("{prefix}.{namespace}.{channel}"),
            stream: format!("{prefix}_{namespace}_{channel}"),
            owner: format!("{prefix}/{namespace}/{channel}"),
            partitions: partitions.max(1),
        }
    }

    /// Who owns what is made for the channel on NATS: prefix/namespace/name.
    pub fn owner(&self) -> String {
        self.owner.clone()
    }

    /// How many partitions the rooms with history have.
    pub fn partitions(&self) -> u16 {
        self.partitions
    }

    /// Where direct messages go; every gateway hears them.
    pub fn direct(&self) -> String {
        format!("{}.direct", self.base)
    }

    /// The stream that keeps a partition. A channel's name begins with a letter, so the number at the end is never
    /// part of it.
    pub fn stream(&self, partition: u16) -> String {
        match self.partitions {
            1 => self.stream.clone(),
            _ => format!("{}_{partition}", self.stream),
        }
    }

    /// What the stream of a partition takes in.
    pub fn stored_filter(&self, partition: u16) -> String {
        format!("{}.history.{partition}.*", self.base)
    }

    /// Where messages of a room with history go.
    pub fn stored(&self, room: &RoomName) -> String {
        let partition = self.partition(room);
        format!("{}.history.{partition}.{}", self.base, token(room))
    }

    /// What a gateway subscribes to for rooms without history of one live partition.
    pub fn live_filter(&self, partition: u16) -> String {
        format!("{}.live.{partition}.*", self.base)
    }

    /// Where messages of a room without history go.
    pub fn live(&self, room: &RoomName) -> String {
        let partition = self.live_partition(room);
        format!("{}.live.{partition}.{}", self.base, token(room))
    }

    /// What gateways tell each other of presence: all hear it.
    pub fn presence(&self) -> String {
        format!("{}.presence.all", self.base)
    }

    /// Where one gateway hears what only it needs to; `process` is one token.
    pub fn presence_inbox(&self, process: impl std::fmt::Display) -> String {
        format!("{}.presence.to.{process}", self.base)
    }

    /// Where one gateway hears requests of others; `process` is one token.
    pub fn relay(&self, process: impl std::fmt::Display) -> String {
        format!("{}.relay.{process}", self.base)
    }

    /// The key-value bucket with the leases of the channel's gateways. No channel's stream has its name: a channel's
    /// name has no underscore.
    pub fn presence_bucket(&self) -> String {
        format!("{}_presence", self.stream)
    }

    /// The key-value bucket with the channel's revoked users.
    pub fn revocations_bucket(&self) -> String {
        format!("{}_revocations", self.stream)
    }

    /// The key-value bucket with answers of the server APIs.
    pub fn answers_bucket(&self) -> String {
        format!("{}_answers", self.stream)
    }

    /// Where messages of a room go that a worker gets. The stream itself tells its partition.
    pub fn work(&self, room: &RoomName) -> String {
        format!("{}.work.{}", self.base, token(room))
    }

    /// What the work-queue stream takes in.
    pub fn work_filter(&self) -> String {
        format!("{}.work.*", self.base)
    }

    /// What becomes of those subjects in the stream, as a destination of a subject transform: one of `partitions` by the
    /// server's hash of the room's token.
    pub fn work_transform(&self, partitions: u16) -> String {
        format!(
            "{}.work.{{{{partition({partitions},1)}}}}.{{{{wildcard(1)}}}}",
            self.base
        )
    }

    /// What one partition of the work-queue stream holds.
    pub fn work_partition_filter(&self, partition: u16) -> String {
        format!("{}.work.{partition}.*", self.base)
    }

    /// The work-queue stream.
    pub fn work_stream(&self) -> String {
        format!("{}_work", self.stream)
    }

    /// The stream of what no worker could work.
    pub fn dead_stream(&self) -> String {
        format!("{}_dead", self.stream)
    }

    /// What that stream takes in.
    pub fn dead_filter(&self) -> String {
        format!("{}.dead.*", self.base)
    }

    /// Where what no worker could work goes; `subject` is the one that it has in the work-queue stream.
    pub fn dead(&self, subject: &str) -> String {
        let token = subject.rsplit('.').next().unwrap_or_default();
        format!("{}.dead.{token}", self.base)
    }

    /// The partition that keeps a room's messages.
    pub fn partition(&self, room: &RoomName) -> u16 {
        spread(room, self.partitions)
    }

    /// The partition of a room without history.
    pub fn live_partition(&self, room: &RoomName) -> u16 {
        spread(room, LIVE_PARTITIONS)
    }
}

/// Whether a room's token is a hash, so that its name must travel in a header.
pub fn is_hashed(room: &RoomName) -> bool {
    room.as_str().len() > ENCODED_MAX
}

/// The room that a message on `subject` belongs to; `header` is the name that came with it. `None` where the subject
/// is none that [`Subjects`] makes, or the header is missing or another room's.
pub fn room(subject: &str, header: Option<&str>) -> Option<RoomName> {
    let written = subject.rsplit('.').next()?;
    let room = match written.split_at_checked(2)? {
        ("r_", name) => RoomName::parse(name).ok()?,
        ("b_", encoded) => {
            let name = URL_SAFE_NO_PAD.decode(encoded).ok()?;
            RoomName::parse(std::str::from_utf8(&name).ok()?).ok()?
        }
        ("h_", _) => RoomName::parse(header?).ok()?,
        _ => return None,
    };
    (token(&room) == written).then_some(room)
}

/// One subject token that stands for a room and no other.
fn token(room: &RoomName) -> String {
    let name = room.as_str();
    if is_hashed(room) {
        format!("h_{}", URL_SAFE_NO_PAD.encode(Sha256::digest(name)))
    } else if is_raw(name) {
        format!("r_{name}")
    } else {
        format!("b_{}", URL_SAFE_NO_PAD.encode(name))
    }
}

fn is_raw(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    name.len() <= RAW_MAX && name.bytes().all(plain)
}

/// The same on every gateway and in every version: another answer would look for a room's messages in another stream.
fn spread(room: &RoomName, partitions: u16) -> u16 {
    if partitions == 1 {
        return 0;
    }
    let hash = Sha256::digest(room.as_str());
    let number = hash[..8]
        .iter()
        .fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    (number % u64::from(partitions)) as u16
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> RoomName {
        RoomName::parse(text).unwrap()
    }

    fn subjects(partitions: u16) -> Subjects {
        Subjects::new("linnet", "default", "chat", partitions)
    }

    #[test]
    fn a_plain_name_stands_as_it_is_and_any_other_is_encoded() {
        let subject = |text: &str| subjects(1).stored(&name(text));
        assert_eq!(
            subject("lobby_1-A"),
            "linnet.default.chat.history.0.r_lobby_1-A"
        );
        assert_eq!(subject("a.b"), "linnet.default.chat.history.0.b_YS5i");
        assert!(subject(&"x".repeat(64)).contains(".r_"));
        assert!(subject(&"x".repeat(65)).contains(".b_"));
        assert!(subject(&"x".repeat(128)).contains(".b_"));
        assert!(subject(&"x".repeat(129)).contains(".h_"));
    }

    #[test]
    fn names_that_try_to_be_subjects_are_one_token_and_no_wildcard() {
        for text in [
            "a.b",
            "*",
            ">",
            "$JS",
            "r_lobby",
            "b_YS5i",
            "with space",
            "ü",
            "🐦",
        ] {
            let subject = subjects(1).live(&name(text));
            assert_eq!(subject.split('.').count(), 6, "{text}: {subject}");
            assert!(!subject.contains(['*', '>', '$', ' ']), "{text}: {subject}");
            assert_eq!(room(&subject, None), Some(name(text)));
        }
    }

    #[test]
    fn a_hashed_room_is_known_by_its_header_alone_and_only_by_its_own() {
        let long = name(&"ü".repeat(128));
        let subject = subjects(1).stored(&long);
        assert!(is_hashed(&long));
        assert_eq!(room(&subject, Some(long.as_str())), Some(long));
        assert_eq!(room(&subject, Some(&"x".repeat(200))), None);
        assert_eq!(room(&subject, None), None);
    }

    #[test]
    fn a_subject_of_somebody_else_is_no_room() {
        // "b_bG9iYnk" is "lobby", which is written raw: two subjects for one room would be two rings.
        for subject in [
            "",
            "x",
            "r_",
            "a.b_bG9iYnk",
            "a.b_%",
            "a.r_*",
            "a.ü_x",
            "a.q_x",
        ] {
            assert_eq!(room(subject, None), None, "{subject}");
        }
    }

    #[test]
    fn a_room_keeps_its_partition_for_ever() {
        let partition = |text| subjects(8).partition(&name(text));
        assert_eq!(["a", "lobby", "orders.1"].map(partition), [2, 2, 2]);
        assert_eq!(subjects(1).partition(&name("lobby")), 0);
    }

    #[test]
    fn rooms_spread_over_all_partitions() {
        let subjects = subjects(8);
        let mut rooms = [0; 8];
        for number in 0..8000 {
            rooms[usize::from(subjects.partition(&name(&format!("room-{number}"))))] += 1;
        }
        assert!(
            rooms.iter().all(|rooms| (850..1150).contains(rooms)),
            "{rooms:?}"
        );
    }

    #[test]
    fn each_partition_has_a_stream_that_takes_its_rooms_alone() {
        assert_eq!(subjects(1).stream(0), "linnet_default_chat");
        let subjects = subjects(3);
        let streams: HashSet<String> = (0..3).map(|number| subjects.stream(number)).collect();
        assert_eq!(streams.len(), 3);
        assert_eq!(subjects.stream(2), "linnet_default_chat_2");
        let lobby = name("lobby");
        let filter = subjects.stored_filter(subjects.partition(&lobby));
        assert!(
            subjects
                .stored(&lobby)
                .starts_with(filter.trim_end_matches('*'))
        );
    }

    #[test]
    fn presence_is_apart_from_every_room_and_stream() {
        let subjects = subjects(3);
        assert_eq!(subjects.presence(), "linnet.default.chat.presence.all");
        let inbox = subjects.presence_inbox("0f");
        assert_eq!(inbox, "linnet.default.chat.presence.to.0f");
        assert_eq!(subjects.relay("0f"), "linnet.default.chat.relay.0f");
        let bucket = subjects.presence_bucket();
        assert_eq!(bucket, "linnet_default_chat_presence");
        assert_eq!(room(&subjects.presence(), None), None);
        assert!((0..3).all(|partition| subjects.stream(partition) != bucket));
    }

    #[test]
    fn what_workers_get_is_apart_from_rooms_and_keeps_their_token() {
        let subjects = subjects(3);
        assert_eq!(
            subjects.work(&name("a.b")),
            "linnet.default.chat.work.b_YS5i"
        );
        assert_eq!(
            subjects.work_transform(8),
            "linnet.default.chat.work.{{partition(8,1)}}.{{wildcard(1)}}"
        );
        let inside = "linnet.default.chat.work.3.b_YS5i";
        assert_eq!(subjects.dead(inside), "linnet.default.chat.dead.b_YS5i");
        let names = [subjects.work_stream(), subjects.dead_stream()];
        assert_eq!(
            names,
            ["linnet_default_chat_work", "linnet_default_chat_dead"]
        );
    }

    proptest! {
        #[test]
        fn every_name_is_read_back_and_no_two_share_a_subject(one in "\\PC{1,80}", two in "\\PC{1,80}") {
            let (Ok(one), Ok(two)) = (RoomName::parse(&one), RoomName::parse(&two)) else {
                return Ok(()); // over 256 bytes
            };
            let subject = subjects(1).stored(&one);
            prop_assert!(subject.len() < 256);
            prop_assert_eq!(room(&subject, Some(one.as_str())), Some(one.clone()));
            prop_assert_eq!(one == two, subject == subjects(1).stored(&two));
        }
    }
}
