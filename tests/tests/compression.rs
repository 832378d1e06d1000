//! permessage-deflate: negotiated only where the manifest says so, never with context takeover, and no way to blow up.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateDecoder, DeflateEncoder};
use linnet_tests::prelude::*;
use linnet_tests::raw::{Frame, Heard, frame, op};

const FIN: u8 = 0x80;
const COMPRESSED: u8 = 0x40;
const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

fn manifest() -> Manifest {
    Manifest::unhurried().spec(json!({"transports": {"webSocket": {"compression": "PerMessage"}}}))
}

/// Deflates as RFC 7692 section 7.2.1 says: a flush at the end, without the four bytes that end it.
fn deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.flush().unwrap();
    let mut bytes = encoder.get_ref().clone();
    assert_eq!(bytes.split_off(bytes.len() - 4), [0, 0, 0xff, 0xff]);
    bytes
}

/// Inflates one message by itself, which succeeds only without context takeover.
fn inflate(frame: &Frame) -> Vec<u8> {
    assert_eq!(frame.first & COMPRESSED, COMPRESSED, "a compressed frame");
    let mut decoder = DeflateDecoder::new(Vec::new());
    decoder.write_all(&frame.payload).unwrap();
    decoder.write_all(&[0, 0, 0xff, 0xff]).unwrap();
    decoder.flush().unwrap();
    decoder.get_ref().clone()
}

/// A plain client in room `r` that negotiated compression.
async fn squeezed(gateway: &Gateway) -> Raw {
    let mut raw = Raw::tcp(gateway.public).await;
    let answer = raw.upgrade("/ws?protocol=plain&room=r", OFFER).await;
    assert_eq!(answer.status, 101, "{answer:?}");
    let agreed = answer.header("sec-websocket-extensions").unwrap();
    assert!(agreed.starts_with("permessage-deflate"), "{agreed}");
    assert!(agreed.contains("server_no_context_takeover"), "{agreed}");
    raw
}

async fn hear(raw: &mut Raw) -> Frame {
    match raw.read().await {
        Heard::Frame(frame) => frame,
        Heard::End => panic!("the connection ended"),
    }
}

#[test]
fn compressed_and_plain_clients_hear_each_other() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut squeezed = squeezed(&gateway).await;
        // Each hears itself once it is in the room.
        squeezed.send(&frame(FIN | op::TEXT, b"ready")).await;
        hear(&mut squeezed).await;
        let mut plain = gateway.plain("r").await;
        plain.settle("ready too").await;
        hear(&mut squeezed).await;
        let text = "over and over again, ".repeat(100);
        // Twice, since a context that was taken over would only show in the second message.
        for _ in 0..2 {
            squeezed
                .send(&frame(
                    FIN | COMPRESSED | op::TEXT,
                    &deflate(text.as_bytes()),
                ))
                .await;
            let heard = hear(&mut squeezed).await;
            assert!(
                heard.payload.len() < text.len() / 4,
                "{} bytes",
                heard.payload.len()
            );
            assert_eq!(inflate(&heard), text.as_bytes());
            assert_eq!(plain.hear_text().await, text);
        }
        // An uncompressed frame is allowed at any time, and an empty message is a message.
        squeezed.send(&frame(FIN | op::TEXT, b"as it is")).await;
        assert_eq!(plain.hear_text().await, "as it is");
        hear(&mut squeezed).await;
        squeezed
            .send(&frame(FIN | COMPRESSED | op::TEXT, &deflate(b"")))
            .await;
        assert_eq!(plain.hear_text().await, "");
    });
}

#[test]
fn a_compressed_message_may_be_fragmented() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut squeezed = squeezed(&gateway).await;
        let bytes = deflate("in pieces ".repeat(50).as_bytes());
        let (head, tail) = bytes.split_at(bytes.len() / 2);
        squeezed.send(&frame(COMPRESSED | op::TEXT, head)).await;
        squeezed.send(&frame(FIN | op::PING, b"between")).await;
        squeezed.send(&frame(FIN | op::CONTINUATION, tail)).await;
        let pong = hear(&mut squeezed).await;
        assert_eq!(
            (pong.first, pong.payload.as_slice()),
            (FIN | op::PONG, b"between".as_slice())
        );
        let message = hear(&mut squeezed).await;
        let text = if message.first & COMPRESSED == 0 {
            message.payload
        } else {
            inflate(&message)
        };
        assert_eq!(text, "in pieces ".repeat(50).as_bytes());
    });
}

#[test]
fn a_bomb_closes_its_connection_and_costs_no_memory() {
    scenario(120, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut bystander = Bystander::new(&gateway).await;
        // 64 MiB of zeros in some 64 KiB, which is less than a frame may have.
        let bomb = deflate(&vec![0; 64 << 20]);
        assert!(bomb.len() < 1 << 18);
        let before = gateway.rss();
        for _ in 0..5 {
            let mut raw = squeezed(&gateway).await;
            let (head, tail) = bomb.split_at(bomb.len() / 2);
            raw.send(&frame(COMPRESSED | op::BINARY, head)).await;
            raw.send(&frame(FIN | op::CONTINUATION, tail)).await;
            let (code, _) = raw.closed().await;
            // 1006: the gateway closed while more of the bomb was under way, which resets the connection.
            assert!(matches!(code, 1009 | 1006), "{code}");
            bystander.is_well().await;
        }
        let grown = gateway.rss().saturating_sub(before);
        assert!(grown < 16 << 20, "grew by {grown} bytes");
        let small = deflate(&vec![0; 1 << 20]);
        let mut raw = squeezed(&gateway).await;
        raw.send(&frame(FIN | COMPRESSED | op::BINARY, &small))
            .await;
        assert_eq!(raw.closed().await.0, 1009);
    });
}

#[test]
fn broken_compression_closes_its_own_connection() {
    let rows: [(&str, Vec<u8>); 4] = [
        (
            "no deflate at all",
            frame(FIN | COMPRESSED | op::TEXT, &[0xff; 20]),
        ),
        (
            "a compressed control frame",
            frame(FIN | COMPRESSED | op::PING, b""),
        ),
        (
            "a compressed continuation",
            [
                frame(op::TEXT, b"x"),
                frame(FIN | COMPRESSED | op::CONTINUATION, b"x"),
            ]
            .concat(),
        ),
        (
            "text that is no UTF-8 when inflated",
            frame(FIN | COMPRESSED | op::TEXT, &deflate(b"\xff\xfe")),
        ),
    ];
    scenario(60, async move {
        let gateway = Gateway::start(&manifest()).await;
        let mut bystander = Bystander::new(&gateway).await;
        for (what, bytes) in rows {
            let mut raw = squeezed(&gateway).await;
            raw.send(&bytes).await;
            let (code, _) = raw.closed().await;
            assert!(matches!(code, 1002 | 1007), "{what}: {code}");
            bystander.is_well().await;
        }
    });
}

#[test]
fn an_offer_that_can_not_be_met_is_declined_and_the_connection_works() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        for offer in [
            "x-webkit-deflate-frame",
            "permessage-deflate; unknown=1",
            "permessage-bzip2",
        ] {
            let mut raw = Raw::tcp(gateway.public).await;
            let header = format!("Sec-WebSocket-Extensions: {offer}\r\n");
            let answer = raw.upgrade("/ws", &header).await;
            assert_eq!(
                (answer.status, answer.header("sec-websocket-extensions")),
                (101, None),
                "{offer}"
            );
            assert_eq!(raw.read_json().await["type"], "connected");
        }
    });
}
