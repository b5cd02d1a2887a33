//! Throwaway local clusters: made from nothing, reached by nobody else, and gone with the process that asked for them.

mod account;
mod guardian;
mod left;

use std::{
    fs,
    io::Write,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use lifeboat_core::{Error, ErrorKind, Result, ResultExt};
use secrecy::{ExposeSecret, SecretString};

use crate::{connect::ConnectionTarget, tools::ToolSearch};
use account::Account;
use guardian::Guardian;

pub use left::LeftClusters;

/// The superuser that initdb makes.
pub const SUPERUSER: &str = "postgres";

/// How the names of clusters' folders begin.
const FOLDER_PREFIX: &str = "lifeboat-cluster-";

/// Unix socket paths may have 107 bytes; the socket's own name takes some twenty.
const LONGEST_SOCKET_FOLDER: usize = 85;

/// How often another port is tried when somebody else was faster.
const PORT_ATTEMPTS: usize = 3;

/// Settings of a cluster that is thrown away: nothing has to survive a crash, and the server speaks English.
const SETTINGS: [(&str, &str); 14] = [
    ("fsync", "off"),
    ("synchronous_commit", "off"),
    ("full_page_writes", "off"),
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    ("max_wal_size", "8GB"),
    ("checkpoint_timeout", "1h"),
    ("autovacuum", "off"),
    ("maintenance_work_mem", "256MB"),
    ("max_locks_per_transaction", "1024"),
    ("max_connections", "50"),
    ("log_min_messages", "log"),
    ("log_statement", "none"),
    ("lc_messages", "C"),
];

/// What a throwaway cluster shall be.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Where to look for `initdb`, `pg_ctl` and `postgres`.
    pub search: ToolSearch,
    /// The major version; where it is missing, the oldest newer one is taken.
    pub major: u32,
    /// Folder for the cluster's folder; short, because of the socket in it.
    pub work_folder: PathBuf,
    /// Password of the superuser `postgres` over TCP. Whoever can read the private socket folder needs none.
    pub password: SecretString,
    /// Further settings of postgresql.conf; they override Lifeboat's own.
    pub settings: Vec<(String, String)>,
    /// The system account that runs the server where Lifeboat itself runs as root; default `postgres`.
    pub account: Option<String>,
}

/// A running cluster. Dropping it stops the server and removes the folder; so does the end of this process, however it
/// ends.
#[derive(Debug)]
pub struct ThrowawayCluster {
    guardian: Guardian,
    folder: PathBuf,
    port: u16,
    version: String,
    password: SecretString,
}

impl ThrowawayCluster {
    /// Makes and starts a cluster with the locale C, encoding UTF8.
    ///
    /// Safe against other users of the machine: TCP only on 127.0.0.1 and only with the password (SCRAM); the Unix
    /// socket lies in a folder that only the server's account can enter.
    pub async fn start(options: &ClusterOptions) -> Result<Self> {
        let tools = options.search.find_server(options.major).await?;
        let account = Account::choose(options.account.as_deref())?;
        let folder = make_folder(&options.work_folder, &account)?;
        let result = async {
            let mut refused = None;
            for _ in 0..PORT_ATTEMPTS {
                let port = free_port()?;
                write_file(&folder.join("password"), options.password.expose_secret(), &account)?;
                write_file(&folder.join("settings"), &settings(&folder, port, &options.settings), &account)?;
                match Guardian::start(&tools, &folder, &account).await {
                    Ok(guardian) => return Ok((guardian, port)),
                    Err(error) if error.to_string().contains("Address already in use") => refused = Some(error),
                    Err(error) => return Err(error),
                }
            }
            Err(refused.unwrap_or_else(|| Error::new(ErrorKind::Unexpected, "no port was tried")))
        }
        .await;
        match result {
            Ok((guardian, port)) => Ok(Self {
                guardian,
                folder,
                port,
                version: tools.version().to_owned(),
                password: options.password.clone(),
            }),
            Err(error) => {
                drop(fs::remove_dir_all(&folder));
                Err(error)
            }
        }
    }

    /// How to reach one of its databases as superuser, through the private socket.
    pub fn target(&self, database: &str) -> ConnectionTarget {
        let host = self.folder.join("socket");
        ConnectionTarget::local(&host.to_string_lossy(), self.port, SUPERUSER, None, database)
    }

    /// The same over TCP, with the password.
    pub fn tcp_target(&self, database: &str) -> ConnectionTarget {
        ConnectionTarget::local("127.0.0.1", self.port, SUPERUSER, Some(self.password.clone()), database)
    }

    /// Such as `15.18`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The port, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The cluster's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Stops the server, removes the folder, and says how that was checked.
    pub async fn stop(mut self) -> Result<String> {
        self.guardian.stop().await?;
        remove_folder(&self.folder)?;
        if TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, self.port).into(), Duration::from_secs(2)).is_ok() {
            return Err(Error::new(
                ErrorKind::Unexpected,
                format!("port {} still answers after the server's end", self.port),
            ));
        }
        Ok(format!("the server has ended, port {} is closed, its folder is gone", self.port))
    }
}

impl Drop for ThrowawayCluster {
    fn drop(&mut self) {
        self.guardian.stop_now();
        drop(remove_folder(&self.folder));
    }
}

fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::new(ErrorKind::Unexpected, format!("remove {}: {error}", folder.display())).with_source(error))
        }
        _ => Ok(()),
    }
}

/// A folder that only the account can enter.
fn make_folder(work_folder: &Path, account: &Account) -> Result<PathBuf> {
    let doing = || format!("make a folder for a throwaway cluster in {}", work_folder.display());
    let folder = tempfile::Builder::new()
        .prefix(FOLDER_PREFIX)
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in(work_folder)
        .or_error(ErrorKind::Config, doing())?
        .keep();
    if folder.as_os_str().len() > LONGEST_SOCKET_FOLDER {
        drop(fs::remove_dir_all(&folder));
        return Err(Error::new(
            ErrorKind::Config,
            format!("{} is too long a path for a Unix socket", work_folder.display()),
        )
        .with_hint("name a work folder with a shorter path, such as /tmp"));
    }
    let socket = folder.join("socket");
    let ready = fs::create_dir(&socket)
        .and_then(|()| fs::set_permissions(&socket, fs::Permissions::from_mode(0o700)))
        .or_error(ErrorKind::Config, doing())
        .and_then(|()| account.own(&socket))
        .and_then(|()| account.own(&folder));
    match ready {
        Ok(()) => Ok(folder),
        Err(error) => {
            drop(fs::remove_dir_all(&folder));
            Err(error)
        }
    }
}

fn write_file(path: &Path, text: &str, account: &Account) -> Result<()> {
    let doing = || format!("write {}", path.display());
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .or_error(ErrorKind::Config, doing())?;
    file.write_all(text.as_bytes()).or_error(ErrorKind::Config, doing())?;
    account.own(path)
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).or_error(ErrorKind::Unexpected, "find a free port")?;
    Ok(listener.local_addr().or_error(ErrorKind::Unexpected, "find a free port")?.port())
}

fn settings(folder: &Path, port: u16, more: &[(String, String)]) -> String {
    let socket = folder.join("socket");
    let own = [
        ("listen_addresses", "127.0.0.1".to_owned()),
        ("port", port.to_string()),
        ("unix_socket_directories", format!("\"{}\"", socket.to_string_lossy().replace('"', "\"\""))),
        ("unix_socket_permissions", "0700".to_owned()),
        ("password_encryption", "scram-sha-256".to_owned()),
    ];
    let line =
        |(name, value): (&str, &str)| format!("{name} = '{}'\n", value.replace('\\', "\\\\").replace('\'', "''"));
    let fixed = SETTINGS.into_iter().map(line);
    let more = more.iter().map(|(name, value)| line((name, value)));
    let own: Vec<String> = own.iter().map(|(name, value)| line((name, value))).collect();
    fixed.chain(more).chain(own).collect()
}
