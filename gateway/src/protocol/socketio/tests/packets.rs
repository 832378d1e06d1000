//! The text of packets.

use super::super::packet::{Kind, MOST_ATTACHMENTS, Packet, PacketError, begin};

fn parse(text: &str) -> Result<Packet<'_>, PacketError> {
    Packet::parse(text)
}

#[test]
fn the_protocols_examples_are_read() {
    let event = Packet {
        kind: Kind::Event,
        attachments: 0,
        namespace: "/",
        id: None,
        data: Some(r#"["foo"]"#),
    };
    for (text, packet) in [
        (r#"2["foo"]"#, event),
        (
            r#"2/admin,["foo"]"#,
            Packet {
                namespace: "/admin",
                ..event
            },
        ),
        (
            r#"212["foo"]"#,
            Packet {
                id: Some(12),
                ..event
            },
        ),
        (
            r#"2/admin,0["foo"]"#,
            Packet {
                namespace: "/admin",
                id: Some(0),
                ..event
            },
        ),
        (
            r#"51-/admin,7["foo"]"#,
            Packet {
                attachments: 1,
                namespace: "/admin",
                id: Some(7),
                ..event
            },
        ),
        (
            "3/admin,13[]",
            Packet {
                kind: Kind::Ack,
                namespace: "/admin",
                id: Some(13),
                data: Some("[]"),
                ..event
            },
        ),
        (
            "0",
            Packet {
                kind: Kind::Connect,
                data: None,
                ..event
            },
        ),
        (
            "0/admin,",
            Packet {
                kind: Kind::Connect,
                namespace: "/admin",
                data: None,
                ..event
            },
        ),
        (
            r#"0/admin,{"token":"x"}"#,
            Packet {
                kind: Kind::Connect,
                namespace: "/admin",
                data: Some(r#"{"token":"x"}"#),
                ..event
            },
        ),
        (
            "1/admin,",
            Packet {
                kind: Kind::Disconnect,
                namespace: "/admin",
                data: None,
                ..event
            },
        ),
        (
            "0/admin",
            Packet {
                kind: Kind::Connect,
                namespace: "/admin",
                data: None,
                ..event
            },
        ),
    ] {
        assert_eq!(parse(text), Ok(packet), "{text}");
    }
}

#[test]
fn unknown_types_are_none() {
    for text in ["", "7", "9[]", "a", "-1", "é", " 2[]"] {
        assert_eq!(parse(text), Err(PacketError::Type), "{text}");
    }
}

#[test]
fn a_binary_packet_says_how_many_frames_follow_and_never_too_many() {
    let text = format!(r#"5{MOST_ATTACHMENTS}-["a"]"#);
    assert_eq!(parse(&text).unwrap().attachments, MOST_ATTACHMENTS);
    for text in [
        r#"5["a"]"#,
        r#"50-["a"]"#,
        r#"511-["a"]"#,
        r#"501-["a"]"#,
        r#"5-["a"]"#,
        r#"5-1-["a"]"#,
        r#"51.5-["a"]"#,
        r#"51e1-["a"]"#,
        r#"599999999999999999999-["a"]"#,
        "5",
        "6[]",
    ] {
        assert_eq!(parse(text), Err(PacketError::Attachments), "{text}");
    }
}

#[test]
fn a_namespace_is_short_and_plain() {
    let named = |length: usize| format!("0/{},", "a".repeat(length - 1));
    assert!(parse(&named(100)).is_ok());
    for text in [
        named(101),
        "0/a?token=x,".into(),
        "0/a\n,".into(),
        "0/a\u{85},".into(),
    ] {
        assert_eq!(parse(&text), Err(PacketError::Namespace), "{text:?}");
    }
}

#[test]
fn ids_are_integers_where_there_are_any() {
    assert_eq!(
        parse("29007199254740991[0]").unwrap().id,
        Some((1 << 53) - 1)
    );
    for text in [
        "29007199254740992[0]",
        "299999999999999999999999[0]",
        "201[0]",
        "3[]",
        "01{}",
        "11",
        "3/a,[]",
    ] {
        assert_eq!(parse(text), Err(PacketError::Id), "{text}");
    }
}

#[test]
fn each_type_carries_its_own_json() {
    for text in [
        "2", "2{}", "2\"a\"", "2/a,", "0[]", "0null", "1{}", "1[]", "31{}", "31", "4", "2null",
        "2 []", "2abc", "2-1[]",
    ] {
        assert_eq!(parse(text), Err(PacketError::Data), "{text}");
    }
}

#[test]
fn the_beginning_of_a_packet_is_written_as_it_is_read() {
    for (digit, namespace, id, text) in [
        ("2", "/", None, "42"),
        ("2", "/chat", None, "42/chat,"),
        ("3", "/", Some(7), "437"),
        ("51-", "/chat", Some(0), "451-/chat,0"),
    ] {
        let mut out = String::new();
        begin(digit, namespace, id, &mut out);
        assert_eq!(out, text);
    }
}
