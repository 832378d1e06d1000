//! What gateways and NATS servers have in common: processes that write lines and take signals.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Child;
use tokio::sync::Notify;

use crate::wait::{STEP, within};

/// The binary that an environment variable names, else the workspace's `target/{built}`, which `command` builds.
///
/// # Panics
/// When there is none, saying so.
pub(crate) fn binary(variable: &str, built: &str, command: &str) -> PathBuf {
    let target = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let path = std::env::var_os(variable).map_or_else(|| target().join(built), PathBuf::from);
    assert!(
        path.exists(),
        "{} is missing: `{command}` makes it",
        path.display()
    );
    path
}

/// Lines that a process wrote, and a bell that rings at each.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    lines: Mutex<Vec<String>>,
    bell: Notify,
}

impl Lines {
    /// Reads `source` to its end, in the background.
    pub(crate) fn collect(source: impl AsyncRead + Unpin + Send + 'static) -> Arc<Self> {
        let lines = Arc::new(Self::default());
        let into = Arc::clone(&lines);
        tokio::spawn(async move {
            let mut source = BufReader::new(source).lines();
            while let Ok(Some(line)) = source.next_line().await {
                into.lines.lock().unwrap().push(line);
                into.bell.notify_waiters();
            }
        });
        lines
    }

    /// Awaits the first line, from the start, that `test` gives something for.
    pub(crate) async fn find<T>(&self, test: impl Fn(&str) -> Option<T>) -> T {
        let mut seen = 0;
        loop {
            let bell = self.bell.notified();
            tokio::pin!(bell);
            // Enabled before the look, or a line between look and wait would be missed.
            bell.as_mut().enable();
            {
                let lines = self.lines.lock().unwrap();
                if let Some(found) = lines[seen..].iter().find_map(|line| test(line)) {
                    return found;
                }
                seen = lines.len();
            }
            bell.await;
        }
    }

    /// All lines so far.
    pub(crate) fn all(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

/// Sends `child` a signal by its short name (`TERM`, `STOP`).
///
/// # Panics
/// When the process is gone.
pub(crate) fn signal(child: &Child, name: &str) {
    let kill = format!("kill -{name} {}", child.id().expect("a running process"));
    let sent = Command::new("sh").args(["-c", &kill]).status();
    assert!(sent.unwrap().success(), "{kill}");
}

/// Stops `child` where it stands (SIGSTOP), and comes back when each of its threads does: the signal alone returns while
/// some still run, and a server could yet answer.
///
/// # Panics
/// When the process is gone, or does not stop.
pub(crate) fn pause(child: &Child) {
    signal(child, "STOP");
    let threads = format!("/proc/{}/task", child.id().expect("a running process"));
    let begun = Instant::now();
    while !all_stopped(&threads) {
        assert!(
            begun.elapsed() < Duration::from_secs(STEP),
            "it does not stop"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether all threads in a `task` folder of procfs are in state `T` (proc_pid_stat(5)). A thread that has ended meanwhile
/// counts as stopped.
fn all_stopped(threads: &str) -> bool {
    std::fs::read_dir(threads).unwrap().all(|thread| {
        let stat = std::fs::read_to_string(thread.unwrap().path().join("stat"));
        // The name before the state is in parentheses and may hold anything.
        stat.map_or(true, |stat| {
            stat.rsplit_once(") ")
                .is_some_and(|(_, rest)| rest.starts_with('T'))
        })
    })
}

/// Ends `child` with the signal `name` and awaits its end.
pub(crate) async fn end(child: &mut Child, name: &str) {
    signal(child, name);
    within("the process's end", STEP, child.wait())
        .await
        .unwrap();
}
