//! What the kernel says about a process: CPU time, memory, and the limits we raise for ourselves.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use nix::{
    sys::resource::{Resource, getrlimit, setrlimit},
    time::{ClockId, clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};

/// User + system time of all threads of `pid`, those that have ended included, to the nanosecond.
///
/// The same number as `getrusage` gives the process itself. `/proc/<pid>/stat` counts 10 ms ticks and
/// `/proc/<pid>/schedstat` only the first thread.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let pid = Pid::from_raw(i32::try_from(pid).context("process id out of range")?);
    let clock =
        clock_getcpuclockid(pid).with_context(|| format!("no CPU clock of process {pid}"))?;
    let time = clock_gettime(clock)
        .with_context(|| format!("cannot read the CPU clock of process {pid}"))?;
    Ok(time.into())
}

/// Resident memory of `pid` in bytes. `smaps_rollup` walks the page tables; `VmRSS` in `status` may lag behind by
/// pages that each CPU still has to account.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    parse_rss(&text).with_context(|| format!("no Rss line in {path}"))
}

fn parse_rss(smaps: &str) -> Option<u64> {
    let line = smaps.lines().find_map(|line| line.strip_prefix("Rss:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// Nanoseconds of the monotonic clock, which all processes of a machine share: send times in messages are read
/// against it by another process.
pub fn monotonic_ns() -> u64 {
    match clock_gettime(ClockId::CLOCK_MONOTONIC) {
        Ok(time) => u64::try_from(Duration::from(time).as_nanos()).unwrap_or(u64::MAX),
        // The monotonic clock exists on every Linux (clock_gettime(2)); a zero shows as an absurd latency.
        Err(_) => 0,
    }
}

/// Raises the number of open files to what the system allows and returns it; children inherit it.
pub fn raise_file_limit() -> Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot read RLIMIT_NOFILE")?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("cannot raise RLIMIT_NOFILE")?;
    Ok(hard)
}

/// What the results were taken on, as far as it matters to ratios.
pub fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let model = fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text
                .lines()
                .find(|line| line.starts_with("model name"))?
                .to_owned();
            Some(line.split_once(':')?.1.trim().to_owned())
        })
        .unwrap_or_else(|| "unknown processor".to_owned());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = kernel.trim().split('-').next().unwrap_or_default();
    format!("{cpus} cores, {model}, Linux {release}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_clock_of_a_process_counts_its_threads_that_have_ended() {
        let before = cpu_time(std::process::id()).unwrap();
        std::thread::spawn(|| {
            let start = ClockId::CLOCK_THREAD_CPUTIME_ID;
            while Duration::from(clock_gettime(start).unwrap()) < Duration::from_millis(20) {}
        })
        .join()
        .unwrap();
        let used = cpu_time(std::process::id()).unwrap() - before;
        assert!(used >= Duration::from_millis(20), "{used:?}");
    }

    #[test]
    fn resident_memory_is_read_in_bytes() {
        assert_eq!(
            parse_rss("00-ff ---p [rollup]\nRss:     5120 kB\nPss: 12 kB\n"),
            Some(5120 * 1024)
        );
        assert!(resident_bytes(std::process::id()).unwrap() > 100_000);
    }
}
