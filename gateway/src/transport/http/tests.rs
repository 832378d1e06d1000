//! The port as a whole, over loopback.

mod console;
mod handshakes;
mod hostile;
mod support;
