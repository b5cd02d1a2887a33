//! Starts `MinIO`, `LocalStack`, RDS and the sinks for tests, on free ports of 127.0.0.1, and stops them with the test
//! process at the latest.

mod rds;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::http::{Answer, again, request};

pub use rds::Rds;

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
        Self::start_with(&[])
    }

    /// The same with further environment variables, which are its settings.
    pub fn start_with(settings: &[(&str, &str)]) -> io::Result<Self> {
        let program = tool("bin/minio")?;
        let (access_key, secret_key) = ("lifeboat".to_owned(), "lifeboat-secret".to_owned());
        let (server, address) = start(|home, address| {
            let mut command = in_own_home(&program, home);
            command
                .env("MINIO_ROOT_USER", &access_key)
                .env("MINIO_ROOT_PASSWORD", &secret_key)
                .env("MINIO_BROWSER", "off")
                .envs(settings.iter().copied())
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

/// The services of `LocalStack`; each is loaded by the first request to it, which takes a second or two.
const SERVICES: &str =
    "s3,sns,sqs,events,lambda,secretsmanager,iam,sts,logs,cloudwatch,stepfunctions,kms,ssm,cloudformation,ec2";

/// A `LocalStack` server of this test's own: it checks no signature, answers with S3's own error codes, and runs Lambda
/// functions as processes of this machine, which end with it.
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
        let program = tool("bin/localstack")?;
        let (server, address) = start(|home, address| {
            let mut command = in_own_home(&program, home);
            command
                .env("TMPDIR", home)
                .env("FILESYSTEM_ROOT", home.join("fs"))
                .env("GATEWAY_SERVER", "hypercorn")
                .env("GATEWAY_LISTEN", address.to_string())
                .env("SERVICES", SERVICES)
                .env("LAMBDA_RUNTIME_EXECUTOR", "process")
                .env("PYTHONPATH", workspace().join("tests/stack/localstack-plugin"))
                .env("LAMBDA_KILL_FOLDER", home.join("kills"))
                // A minute on AWS. An asynchronous invocation that failed is repeated after it.
                .env("LAMBDA_RETRY_BASE_DELAY", "1")
                .envs(
                    ["STRICT_SERVICE_LOADING", "SKIP_SSL_CERT_DOWNLOAD", "DISABLE_EVENTS", "PYTHONDONTWRITEBYTECODE"]
                        .map(|name| (name, "1")),
                )
                .envs(["DNS_ADDRESS", "OVERRIDE_IN_DOCKER"].map(|name| (name, "0")));
            (command, "/_localstack/health")
        })?;
        Ok(Self { endpoint: format!("http://{address}"), address, server })
    }

    /// Lets the next invocation be killed whose payload has all these texts: `"before"` it does anything, `"after"` it has
    /// done everything but answer, or so many seconds after it began. `name` is the order's own.
    pub fn kill_invocation(&self, name: &str, with: &[&str], when: &str) -> io::Result<()> {
        let folder = self.server.home.join("kills");
        std::fs::create_dir_all(&folder)?;
        let quoted = |text: &&str| format!("{text:?}");
        let texts = with.iter().map(quoted).collect::<Vec<_>>().join(", ");
        let when = if when.parse::<f64>().is_ok() { when.to_owned() } else { quoted(&when) };
        // Appears at once and whole.
        let new = folder.join(format!("{name}.new"));
        std::fs::write(&new, format!("{{\"with\": [{texts}], \"when\": {when}}}"))?;
        std::fs::rename(new, folder.join(format!("{name}.json")))
    }

    /// Whether an order to kill has not been carried out yet.
    pub fn kill_is_pending(&self, name: &str) -> bool {
        self.server.home.join("kills").join(format!("{name}.json")).exists()
    }

    /// Makes a bucket. A second PUT of one's own bucket is fine.
    pub fn create_bucket(&self, name: &str) -> io::Result<()> {
        let status =
            again(|| request(self.address, "PUT", &format!("/{name}"), &[], &[], Duration::from_secs(30)))?.status;
        if status == 200 { Ok(()) } else { Err(io::Error::other(format!("create bucket {name}: HTTP {status}"))) }
    }

    /// What the server printed, for a test that failed.
    pub fn log(&self) -> String {
        self.server.log()
    }
}

/// A mail server and a receiver of webhooks; `tests/stack/sinks.py` says what they can be told and asked.
#[derive(Debug)]
pub struct Sinks {
    /// `http://127.0.0.1:<port>`: webhooks go to any path of it but those of its own.
    pub endpoint: String,
    /// Where mail goes, without TLS; any user and password do.
    pub smtp: SocketAddr,
    address: SocketAddr,
    server: Server,
}

impl Sinks {
    /// Starts both and waits until they are ready. Fails, naming `make setup`, where they are not installed.
    pub fn start() -> io::Result<Self> {
        let program = tool("bin/sinks-python")?;
        let (server, address) = start(|home, address| {
            let mut command = in_own_home(&program, home);
            command.arg(workspace().join("tests/stack/sinks.py"));
            command.args(["--http", &address.to_string(), "--folder"]).arg(home.join("received"));
            (command, "/health")
        })?;
        let health = request(address, "GET", "/health", &[], &[], Duration::from_secs(5))?.text();
        let smtp = health.split('"').find_map(|word| word.parse().ok());
        let smtp = smtp.ok_or_else(|| io::Error::other(format!("the sinks name no address for mail: {health}")))?;
        Ok(Self { endpoint: format!("http://{address}"), smtp, address, server })
    }

    /// Asks or tells the sinks something, such as `GET /messages?to=ann@example.org`, or `POST /fail?times=2`.
    pub fn ask(&self, method: &str, path: &str) -> io::Result<Answer> {
        request(self.address, method, path, &[], &[], Duration::from_secs(10))
    }

    /// What the server printed, for a test that failed.
    pub fn log(&self) -> String {
        self.server.log()
    }
}

/// SES, as moto has it: `LocalStack`'s community edition lacks its version 2. It takes mail of verified senders only, and
/// sends nothing.
#[derive(Debug)]
pub struct Ses {
    /// `http://127.0.0.1:<port>`.
    pub endpoint: String,
    /// Where it listens.
    pub address: SocketAddr,
    server: Server,
}

impl Ses {
    /// Starts it and waits until it is ready. Fails, naming `make setup`, where it is not installed.
    pub fn start() -> io::Result<Self> {
        let program = tool("bin/moto-python")?;
        let (server, address) = start(|home, address| {
            let mut command = in_own_home(&program, home);
            let (host, port) = (address.ip().to_string(), address.port().to_string());
            command.args(["-m", "moto.server", "--host", &host, "--port", &port]);
            (command, "/moto-api/data.json")
        })?;
        Ok(Self { endpoint: format!("http://{address}"), address, server })
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

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn tool(path: &str) -> io::Result<PathBuf> {
    let tools = std::env::var_os("LIFEBOAT_TOOLS").map_or_else(|| workspace().join(".tools"), PathBuf::from);
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

pub(crate) fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn wait_until_ready(address: SocketAddr, health: &str, server: &Server) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if matches!(request(address, "GET", health, &[], &[], Duration::from_secs(2)), Ok(answer) if answer.status == 200)
        {
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
