//! What the kernel says of this process.

/// Ticks of a second in what `/proc` tells of processors: USER_HZ, the same on all architectures (time(7)).
const TICKS: f64 = 100.0;

/// The process, now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Process {
    /// User and system time.
    pub(super) cpu_seconds: f64,
    /// Memory that is in RAM.
    pub(super) resident_bytes: u64,
    /// Open files.
    pub(super) open_files: u64,
}

/// Asks the kernel. `None` where there is no `/proc`.
pub(super) fn read() -> Option<Process> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let open_files = std::fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    Some(Process {
        cpu_seconds: ticks(&stat)? as f64 / TICKS,
        resident_bytes: resident(&status)?,
        open_files: open_files.saturating_sub(1), // the one that reads
    })
}

/// Fields 14 and 15 of `/proc/PID/stat` (proc_pid_stat(5)).
fn ticks(stat: &str) -> Option<u64> {
    // The name of the program, which may hold anything, ends at the last parenthesis.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut number = || fields.next()?.parse::<u64>().ok();
    Some(number()? + number()?)
}

/// `VmRSS` of `/proc/PID/status`, which is in KiB.
fn resident(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_s_name_confuses_nobody() {
        let fields = "S 1 1 1 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 5 0 12345 1000000 321 184";
        assert_eq!(ticks(&format!("7 (a) 9 (b) {fields}")), Some(300));
        assert_eq!(ticks("7 (x"), None);
        assert_eq!(
            resident("Name:\tx) y\nVmRSS:\t    12 kB\n"),
            Some(12 * 1024)
        );
    }

    #[test]
    fn this_process_has_memory_and_files() {
        let process = read().unwrap();
        assert!(process.resident_bytes > 1 << 20 && process.open_files > 2);
    }
}
