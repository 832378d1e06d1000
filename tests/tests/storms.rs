//! Many clients and publishers at one gateway that keeps everything itself; `nats_faults.rs` has the storms over NATS.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::follower::Holes;
use linnet_tests::prelude::*;
use linnet_tests::storm::Storm;

fn storm() -> Storm {
    Storm {
        messages: 4000,
        cuts: Some(200),
        ..Storm::new()
    }
}

#[test]
fn in_a_storm_of_cuts_everybody_gets_everything_once_and_in_order() {
    scenario(180, async {
        let gateway = Gateway::start(&Manifest::unhurried().history(10_000)).await;
        let outcome = storm().blow(&Doors::of([&gateway]), 1, async |_| {}).await;
        outcome.is_whole(&mut gateway.client().await).await;
    });
}

#[test]
fn what_a_storm_takes_away_for_good_is_told() {
    scenario(180, async {
        let gateway = Gateway::start(&Manifest::unhurried().history(2)).await;
        let storm = Storm {
            holes: Holes::Noted,
            rate: 4000,
            ..storm()
        };
        let outcome = storm.blow(&Doors::of([&gateway]), 1, async |_| {}).await;
        outcome.loses_nothing_in_silence();
        assert!(outcome.holes() > 0, "two messages a room are soon gone");
    });
}
