//! The bare references, one mode each; see `linnet_bench::reference`.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use clap::Parser;
use linnet_bench::{load::Lengths, measure, nats::Way, reference};

/// A server that does the least that is needed for the same bytes.
#[derive(Parser)]
enum Mode {
    /// Writes a frame to every connection, as stdin asks.
    Fanout {
        /// Threads that write, each to its part of the connections.
        #[arg(long, default_value_t = 1)]
        loops: usize,
    },
    /// Pings idle connections.
    Heartbeat {
        /// Seconds from one ping to the next.
        #[arg(long, default_value_t = 25.0)]
        interval: f64,
    },
    /// Answers connects with as many bytes as the gateway.
    Connect {
        /// Bytes of the upgrade's answer.
        #[arg(long)]
        head: usize,
        /// Bytes of the greeting frame.
        #[arg(long)]
        greeting: usize,
        /// Bytes of the frame that acknowledges a subscription.
        #[arg(long)]
        ack: usize,
    },
    /// Refuses every request.
    Refuse,
    /// Answers every publish over HTTP.
    Answer {
        /// Bytes of an answer's body.
        #[arg(long)]
        bytes: usize,
    },
    /// Answers every request with one text.
    Text {
        /// Holds it.
        #[arg(long)]
        file: PathBuf,
    },
    /// Publishes to NATS what a gRPC stream brings.
    Stream {
        #[command(flatten)]
        way: Way,
    },
    /// Publishes to NATS what clients publish.
    RelayIn {
        #[command(flatten)]
        way: Way,
    },
    /// Sends to all clients what comes from NATS.
    RelayOut {
        #[command(flatten)]
        way: Way,
        /// Length of a frame on the wire, header included.
        #[arg(long)]
        frame_bytes: usize,
    },
}

fn main() -> Result<()> {
    let mode = Mode::parse();
    measure::raise_file_limit()?;
    match mode {
        Mode::Fanout { loops } => reference::fanout::serve(loops),
        Mode::Heartbeat { interval } => {
            reference::heartbeat::serve(Duration::from_secs_f64(interval))
        }
        Mode::Connect {
            head,
            greeting,
            ack,
        } => reference::connect::serve(Lengths {
            head,
            greeting,
            ack,
        }),
        Mode::Refuse => reference::refuse::serve(),
        Mode::Answer { bytes } => reference::answer::serve(bytes),
        Mode::Text { file } => reference::text::serve(&file),
        Mode::Stream { way } => reference::stream::serve(way),
        Mode::RelayIn { way } => reference::relay::enter(way),
        Mode::RelayOut { way, frame_bytes } => reference::relay::leave(way, frame_bytes),
    }
}
