//! The hub with the embedded broker, driven by hand.
