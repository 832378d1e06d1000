//! Bytes that are no proper WebSocket: each ends its own connection with the code of RFC 6455, and nothing else.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::prelude::*;
use linnet_tests::raw::{Heard, frame, frame_with, op, text};

const FIN: u8 = 0x80;

#[test]
fn broken_frames_close_with_the_code_of_the_rfc() {
    let rows: Vec<(&str, Vec<u8>, u16)> = vec![
        (
            "an unmasked frame",
            frame_with(FIN | op::TEXT, 0, 2, b"{}"),
            1002,
        ),
        (
            "reserved bit 1 without an extension",
            frame(FIN | 0x40 | op::TEXT, b"{}"),
            1002,
        ),
        ("reserved bit 2", frame(FIN | 0x20 | op::TEXT, b"{}"), 1002),
        ("reserved bit 3", frame(FIN | 0x10 | op::TEXT, b"{}"), 1002),
        ("a reserved opcode", frame(FIN | 3, b""), 1002),
        ("a reserved control opcode", frame(FIN | 0xb, b""), 1002),
        (
            "a control frame of 126 bytes",
            frame(FIN | op::PING, &[0; 126]),
            1002,
        ),
        ("a fragmented control frame", frame(op::PING, b"x"), 1002),
        (
            "a continuation of nothing",
            frame(FIN | op::CONTINUATION, b"x"),
            1002,
        ),
        (
            "a new message inside another",
            [frame(op::TEXT, b"{"), text("{}")].concat(),
            1002,
        ),
        (
            "a length of 2^63",
            frame_with(FIN | op::TEXT, 0x80, 1 << 63, b""),
            1002,
        ),
        (
            "a length of 2^40",
            frame_with(FIN | op::TEXT, 0x80, 1 << 40, b""),
            1009,
        ),
        (
            "a close code of one byte",
            frame(FIN | op::CLOSE, &[3]),
            1002,
        ),
        (
            "a close code that must not be sent",
            frame(FIN | op::CLOSE, &1005_u16.to_be_bytes()),
            1002,
        ),
        (
            "a close reason that is no UTF-8",
            frame(FIN | op::CLOSE, b"\x03\xe8\xff"),
            1007,
        ),
        (
            "text that is no UTF-8",
            frame(FIN | op::TEXT, b"\"\xc0\xaf\""),
            1007,
        ),
        (
            "text that ends inside a character",
            frame(FIN | op::TEXT, b"\"\xf0\x9f"),
            1007,
        ),
        (
            "text with a surrogate",
            frame(FIN | op::TEXT, b"\"\xed\xa0\x80\""),
            1007,
        ),
        (
            "a character that breaks in the second fragment",
            [
                frame(op::TEXT, b"\"\xe2\x82"),
                frame(FIN | op::CONTINUATION, b"\""),
            ]
            .concat(),
            1007,
        ),
    ];
    scenario(120, async move {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut bystander = Bystander::new(&gateway).await;
        for query in ["", "protocol=plain&room=elsewhere"] {
            for (what, bytes, code) in &rows {
                let mut raw = Raw::upgraded(gateway.public, query).await;
                raw.send(bytes).await;
                assert_eq!(raw.closed().await.0, *code, "{what} ({query})");
                let rest = tokio::time::timeout(std::time::Duration::from_secs(10), raw.drain());
                assert!(rest.await.is_ok(), "{what}: the server ends the connection");
                bystander.is_well().await;
            }
        }
    });
}

#[test]
fn length_forms_longer_than_needed_are_read_or_refused_but_not_misread() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut raw = Raw::upgraded(gateway.public, "").await;
        raw.read_json().await;
        let mut bytes = vec![FIN | op::TEXT, 0x80 | 126, 0, 15, 0, 0, 0, 0];
        bytes.extend(br#"{"type":"ping"}"#);
        raw.send(&bytes).await;
        match raw.read().await {
            Heard::Frame(frame) if frame.first == FIN | op::CLOSE => {
                assert_eq!(frame.payload[..2], 1002_u16.to_be_bytes());
            }
            Heard::Frame(frame) => assert_eq!(frame.payload, br#"{"type":"pong"}"#),
            Heard::End => panic!("ended without a close frame"),
        }
    });
}

#[test]
fn control_frames_between_fragments_are_answered_and_break_nothing() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut raw = Raw::upgraded(gateway.public, "").await;
        raw.read_json().await;
        raw.send(&frame(op::TEXT, br#"{"type""#)).await;
        raw.send(&frame(FIN | op::PING, b"in between")).await;
        let Heard::Frame(pong) = raw.read().await else {
            panic!("the connection ended");
        };
        assert_eq!(
            (pong.first, pong.payload.as_slice()),
            (FIN | op::PONG, b"in between".as_slice())
        );
        raw.send(&frame(op::CONTINUATION, b"")).await;
        raw.send(&frame(FIN | op::PONG, b"unasked")).await;
        raw.send(&frame(op::CONTINUATION, br#":"ping","#)).await;
        raw.send(&frame(FIN | op::CONTINUATION, br#""id":1}"#))
            .await;
        assert_eq!(raw.read_json().await, json!({"type": "pong", "id": 1}));
    });
}

#[test]
fn frames_may_arrive_byte_by_byte_and_many_in_one_write() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut raw = Raw::upgraded(gateway.public, "").await;
        raw.read_json().await;
        for byte in text(r#"{"type":"ping","id":1}"#) {
            raw.send(&[byte]).await;
            // Lets each byte travel on its own.
            tokio::task::yield_now().await;
        }
        assert_eq!(raw.read_json().await["id"], 1);
        let many: Vec<u8> = (0..500)
            .flat_map(|id| text(&format!(r#"{{"type":"ping","id":{id}}}"#)))
            .collect();
        raw.send(&many).await;
        for id in 0..500 {
            assert_eq!(raw.read_json().await["id"], id);
        }
    });
}

#[test]
fn a_message_in_65_536_fragments_is_a_message() {
    scenario(60, async {
        let manifest = Manifest::unhurried().limits(json!({"messageSize": "128Ki"}));
        let gateway = Gateway::start(&manifest).await;
        let mut raw = Raw::upgraded(gateway.public, "protocol=plain&room=crumbs").await;
        let mut bytes = frame(op::TEXT, b"x");
        for _ in 0..65_534 {
            bytes.extend(frame(op::CONTINUATION, b"x"));
        }
        bytes.extend(frame(FIN | op::CONTINUATION, b"x"));
        raw.send(&bytes).await;
        match raw.read().await {
            Heard::Frame(whole) => {
                assert_eq!((whole.first, whole.payload.len()), (FIN | op::TEXT, 65_536));
            }
            Heard::End => panic!("the connection ended"),
        }
    });
}

#[test]
fn empty_frames_are_bounded_by_the_rate_and_not_by_luck() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::open()).await;
        let mut bystander = Bystander::new(&gateway).await;
        let mut raw = Raw::upgraded(gateway.public, "").await;
        raw.send(&text("").repeat(1000)).await;
        assert_eq!(raw.closed().await, (4101, "rate_limited".to_owned()));
        bystander.is_well().await;
    });
}

#[test]
fn a_flood_of_pings_and_one_of_empty_fragments_end_in_a_close() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::open()).await;
        let mut bystander = Bystander::new(&gateway).await;
        let floods = [
            frame(FIN | op::PING, b"x").repeat(2000),
            frame(FIN | op::PONG, b"").repeat(2000),
            [
                frame(op::TEXT, b""),
                frame(op::CONTINUATION, b"").repeat(2000),
            ]
            .concat(),
        ];
        for flood in floods {
            let mut raw = Raw::upgraded(gateway.public, "").await;
            raw.send(&flood).await;
            assert_eq!(raw.closed().await, (4101, "rate_limited".to_owned()));
            bystander.is_well().await;
        }
    });
}

#[test]
fn a_close_frame_is_answered_with_its_code() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        for code in [1000_u16, 1001, 3000, 4999] {
            let mut raw = Raw::upgraded(gateway.public, "").await;
            raw.send(&frame(FIN | op::CLOSE, &code.to_be_bytes())).await;
            assert_eq!(raw.closed().await.0, code);
            raw.drain().await;
        }
        let mut raw = Raw::upgraded(gateway.public, "").await;
        raw.send(&frame(FIN | op::CLOSE, b"")).await;
        assert!(matches!(raw.closed().await.0, 1000 | 1005));
    });
}

#[test]
fn half_open_sockets_are_given_up_after_interval_and_timeout() {
    scenario(90, async {
        let beats = json!({"heartbeat": {"intervalSeconds": 1, "timeoutSeconds": 5}});
        let gateway = Gateway::start(&Manifest::unhurried().spec(beats)).await;
        // Reads, but never answers a ping.
        let mut silent = Raw::upgraded(gateway.public, "").await;
        assert_eq!(silent.closed().await, (4104, "ping_timeout".to_owned()));

        // A connection that answers them stays for longer: this client's library does.
        let mut patient = gateway.client().await;
        patient.subscribe("lobby").await;
        let nothing = tokio::time::timeout(std::time::Duration::from_secs(9), patient.next());
        assert!(nothing.await.is_err());
        patient.publish("lobby", json!("still here")).await;

        // One that ended its sending half is gone for good.
        let mut half = Raw::upgraded(gateway.public, "").await;
        half.shutdown().await;
        half.drain().await;
        patient.publish("lobby", json!("still here")).await;
    });
}

#[test]
fn a_fragmented_message_that_never_ends_is_bounded_in_bytes() {
    scenario(60, async {
        let manifest = Manifest::unhurried().limits(json!({"messageSize": "1Ki"}));
        let gateway = Gateway::start(&manifest).await;
        let mut raw = Raw::upgraded(gateway.public, "protocol=plain&room=r").await;
        raw.send(&frame(op::TEXT, b"x")).await;
        for _ in 0..100 {
            raw.send(&frame(op::CONTINUATION, &[b'x'; 1000])).await;
        }
        assert_eq!(raw.closed().await.0, 1009);
    });
}
