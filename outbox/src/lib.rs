//! Publishes what services have committed to a table of PostgreSQL, in order, and nothing that was rolled back.
//!
//! ```text
//!  service ── row locked, changed, and a message in linnet_outbox ── COMMIT
//!                                    │ NOTIFY
//!                                    ▼
//!  database/   IO     which partitions are this relay's, the rows in them that are still there
//!  lanes       pure   the rows in hand: one line for each aggregate
//!  delivery/   IO     was it published before? then publish it, under its own id
//!  relay/             the loop around them; deletes what was acknowledged
//! ```
//!
//! docs/outbox.md is the contract with services, docs/guarantees.md what holds under which fault.

pub mod cli;
pub mod database;
pub mod delivery;
pub mod doubt;
pub mod gateway;
pub mod health;
pub mod lanes;
pub mod logging;
pub mod metrics;
pub mod partitions;
pub mod pause;
pub mod relay;
pub mod row;
pub mod share;

/// The SQL that makes the tables.
pub const SCHEMA: &str = include_str!("../schema.sql");
