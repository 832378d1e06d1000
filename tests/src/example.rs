//! Runs of the scripts of examples, which start everything that an example needs.

use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::gateway::{binary, workspace};
use crate::process;
use crate::wait::within;

/// How long the first run may take, which builds and fetches what it needs: seconds.
const PATIENCE: u64 = 900;

/// A run of an example's script. Its gateway is the one that other tests have.
#[derive(Debug)]
pub struct Run {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// All that it has printed.
    pub said: Vec<String>,
}

impl Run {
    /// Starts `script`, a path from the workspace's root.
    ///
    /// # Panics
    /// When it can't be run.
    #[must_use]
    pub fn start(script: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(workspace().join(script));
        // What cargo tells a test is not for another cargo: it would build dependencies anew for it, each time.
        for (name, _) in std::env::vars() {
            if name.starts_with("CARGO_") && !["CARGO_HOME", "CARGO_TARGET_DIR"].contains(&&*name) {
                command.env_remove(name);
            }
        }
        let mut child = command
            .args(arguments)
            .env("LISTEN", "127.0.0.1:0")
            .env("LINNET_LISTEN", "127.0.0.1:0")
            .env("LINNET_GATEWAY_BIN", binary().canonicalize().unwrap())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            child,
            lines,
            said: Vec::new(),
        }
    }

    /// Reads until a line holds `word`; gives what follows it.
    ///
    /// # Panics
    /// When it ends without.
    pub async fn says(&mut self, word: &str) -> String {
        let found = async {
            loop {
                let line = self.lines.next_line().await.unwrap();
                let line = line.unwrap_or_else(|| panic!("{word:?} is not in {:#?}", self.said));
                self.said.push(line.clone());
                if let Some((_, rest)) = line.split_once(word) {
                    return rest.to_owned();
                }
            }
        };
        within(("the example says", word), PATIENCE, found).await
    }

    /// Sends SIGTERM to the script alone: it is to end all that it has started.
    pub fn terminate(&self) {
        process::signal(&self.child, "TERM");
    }

    /// Reads to its end; gives how it ended.
    ///
    /// # Panics
    /// When it does not, in time.
    pub async fn ended(&mut self) -> ExitStatus {
        while let Some(line) = within("its end", PATIENCE, self.lines.next_line())
            .await
            .unwrap()
        {
            self.said.push(line);
        }
        within("its end", 60, self.child.wait()).await.unwrap()
    }
}
