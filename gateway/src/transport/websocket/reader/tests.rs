use super::super::frame::Opcode::{Binary, Close, Continuation, Ping, Pong, Text};
use super::super::testing::{Connection, Got, client, masked, read};
use super::*;

fn refused(frames: &[Vec<u8>]) -> (u16, &'static str) {
    let error = read(&frames.concat())
        .1
        .expect_err("these frames must be refused");
    (error.code, error.reason)
}

fn events(frames: &[Vec<u8>]) -> Vec<Got> {
    let (got, result) = read(&frames.concat());
    assert_eq!(result, Ok(()));
    got
}

fn text(text: &str) -> Got {
    Got::Text(text.to_owned())
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    client(true, Close, &[&code.to_be_bytes(), reason].concat())
}

#[test]
fn an_idle_reader_is_small() {
    assert!(size_of::<Reader>() <= 16);
}

#[test]
fn whole_messages_are_handed_on_in_order() {
    let frames = [
        client(true, Text, "grüß".as_bytes()),
        client(true, Binary, &[0, 255]),
        client(true, Text, b""),
    ];
    assert_eq!(
        events(&frames),
        [text("grüß"), Got::Binary(vec![0, 255]), text("")]
    );
}

#[test]
fn whole_messages_take_no_memory() {
    let mut connection = Connection::new();
    connection.feed(&client(true, Text, &[b'x'; 5000])).unwrap();
    assert_eq!(connection.reader.partial_bytes(), 0);
    assert!(!connection.reader.mid_message());
}

#[test]
fn a_whole_message_lies_in_the_input_itself() {
    let mut input = client(true, Binary, &[1; 100]);
    let range = input.as_ptr_range();
    let mut ctx = ReadContext {
        max_frame_payload: 100,
        max_message: 100,
        inflater: None,
    };
    let result = Reader::new().read(&mut input, &mut ctx, &mut |event| {
        assert!(matches!(event, Event::Binary(data) if range.contains(&data.as_ptr())));
        ControlFlow::Continue(())
    });
    assert_eq!(result, Ok(()));
}

#[test]
fn a_message_cut_anywhere_is_put_together() {
    for payload in ["", "Hello", &"x".repeat(200), &"ü".repeat(35_000)] {
        let frame = client(true, Text, payload.as_bytes());
        // Every cut of the short ones; of the long one those around its header.
        let cuts = if frame.len() > 1000 { 20 } else { frame.len() };
        for cut in 1..cuts {
            let mut connection = Connection::new();
            connection.feed(&frame[..cut]).unwrap();
            assert!(connection.reader.mid_message(), "cut at {cut}");
            assert!(connection.got.is_empty());
            connection.feed(&frame[cut..]).unwrap();
            assert_eq!(connection.reader.partial_bytes(), 0, "cut at {cut}");
            connection.feed(&client(true, Text, b"next")).unwrap();
            assert_eq!(
                connection.got,
                [text(payload), text("next")],
                "cut at {cut}"
            );
        }
    }
}

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
fn a_faulty_header_is_refused_after_what_came_before_it() {
    let (got, result) = read(&[client(true, Text, b"ok"), vec![0x83]].concat());
    assert_eq!(got, [text("ok")]);
    assert_eq!(
        result,
        Err(ReadError {
            code: 1002,
            reason: "reserved opcode"
        })
    );
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

#[test]
fn invalid_text_is_refused_whole_or_in_fragments() {
    assert_eq!(
        refused(&[client(true, Text, b"\xFF")]),
        (1007, "invalid UTF-8")
    );
    assert_eq!(
        refused(&[client(true, Text, b"\xED\xA0\x80")]).0,
        1007,
        "a surrogate"
    );
    assert_eq!(
        refused(&[
            client(false, Text, b"a\xC3"),
            client(true, Continuation, b"a")
        ])
        .0,
        1007
    );
    assert_eq!(
        refused(&[
            client(false, Text, b"a\xC3"),
            client(true, Continuation, b"")
        ])
        .0,
        1007,
        "cut short"
    );
}

#[test]
fn a_character_may_span_fragments() {
    let bytes = "κόσμε🎈".as_bytes();
    let mut frames = vec![client(false, Text, &bytes[..1])];
    frames.extend(
        bytes[1..]
            .iter()
            .map(|&byte| client(false, Continuation, &[byte])),
    );
    frames.push(client(true, Continuation, b""));
    assert_eq!(events(&frames), [text("κόσμε🎈")]);
}

#[test]
fn invalid_text_fails_before_its_frame_is_complete() {
    let frame = client(true, Text, b"abc\xF4\x90\x80\x80 and much that never comes");
    let mut connection = Connection::new();
    connection.feed(&frame[..6 + 4]).unwrap();
    assert_eq!(connection.feed(&frame[10..11]).unwrap_err().code, 1007);
}

#[test]
fn a_binary_message_may_be_anything() {
    let frames = [
        client(false, Binary, b"\xFF"),
        client(true, Continuation, b"\xC3"),
    ];
    assert_eq!(events(&frames), [Got::Binary(vec![0xFF, 0xC3])]);
}

#[test]
fn a_close_tells_code_and_reason() {
    assert_eq!(
        events(&[client(true, Close, b"")]),
        [Got::Close(None, String::new())]
    );
    assert_eq!(
        events(&[close(1000, b"")]),
        [Got::Close(Some(1000), String::new())]
    );
    let longest = "é".repeat(61);
    assert_eq!(
        events(&[close(4999, longest.as_bytes())]),
        [Got::Close(Some(4999), longest)]
    );
}

#[test]
fn a_faulty_close_is_refused() {
    assert_eq!(
        refused(&[client(true, Close, b"\x03")]),
        (1002, "close code cut short")
    );
    for code in [
        0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
    ] {
        assert_eq!(
            refused(&[close(code, b"")]),
            (1002, "invalid close code"),
            "{code}"
        );
    }
    assert_eq!(refused(&[close(1000, b"\xCE\xBA\xE1")]).0, 1007);
}

#[test]
fn nothing_is_read_after_a_close() {
    let mut connection = Connection::new();
    let bytes = [
        client(true, Close, b""),
        client(true, Text, b"late"),
        vec![0xFF],
    ]
    .concat();
    assert_eq!(connection.feed(&bytes), Ok(()));
    assert_eq!(connection.feed(&[0xFF; 100]), Ok(()));
    assert_eq!(connection.got, [Got::Close(None, String::new())]);
}

#[test]
fn a_close_between_fragments_gives_their_memory_back() {
    let mut connection = Connection::new();
    connection
        .feed(&[client(false, Text, b"x"), client(true, Close, b"")].concat())
        .unwrap();
    assert_eq!(connection.reader.partial_bytes(), 0);
}

#[test]
fn nothing_is_read_after_an_error() {
    let mut connection = Connection::new();
    assert!(
        connection
            .feed(&[client(false, Text, b"x"), vec![0xFF]].concat())
            .is_err()
    );
    assert_eq!(connection.feed(&client(true, Text, b"late")), Ok(()));
    assert_eq!(
        (connection.got.len(), connection.reader.partial_bytes()),
        (0, 0)
    );
}

#[test]
fn a_sink_that_breaks_off_gets_nothing_more() {
    let mut reader = Reader::new();
    let mut ctx = ReadContext {
        max_frame_payload: 100,
        max_message: 100,
        inflater: None,
    };
    let mut seen = 0;
    for _ in 0..2 {
        let mut input = [
            client(true, Text, b"1"),
            client(true, Text, b"2"),
            vec![0xFF],
        ]
        .concat();
        let result = reader.read(&mut input, &mut ctx, &mut |_| {
            seen += 1;
            ControlFlow::Break(())
        });
        assert_eq!(result, Ok(()));
    }
    assert_eq!(seen, 1);
}

mod properties;

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
