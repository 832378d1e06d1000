use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::*;

/// The smallest manifest that is valid; further fields of `spec` may follow.
pub(super) const SMALLEST: &str = "\
apiVersion: realtime.linnet.dev/v1alpha1
kind: RealtimeChannel
metadata:
  name: tests
spec:
  authentication:
    anonymous: Allow
";

struct Scene {
    _folder: tempfile::TempDir,
    path: PathBuf,
    watched: Arc<Watched>,
    applied: Receiver<Arc<Channel>>,
}

impl Scene {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("channel.yaml");
        std::fs::write(&path, SMALLEST).unwrap();
        let (sender, applied) = channel();
        let loaded = manifest::load(&path, Author::Person).unwrap();
        let apply = move |channel| sender.send(channel).unwrap();
        let watched = watch(path.clone(), Author::Person, loaded, apply).unwrap();
        Self {
            _folder: folder,
            path,
            watched,
            applied,
        }
    }

    fn write(&self, more: &str) {
        std::fs::write(&self.path, format!("{SMALLEST}{more}")).unwrap();
    }

    fn until(&self, what: &str, test: impl Fn(&Status) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !test(&self.watched.status()) {
            assert!(Instant::now() < deadline, "{what} did not come");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_change_is_applied_before_the_status_shows_it() {
    let scene = Scene::start();
    let before = scene.watched.status();
    scene.write("  console: Enabled\n");
    scene.until("another hash", |status| status.hash != before.hash);
    assert!(scene.applied.try_recv().unwrap().console);
}

#[test]
fn an_error_is_shown_and_gone_with_its_cause() {
    let scene = Scene::start();
    let before = scene.watched.status();
    scene.write("  console: Perhaps\n");
    // A look may come between the two steps of a writing, emptying and filling.
    let told = |status: &Status, part| status.error.as_ref().is_some_and(|e| e.contains(part));
    scene.until("an error", |status| told(status, "spec.console"));
    let status = scene.watched.status();
    assert_eq!(status.hash, before.hash);
    std::fs::remove_file(&scene.path).unwrap();
    scene.until("another error", |now| now.error != status.error);
    scene.write("");
    scene.until("no error", |status| status.error.is_none());
    assert!(
        scene.applied.try_recv().is_err(),
        "nothing was to be applied"
    );
}

#[test]
fn a_file_that_cannot_be_served_is_told_with_every_problem() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("channel.yaml");
    assert!(matches!(
        manifest::load(&path, Author::Person),
        Err(LoadError::Read(_))
    ));
    std::fs::write(&path, format!("{SMALLEST}  console: 1\n  broker: {{}}\n")).unwrap();
    let error = manifest::load(&path, Author::Person)
        .unwrap_err()
        .to_string();
    assert!(error.lines().count() >= 2, "{error}");
    assert!(error.contains("line 8: spec.console"), "{error}");
}

#[test]
fn the_watch_ends_with_its_last_owner() {
    let scene = Scene::start();
    let weak = Arc::downgrade(&scene.watched);
    drop(scene.watched);
    // The next look, for which any event will do, finds nobody.
    std::fs::write(&scene.path, "x").unwrap();
    let ended = scene.applied.recv_timeout(Duration::from_secs(60));
    assert_eq!(ended.err(), Some(RecvTimeoutError::Disconnected));
    assert!(weak.upgrade().is_none());
    assert!(Path::new(&scene.path).exists());
}
