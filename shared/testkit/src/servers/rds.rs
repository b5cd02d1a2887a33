//! Starts the RDS API of `tests/stack/rds`: real PostgreSQL behind each instance, and everything ends with the test process.

use std::{io, net::SocketAddr, time::Duration};

use super::{Server, in_own_home, start, tool, workspace};
use crate::http::{Answer, request};

/// The major versions that instances can have, where the tools have them.
const MAJORS: [u32; 4] = [15, 16, 17, 18];

/// An RDS API of this test's own; its documentation is in `tests/stack/rds/__main__.py`.
#[derive(Debug)]
pub struct Rds {
    /// `http://127.0.0.1:<port>`, for `AWS_ENDPOINT_URL_RDS`. Other services answer there too, Secrets Manager among them.
    pub endpoint: String,
    /// Where it listens.
    pub address: SocketAddr,
    server: Server,
}

impl Rds {
    /// Starts it and waits until it is ready. Passwords that RDS manages lie in the Secrets Manager at `secrets`, such as
    /// `LocalStack`'s; without one, in its own. Fails, naming `make setup`, where it is not installed.
    pub fn start(secrets: Option<&str>) -> io::Result<Self> {
        let program = tool("bin/moto-python")?;
        let mut programs = Vec::new();
        for major in MAJORS {
            // Links resolved, because the servers' account may not be able to enter a checkout.
            if let Ok(folder) = tool(&format!("postgresql/{major}/bin/postgres")).and_then(|p| p.canonicalize()) {
                let folder = folder.parent().unwrap_or(&folder).display();
                programs.push(format!("{major}={folder}"));
            }
        }
        let (server, address) = start(|home, address| {
            let mut command = in_own_home(&program, home);
            command.arg(workspace().join("tests/stack/rds")).args(["--listen", &address.to_string(), "--programs"]);
            command.args(&programs).env("PYTHONDONTWRITEBYTECODE", "1");
            if let Some(endpoint) = secrets {
                command.args(["--secrets", endpoint]);
            }
            (command, "/lifeboat/health")
        })?;
        Ok(Self { endpoint: format!("http://{address}"), address, server })
    }

    /// Asks or tells it something, such as `GET /lifeboat/instances`, or `POST /lifeboat/faults` with JSON.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> io::Result<Answer> {
        request(self.address, method, path, &[], body.as_bytes(), Duration::from_secs(30))
    }

    /// What the server printed, for a test that failed.
    pub fn log(&self) -> String {
        self.server.log()
    }
}
