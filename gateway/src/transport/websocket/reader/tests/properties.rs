//! What holds for any bytes and any way of cutting them.

use proptest::prelude::*;

use super::super::super::deflate::Deflater;
use super::super::super::frame::Opcode::{self, Binary, Continuation, Ping, Pong, Text};
use super::super::super::testing::{Connection, Got, masked};
use super::super::ReadError;

/// Frames that are often valid, so that arbitrary input gets past the first header.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        8 => prop::sample::select(&[0x81u8, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8A, 0xC1, 0xC2, 0x41][..]),
        1 => Just(0x88u8),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        "\\PC{0,40}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(any::<u8>(), 120..140),
    ];
    (first, any::<[u8; 4]>(), payload).prop_map(|(first, mask, payload)| {
        let mut frame = masked(true, false, Binary, mask, &payload);
        frame[0] = first;
        frame
    })
}

fn input() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(frame(), 0..12).prop_map(|frames| frames.concat()),
    ]
}

fn outcome(input: &[u8], sizes: &[usize], deflate: bool) -> (Vec<Got>, Result<(), ReadError>) {
    let mut connection = if deflate {
        Connection::with_deflate()
    } else {
        Connection::new()
    };
    connection.max_frame_payload = 130;
    connection.max_message = 200;
    let result = connection.feed_in_pieces(input, sizes);
    (connection.got, result)
}

/// A message, and how a client sends it.
#[derive(Clone, Debug)]
struct Sent {
    message: Got,
    compressed: bool,
    /// Where the payload is cut into fragments, as shares of 256.
    cuts: Vec<u8>,
    /// A control frame after each fragment but the last, as far as there are any.
    controls: Vec<Got>,
    masks: Vec<[u8; 4]>,
}

fn sent() -> impl Strategy<Value = Sent> {
    let message = prop_oneof![
        "\\PC{0,300}".prop_map(Got::Text),
        prop::collection::vec(any::<u8>(), 0..1000).prop_map(Got::Binary),
        (any::<u8>(), 0usize..70_000).prop_map(|(byte, len)| Got::Binary(vec![byte; len])),
    ];
    let payload = || prop::collection::vec(any::<u8>(), 0..=125);
    let control = prop_oneof![payload().prop_map(Got::Ping), payload().prop_map(Got::Pong)];
    let cuts = prop::collection::vec(any::<u8>(), 0..6);
    let masks = prop::collection::vec(any::<[u8; 4]>(), 1..4);
    (
        message,
        any::<bool>(),
        cuts,
        prop::collection::vec(control, 0..6),
        masks,
    )
        .prop_map(|(message, compressed, mut cuts, controls, masks)| {
            cuts.sort_unstable();
            Sent {
                message,
                compressed,
                cuts,
                controls,
                masks,
            }
        })
}

impl Sent {
    /// Appends the frames, and the events they must become.
    fn encode(&self, deflater: &mut Deflater, bytes: &mut Vec<u8>, events: &mut Vec<Got>) {
        let (opcode, plain) = match &self.message {
            Got::Text(text) => (Text, text.as_bytes()),
            Got::Binary(data) => (Binary, data.as_slice()),
            _ => unreachable!("no other messages are made"),
        };
        let mut payload = plain.to_vec();
        if self.compressed {
            payload.clear();
            deflater.compress(12, plain, &mut payload);
        }
        let mut masks = self.masks.iter().copied().cycle();
        let mut frame = |fin, rsv1, opcode: Opcode, payload: &[u8]| {
            bytes.extend(masked(fin, rsv1, opcode, masks.next().unwrap(), payload));
        };
        let mut controls = self.controls.iter();
        let mut start = 0;
        for (at, cut) in self.cuts.iter().enumerate() {
            let end = payload.len() * usize::from(*cut) / 256;
            frame(
                false,
                self.compressed && at == 0,
                if at == 0 { opcode } else { Continuation },
                &payload[start..end],
            );
            start = end;
            if let Some(control) = controls.next() {
                match control {
                    Got::Ping(data) => frame(true, false, Ping, data),
                    Got::Pong(data) => frame(true, false, Pong, data),
                    _ => unreachable!("no other controls are made"),
                }
                events.push(control.clone());
            }
        }
        let alone = self.cuts.is_empty();
        frame(
            true,
            self.compressed && alone,
            if alone { opcode } else { Continuation },
            &payload[start..],
        );
        events.push(self.message.clone());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn bytes_cut_differently_give_the_same_events_and_error(
        input in input(),
        sizes in prop::collection::vec(1usize..40, 1..8),
        deflate: bool,
    ) {
        let at_once = outcome(&input, &[usize::MAX], deflate);
        prop_assert_eq!(&outcome(&input, &[1], deflate), &at_once);
        prop_assert_eq!(&outcome(&input, &sizes, deflate), &at_once);
    }

    #[test]
    fn a_single_cut_anywhere_changes_nothing(
        frames in prop::collection::vec(frame(), 0..4),
        deflate: bool,
    ) {
        let input = frames.concat();
        let at_once = outcome(&input, &[usize::MAX], deflate);
        for cut in 1..input.len() {
            prop_assert_eq!(&outcome(&input, &[cut, usize::MAX], deflate), &at_once, "cut at {}", cut);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_a_client_sends_arrives_however_it_is_cut(
        messages in prop::collection::vec(sent(), 1..5),
        sizes in prop::collection::vec(1usize..3000, 1..8),
    ) {
        let (mut bytes, mut events) = (Vec::new(), Vec::new());
        let mut deflater = Deflater::default();
        for message in &messages {
            message.encode(&mut deflater, &mut bytes, &mut events);
        }
        for sizes in [&[usize::MAX], sizes.as_slice()] {
            let mut connection = Connection::with_deflate();
            prop_assert_eq!(connection.feed_in_pieces(&bytes, sizes), Ok(()));
            prop_assert_eq!(&connection.got, &events);
            prop_assert_eq!(connection.reader.partial_bytes(), 0);
        }
    }
}
