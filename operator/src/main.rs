//! `linnet-operator`: the controller of RealtimeChannels.

use std::process::ExitCode;

use clap::Parser;
use linnet_operator::cli::{Action, Cli};

fn main() -> ExitCode {
    let outcome = match Cli::parse().action {
        Action::Crd => crd(),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn crd() -> anyhow::Result<ExitCode> {
    print!("{}", linnet_crds::schema::yaml());
    Ok(ExitCode::SUCCESS)
}
