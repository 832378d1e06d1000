//! Workers and gateways call things by the same names: each has its own code for it, so that a worker needs no gateway.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_gateway::broker::nats::subjects::{self, Subjects};
use linnet_gateway::names::RoomName;
use linnet_worker::{Channel, names};
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_workers_output_is_where_gateways_look_for_the_room(name in "\\PC{1,90}", partitions in 1u16..20) {
        let Ok(room) = RoomName::parse(&name) else {
            return Ok(()); // over 256 bytes
        };
        let gateway = Subjects::new("linnet", "default", "chat", partitions);
        let worker = Channel::new("default", "chat");
        prop_assert_eq!(worker.output(&name, partitions), gateway.stored(&room));
        prop_assert_eq!(names::is_hashed(&name), subjects::is_hashed(&room));
        prop_assert_eq!(names::room(&gateway.work(&room), Some(&name)), Some(name));
    }
}

#[test]
fn a_worker_finds_the_streams_that_gateways_make() {
    let gateway = Subjects::new("linnet", "default", "chat", 1);
    let worker = Channel::new("default", "chat");
    assert_eq!(worker.work_stream(), gateway.work_stream());
    let inside = "linnet.default.chat.work.3.r_lobby";
    assert_eq!(worker.dead(inside), gateway.dead(inside));
}
