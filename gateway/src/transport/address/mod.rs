//! Who is at the other end: the address of a client, also behind proxies, and what one address may use.
//!
//! - [`network`] knows networks, [`forwarded`] and [`proxy`] what proxies say of whom they speak for; all pure.
//! - [`client`] is who it comes to.
//! - [`addresses`] counts by address, in bounded memory; [`key`] is what counts as one.

pub mod addresses;
mod backoff;
pub mod client;
pub mod forwarded;
pub mod key;
pub mod network;
pub mod proxy;

#[cfg(test)]
mod tests;
