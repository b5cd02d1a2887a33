//! `make cold-start`: how long each function takes from its start until it asks Lambda for work, and how large it is.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lifeboat_tests::program::built;

/// What a function has to be faster than.
const LIMIT: Duration = Duration::from_millis(50);
const ROUNDS: usize = 21;

#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
fn main() -> Result<()> {
    let functions: Vec<String> = std::env::args().skip(1).collect();
    ensure!(!functions.is_empty(), "name the functions to measure");
    println!("| function | size MB | to the first /next: median ms | most ms |");
    println!("|---|---|---|---|");
    let mut slow = Vec::new();
    for function in functions {
        let program = built(&function)?;
        let size = std::fs::metadata(&program)?.len();
        let mut times = (0..ROUNDS).map(|_| once(&program)).collect::<Result<Vec<_>>>()?;
        times.sort();
        let (median, most) = (times[ROUNDS / 2], times[ROUNDS - 1]);
        let tenths = |bytes: u64| format!("{}.{}", bytes / 1_000_000, bytes / 100_000 % 10);
        println!("| {function} | {} | {:.1} | {:.1} |", tenths(size), milliseconds(median), milliseconds(most));
        if median > LIMIT {
            slow.push(function);
        }
    }
    ensure!(slow.is_empty(), "slower than {} ms: {}", LIMIT.as_millis(), slow.join(", "));
    Ok(())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Starts it as Lambda does, with a runtime API of our own, and stops it when it asks for its first event.
fn once(program: &std::path::Path) -> Result<Duration> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let api = listener.local_addr()?.to_string();
    let mut command = Command::new(program);
    command.env_clear().envs([
        ("AWS_LAMBDA_RUNTIME_API", api.as_str()),
        ("AWS_LAMBDA_FUNCTION_NAME", "function"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "group"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "stream"),
    ]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let mut child = command.spawn().with_context(|| format!("start {}", program.display()))?;
    let asked = || {
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut request = [0; 1024];
        let read = stream.read(&mut request)?;
        let time = began.elapsed();
        let line = String::from_utf8_lossy(&request[..read]).lines().next().unwrap_or_default().to_owned();
        ensure!(line.contains("/runtime/invocation/next"), "it asked for {line}");
        stream.flush()?;
        Ok(time)
    };
    let time = asked();
    child.kill()?;
    child.wait()?;
    time
}
