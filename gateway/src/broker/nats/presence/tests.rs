//! The state machine under simulated faults.

mod simulation;
mod world;
