//! Load generator, bare references and benchmarks of Linnet.
//!
//! Three processes take part in a measurement, so that the CPU clock of the measured one holds nothing else:
//! `linnet-bench` (decides, asks, reports), `linnet-bench-load` (the clients), and the measured server, which is
//! `linnet-gateway` or a mode of `linnet-bench-reference`. Where gateways meet on NATS, `nats-server` is a fourth.

pub mod cluster;
pub mod control;
pub mod load;
pub mod measure;
pub mod nats;
pub mod process;
pub mod reference;
pub mod report;
pub mod scenarios;
pub mod stats;
