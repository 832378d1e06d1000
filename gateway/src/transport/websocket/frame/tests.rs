use proptest::prelude::*;

use super::super::testing::{client, masked};
use super::*;

fn encoded(opcode: Opcode, rsv1: bool, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(opcode, rsv1, payload, &mut out);
    out
}

fn refusal(bytes: &[u8]) -> &'static str {
    parse(bytes).expect_err("these bytes must be refused").0
}

#[test]
fn a_short_frame_has_two_bytes_of_header() {
    assert_eq!(
        encoded(Opcode::Text, false, b"Hello"),
        b"\x81\x05Hello",
        "RFC 6455 section 5.7"
    );
    assert_eq!(encoded(Opcode::Binary, false, &[7; 125])[..2], [0x82, 125]);
    assert_eq!(encoded(Opcode::Pong, false, b""), [0x8A, 0]);
}

#[test]
fn a_frame_over_125_bytes_has_a_16_bit_length() {
    assert_eq!(
        encoded(Opcode::Binary, false, &[0; 126])[..4],
        [0x82, 126, 0, 126]
    );
    assert_eq!(
        encoded(Opcode::Binary, false, &[0; 256])[..4],
        [0x82, 126, 1, 0],
        "RFC 6455 section 5.7"
    );
    assert_eq!(
        encoded(Opcode::Binary, false, &[0; 65535])[..4],
        [0x82, 126, 0xFF, 0xFF]
    );
}

#[test]
fn a_frame_over_65535_bytes_has_a_64_bit_length() {
    let frame = encoded(Opcode::Binary, false, &[9; 65536]);
    assert_eq!(frame[..10], [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    assert_eq!(frame.len(), 10 + 65536);
}

#[test]
fn a_compressed_frame_sets_rsv1_only() {
    assert_eq!(encoded(Opcode::Text, true, b"x")[0], 0xC1);
}

#[test]
fn frames_are_appended_to_what_is_there() {
    let mut out = encoded(Opcode::Text, false, b"a");
    encode(Opcode::Text, false, b"b", &mut out);
    assert_eq!(out, b"\x81\x01a\x81\x01b");
}

#[test]
fn a_close_frame_carries_code_and_reason() {
    let mut out = Vec::new();
    encode_close(1012, "draining", &mut out);
    assert_eq!(out, b"\x88\x0A\x03\xF4draining");
}

#[test]
fn a_close_reason_is_cut_at_a_character_that_fits() {
    let mut out = Vec::new();
    encode_close(1000, &"é".repeat(100), &mut out);
    assert_eq!(
        out[1],
        2 + 122,
        "61 characters of two bytes; half of the 62nd would fit"
    );
    assert!(std::str::from_utf8(&out[4..]).is_ok());
    out.clear();
    encode_close(1000, &"x".repeat(123), &mut out);
    assert_eq!(out.len(), 2 + 125);
}

#[test]
fn the_codes_a_peer_may_send_are_those_of_the_registry_and_the_private_ones() {
    let valid: Vec<u16> = (0..=u16::MAX).filter(|&code| is_close_code(code)).collect();
    let expected: Vec<u16> = (1000..=1003)
        .chain(1007..=1014)
        .chain(3000..=4999)
        .collect();
    assert_eq!(valid, expected);
}

#[test]
fn the_masked_frame_of_the_rfc_is_read() {
    let bytes = [
        0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ];
    let (header, used) = parse(&bytes).unwrap().unwrap();
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    assert_eq!(
        header,
        Header {
            fin: true,
            rsv1: false,
            opcode: Opcode::Text,
            mask,
            len: 5
        }
    );
    assert_eq!(used, 6);
    let mut payload = bytes[used..].to_vec();
    unmask(&mut payload, header.mask, 0);
    assert_eq!(payload, b"Hello");
}

#[test]
fn reserved_bits_are_refused_but_rsv1_is_told() {
    assert_eq!(refusal(&[0xA1]), "reserved bit set");
    assert_eq!(refusal(&[0x91]), "reserved bit set");
    assert!(
        parse(&masked(true, true, Opcode::Text, [0; 4], b""))
            .unwrap()
            .unwrap()
            .0
            .rsv1
    );
}

#[test]
fn reserved_opcodes_are_refused_at_the_first_byte() {
    for opcode in [3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF] {
        assert_eq!(refusal(&[0x80 | opcode]), "reserved opcode");
    }
}

#[test]
fn control_frames_are_neither_fragmented_nor_long() {
    for opcode in [0x8, 0x9, 0xA] {
        assert_eq!(refusal(&[opcode]), "fragmented control frame");
        assert_eq!(
            refusal(&[0x80 | opcode, 0x80 | 126]),
            "control frame too long"
        );
        assert_eq!(
            refusal(&[0x80 | opcode, 0x80 | 127]),
            "control frame too long"
        );
    }
}

#[test]
fn an_unmasked_frame_is_refused() {
    assert_eq!(
        refusal(&encoded(Opcode::Text, false, b"Hello")),
        "frame not masked"
    );
}

#[test]
fn a_length_must_take_the_fewest_bytes() {
    assert_eq!(refusal(&[0x82, 0xFE, 0, 125]), "length not minimal");
    assert_eq!(
        refusal(&[0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]),
        "length not minimal"
    );
    assert_eq!(parse(&[0x82, 0xFE, 0, 126]), Ok(None));
    assert_eq!(parse(&[0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0]), Ok(None));
}

#[test]
fn a_length_of_64_bits_is_refused() {
    assert_eq!(
        refusal(&[0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        "length over 63 bits"
    );
    let longest = [
        0x82, 0xFF, 0x7F, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4,
    ];
    assert_eq!(parse(&longest).unwrap().unwrap().0.len, i64::MAX as u64);
}

#[test]
fn a_header_is_incomplete_until_its_last_byte() {
    for len in [0, 125, 126, 65535, 65536] {
        let frame = client(true, Opcode::Binary, &vec![0; len]);
        let header = frame.len() - len;
        for cut in 0..header {
            assert_eq!(parse(&frame[..cut]), Ok(None), "{cut} of {header} bytes");
        }
        assert_eq!(parse(&frame).unwrap().unwrap().1, header);
        assert!(header <= MAX_HEADER);
    }
}

proptest! {
    #[test]
    fn unmasking_in_pieces_is_unmasking_at_once(
        payload in prop::collection::vec(any::<u8>(), 0..100),
        mask: [u8; 4],
        cut in 0usize..100,
    ) {
        let cut = cut.min(payload.len());
        let plain: Vec<u8> = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        let mut pieces = payload;
        unmask(&mut pieces[..cut], mask, 0);
        unmask(&mut pieces[cut..], mask, cut);
        prop_assert_eq!(pieces, plain);
    }

    #[test]
    fn more_bytes_never_change_what_was_parsed(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
        let whole = parse(&bytes);
        for cut in 0..bytes.len() {
            match parse(&bytes[..cut]) {
                Ok(None) => {}
                early => prop_assert_eq!(early, whole),
            }
        }
    }
}
