//! Lambda by cargo-lambda: `cargo lambda watch` for the runtime API, and the built programs beside it.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    cluster::{repository, tools},
    program::{built, wait_until},
};

/// The emulator, and every process of a function that was started beside it. All end with this value.
pub struct Functions {
    port: u16,
    processes: Vec<Child>,
    folder: TempDir,
    environment: Vec<(String, String)>,
}

/// What an invocation came to.
#[derive(Debug)]
pub enum Invoked {
    /// The function's answer.
    Answer(Value),
    /// Lambda's error: its type, then its message, without the line breaks that a terminal gets.
    Error(String),
}

impl Functions {
    /// Starts the runtime API; functions will have this environment, and files that they need in this folder.
    pub fn start(folder: TempDir, environment: Vec<(String, String)>) -> Result<Self> {
        let mut functions = Self { port: 0, processes: Vec::new(), folder, environment };
        functions.start_emulator()?;
        Ok(functions)
    }

    fn start_emulator(&mut self) -> Result<()> {
        // Somebody else may be faster with the port; then another is tried.
        for _ in 0..3 {
            self.port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            let port = self.port.to_string();
            let mut command = cargo_lambda()?;
            command.args(["lambda", "watch", "--only-lambda-apis", "--invoke-address", "127.0.0.1", "--invoke-port"]);
            command.arg(&port).current_dir(repository());
            let emulator = self.spawn(&mut command, "emulator.log")?;
            let mut ended = false;
            wait_until("the runtime API answers", Duration::from_mins(1), || {
                ended = self.processes[emulator].try_wait()?.is_some();
                Ok(ended || TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok())
            })?;
            if !ended {
                return Ok(());
            }
        }
        bail!("the runtime API does not start: {}", self.log("emulator.log"))
    }

    /// Starts so many processes of a function: as many requests are worked on at the same time.
    pub fn serve(&mut self, function: &str, processes: usize, further: &[(&str, &str)]) -> Result<()> {
        for number in 0..processes {
            let api = format!("http://127.0.0.1:{}/.rt/{function}", self.port);
            let mut command = self.process(function, &api, further)?;
            self.spawn(&mut command, &format!("{function}-{number}.log"))?;
        }
        Ok(())
    }

    /// A process of a function, which asks this runtime API for work.
    fn process(&self, function: &str, api: &str, further: &[(&str, &str)]) -> Result<Command> {
        let mut command = ending_with_this_process();
        command
            .arg(built(function)?)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .envs(further.iter().copied())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("AWS_LAMBDA_RUNTIME_API", api)
            .env("AWS_LAMBDA_FUNCTION_NAME", function)
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "group")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "stream");
        Ok(command)
    }

    fn spawn(&mut self, command: &mut Command, log: &str) -> Result<usize> {
        let log = File::create(self.folder.path().join(log))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.processes.push(command.spawn().with_context(|| format!("start {command:?}"))?);
        Ok(self.processes.len() - 1)
    }

    /// The environment of every function.
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// Writes a file into the functions' folder.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        fs::write(self.folder.path().join(name), text).with_context(|| format!("write {name}"))
    }

    /// What a process printed.
    pub fn log(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    /// Invokes a function with one of the events of the repository.
    pub fn invoke(&self, function: &str, event: &str) -> Result<Invoked> {
        let file = repository().join("events").join(function).join(event);
        self.invoke_with(function, &["--data-file", &file.display().to_string()])
    }

    /// The answers of so many deliveries of one event at once, for which AWS would start as many instances.
    pub fn invoke_at_once(&self, function: &str, event: &str, deliveries: usize) -> Result<Vec<Value>> {
        std::thread::scope(|scope| {
            let begun: Vec<_> = std::iter::repeat_with(|| scope.spawn(|| self.invoke(function, event)?.answer()))
                .take(deliveries)
                .collect();
            begun.into_iter().map(|delivery| delivery.join().map_err(|_| anyhow!("a delivery panicked"))?).collect()
        })
    }

    /// Invokes a function with an event made up.
    pub fn invoke_made_up(&self, function: &str, event: &str) -> Result<Invoked> {
        self.invoke_with(function, &["--data-ascii", event])
    }

    /// The answer of a process of its own to a delivery under an id that may have come before: the emulator makes up each.
    pub fn deliver(&self, function: &str, further: &[(&str, &str)], request_id: &str, event: &Value) -> Result<Value> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let mut command = self.process(function, &format!("http://{}", listener.local_addr()?), further)?;
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let answer = one_invocation(&listener, request_id, event);
        drop(process.kill());
        drop(process.wait());
        answer
    }

    fn invoke_with(&self, function: &str, data: &[&str]) -> Result<Invoked> {
        let mut command = cargo_lambda()?;
        command.args(["lambda", "invoke", "--invoke-address", "127.0.0.1", "--invoke-port", &self.port.to_string()]);
        let output = command.arg(function).args(data).output().context("start cargo lambda invoke")?;
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() {
            let answer = serde_json::from_str(&stdout).with_context(|| format!("no JSON: {stdout}{stderr}"))?;
            return Ok(Invoked::Answer(answer));
        }
        let words = stderr.split(|c: char| c.is_whitespace() || c == '│' || c == '×').filter(|word| !word.is_empty());
        Ok(Invoked::Error(words.collect::<Vec<_>>().join(" ")))
    }
}

impl Drop for Functions {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // One that has ended by itself needs no signal.
            drop(process.kill());
            drop(process.wait());
        }
    }
}

impl Invoked {
    /// The answer; an error fails.
    pub fn answer(self) -> Result<Value> {
        match self {
            Self::Answer(answer) => Ok(answer),
            Self::Error(error) => bail!("the function failed: {error}"),
        }
    }

    /// Lambda's error with this type; anything else fails.
    pub fn error(self, kind: &str) -> Result<String> {
        match self {
            Self::Answer(answer) => bail!("the function did not fail: {answer:#}"),
            Self::Error(error) => {
                ensure!(error.starts_with(&format!("Error: {kind} ")), "not a {kind}: {error}");
                Ok(error)
            }
        }
    }
}

/// Lambda's runtime API for one invocation: hands it out, and gives the answer to it; an error of the function fails.
fn one_invocation(listener: &TcpListener, request_id: &str, event: &Value) -> Result<Value> {
    let event = event.to_string();
    listener.set_nonblocking(true)?;
    loop {
        let mut called = None;
        wait_until("the function calls the runtime API", Duration::from_mins(2), || match listener.accept() {
            Ok((stream, _)) => {
                called = Some(stream);
                Ok(true)
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(e) => Err(e.into()),
        })?;
        let mut stream = called.context("a call")?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(Duration::from_mins(1)))?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let (mut asked, mut length) = (String::new(), 0);
        reader.read_line(&mut asked)?;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let Some((name, value)) = header.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        if asked.starts_with("GET") {
            // The deadline is one of long ago, as the emulator's is.
            let (head, length) =
                ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json", event.len());
            let of = "Lambda-Runtime-Deadline-Ms: 600000\r\nLambda-Runtime-Invoked-Function-Arn: arn";
            let id = format!("Lambda-Runtime-Aws-Request-Id: {request_id}");
            write!(stream, "{head}\r\n{of}\r\n{id}\r\nContent-Length: {length}\r\n\r\n{event}")?;
            continue;
        }
        write!(stream, "HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")?;
        let document: Value =
            serde_json::from_slice(&body).with_context(|| format!("no JSON: {}", String::from_utf8_lossy(&body)))?;
        ensure!(asked.contains("/response"), "the function failed: {document:#}");
        return Ok(document);
    }
}

fn cargo_lambda() -> Result<Command> {
    let program = tools().join("bin/cargo-lambda");
    ensure!(program.exists(), "{} is missing: run `make setup`", program.display());
    let mut command = ending_with_this_process();
    command.arg(Path::new(&program).canonicalize()?);
    Ok(command)
}

/// However this process ends, none that it started stays.
fn ending_with_this_process() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]);
    command
}
