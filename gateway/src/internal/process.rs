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
    Some(Process {
        cpu_seconds: ticks(&stat)? as f64 / TICKS,
        resident_bytes: resident(&status)?,
        open_files: open_files()?,
    })
}

/// How many files are open. Since Linux 6.2 the folder's size tells; to list a name for each of 10,000 connections takes
/// milliseconds.
fn open_files() -> Option<u64> {
    let folder = "/proc/self/fd";
    match std::fs::metadata(folder).ok()?.len() {
        0 => listed(folder),
        told => Some(told),
    }
}

/// The files that a folder of descriptors lists, without the one that reads it.
fn listed(folder: &str) -> Option<u64> {
    let listed = std::fs::read_dir(folder).ok()?.count() as u64;
    Some(listed.saturating_sub(1))
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

    #[test]
    fn files_are_counted_by_the_kernel_as_they_are_listed() {
        // Beside other tests, which open and close some.
        let files: Vec<_> = (0..500)
            .map(|_| std::fs::File::open("/proc/self/stat"))
            .collect();
        let (told, listed) = (open_files().unwrap(), listed("/proc/self/fd").unwrap());
        assert!(told.abs_diff(listed) < 400, "{told} and {listed}");
        assert!(told > files.len() as u64);
    }
}
