//! A PostgreSQL server of a test's own: a real one, on a port and in a folder of its own, ended when dropped.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::ports;
use crate::process::{self, Lines};
use crate::wait::{STEP, until, within};

/// A server. It keeps its port and its folder over all its lives.
#[derive(Debug)]
pub struct Postgres {
    /// `None` while it is down.
    child: Option<Child>,
    log: Arc<Lines>,
    /// Where clients connect, on 127.0.0.1.
    pub port: u16,
    folder: TempDir,
    owner: Option<(u32, u32)>,
}

impl Postgres {
    /// Makes a database and starts a server on it.
    ///
    /// # Panics
    /// When PostgreSQL is not installed, saying how to; or does not start, with its log.
    pub async fn start() -> Self {
        let owner = owner();
        let folder = TempDir::new().unwrap();
        if let Some((user, group)) = owner {
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let mut server = Self {
            child: None,
            log: Arc::default(),
            port: ports::lasting(),
            folder,
            owner,
        };
        let made = server
            .command("initdb")
            .args(["--no-sync", "--auth=trust", "--username=linnet"])
            .args(["--locale=C", "--encoding=UTF8", "--pgdata"])
            .arg(server.data())
            .output();
        let made = within("a database", STEP, made).await.unwrap();
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "initdb failed:\n{said}");
        server.launch().await;
        server
    }

    /// Starts the server that is down and awaits that it takes clients.
    ///
    /// # Panics
    /// When it does not start, with its log.
    pub async fn launch(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let socket = self.folder.path().display().to_string();
        let mut child = self
            .command("postgres")
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string(), "-k", &socket])
            // What a process had handed to the system survives that process: tests kill no machine.
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
            .spawn()
            .unwrap();
        self.log = Lines::collect(child.stderr.take().unwrap());
        self.child = Some(child);
        let url = self.url();
        until("PostgreSQL", || async {
            let connected = PgConnection::connect(&url).await;
            assert!(
                connected.is_ok()
                    || !self
                        .log
                        .all()
                        .iter()
                        .any(|line| line.contains("FATAL:  could not")),
                "PostgreSQL ended at once:\n{}",
                self.log.all().join("\n")
            );
            connected.ok()?.close().await.ok()
        })
        .await;
    }

    /// Restarts it in order: connections are ended, what was not committed is rolled back.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.launch().await;
    }

    /// Stops it in order.
    pub async fn stop(&mut self) {
        self.end("INT").await;
    }

    /// Ends it as a crash would: the next start recovers from the log.
    pub async fn crash(&mut self) {
        self.end("QUIT").await;
    }

    async fn end(&mut self, signal: &str) {
        let mut child = self.child.take().expect("a running server");
        process::end(&mut child, signal).await;
    }

    /// Where clients connect.
    #[must_use]
    pub fn url(&self) -> String {
        format!(
            "postgres://linnet@127.0.0.1:{}/postgres?sslmode=disable",
            self.port
        )
    }

    /// A connection of the test's own.
    ///
    /// # Panics
    /// When there is none to be had.
    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.unwrap()
    }

    /// Runs the statements of `sql`.
    ///
    /// # Panics
    /// When one fails.
    pub async fn run(&self, sql: &'static str) {
        let mut connection = self.connect().await;
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A program of PostgreSQL, as a user whom it does not refuse.
    fn command(&self, name: &str) -> Command {
        let mut command = std::process::Command::new(programs().join(name));
        command
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .env("LC_ALL", "C");
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
        let mut command = Command::from(command);
        command.kill_on_drop(true);
        command
    }
}

impl Drop for Postgres {
    /// Awaits its end: its processes hold the folder, which goes next.
    fn drop(&mut self) {
        let Some(child) = self.child.as_mut().filter(|child| child.id().is_some()) else {
            return;
        };
        process::signal(child, "QUIT");
        for _ in 0..400 {
            if !matches!(child.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The folder of its programs: `LINNET_POSTGRES_BIN`, else where `postgres` is in the search path, else Debian's newest.
fn programs() -> PathBuf {
    if let Some(folder) = std::env::var_os("LINNET_POSTGRES_BIN") {
        return folder.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).find(|folder| is_whole(folder));
    let debian = || {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
        let folders = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
        folders.filter(|folder| is_whole(folder)).max()
    };
    found.or_else(debian).expect(
        "PostgreSQL is missing. Install it (Debian: apt-get install postgresql), or name the folder of its programs in \
         LINNET_POSTGRES_BIN",
    )
}

fn is_whole(folder: &Path) -> bool {
    ["initdb", "postgres"]
        .iter()
        .all(|name| folder.join(name).exists())
}

/// Whom root runs it as, as PostgreSQL refuses root: the user that comes with it, else nobody. `None` for other users.
fn owner() -> Option<(u32, u32)> {
    let own = std::fs::metadata("/proc/self").unwrap();
    if std::os::unix::fs::MetadataExt::uid(&own) != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let of = |name: &str| {
        let line = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    of("postgres").or_else(|| of("nobody"))
}
