//! When to look at a file: soon after something happened to it, and now and then in any case.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

/// A look is taken when nothing happened for so long: a file that is written in pieces is read
/// when it is whole.
const QUIET: Duration = Duration::from_millis(50);

/// …but no later than this, where something happens in the folder all the time.
const AT_LATEST: Duration = Duration::from_millis(500);

/// A look is taken even when nothing was told: events get lost when the kernel's queue overflows or
/// the folder itself is replaced, and network file systems and links that lead out of the folder
/// give none.
const IN_ANY_CASE: Duration = Duration::from_secs(10);

/// The same where the system gives no events at all (inotify's instances are few and shared).
const WITHOUT_EVENTS: Duration = Duration::from_secs(1);

/// Whether to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Yes.
    GoOn,
    /// No: the watch ends.
    Stop,
}

/// Calls `look` once now and again whenever the file at `path` may have changed, on a thread of its
/// own, until it says to stop.
///
/// The folder is watched, not the file: editors put a new file in the old one's place, and the
/// kubelet swaps a symlink beside it (`..data`). `look` reads the file after the last event, so the
/// last change is never missed; it is to tell itself whether there was one.
///
/// # Errors
/// When the system gives no thread.
pub fn watch(
    path: PathBuf,
    mut look: impl FnMut(&Path) -> Next + Send + 'static,
) -> std::io::Result<()> {
    // One place: that something happened needs to be known once.
    let (events, happened) = sync_channel(1);
    let watcher = arm(&path, events)
        .inspect_err(|error| {
            tracing::warn!(%error, "a folder of the configuration can't be watched: looking every second");
        })
        .ok();
    let thread = std::thread::Builder::new().name("config".into());
    thread.spawn(move || {
        let every = match &watcher {
            Some(_) => IN_ANY_CASE,
            None => WITHOUT_EVENTS,
        };
        // The first look is for what happened before there was a watcher; also not in the middle of
        // a writing.
        wait(&happened, QUIET);
        while look(&path) == Next::GoOn {
            wait(&happened, every);
        }
        // Until here, as events end with it.
        drop(watcher);
    })?;
    Ok(())
}

fn arm(path: &Path, events: SyncSender<()>) -> notify::Result<RecommendedWatcher> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.as_ref().is_ok_and(is_a_reading) {
            return;
        }
        match events.try_send(()) {
            Ok(()) | Err(TrySendError::Full(())) => {}
            // The thread is gone, and this watcher with it.
            Err(TrySendError::Disconnected(())) => {}
        }
    })?;
    watcher.watch(folder, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

/// Whether an event is of a reader, such as this watch itself. What an error hides could be
/// anything, so that is none.
fn is_a_reading(event: &Event) -> bool {
    let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
    event.kind.is_access() && event.kind != written
}

/// Waits until something happened and it is quiet again, or for `every`.
fn wait(happened: &Receiver<()>, every: Duration) {
    let first = happened.recv_timeout(every);
    if first.is_err() {
        if first == Err(RecvTimeoutError::Disconnected) {
            std::thread::sleep(every);
        }
        return;
    }
    let latest = Instant::now() + AT_LATEST;
    // Sleeps rather than receives: where others write to the folder all the time, this wakes up
    // with the clock and not with each of their writes.
    loop {
        std::thread::sleep(QUIET);
        if happened.try_recv().is_err() || Instant::now() >= latest {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    /// Watches a file of a folder; what each look reads arrives at the receiver.
    fn looks(path: &Path) -> Receiver<String> {
        let (sender, receiver) = channel();
        let look = move |path: &Path| {
            let text = std::fs::read_to_string(path).unwrap_or_else(|_| "gone".into());
            match sender.send(text) {
                Ok(()) => Next::GoOn,
                Err(_) => Next::Stop,
            }
        };
        watch(path.to_owned(), look).unwrap();
        receiver
    }

    fn until(looks: &Receiver<String>, text: &str) {
        // Under IN_ANY_CASE: it is the events that are tested.
        let deadline = Instant::now() + IN_ANY_CASE * 4 / 5;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match looks.recv_timeout(left) {
                Ok(read) if read == text => return,
                Ok(_) => {}
                Err(error) => panic!("{text} was not seen: {error}"),
            }
        }
    }

    #[test]
    fn a_file_written_in_place_replaced_removed_and_put_back_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("channel.yaml");
        std::fs::write(&path, "1").unwrap();
        let looks = looks(&path);
        until(&looks, "1");
        std::fs::write(&path, "2").unwrap();
        until(&looks, "2");
        let new = folder.path().join("new");
        std::fs::write(&new, "3").unwrap();
        std::fs::rename(&new, &path).unwrap();
        until(&looks, "3");
        std::fs::remove_file(&path).unwrap();
        until(&looks, "gone");
        std::fs::write(&path, "4").unwrap();
        until(&looks, "4");
    }

    #[test]
    fn the_kubelets_symlink_swap_is_seen_every_time() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for version in ["1", "2", "3"] {
            std::fs::create_dir(at(version)).unwrap();
            std::fs::write(at(version).join("channel.yaml"), version).unwrap();
        }
        symlink("1", at("..data")).unwrap();
        symlink("..data/channel.yaml", at("channel.yaml")).unwrap();
        let looks = looks(&at("channel.yaml"));
        until(&looks, "1");
        for version in ["2", "3"] {
            symlink(version, at("..data_tmp")).unwrap();
            std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
            until(&looks, version);
        }
    }

    #[test]
    fn the_last_of_many_changes_is_seen_and_not_all_are_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("channel.yaml");
        let looks = looks(&path);
        until(&looks, "gone");
        for version in 0..1000 {
            std::fs::write(&path, format!("version {version}")).unwrap();
        }
        until(&looks, "version 999");
        drop(looks);
    }

    #[test]
    fn reading_is_no_reason_to_look() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("channel.yaml");
        std::fs::write(&path, "1").unwrap();
        let looks = looks(&path);
        until(&looks, "1");
        // Events of the write above may still be on their way.
        while looks.recv_timeout(AT_LATEST * 2).is_ok() {}
        for _ in 0..10 {
            std::fs::read(&path).unwrap();
        }
        assert!(looks.recv_timeout(AT_LATEST * 2).is_err());
    }

    #[test]
    fn a_folder_that_cannot_be_watched_is_looked_at_every_second() {
        let looks = looks(Path::new("/nowhere/at/all/channel.yaml"));
        for _ in 0..2 {
            until(&looks, "gone");
        }
    }

    #[test]
    fn a_relative_path_is_watched_where_it_is() {
        let (events, _happened) = sync_channel(1);
        assert!(arm(Path::new("channel.yaml"), events).is_ok());
    }
}
