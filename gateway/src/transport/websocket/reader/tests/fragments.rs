//! Messages in fragments, and what stands between these.

use super::*;

#[test]
fn fragments_make_one_message_with_control_frames_between_them() {
    let frames = [
        client(false, Text, b"a"),
        client(true, Ping, b"1"),
        client(false, Continuation, b""),
        client(true, Pong, b"2"),
        client(true, Continuation, b"b"),
        client(true, Text, b"c"),
    ];
    assert_eq!(
        events(&frames),
        [
            Got::Ping(b"1".to_vec()),
            Got::Pong(b"2".to_vec()),
            text("ab"),
            text("c")
        ]
    );
}

#[test]
fn a_control_frame_cut_anywhere_between_fragments_is_put_together() {
    let bytes = [
        client(false, Binary, b"a"),
        client(true, Ping, b"ping"),
        client(true, Continuation, b"b"),
    ]
    .concat();
    for cut in 1..bytes.len() {
        let mut connection = Connection::new();
        connection.feed_in_pieces(&bytes, &[cut]).unwrap();
        assert_eq!(
            connection.got,
            [Got::Ping(b"ping".to_vec()), Got::Binary(b"ab".to_vec())]
        );
        assert!(!connection.reader.mid_message());
    }
}

#[test]
fn a_message_may_come_in_65536_fragments() {
    let mut bytes = client(false, Text, b"x");
    for _ in 0..65_534 {
        bytes.extend(client(false, Continuation, b"x"));
    }
    bytes.extend(client(true, Continuation, b"x"));
    assert_eq!(events(&[bytes]), [Got::Text("x".repeat(65_536))]);
}

#[test]
fn the_masks_of_fragments_are_their_own() {
    let frames = [
        masked(false, false, Text, [1, 2, 3, 4], b"Hel"),
        masked(true, false, Continuation, [9; 4], b"lo"),
    ];
    assert_eq!(events(&frames), [text("Hello")]);
}

#[test]
fn a_continuation_needs_a_message() {
    assert_eq!(
        refused(&[client(true, Continuation, b"x")]),
        (1002, "continuation without a message")
    );
    let frames = [client(true, Text, b"x"), client(false, Continuation, b"x")];
    assert_eq!(refused(&frames), (1002, "continuation without a message"));
}

#[test]
fn a_message_within_a_message_is_refused() {
    for opcode in [Text, Binary] {
        let frames = [client(false, Text, b"x"), client(true, opcode, b"x")];
        assert_eq!(refused(&frames), (1002, "message within a message"));
    }
}

#[test]
fn rsv1_is_refused_where_compression_is_not_negotiated() {
    assert_eq!(
        refused(&[masked(true, true, Text, [0; 4], b"x")]),
        (1002, "compression not negotiated")
    );
}

#[test]
fn rsv1_is_refused_on_anything_but_the_first_fragment() {
    for opcode in [Ping, Pong, Close, Continuation] {
        let frames = [
            client(false, Text, b"x"),
            masked(true, true, opcode, [0; 4], b""),
        ];
        let mut connection = Connection::with_deflate();
        let error = connection.feed(&frames.concat()).unwrap_err();
        assert_eq!((error.code, error.reason), (1002, "reserved bit set"));
    }
}

#[test]
fn fragments_without_content_are_told_unless_they_end_their_message() {
    let mut connection = Connection::new();
    let frames = [
        client(false, Opcode::Text, b""),
        client(false, Opcode::Continuation, b""),
        client(false, Opcode::Continuation, b"a"),
        client(true, Opcode::Continuation, b""),
        client(true, Opcode::Text, b""),
    ];
    connection
        .feed_in_pieces(&frames.concat(), &[1, 3])
        .unwrap();
    assert_eq!(
        connection.got,
        [Got::Text("a".into()), Got::Text(String::new())]
    );
    assert_eq!(connection.empty, 2);
}
