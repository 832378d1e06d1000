//! Engine.IO: bodies of long-polling, and the address of a request.

use linnet_gateway::protocol::engineio::{Data, Kind, MOST_PACKETS, Step, Verb, parse, write};

/// The bytes as a body, written again from its packets, and as a query.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (mut again, mut count) = (String::new(), 0);
    let parsed = parse(text, |packet| {
        count += 1;
        assert!(packet.kind == Kind::Message || matches!(packet.data, Data::Text(_)));
        write(packet, &mut again);
    });
    assert!(count <= MOST_PACKETS);
    if parsed.is_ok() {
        assert_eq!(again, text);
    }
    for verb in [Verb::Get, Verb::Upgrade, Verb::Post, Verb::Other] {
        let step = Step::read(text, verb);
        assert!(step.is_err() || text.contains("EIO=4"));
    }
}
