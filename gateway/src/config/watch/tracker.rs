//! What a new content of the manifest's file comes to.

use std::io;
use std::sync::Arc;

use linnet_crds::RealtimeChannel;

use super::super::Channel;
use super::Status;
use super::manifest::{Author, LoadError, Loaded, check};

/// Follows the file's contents; the last good one is in force.
#[derive(Debug)]
pub(super) struct Tracker {
    /// What the gateway was started with, where that can't change while it runs.
    started: RealtimeChannel,
    author: Author,
    hash: Arc<str>,
    seen: Seen,
    error: Option<Arc<str>>,
    warning: Option<Arc<str>>,
}

/// The file as it was at the last look.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Content(String),
    Unreadable(io::ErrorKind),
}

/// What the difference between two looks comes to.
#[derive(Debug)]
pub(super) enum Change {
    /// A new configuration.
    Applied {
        /// The configuration, with the old values of `at_restart`.
        channel: Arc<Channel>,
        /// Fields whose change waits for the next start.
        at_restart: Vec<&'static str>,
    },
    /// The same configuration in another form, or again after an error.
    Same,
    /// Something that can't be served; the configuration stays.
    Refused(LoadError),
}

impl Tracker {
    pub(super) fn new(loaded: Loaded, author: Author) -> Self {
        Self {
            author,
            hash: loaded.hash().into(),
            warning: loaded.warning.clone(),
            started: loaded.manifest,
            seen: Seen::Content(loaded.text),
            error: None,
        }
    }

    pub(super) fn status(&self) -> Status {
        Status {
            hash: Arc::clone(&self.hash),
            error: self.error.clone(),
            warning: self.warning.clone(),
        }
    }

    /// Takes note of what a look at the file gave; `None` where that is what the last one gave.
    pub(super) fn observe(&mut self, read: io::Result<String>) -> Option<Change> {
        let seen = match &read {
            Ok(text) => Seen::Content(text.clone()),
            Err(error) => Seen::Unreadable(error.kind()),
        };
        if seen == self.seen {
            return None;
        }
        self.seen = seen;
        let author = self.author;
        let checked = read.map_err(LoadError::from);
        match checked.and_then(|text| check(text, author)) {
            Err(error) => {
                self.error = Some(error.to_string().into());
                Some(Change::Refused(error))
            }
            Ok(loaded) => {
                self.error = None;
                Some(self.take(loaded))
            }
        }
    }

    fn take(&mut self, loaded: Loaded) -> Change {
        let mut manifest = loaded.manifest;
        let at_restart = self.keep_what_needs_a_restart(&mut manifest);
        self.warning = loaded.warning;
        // The name is no part of the hash, so a change of it alone is worth its warning.
        if *self.hash == *loaded.hash && at_restart.is_empty() {
            return Change::Same;
        }
        self.hash = loaded.hash;
        Change::Applied {
            channel: Arc::new(Channel::compile(&manifest)),
            at_restart,
        }
    }

    /// Puts back what a running gateway can't change, and names it.
    fn keep_what_needs_a_restart(&self, new: &mut RealtimeChannel) -> Vec<&'static str> {
        let (from, to) = (&self.started, new);
        let mut kept = Vec::new();
        let mut keep = |same: bool, field| {
            if !same {
                kept.push(field);
            }
        };
        keep(from.metadata.name == to.metadata.name, "metadata.name");
        to.metadata.name.clone_from(&from.metadata.name);
        let (from, to) = (&from.spec, &mut to.spec);
        keep(from.expose.path == to.expose.path, "spec.expose.path");
        to.expose.path.clone_from(&from.expose.path);
        let drain = from.rollout.drain_seconds;
        keep(
            drain == to.rollout.drain_seconds,
            "spec.rollout.drainSeconds",
        );
        to.rollout.drain_seconds = drain;
        keep(from.broker == to.broker, "spec.broker");
        to.broker.clone_from(&from.broker);
        if from.broker.is_some() {
            // Who reads and writes the streams is there from the start, or not at all.
            let shape = |spec: &linnet_crds::RealtimeChannelSpec| {
                let history = spec.history.as_ref();
                history.map(|history| (history.partitions, history.storage))
            };
            let same = shape(from) == shape(to);
            keep(same, "spec.history");
            if !same {
                to.history.clone_from(&from.history);
            }
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::super::tests::SMALLEST;
    use super::*;

    fn tracker() -> Tracker {
        let person = Author::Person;
        Tracker::new(check(SMALLEST.into(), person).unwrap(), person)
    }

    fn with(more: &str) -> String {
        format!("{SMALLEST}  {more}\n")
    }

    fn applied(change: Option<Change>) -> (Arc<Channel>, Vec<&'static str>) {
        match change {
            Some(Change::Applied {
                channel,
                at_restart,
            }) => (channel, at_restart),
            other => panic!("{other:?} is no new configuration"),
        }
    }

    #[test]
    fn a_new_configuration_is_taken_and_the_same_file_again_is_nothing() {
        let mut tracker = tracker();
        let before = tracker.status();
        assert!(tracker.observe(Ok(SMALLEST.into())).is_none());
        let text = with("limits: {messageSize: 1Ki}");
        let (channel, at_restart) = applied(tracker.observe(Ok(text.clone())));
        assert_eq!(channel.limits.message_size, 1024);
        assert!(at_restart.is_empty());
        assert_ne!(tracker.status().hash, before.hash);
        assert!(tracker.observe(Ok(text)).is_none());
    }

    #[test]
    fn a_broken_file_changes_nothing_but_the_error_until_a_good_one_comes() {
        let mut tracker = tracker();
        let before = tracker.status();
        for (text, part) in [
            (
                with("limits: {messageSize: 64Kx}"),
                "line 8: spec.limits.messageSize",
            ),
            (with("nonsense: 1"), "nonsense"),
            ("spec: {rooms: [}".into(), "line 1"),
            (String::new(), ""),
        ] {
            let change = tracker.observe(Ok(text.clone()));
            assert!(
                matches!(change, Some(Change::Refused(LoadError::Invalid(_)))),
                "{text}"
            );
            let status = tracker.status();
            assert_eq!(status.hash, before.hash);
            let error = status.error.unwrap();
            assert!(!error.is_empty() && error.contains(part), "{error}");
            assert!(tracker.observe(Ok(text)).is_none(), "told once");
        }
        let again = tracker.observe(Ok(SMALLEST.into()));
        assert!(matches!(again, Some(Change::Same)));
        assert_eq!(tracker.status(), before);
    }

    #[test]
    fn every_problem_is_told() {
        let mut tracker = tracker();
        tracker.observe(Ok(with("console: Maybe\n  limits: {messageSize: 64Kx}")));
        let error = tracker.status().error.unwrap();
        assert_eq!(error.lines().count(), 2, "{error}");
    }

    #[test]
    fn a_file_that_is_gone_changes_nothing_and_may_come_back() {
        let mut tracker = tracker();
        let gone = || Err(ErrorKind::NotFound.into());
        let change = tracker.observe(gone());
        assert!(matches!(change, Some(Change::Refused(LoadError::Read(_)))));
        assert!(tracker.status().error.is_some());
        assert!(tracker.observe(gone()).is_none(), "told once");
        assert!(matches!(
            tracker.observe(Ok(SMALLEST.into())),
            Some(Change::Same)
        ));
        assert!(tracker.status().error.is_none());
    }

    #[test]
    fn another_form_of_the_same_is_no_new_configuration() {
        let mut tracker = tracker();
        let before = tracker.status();
        let text = with("console: Disabled # as it is anyway");
        assert!(matches!(tracker.observe(Ok(text)), Some(Change::Same)));
        assert_eq!(tracker.status(), before);
    }

    #[test]
    fn what_needs_a_restart_is_named_and_stays() {
        let mut tracker = tracker();
        let before = tracker.status();
        let text = with(
            "expose: {path: /chat}\n  rollout: {drainSeconds: 7}\n  limits: {messageSize: 1Ki}",
        );
        let text = text.replace("name: tests", "name: other");
        let (channel, at_restart) = applied(tracker.observe(Ok(text)));
        assert_eq!(channel.name, "tests");
        assert_eq!(channel.path, "/");
        assert_eq!(channel.drain.as_secs(), 60);
        assert_eq!(channel.limits.message_size, 1024, "the rest is live");
        assert_eq!(
            at_restart,
            [
                "metadata.name",
                "spec.expose.path",
                "spec.rollout.drainSeconds"
            ]
        );
        assert_ne!(
            tracker.status().hash,
            before.hash,
            "the hash is the manifest's"
        );
    }

    #[test]
    fn a_field_that_only_a_newer_operator_knows_is_a_warning_of_its_gateways() {
        let author = Author::Operator;
        let mut tracker = Tracker::new(check(SMALLEST.into(), author).unwrap(), author);
        assert_eq!(tracker.status().warning, None);
        let newer = with("limits: {messageSize: 1Ki, messagesPerMoon: 3}");
        let (channel, _) = applied(tracker.observe(Ok(newer.clone())));
        assert_eq!(channel.limits.message_size, 1024);
        let status = tracker.status();
        assert_eq!(status.error, None);
        assert!(status.warning.unwrap().contains("messagesPerMoon"));
        assert_eq!(*status.hash, crate::config::document::hash(&newer));
        tracker.observe(Ok(SMALLEST.into()));
        assert_eq!(tracker.status().warning, None);
    }
}
