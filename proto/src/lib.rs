//! The gRPC API of Linnet, `linnet.v1.Channel`: its messages and a client.
//!
//! What is below `generated/` is written by `make generate` from `linnet/v1/channel.proto` and kept in the repository: so a
//! build of the gateway needs no compiler for protocol buffers, whose crates take longer to build than this one and all
//! that is new below it. A test holds it against the source.

/// Version 1.
pub mod v1 {
    #![allow(missing_docs, reason = "prost writes them for what has a comment only")]
    #![allow(clippy::all, clippy::unwrap_used, reason = "generated")]

    include!("generated/linnet.v1.rs");

    /// The name of the service.
    pub const CHANNEL: &str = "linnet.v1.Channel";

    /// The file's descriptor, as reflection tells it: a `google.protobuf.FileDescriptorSet`.
    pub const DESCRIPTOR: &[u8] = include_bytes!("generated/linnet.v1.binpb");
}
