//! The fourth step: a channel's children are made what they are to be, by server-side apply under one name, and only
//! where they differ.

pub mod difference;
pub mod plan;
pub mod quantity;
pub mod write;
