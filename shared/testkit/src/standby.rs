//! A hot standby: a second server, made of a copy of the first and fed by it.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::servers::free_address;

/// Settings of a primary that may have a standby.
pub const OF_A_PRIMARY: [(&str, &str); 3] = [("wal_level", "replica"), ("max_wal_senders", "4"), ("hot_standby", "on")];

/// The account of the server where the tests run as root, which PostgreSQL refuses.
const ACCOUNT: &str = "postgres";

/// A running standby, reached by the roles and passwords of its primary, on 127.0.0.1 or through its socket without any.
/// Dropping it stops the server and removes its folder.
#[derive(Debug)]
pub struct Standby {
    folder: TempDir,
    programs: PathBuf,
    port: u16,
}

impl Standby {
    /// Makes one. `base_backup` is stock `pg_basebackup` without options, connected to the primary by its environment;
    /// `programs` the folder of `pg_ctl` of the primary's version.
    pub fn of(mut base_backup: Command, programs: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("lifeboat-standby-").tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let standby = Self { folder, programs: programs.to_owned(), port: free_address()?.port() };
        base_backup.env_remove("PGDATABASE").arg("-D").arg(standby.data());
        succeed(base_backup.args(["-R", "-X", "stream", "-c", "fast"]))?;
        fs::create_dir(standby.socket())?;
        let settings = format!(
            "\nport = {}\nunix_socket_directories = '{}'\narchive_mode = off\n",
            standby.port,
            standby.socket().display()
        );
        let file = standby.data().join("postgresql.conf");
        fs::write(&file, fs::read_to_string(&file)? + &settings)?;
        if is_root()? {
            succeed(Command::new("chown").args(["-R", ACCOUNT]).arg(standby.folder.path()))?;
        }
        let mut start = standby.pg_ctl()?;
        let start = start.args(["-w", "-l"]).arg(standby.log_file()).arg("start");
        if start.stdout(Stdio::null()).stderr(Stdio::null()).status()?.success() {
            return Ok(standby);
        }
        Err(io::Error::other(format!("start a standby: {}", standby.log().unwrap_or_default())))
    }

    /// What it has logged so far.
    pub fn log(&self) -> io::Result<String> {
        fs::read_to_string(self.log_file())
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// The folder of its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn pg_ctl(&self) -> io::Result<Command> {
        let program = self.programs.join("pg_ctl");
        let mut command = if is_root()? {
            let mut command = Command::new("setpriv");
            let (user, group) = (format!("--reuid={ACCOUNT}"), format!("--regid={ACCOUNT}"));
            command.args([&user, &group, "--clear-groups", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.arg("-D").arg(self.data()).current_dir("/").env("LC_ALL", "C");
        Ok(command)
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        if let Ok(mut stop) = self.pg_ctl() {
            drop(stop.args(["-m", "immediate", "stop"]).stdout(Stdio::null()).stderr(Stdio::null()).status());
        }
    }
}

fn is_root() -> io::Result<bool> {
    Ok(fs::metadata("/proc/self")?.uid() == 0)
}

fn succeed(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))))
}
