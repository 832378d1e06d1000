//! WebSocket frames: however the bytes are cut, the same events come out.

use std::ops::ControlFlow;

use linnet_gateway::transport::websocket::deflate::Inflater;
use linnet_gateway::transport::websocket::reader::{Event, ReadContext, Reader};

/// Longest message that is read here.
const MOST: usize = 4096;

/// The first byte says how the rest is cut, and whether messages may be compressed.
pub fn run(data: &[u8]) {
    let Some((&how, bytes)) = data.split_first() else {
        return;
    };
    let deflate = how & 0x80 != 0;
    let whole = read(bytes, bytes.len().max(1), deflate);
    let pieces = read(bytes, usize::from(how & 0x7F).max(1), deflate);
    match (&whole, &pieces) {
        // Invalid text is found as soon as it comes, so a later fault of the same input may be told instead.
        ((events, Err(_)), (same, Err(_))) => {
            assert!(same.starts_with(events) || events.starts_with(same))
        }
        (whole, pieces) => assert_eq!(whole, pieces),
    }
}

type Read = (Vec<String>, Result<(), u16>);

fn read(bytes: &[u8], piece: usize, deflate: bool) -> Read {
    let mut reader = Reader::new();
    let mut inflater = Inflater::new();
    let mut events = Vec::new();
    for piece in bytes.chunks(piece) {
        let mut context = ReadContext {
            max_frame_payload: MOST,
            max_message: MOST,
            inflater: deflate.then_some(&mut inflater),
        };
        let mut input = piece.to_vec();
        let outcome = reader.read(&mut input, &mut context, &mut |event| {
            if let Event::Text(text) = event {
                assert!(text.len() <= MOST);
            }
            events.push(format!("{event:?}"));
            ControlFlow::Continue(())
        });
        assert!(
            reader.partial_bytes() <= 3 * MOST,
            "memory follows what came"
        );
        if let Err(error) = outcome {
            assert!(matches!(error.code, 1002 | 1007 | 1009));
            return (events, Err(error.code));
        }
    }
    (events, Ok(()))
}
