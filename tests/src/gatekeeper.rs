//! Decides for a MinIO what each request may do, and remembers what was asked: MinIO's access management plugin.
//!
//! <https://min.io/docs/minio/linux/administration/identity-access-management/pluggable-authorization.html>

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Whether an action, such as `s3:DeleteObject`, is allowed.
type Rule = fn(&str) -> bool;

/// Listens until the process ends.
pub struct Gatekeeper {
    /// Where MinIO asks.
    pub url: String,
    held: Arc<Mutex<Held>>,
}

struct Held {
    rule: Rule,
    asked: BTreeSet<String>,
    refused: BTreeSet<String>,
}

impl Gatekeeper {
    /// Allows everything, for now.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen for MinIO")?;
        let url = format!("http://{}/", listener.local_addr()?);
        let held = Arc::new(Mutex::new(Held { rule: |_| true, asked: BTreeSet::new(), refused: BTreeSet::new() }));
        let shared = Arc::clone(&held);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // One that breaks off has its answer nowhere to go.
                thread::spawn(move || drop(answer(stream, &shared)));
            }
        });
        Ok(Self { url, held })
    }

    /// From now on only this is allowed, also to the server's own user; what was asked before is forgotten.
    pub fn allow(&self, rule: Rule) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Held { rule, asked: BTreeSet::new(), refused: BTreeSet::new() };
    }

    /// Every action that was asked for.
    pub fn asked(&self) -> BTreeSet<String> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).asked.clone()
    }

    /// Those that were refused.
    pub fn refused(&self) -> BTreeSet<String> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).refused.clone()
    }
}

fn answer(mut stream: TcpStream, held: &Mutex<Held>) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_mins(10)))?;
    // Connections are kept open by MinIO: one question after the other.
    let mut pending = Vec::new();
    loop {
        let Some(question) = question(&mut stream, &mut pending)? else { return Ok(()) };
        let action = question["input"]["action"].as_str().unwrap_or_default().to_owned();
        let allowed = {
            let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
            let allowed = action.is_empty() || (held.rule)(&action);
            if !allowed {
                held.refused.insert(action.clone());
            }
            held.asked.insert(action);
            allowed
        };
        let body = json!({ "result": allowed }).to_string();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
    }
}

/// The next question; `None` when there will be no more.
fn question(stream: &mut TcpStream, pending: &mut Vec<u8>) -> Result<Option<Value>> {
    let mut block = [0; 4096];
    loop {
        if let Some(end) = pending.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&pending[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            let whole = end + 4 + length.unwrap_or(0);
            if pending.len() >= whole {
                let question = serde_json::from_slice(&pending[end + 4..whole]).unwrap_or(Value::Null);
                pending.drain(..whole);
                return Ok(Some(question));
            }
        }
        match stream.read(&mut block)? {
            0 => return Ok(None),
            read => pending.extend_from_slice(&block[..read]),
        }
    }
}
