//! Lambda by cargo-lambda: `cargo lambda watch` for the runtime API, and the built programs beside it.

use std::{
    fs::{self, File},
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
            let mut command = ending_with_this_process();
            command
                .arg(built(function)?)
                .env_clear()
                .envs(self.environment.iter().map(|(name, value)| (name, value)))
                .envs(further.iter().copied())
                .env("PATH", std::env::var_os("PATH").unwrap_or_default())
                .env("AWS_LAMBDA_RUNTIME_API", format!("http://127.0.0.1:{}/.rt/{function}", self.port))
                .env("AWS_LAMBDA_FUNCTION_NAME", function)
                .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024")
                .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
                .env("AWS_LAMBDA_LOG_GROUP_NAME", "group")
                .env("AWS_LAMBDA_LOG_STREAM_NAME", "stream");
            self.spawn(&mut command, &format!("{function}-{number}.log"))?;
        }
        Ok(())
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
