//! A short run of every parser: what was kept, and what chance makes of it. `LINNET_FUZZ_SECONDS` is how long each
//! parser is tried, 1 by default; `LINNET_FUZZ_SEED` begins another sequence.

#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use linnet_fuzz::mutate::Mutator;
use linnet_fuzz::{TARGETS, Target};

/// An input that takes longer is one whose cost is not bounded. Generous: the machine may be busy, and this is no release.
const LONGEST: Duration = Duration::from_secs(30);

fn variable(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

fn corpus(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target.name);
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).unwrap();
        (path, bytes)
    };
    files.into_iter().map(read).collect()
}

#[test]
fn what_was_kept_breaks_nothing() {
    for target in TARGETS {
        let inputs = corpus(target);
        assert!(!inputs.is_empty(), "{} has no inputs", target.name);
        for (path, bytes) in inputs {
            println!("{}", path.display());
            (target.run)(&bytes);
        }
    }
}

#[test]
fn what_chance_makes_of_it_breaks_nothing() {
    let seconds = Duration::from_secs(variable("LINNET_FUZZ_SECONDS", 1));
    let seed = variable("LINNET_FUZZ_SEED", 1);
    for target in TARGETS {
        let seeds = corpus(target).into_iter().map(|(_, bytes)| bytes).collect();
        let mut mutator = Mutator::new(seed, seeds);
        let (start, mut tried) = (Instant::now(), 0u64);
        while start.elapsed() < seconds {
            let input = mutator.input();
            let begun = Instant::now();
            let outcome = std::panic::catch_unwind(|| (target.run)(&input));
            let shown = || String::from_utf8_lossy(&input).escape_debug().to_string();
            assert!(
                outcome.is_ok(),
                "{} after {tried}: {}",
                target.name,
                shown()
            );
            assert!(
                begun.elapsed() < LONGEST,
                "{} is slow: {}",
                target.name,
                shown()
            );
            tried += 1;
        }
        println!("{}: {tried} inputs", target.name);
    }
}
