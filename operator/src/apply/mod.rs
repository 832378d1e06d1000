//! Writing a channel's children, and only where they differ.

pub mod difference;
pub mod quantity;
pub mod write;
