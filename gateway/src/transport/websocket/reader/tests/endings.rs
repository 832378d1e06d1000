//! Closes and errors.

use super::*;

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
