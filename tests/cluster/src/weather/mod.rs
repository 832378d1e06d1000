//! Storms whose clients and publishers run inside the cluster's network, through the ingress, as a process of their own:
//! the ways in from outside copy every byte through two processes more.

mod inside;
mod outside;
mod report;

pub use inside::{Size, blow};
pub use outside::Weather;
pub use report::{Away, Report};
