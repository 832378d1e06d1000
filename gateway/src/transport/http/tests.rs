//! The port as a whole, over loopback.

mod addresses;
mod caller;
mod console;
mod handshakes;
mod hostile;
mod support;
