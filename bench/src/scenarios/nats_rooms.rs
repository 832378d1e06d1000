//! What a hundred thousand rooms on one gateway cost it, and NATS.

use anyhow::Result;

use super::{Settings, manifest::Channel, progress};
use crate::{
    load::{Plan, Protocol, Rooms},
    process::{Load, NatsServer},
    report::{Report, Row, Unit},
    stats::Summary,
};

/// Rooms of each connection.
const EACH: usize = 100;

/// Measures rooms without history and with it.
pub fn run(settings: &Settings) -> Result<Report> {
    let connections = settings.pick(1000, 10);
    let rooms = connections * EACH;
    let mut report = Report::new("nats-rooms", "Many rooms on one gateway");
    report.method = format!(
        "{connections} connections subscribe to {EACH} rooms each that nobody else is in, {rooms} in all, on a gateway \
         on NATS. Subscriptions are what nats-server counts (/subsz); memory is the gateway's resident memory beyond \
         that before the first connection, over the rooms: what the gateway itself keeps of a room and its member is \
         part of it."
    );
    for history in [false, true] {
        let which = match history {
            true => "with history",
            false => "without history",
        };
        progress(&format!("nats-rooms {which}"));
        let nats = NatsServer::start()?;
        let manifest = Channel {
            history,
            nats: Some(nats.port),
            ..Channel::default()
        };
        let gateway = settings.start_gateway_on_nats(&manifest.to_yaml(), "a")?;
        let (idle, resident) = (nats.subscriptions()?, gateway.target.resident()?);
        let mut load = Load::start()?;
        load.open(Plan {
            rooms: Rooms::Own(EACH),
            verify_every: 0,
            ..Plan::new(gateway.target.address, Protocol::Json, "room", connections)
        })?;
        let (busy, grown) = (nats.subscriptions()?, gateway.target.resident()?);
        let each = grown.saturating_sub(resident) as f64 / 1024.0 / rooms as f64;
        for (what, unit, value) in [
            ("NATS subscriptions without rooms", Unit::Count, idle as f64),
            (
                "NATS subscriptions with all rooms",
                Unit::Count,
                busy as f64,
            ),
            ("gateway: memory per room", Unit::Kilobytes, each),
        ] {
            report.rows.extend(
                Summary::of([value]).map(|value| Row::new(format!("{what}, {which}"), unit, value)),
            );
        }
    }
    Ok(report)
}
