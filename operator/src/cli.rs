//! The command line.

use clap::{Parser, Subcommand};

/// Runs fleets of Linnet gateways, one for each RealtimeChannel.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Prints the CustomResourceDefinition as YAML.
    Crd,
}
