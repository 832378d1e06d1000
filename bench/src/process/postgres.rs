//! A PostgreSQL server whose data go with it.

use std::{
    env,
    fs::{self, File},
    os::unix::{fs::MetadataExt, fs::chown, net::UnixStream, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use super::START_TIMEOUT;

/// A running server, which listens on a socket in its folder alone.
#[derive(Debug)]
pub struct Postgres {
    child: Child,
    folder: tempfile::TempDir,
}

impl Postgres {
    /// Makes a database and starts a server on it: of the programs in `LINNET_POSTGRES_BIN`, else of the search path or
    /// Debian's.
    pub fn start() -> Result<Self> {
        let programs = programs().context(
            "PostgreSQL is missing. Install it (Debian: apt-get install postgresql), or name the folder of its programs \
             in LINNET_POSTGRES_BIN",
        )?;
        let folder = tempfile::tempdir().context("no place for a database")?;
        let owner = owner()?;
        if let Some((user, group)) = owner {
            chown(folder.path(), Some(user), Some(group))?;
        }
        let command = |name: &str| {
            let mut command = Command::new(programs.join(name));
            command.current_dir(folder.path()).env("LC_ALL", "C");
            command.stdin(Stdio::null()).stdout(Stdio::null());
            if let Some((user, group)) = owner {
                command.uid(user).gid(group);
            }
            command
        };
        let data = folder.path().join("data");
        let made = command("initdb")
            .args(["--auth=trust", "--username=bench", "--locale=C"])
            .args(["--encoding=UTF8", "--pgdata"])
            .arg(&data)
            .output()?;
        let said = String::from_utf8_lossy(&made.stderr);
        ensure!(made.status.success(), "initdb failed:\n{said}");
        let log = folder.path().join("log");
        let child = command("postgres")
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args(["-c", "listen_addresses="])
            .stderr(File::create(&log)?)
            .spawn()
            .context("cannot start postgres")?;
        let mut server = Self { child, folder };
        let begun = Instant::now();
        while !server.listens(&log) {
            let ended = server.child.try_wait()?;
            if ended.is_some() || begun.elapsed() > START_TIMEOUT {
                let log = fs::read_to_string(&log).unwrap_or_default();
                bail!("postgres does not serve:\n{log}");
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        let folder = self.folder.path().display();
        format!("postgres://bench@localhost/postgres?host={folder}")
    }

    fn listens(&self, log: &Path) -> bool {
        let said = fs::read_to_string(log).unwrap_or_default();
        let socket = self.folder.path().join(".s.PGSQL.5432");
        said.contains("ready to accept connections") && UnixStream::connect(socket).is_ok()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Both fail only where the child has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn programs() -> Option<PathBuf> {
    if let Some(folder) = env::var_os("LINNET_POSTGRES_BIN") {
        return Some(folder.into());
    }
    let is_whole = |folder: &PathBuf| folder.join("initdb").exists();
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).find(is_whole);
    found.or_else(|| {
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
        let folders = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
        folders.filter(is_whole).max()
    })
}

/// Whom root runs it as, as PostgreSQL refuses root: the user that comes with it, else nobody.
fn owner() -> Result<Option<(u32, u32)>> {
    if fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let of = |name: &str| {
        let line = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    let owner = of("postgres").or_else(|| of("nobody"));
    owner
        .map(Some)
        .context("there is no user to run PostgreSQL as")
}
