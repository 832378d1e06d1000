//! `spec.rooms[].schema`: a JSON Schema (draft 2020-12) that the data of every message of a room must fit.
//!
//! Who publishes may be hostile, and checking happens where other people's messages pass. So the cost of one check is
//! bounded before it begins: [`cost`] says how much a schema does for each value, which must be finite (no schema that
//! refers to itself), and [`instance`] reads data no further than the product of both allows.

mod cost;
mod instance;
mod schema;

pub use schema::{DataFault, DataSchema, SchemaFault};

#[cfg(test)]
mod tests;
