//! What gateways write to each other: a byte for the version, then postcard. Texts are checked as they come in.
//!
//! A later version may not be understood here, and that is no fault: gateways of two versions meet during every upgrade.
//! Presence of the other kind is then missing until the upgrade is through.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::entry::{Attendee, Change, Entries, Incarnation, Key, ProcessId, Summary, Topic};
use crate::broker::Member;
use crate::names::{ConnectionId, RoomName, UserId};

/// The version that this build writes and reads.
const VERSION: u8 = 1;
/// Bytes of entries after which a message is full. One entry is below 2 KiB (a room and a user of 256 bytes each, 1 KiB
/// of info), so no message comes near the 64 KiB up to which NATS is at its best.
const FULL: usize = 48 * 1024;

/// A message, read.
#[derive(Debug, PartialEq)]
pub(super) struct Received {
    pub from: Incarnation,
    pub what: Message,
}

/// What a message says.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    /// Changes with the clocks `first`, `first + 1`, …
    Delta {
        first: u64,
        changes: Vec<Change>,
    },
    /// Where the sender stands.
    Digest {
        clock: u64,
        summary: Summary,
    },
    /// Asks the process for what happened after `since`, or for all it has.
    Ask {
        of: ProcessId,
        since: Option<u64>,
    },
    Page(Page),
    /// The sender ends.
    Goodbye,
}

/// A part of all entries at one clock.
#[derive(Debug, PartialEq)]
pub(super) struct Page {
    pub clock: u64,
    pub number: u32,
    /// How many pages there are, at least 1.
    pub of: u32,
    pub draining: bool,
    pub entries: Vec<(Topic, Attendee)>,
}

/// Why a message is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum WireError {
    /// Upgrade this gateway too.
    #[error("the message has the version {0}, which this gateway does not know")]
    Version(u8),
    /// Look for who else writes to the channel's subjects.
    #[error("the message is malformed")]
    Malformed,
}

#[derive(Serialize, Deserialize)]
struct RawMessage<'a> {
    process: [u8; 16],
    life: u32,
    #[serde(borrow)]
    body: RawBody<'a>,
}

#[derive(Serialize, Deserialize)]
enum RawBody<'a> {
    Delta {
        first: u64,
        #[serde(borrow)]
        changes: Vec<RawChange<'a>>,
    },
    Digest {
        clock: u64,
        summary: Summary,
    },
    Ask {
        of: [u8; 16],
        since: Option<u64>,
    },
    Page {
        clock: u64,
        number: u32,
        of: u32,
        draining: bool,
        /// Topics are written once each.
        #[serde(borrow)]
        groups: Vec<(RawTopic<'a>, Vec<RawAttendee<'a>>)>,
    },
    Goodbye,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
enum RawTopic<'a> {
    Room(&'a str),
    User(&'a str),
}

#[derive(Serialize, Deserialize)]
struct RawAttendee<'a> {
    connection: [u8; 16],
    user: Option<&'a str>,
    info: Option<&'a str>,
    connected_ms: u64,
}

#[derive(Serialize, Deserialize)]
enum RawChange<'a> {
    Set(
        #[serde(borrow)] RawTopic<'a>,
        #[serde(borrow)] RawAttendee<'a>,
    ),
    Remove(#[serde(borrow)] RawTopic<'a>, [u8; 16]),
    Drain,
}

/// Reads a message. No input makes it panic, or take more memory than a multiple of its size.
pub(super) fn read(bytes: &[u8]) -> Result<Received, WireError> {
    let raw: RawMessage<'_> = match bytes {
        [VERSION, rest @ ..] => match postcard::take_from_bytes(rest) {
            Ok((message, [])) => message,
            _ => return Err(WireError::Malformed),
        },
        [version, ..] => return Err(WireError::Version(*version)),
        [] => return Err(WireError::Malformed),
    };
    let what = body(raw.body).ok_or(WireError::Malformed)?;
    let process = ProcessId::from_bytes(raw.process);
    let life = raw.life;
    Ok(Received {
        from: Incarnation { process, life },
        what,
    })
}

fn body(raw: RawBody<'_>) -> Option<Message> {
    Some(match raw {
        RawBody::Delta { first, changes } => {
            first.checked_add(changes.len() as u64)?;
            let changes = changes.into_iter().map(change).collect::<Option<_>>()?;
            Message::Delta { first, changes }
        }
        RawBody::Digest { clock, summary } => Message::Digest { clock, summary },
        RawBody::Ask { of, since } => Message::Ask {
            of: ProcessId::from_bytes(of),
            since,
        },
        RawBody::Page {
            clock,
            number,
            of,
            draining,
            groups,
        } => {
            if number >= of {
                return None;
            }
            let mut entries = Vec::new();
            for (raw_topic, attendees) in groups {
                let topic = topic(raw_topic)?;
                for raw in attendees {
                    entries.push((topic.clone(), attendee(raw)?));
                }
            }
            Message::Page(Page {
                clock,
                number,
                of,
                draining,
                entries,
            })
        }
        RawBody::Goodbye => Message::Goodbye,
    })
}

fn change(raw: RawChange<'_>) -> Option<Change> {
    Some(match raw {
        RawChange::Set(raw_topic, raw) => Change::Set(topic(raw_topic)?, attendee(raw)?),
        RawChange::Remove(raw_topic, connection) => Change::Remove(Key::new(
            topic(raw_topic)?,
            ConnectionId::from_bytes(connection),
        )),
        RawChange::Drain => Change::Drain,
    })
}

fn topic(raw: RawTopic<'_>) -> Option<Topic> {
    match raw {
        RawTopic::Room(name) => RoomName::parse(name).ok().map(Topic::Room),
        RawTopic::User(name) => UserId::from_token(name).map(Topic::User),
    }
}

fn attendee(raw: RawAttendee<'_>) -> Option<Attendee> {
    let user = match raw.user {
        Some(name) => Some(UserId::from_token(name)?),
        None => None,
    };
    Some(Attendee {
        member: Member {
            connection: ConnectionId::from_bytes(raw.connection),
            user,
            info: raw.info.map(Into::into),
        },
        connected_ms: raw.connected_ms,
    })
}

/// Writes changes whose first has the clock `first`: as many messages as they need.
pub(super) fn deltas(from: Incarnation, first: u64, changes: &[Change]) -> Vec<Bytes> {
    let mut messages = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (at, change) in changes.iter().enumerate() {
        let grown = size + length(&raw_change(change));
        if grown > FULL && at > start {
            messages.push(delta(from, first + start as u64, &changes[start..at]));
            (start, size) = (at, grown - size);
        } else {
            size = grown;
        }
    }
    if start < changes.len() {
        messages.push(delta(from, first + start as u64, &changes[start..]));
    }
    messages
}

fn delta(from: Incarnation, first: u64, changes: &[Change]) -> Bytes {
    let changes = changes.iter().map(raw_change).collect();
    write(from, RawBody::Delta { first, changes })
}

/// Writes all entries as they are at `clock`: at least one page.
pub(super) fn pages(from: Incarnation, clock: u64, entries: &Entries) -> Vec<Bytes> {
    let mut pages: Vec<Vec<(RawTopic<'_>, Vec<RawAttendee<'_>>)>> = vec![Vec::new()];
    let (mut size, mut last) = (0, None);
    for (key, attendee) in entries.iter() {
        let (topic, attendee) = (raw_topic(&key.topic), raw_attendee(attendee));
        let length = length(&attendee);
        let mut begins = last != Some(&key.topic);
        if size > 0 && size + length + length_of(&topic) > FULL {
            pages.push(Vec::new());
            (size, begins) = (0, true);
        }
        size += length;
        let Some(page) = pages.last_mut() else {
            continue; // there is always one
        };
        if begins {
            size += length_of(&topic);
            last = Some(&key.topic);
            page.push((topic, Vec::new()));
        }
        if let Some((_, attendees)) = page.last_mut() {
            attendees.push(attendee);
        }
    }
    let of = pages.len() as u32;
    let draining = entries.is_draining();
    let numbered = (0..).zip(pages);
    numbered
        .map(|(number, groups)| {
            let page = RawBody::Page {
                clock,
                number,
                of,
                draining,
                groups,
            };
            write(from, page)
        })
        .collect()
}

/// Writes where the sender stands.
pub(super) fn digest(from: Incarnation, clock: u64, summary: Summary) -> Bytes {
    write(from, RawBody::Digest { clock, summary })
}

/// Writes a question for `of`.
pub(super) fn ask(from: Incarnation, of: ProcessId, since: Option<u64>) -> Bytes {
    let of = *of.as_bytes();
    write(from, RawBody::Ask { of, since })
}

/// Writes that the sender ends.
pub(super) fn goodbye(from: Incarnation) -> Bytes {
    write(from, RawBody::Goodbye)
}

/// An entry in the form whose hash gateways compare.
pub(super) fn entry(topic: &Topic, attendee: &Attendee) -> Vec<u8> {
    to_vec(&(raw_topic(topic), raw_attendee(attendee)))
}

fn raw_topic(topic: &Topic) -> RawTopic<'_> {
    match topic {
        Topic::Room(name) => RawTopic::Room(name.as_str()),
        Topic::User(name) => RawTopic::User(name.as_str()),
    }
}

fn raw_attendee(attendee: &Attendee) -> RawAttendee<'_> {
    let member = &attendee.member;
    RawAttendee {
        connection: *member.connection.as_bytes(),
        user: member.user.as_ref().map(UserId::as_str),
        info: member.info.as_deref(),
        connected_ms: attendee.connected_ms,
    }
}

fn raw_change(change: &Change) -> RawChange<'_> {
    match change {
        Change::Set(topic, attendee) => RawChange::Set(raw_topic(topic), raw_attendee(attendee)),
        Change::Remove(key) => {
            RawChange::Remove(raw_topic(&key.topic), *key.connection().as_bytes())
        }
        Change::Drain => RawChange::Drain,
    }
}

fn length_of(topic: &RawTopic<'_>) -> usize {
    match topic {
        RawTopic::Room(name) | RawTopic::User(name) => name.len() + 8, // with both lengths and the kind
    }
}

fn length(value: &impl Serialize) -> usize {
    postcard::experimental::serialized_size(value).unwrap_or(FULL)
}

fn write(from: Incarnation, body: RawBody<'_>) -> Bytes {
    let message = RawMessage {
        process: *from.process.as_bytes(),
        life: from.life,
        body,
    };
    let mut bytes = vec![VERSION];
    bytes.extend(to_vec(&message));
    bytes.into()
}

/// Writing to memory fails for types of unknown length alone, which these are not.
fn to_vec(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn from() -> Incarnation {
        Incarnation {
            process: ProcessId::from_bytes([3; 16]),
            life: 2,
        }
    }

    fn topics() -> impl Strategy<Value = Topic> {
        prop_oneof![
            "[a-zü>*. ]{1,20}".prop_map(|name| Topic::Room(RoomName::parse(&name).unwrap())),
            "[a-zü>*. ]{1,20}".prop_map(|name| Topic::User(UserId::from_token(&name).unwrap())),
        ]
    }

    fn attendees() -> impl Strategy<Value = Attendee> {
        let user = proptest::option::of("[a-z]{1,9}");
        let info = proptest::option::of("\\PC{0,40}");
        (any::<[u8; 16]>(), user, info, any::<u64>()).prop_map(
            |(bits, user, info, connected_ms)| Attendee {
                member: Member {
                    connection: ConnectionId::from_bytes(bits),
                    user: user.and_then(|name| UserId::from_token(&name)),
                    info: info.map(|info| info.as_str().into()),
                },
                connected_ms,
            },
        )
    }

    fn changes() -> impl Strategy<Value = Change> {
        prop_oneof![
            (topics(), attendees()).prop_map(|(topic, attendee)| Change::Set(topic, attendee)),
            (topics(), any::<[u8; 16]>()).prop_map(|(topic, bits)| Change::Remove(Key::new(
                topic,
                ConnectionId::from_bytes(bits)
            ))),
            Just(Change::Drain),
        ]
    }

    fn largest(number: u32) -> (Topic, Attendee) {
        let mut bits = [0; 16];
        bits[..4].copy_from_slice(&number.to_be_bytes());
        let attendee = Attendee {
            member: Member {
                connection: ConnectionId::from_bytes(bits),
                user: UserId::from_token(&"u".repeat(256)),
                info: Some("i".repeat(1024).into()),
            },
            connected_ms: u64::MAX,
        };
        (
            Topic::Room(RoomName::parse(&"r".repeat(256)).unwrap()),
            attendee,
        )
    }

    #[test]
    fn no_message_is_over_64_kib_whatever_it_carries() {
        let mut entries = Entries::default();
        let mut changes = Vec::new();
        for number in 0..500 {
            let (topic, attendee) = largest(number);
            changes.push(Change::Set(topic.clone(), attendee.clone()));
            entries.set(topic, attendee);
        }
        let pages = pages(from(), 9, &entries);
        let deltas = deltas(from(), 1, &changes);
        assert!(pages.len() > 10 && deltas.len() > 10);
        for message in pages.iter().chain(&deltas) {
            assert!(message.len() < 64 * 1024, "{}", message.len());
        }
        let read_back = pages.iter().map(|page| match read(page).unwrap().what {
            Message::Page(page) => page.entries.len(),
            other => panic!("{other:?}"),
        });
        assert_eq!(read_back.sum::<usize>(), 500);
    }

    #[test]
    fn twenty_thousand_members_of_a_room_take_little_more_than_their_ids() {
        let mut entries = Entries::default();
        for number in 0..20_000 {
            let (_, mut attendee) = largest(number);
            attendee.member.info = None;
            attendee.member.user = UserId::from_token(&format!("user-{number}"));
            attendee.connected_ms = 1_700_000_000_000;
            entries.set(Topic::Room(RoomName::parse("lobby").unwrap()), attendee);
        }
        let bytes: usize = pages(from(), 9, &entries).iter().map(Bytes::len).sum();
        assert!(bytes < 20_000 * 48, "{bytes}");
    }

    #[test]
    fn another_version_is_told_apart_from_a_malformed_message() {
        let mut bytes = goodbye(from()).to_vec();
        assert_eq!(read(&bytes[..bytes.len() - 1]), Err(WireError::Malformed));
        bytes.push(0);
        assert_eq!(read(&bytes), Err(WireError::Malformed), "something follows");
        bytes[0] = 2;
        assert_eq!(read(&bytes), Err(WireError::Version(2)));
        assert_eq!(read(&[]), Err(WireError::Malformed));
    }

    #[test]
    fn a_clock_that_would_overflow_is_malformed() {
        let drain = [Change::Drain, Change::Drain];
        assert!(read(&delta(from(), u64::MAX - 2, &drain)).is_ok());
        let message = delta(from(), u64::MAX - 1, &drain);
        assert_eq!(read(&message), Err(WireError::Malformed));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_refused_or_read_but_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes);
            let mut versioned = vec![VERSION];
            versioned.extend(&bytes);
            let _ = read(&versioned);
        }

        #[test]
        fn a_message_with_a_wrong_byte_never_panics(
            all in proptest::collection::vec(changes(), 0..8),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut bytes = delta(from(), 1, &all).to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = read(&bytes);
        }

        #[test]
        fn changes_are_read_as_they_were_written(all in proptest::collection::vec(changes(), 1..40)) {
            let mut back = Vec::new();
            for message in deltas(from(), 5, &all) {
                let received = read(&message).unwrap();
                prop_assert_eq!(received.from, from());
                let Message::Delta { first, changes } = received.what else { panic!("a delta was written") };
                prop_assert_eq!(first, 5 + back.len() as u64);
                back.extend(changes);
            }
            prop_assert_eq!(back, all);
        }

        #[test]
        fn entries_are_read_as_they_were_written(all in proptest::collection::vec((topics(), attendees()), 0..40)) {
            let (mut entries, mut back) = (Entries::default(), Entries::default());
            for (topic, attendee) in all {
                entries.set(topic, attendee);
            }
            for page in pages(from(), 5, &entries) {
                let Message::Page(page) = read(&page).unwrap().what else { panic!("a page was written") };
                for (topic, attendee) in page.entries {
                    back.set(topic, attendee);
                }
            }
            prop_assert_eq!(entries.summary(), back.summary());
        }
    }
}
