//! Whole messages, and text that is none.

use super::*;

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
fn a_binary_message_may_be_anything() {
    let frames = [
        client(false, Binary, b"\xFF"),
        client(true, Continuation, b"\xC3"),
    ];
    assert_eq!(events(&frames), [Got::Binary(vec![0xFF, 0xC3])]);
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
