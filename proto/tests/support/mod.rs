//! What is made from the source of the API.
#![allow(dead_code, reason = "each program that has this uses a part of it")]

pub mod promises;

use std::path::{Path, PathBuf};

use prost::Message;
use protox::prost_reflect::prost_types::FileDescriptorSet;

/// The source, from this crate's folder on.
const SOURCE: &str = "linnet/v1/channel.proto";

/// What it is made into, below `src/generated`.
pub const NAMES: [&str; 2] = ["linnet.v1.rs", "linnet.v1.binpb"];

/// The folder of the example `users`, which has an API of its own, from this crate's folder on.
pub const USERS: &str = "../examples/users";

/// What the example's source is made into, in that folder.
pub const USERS_NAME: &str = "users.v1.rs";

/// This crate's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// The source, compiled.
pub fn compiled() -> FileDescriptorSet {
    protox::compile([SOURCE], [root()]).unwrap_or_else(|error| panic!("{error:?}"))
}

/// Writes all of [`NAMES`] into a folder.
pub fn generate(folder: &Path) {
    let descriptors = compiled();
    // Servers tell what fields are; what they mean the source says.
    let mut bare = descriptors.clone();
    for file in &mut bare.file {
        file.source_code_info = None;
    }
    std::fs::write(folder.join(NAMES[1]), bare.encode_to_vec()).expect("the folder takes files");
    tonic_prost_build::configure()
        .build_server(false)
        .out_dir(folder)
        .compile_fds(descriptors)
        .expect("what was compiled can be written");
}

/// Writes [`USERS_NAME`] into a folder.
pub fn generate_users(folder: &Path) {
    let descriptors = protox::compile(["users.proto"], [root().join(USERS)]);
    tonic_prost_build::configure()
        .out_dir(folder)
        .compile_fds(descriptors.unwrap_or_else(|error| panic!("{error:?}")))
        .expect("what was compiled can be written");
}
