//! The load generator as a process of its own; see `linnet_bench::control`.

use anyhow::Result;
use linnet_bench::{control, measure};

fn main() -> Result<()> {
    measure::raise_file_limit()?;
    control::serve()
}
