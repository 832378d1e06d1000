//! What tests share.

pub mod api_server;
