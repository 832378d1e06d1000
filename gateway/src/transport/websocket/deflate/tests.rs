use proptest::prelude::*;

use super::*;

fn compressed(bits: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Deflater::default().compress(bits, payload, &mut out);
    out
}

fn inflated(payload: &[u8]) -> Result<Vec<u8>, InflateError> {
    Inflater::new()
        .inflate(payload, 1 << 20)
        .map(<[u8]>::to_vec)
}

/// Data that does not compress, made up without a dependency (Knuth's MMIX multiplier).
fn noise(len: usize) -> Vec<u8> {
    let step = |state: &mut u64| {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Some((*state >> 56) as u8)
    };
    std::iter::from_fn({
        let mut state = 1;
        move || step(&mut state)
    })
    .take(len)
    .collect()
}

#[test]
fn the_examples_of_the_rfc_inflate_to_hello() {
    // RFC 7692 §7.2.3.1, without a compressor's help.
    assert_eq!(inflated(b"\xf2\x48\xcd\xc9\xc9\x07\x00").unwrap(), b"Hello");
    // §7.2.3.3: a stored block.
    assert_eq!(
        inflated(b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00").unwrap(),
        b"Hello"
    );
    // §7.2.3.4: a final block and an empty one.
    assert_eq!(
        inflated(b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00").unwrap(),
        b"Hello"
    );
    // §7.2.3.5: two blocks.
    assert_eq!(
        inflated(b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00").unwrap(),
        b"Hello"
    );
}

#[test]
fn an_example_of_the_rfc_is_what_the_compressor_writes() {
    assert_eq!(compressed(15, b"Hello"), b"\xf2\x48\xcd\xc9\xc9\x07\x00");
}

#[test]
fn an_empty_message_is_one_byte_and_comes_back() {
    assert_eq!(compressed(15, b""), [0x00], "RFC 7692 section 7.2.3.6");
    assert_eq!(inflated(&[0x00]).unwrap(), b"");
    assert_eq!(inflated(&[]).unwrap(), b"", "an empty payload");
}

#[test]
fn a_final_block_may_end_the_message() {
    assert_eq!(inflated(b"\xf3\x48\xcd\xc9\xc9\x07\x00").unwrap(), b"Hello");
}

#[test]
fn every_window_gives_the_message_back() {
    let mut deflater = Deflater::default();
    let mut inflater = Inflater::new();
    let messages = [
        noise(0),
        noise(100_000),
        b"abcdefgh".repeat(20_000),
        vec![0; 70_000],
    ];
    for bits in WINDOW_BITS {
        for message in &messages {
            let mut out = Vec::new();
            deflater.compress(bits, message, &mut out);
            assert_eq!(
                inflater.inflate(&out, message.len()),
                Ok(message.as_slice()),
                "window {bits}"
            );
        }
    }
}

#[test]
fn a_small_window_is_kept_to() {
    // What a client with this window can read; zlib refuses distances beyond it.
    let message = [noise(700), noise(700)].concat();
    let narrow = compressed(9, &message);
    assert!(
        narrow.len() > message.len(),
        "the repetition is 700 bytes back, the window has 512"
    );
    assert!(compressed(15, &message).len() < 800);
    let mut out = Vec::with_capacity(message.len() + 1);
    Decompress::new_with_window_bits(false, 9)
        .decompress_vec(&narrow, &mut out, FlushDecompress::None)
        .unwrap();
    assert_eq!(out, message);
}

#[test]
fn no_context_is_taken_over() {
    let mut deflater = Deflater::default();
    let (mut first, mut second) = (Vec::new(), Vec::new());
    deflater.compress(15, b"the same words", &mut first);
    deflater.compress(15, b"the same words", &mut second);
    assert_eq!(first, second);
}

#[test]
fn compressing_appends() {
    let mut out = b"header".to_vec();
    Deflater::default().compress(15, b"Hello", &mut out);
    assert_eq!(out, b"header\xf2\x48\xcd\xc9\xc9\x07\x00");
}

#[test]
fn the_limit_is_inclusive() {
    let payload = compressed(15, &[b'x'; 1000]);
    let mut inflater = Inflater::new();
    assert_eq!(inflater.inflate(&payload, 1000).map(<[u8]>::len), Ok(1000));
    assert_eq!(inflater.inflate(&payload, 999), Err(InflateError::TooLarge));
    assert_eq!(inflater.inflate(&payload, 0), Err(InflateError::TooLarge));
    assert_eq!(inflater.inflate(&[0x00], 0), Ok(&[][..]));
}

#[test]
fn a_bomb_is_inflated_to_the_limit_only() {
    let bomb = compressed(15, &vec![0; 64 << 20]);
    let mut inflater = Inflater::new();
    assert_eq!(
        inflater.inflate(&bomb, 100_000),
        Err(InflateError::TooLarge)
    );
    assert!(inflater.out.capacity() <= 100_001);
}

#[test]
fn a_large_message_is_not_held_for_ever() {
    let mut inflater = Inflater::new();
    inflater
        .inflate(&compressed(15, &vec![0; 1 << 20]), 1 << 20)
        .unwrap();
    inflater.inflate(&[0x00], 1 << 20).unwrap();
    assert!(inflater.out.capacity() <= KEPT);
}

#[test]
fn garbage_is_corrupt_and_spoils_nothing() {
    let mut inflater = Inflater::new();
    for garbage in [
        &b"\xff\xff\xff"[..],
        b"\x06",
        b"Hello",
        b"\x00\x05\x00\x00\x00Hello",
    ] {
        assert_eq!(
            inflater.inflate(garbage, 1000),
            Err(InflateError::Corrupt),
            "{garbage:x?}"
        );
        assert_eq!(
            inflater.inflate(b"\xf2\x48\xcd\xc9\xc9\x07\x00", 1000),
            Ok(&b"Hello"[..])
        );
    }
}

#[test]
fn a_message_cut_short_is_corrupt() {
    // One block with dynamic and one with fixed codes: no cut of them is a whole message.
    let numbers: String = (0..500).map(|number| format!("{number},")).collect();
    for message in [numbers.as_str(), "Hello"] {
        let payload = compressed(15, message.as_bytes());
        for cut in 1..payload.len() {
            assert_eq!(
                inflated(&payload[..cut]),
                Err(InflateError::Corrupt),
                "cut at {cut}"
            );
        }
    }
}

#[test]
fn streams_after_final_blocks_are_part_of_the_message() {
    let hello = b"\xf3\x48\xcd\xc9\xc9\x07\x00";
    assert_eq!(
        inflated(&[&hello[..], hello, b"\x00"].concat()).unwrap(),
        b"HelloHello"
    );
}

proptest! {
    #[test]
    fn whatever_is_compressed_comes_back(
        message in prop::collection::vec(any::<u8>(), 0..3000),
        repeat in 1usize..30,
        bits in WINDOW_BITS,
        level in 1u32..=9,
    ) {
        let message = message.repeat(repeat);
        let mut out = Vec::new();
        Deflater::new(level).compress(bits, &message, &mut out);
        prop_assert_eq!(inflated(&out), Ok(message));
    }

    #[test]
    fn any_bytes_inflate_within_the_limit_or_fail(payload in prop::collection::vec(any::<u8>(), 0..500)) {
        if let Ok(message) = Inflater::new().inflate(&payload, 1000) {
            prop_assert!(message.len() <= 1000);
        }
    }
}
