//! Writes `crds/realtimechannels.yaml`; run it after a change of the types.

use std::io;
use std::path::Path;

fn main() -> io::Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("realtimechannels.yaml");
    std::fs::write(&file, linnet_crds::schema::yaml())
}
