//! The protocols, as a handshake needs to know them.

use std::sync::LazyLock;

use super::websocket::handshake::Subprotocol;
use crate::names::RoomName;
use crate::protocol::{Handshake, PROTOCOLS, Protocol};

static SUBPROTOCOLS: LazyLock<Vec<Subprotocol>> = LazyLock::new(|| {
    let subprotocol = |protocol: &&dyn Protocol| {
        let in_a_room = Handshake {
            room: RoomName::parse("room").ok(),
            echo: true,
        };
        Subprotocol {
            name: protocol.subprotocol(),
            short: protocol.short_name(),
            // A protocol that joins the handshake's room has no other way to join one.
            in_a_room: protocol.first_request(&in_a_room).is_some(),
            default_room: protocol.default_room(),
        }
    };
    PROTOCOLS.iter().map(subprotocol).collect()
});

/// All of them, in the order of [`PROTOCOLS`].
#[must_use]
pub fn subprotocols() -> &'static [Subprotocol] {
    &SUBPROTOCOLS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_protocols_live_in_a_room_and_the_json_one_is_the_default() {
        let protocols = subprotocols().iter();
        let needs = protocols.map(|protocol| (protocol.short, protocol.in_a_room));
        assert_eq!(
            needs.collect::<Vec<_>>(),
            [
                ("json", false),
                ("plain", true),
                ("socketio", false),
                ("engineio", true),
                ("protobuf", false)
            ]
        );
    }
}
