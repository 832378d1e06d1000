//! What a connection may make the reader keep.

use super::*;

#[test]
fn an_idle_reader_is_small() {
    assert!(size_of::<Reader>() <= 16);
}

#[test]
fn whole_messages_take_no_memory() {
    let mut connection = Connection::new();
    connection.feed(&client(true, Text, &[b'x'; 5000])).unwrap();
    assert_eq!(connection.reader.partial_bytes(), 0);
    assert!(!connection.reader.mid_message());
}

#[test]
fn a_frame_over_the_limit_is_refused_by_its_header() {
    let header = &client(true, Binary, &[0; 100_001])[..14];
    assert_eq!(refused(&[header.to_vec()]), (1009, "frame too big"));
    assert_eq!(events(&[client(true, Binary, &[0; 100_000])]).len(), 1);
}

#[test]
fn a_message_over_the_limit_is_refused_whatever_its_fragments() {
    let fragment = client(false, Continuation, &[0; 70_000]);
    let frames = [
        client(false, Binary, &[0; 70_000]),
        fragment.clone(),
        fragment,
    ];
    assert_eq!(refused(&frames), (1009, "message too big"));
}

#[test]
fn what_a_header_claims_is_not_allocated() {
    let mut connection = Connection::new();
    connection
        .feed(&client(true, Binary, &[0; 100_000])[..20])
        .unwrap();
    assert!(
        connection.reader.partial_bytes() < 512,
        "{}",
        connection.reader.partial_bytes()
    );
}

#[test]
fn memory_follows_the_data_and_ends_at_the_message() {
    let frame = client(true, Binary, &[0; 100_000]);
    let mut connection = Connection::new();
    for piece in frame[..frame.len() - 1].chunks(3000) {
        connection.feed(piece).unwrap();
    }
    assert!(
        connection.reader.partial_bytes() <= 100_000 + 256,
        "not rounded up to a power of two"
    );
    connection.feed(&frame[frame.len() - 1..]).unwrap();
    assert_eq!(
        (connection.got.len(), connection.reader.partial_bytes()),
        (1, 0)
    );
}
