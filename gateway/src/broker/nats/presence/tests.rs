//! The state machine under simulated faults.

mod node;
mod simulation;
mod world;
