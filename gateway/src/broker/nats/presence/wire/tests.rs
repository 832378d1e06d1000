//! What is written is read, and nothing else does harm.

use proptest::prelude::*;

use super::*;
use crate::broker::Member;
use crate::broker::nats::presence::entry::Key;
use crate::names::{ConnectionId, RoomName, UserId};

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
    (any::<[u8; 16]>(), user, info, any::<u64>()).prop_map(|(bits, user, info, connected_ms)| {
        Attendee {
            member: Member {
                connection: ConnectionId::from_bytes(bits),
                user: user.and_then(|name| UserId::from_token(&name)),
                info: info.map(|info| info.as_str().into()),
            },
            connected_ms,
        }
    })
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
