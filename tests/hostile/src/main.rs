//! Attacks a gateway in every way known to it, one after the other, beside honest clients that must not lose a message.
//!
//! The gateway is named by `LINNET_PUBLIC` (`tests/with-gateway` sets it) and serves `channel.yaml`. Each attack runs in
//! a process of its own, from an address of its own, 127.0.0.66: what it costs to attack is not what honest clients
//! measure. For each attack one line tells the honest clients' p99 before and during it, and what they lost.

mod attacks;
mod honest;
mod socket;

use std::net::SocketAddr;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Parser;
use honest::{Crowd, Seen};

/// The order in which the crowd is looked at: quiet first.
const QUIET: &str = "quiet";

#[derive(Parser)]
struct Options {
    /// The gateway's public port.
    #[arg(long, env = "LINNET_PUBLIC")]
    public: SocketAddr,
    /// How long each attack runs.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Honest clients.
    #[arg(long, default_value_t = 200)]
    honest: usize,
    /// Only these attacks.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Be this attacker, until killed.
    #[arg(long, hide = true)]
    attack: Option<String>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let outcome = runtime.context("no runtime").and_then(|runtime| {
        runtime.block_on(async {
            match &options.attack {
                Some(name) => attacks::run(name, options.public).await.map(|()| true),
                None => suite(&options).await,
            }
        })
    });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("hostile: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn suite(options: &Options) -> anyhow::Result<bool> {
    let known: Vec<&str> = attacks::ALL.iter().map(|attack| attack.name).collect();
    for name in &options.only {
        ensure!(
            known.contains(&name.as_str()),
            "no attack {name}; there are: {}",
            known.join(", ")
        );
    }
    let time = Duration::from_secs(options.seconds);
    let crowd = Crowd::gather(options.public, options.honest).await?;
    println!(
        "{:<22} {:>9} {:>9} {:>9} {:>6} {:>9} {:>9}",
        "attack", "messages", "p99 ms", "max ms", "lost", "newcomers", "p99 ms"
    );
    let quiet = crowd.watch(time).await?;
    tell(QUIET, &quiet);
    let (mut passed, mut failed) = (0, 0);
    for attack in attacks::ALL {
        if !options.only.is_empty() && !options.only.iter().any(|name| name == attack.name) {
            continue;
        }
        let mut attacker = tokio::process::Command::new(std::env::current_exe()?)
            .args([
                "--attack",
                attack.name,
                "--public",
                &options.public.to_string(),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        await_attack(&mut attacker)
            .await
            .with_context(|| attack.name)?;
        let seen = crowd.watch(time).await;
        let alive = attacker.try_wait()?.is_none();
        attacker.kill().await?;
        match seen {
            Ok(seen) => {
                tell(attack.name, &seen);
                let well = seen.is_well() && alive;
                if !alive {
                    println!("  the attacker gave up, which it should not have been able to");
                }
                *(if well { &mut passed } else { &mut failed }) += 1;
            }
            Err(error) => {
                println!("{:<22} {error:#}", attack.name);
                failed += 1;
                break; // the crowd is not whole any more
            }
        }
    }
    println!("hostile: {passed} passed, {failed} failed");
    Ok(failed == 0)
}

/// The attacker says when its first blow has gone out.
async fn await_attack(attacker: &mut tokio::process::Child) -> anyhow::Result<()> {
    use tokio::io::AsyncReadExt as _;
    let mut out = attacker.stdout.take().context("it has an output")?;
    let said = tokio::time::timeout(Duration::from_secs(30), out.read_u8()).await;
    said.context("the attack did not begin")?
        .context("the attacker ended")?;
    attacker.stdout = Some(out);
    Ok(())
}

fn tell(name: &str, seen: &Seen) {
    println!(
        "{name:<22} {:>9} {:>9.1} {:>9.1} {:>6} {:>9} {:>9.1}",
        seen.messages, seen.p99_ms, seen.max_ms, seen.lost, seen.newcomers, seen.newcomer_p99_ms
    );
    for trouble in &seen.troubles {
        println!("  {trouble}");
    }
}
