//! Starts `MinIO` and `LocalStack` for tests, on free ports of 127.0.0.1, and stops them with the test process at the latest.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// `LocalStack` needs 15 seconds on busy cores the first time.
const PATIENCE: Duration = Duration::from_mins(2);
const PAUSE: Duration = Duration::from_millis(50);

/// A `MinIO` server of this test's own: it checks signatures, and is what self-hosted stores run.
#[derive(Debug)]
pub struct Minio {
    /// `http://127.0.0.1:<port>`.
    pub endpoint: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// User of the server.
    pub access_key: String,
    /// Password of the user.
    pub secret_key: String,
    data: PathBuf,
    server: Server,
}

impl Minio {
    /// Starts a server and waits until it is ready. Fails, naming `make setup`, where it is not installed.
    pub fn start() -> io::Result<Self> {
        let program = tool("bin/minio")?;
        let (access_key, secret_key) = ("lifeboat".to_owned(), "lifeboat-secret".to_owned());
        let (server, address) = start(|home, address| {
            let mut command = in_own_home(&program, home);
            command
                .env("MINIO_ROOT_USER", &access_key)
                .env("MINIO_ROOT_PASSWORD", &secret_key)
                .env("MINIO_BROWSER", "off")
                .args(["server", "--quiet", "--address", &address.to_string()])
                .arg(home.join("data"));
            (command, "/minio/health/ready")
        })?;
        let data = server.home.join("data");
        Ok(Self { endpoint: format!("http://{address}"), address, access_key, secret_key, data, server })
    }

    /// Makes a bucket, without versioning or lock: `MinIO` takes every folder of its data folder for one.
    pub fn create_bucket(&self, name: &str) -> io::Result<()> {
        std::fs::create_dir(self.data.join(name))
    }

    /// The folder that it keeps everything in.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// What the server printed, for a test that failed.
    pub fn log(&self) -> String {
        self.server.log()
    }
}

/// A `LocalStack` server of this test's own, with S3 only: it checks no signature, and answers with S3's own error codes.
#[derive(Debug)]
pub struct LocalStack {
    /// `http://127.0.0.1:<port>`.
    pub endpoint: String,
    /// Where it listens.
    pub address: SocketAddr,
    server: Server,
}

impl LocalStack {
    /// Starts a server and waits until it is ready. Fails, naming `make setup`, where it is not installed.
    pub fn start() -> io::Result<Self> {
        let python = tool("localstack/bin/python")?;
        let (server, address) = start(|home, address| {
            let mut command = in_own_home(&python, home);
            command
                .env("TMPDIR", home)
                .env("FILESYSTEM_ROOT", home.join("fs"))
                .env("GATEWAY_SERVER", "hypercorn")
                .env("GATEWAY_LISTEN", address.to_string())
                .env("SERVICES", "s3")
                .envs(
                    ["STRICT_SERVICE_LOADING", "EAGER_SERVICE_LOADING", "SKIP_SSL_CERT_DOWNLOAD", "DISABLE_EVENTS"]
                        .map(|name| (name, "1")),
                )
                .envs(["DNS_ADDRESS", "OVERRIDE_IN_DOCKER"].map(|name| (name, "0")))
                .args(["-m", "localstack.runtime.main"]);
            (command, "/_localstack/health")
        })?;
        Ok(Self { endpoint: format!("http://{address}"), address, server })
    }

    /// Makes a bucket. Asked again where a busy server closes the connection without an answer: a second PUT of one's
    /// own bucket is fine.
    pub fn create_bucket(&self, name: &str) -> io::Result<()> {
        let ask = || request(self.address, "PUT", &format!("/{name}"), Duration::from_secs(30));
        let status = ask().or_else(|_| ask()).or_else(|_| ask())?;
        if status == 200 { Ok(()) } else { Err(io::Error::other(format!("create bucket {name}: HTTP {status}"))) }
    }

    /// What the server printed, for a test that failed.
    pub fn log(&self) -> String {
        self.server.log()
    }
}

/// A running server and its keeper. When the keeper's standard input ends, because this is dropped or because the test
/// process died in whatever way, the keeper kills the server and removes its folder. Statics are never dropped, so
/// nothing less would do.
#[derive(Debug)]
struct Server {
    home: PathBuf,
    keeper: Child,
}

/// Arguments: the server's folder, then its program and arguments.
const KEEPER: &str = r#"
home=$1
shift
trap : INT TERM HUP
(
    setpriv --pdeathsig KILL -- "$@" </dev/null &
    echo $! >"$home/pid"
    wait
    : >"$home/exited"
) &
cat >/dev/null
kill -KILL "$(cat "$home/pid")" 2>/dev/null
wait
cd / && rm -rf "$home"
"#;

impl Server {
    fn log(&self) -> String {
        std::fs::read_to_string(self.home.join("log")).unwrap_or_default()
    }

    fn has_exited(&self) -> bool {
        self.home.join("exited").exists()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // It has nothing to report that a test could use.
        let _ = self.keeper.wait();
    }
}

fn tool(path: &str) -> io::Result<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let tools = std::env::var_os("LIFEBOAT_TOOLS").map_or_else(|| workspace.join(".tools"), PathBuf::from);
    let program = tools.join(path);
    if program.exists() {
        return Ok(program);
    }
    Err(io::Error::new(io::ErrorKind::NotFound, format!("{} is missing: run `make setup`", program.display())))
}

/// A server's command line and environment, and nothing of ours.
fn in_own_home(program: &Path, home: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", KEEPER, "keeper"]).arg(home).arg(program);
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", home).current_dir(home);
    command
}

/// Starts a server on a free port and waits for its health page. Another process may take the port before the server
/// does; then another is tried.
fn start(command: impl Fn(&Path, SocketAddr) -> (Command, &'static str)) -> io::Result<(Server, SocketAddr)> {
    let mut last = io::Error::other("no attempt was made");
    for _ in 0..3 {
        let address = free_address()?;
        let home = tempfile::Builder::new().prefix("lifeboat-server-").tempdir()?;
        let (mut command, health) = command(home.path(), address);
        let log = std::fs::File::create(home.path().join("log"))?;
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        let keeper = command.spawn()?;
        let server = Server { home: home.keep(), keeper };
        match wait_until_ready(address, health, &server) {
            Ok(()) => return Ok((server, address)),
            Err(e) => last = io::Error::new(e.kind(), format!("{e}; the server's last words: {}", server.log())),
        }
    }
    Err(last)
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn wait_until_ready(address: SocketAddr, health: &str, server: &Server) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if matches!(request(address, "GET", health, Duration::from_secs(2)), Ok(200)) {
            return Ok(());
        }
        if server.has_exited() {
            return Err(io::Error::other("the server ended at once"));
        }
        thread::sleep(PAUSE);
    }
    Err(io::Error::new(
        io::ErrorKind::TimedOut,
        format!("no answer from {address}{health} within {} s", PATIENCE.as_secs()),
    ))
}

/// The status of one bare HTTP request.
fn request(address: SocketAddr, method: &str, path: &str, limit: Duration) -> io::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    let status = answer.rsplit(|byte| *byte == b' ').next().and_then(|status| std::str::from_utf8(status).ok());
    status.and_then(|status| status.parse().ok()).ok_or_else(|| io::Error::other("the answer is no HTTP"))
}
