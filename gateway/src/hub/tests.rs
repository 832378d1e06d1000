//! The hub, driven by hand: commands and events in, what it says in short lines out.

mod attend;
mod configuration;
mod direct;
mod gaps;
mod history;
mod messages;
mod model;
mod overload;
mod presence;
mod publishing;
mod reads;
mod resume;
mod rooms;
mod support;
mod watching;
