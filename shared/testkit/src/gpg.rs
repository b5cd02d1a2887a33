//! The stock program `gpg` with a home of its own: makes keys of every sort, and opens what was sealed to them.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

/// A home of keys. Its agent ends with it.
pub struct Gpg {
    home: TempDir,
    /// By which secret keys are locked; empty: they are not.
    passphrase: String,
}

impl Gpg {
    /// An empty one, whose keys are not locked.
    ///
    /// # Errors
    /// If there is no room for it.
    pub fn new() -> io::Result<Self> {
        Self::locked_by("")
    }

    /// An empty one, whose keys are locked by a passphrase.
    ///
    /// # Errors
    /// If there is no room for it.
    pub fn locked_by(passphrase: &str) -> io::Result<Self> {
        Ok(Self { home: tempfile::Builder::new().prefix("gpg").tempdir()?, passphrase: passphrase.to_owned() })
    }

    /// Its folder.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The program with these arguments, asking nobody.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("gpg");
        command
            .env("GNUPGHOME", self.home.path())
            .args(["--batch", "--yes", "--no-tty", "--pinentry-mode", "loopback", "--passphrase", &self.passphrase])
            .args(arguments);
        command
    }

    /// Runs it with something on its standard input; gives what it writes.
    ///
    /// # Errors
    /// If it cannot be started, or fails: then with what it said.
    pub fn run(&self, arguments: &[&str], input: &[u8]) -> io::Result<Vec<u8>> {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let stdin = child.stdin.take();
        let input = input.to_vec();
        let writing = std::thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&input)));
        let Output { status, stdout, stderr } = child.wait_with_output()?;
        // Whoever has read enough closes it.
        drop(writing.join());
        if status.success() {
            return Ok(stdout);
        }
        Err(io::Error::other(format!("gpg {arguments:?}: {}", String::from_utf8_lossy(&stderr))))
    }

    /// Makes a key with a part for encryption, `ed25519` and `cv25519` or `rsa2048`, each with an end such as `1y` or
    /// `never`; gives its fingerprint. `at`: the time of its making, as `20200101T000000`, else now.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn key(&self, user: &str, kind: (&str, &str), ends: (&str, &str), at: Option<&str>) -> io::Result<String> {
        let time = at.map(|at| format!("{at}!"));
        let faked: Vec<&str> = time.as_deref().map_or_else(Vec::new, |time| vec!["--faked-system-time", time]);
        let make = ["--quick-generate-key", user, kind.0, "cert", ends.0];
        self.run(&[&faked[..], &make[..]].concat(), b"")?;
        let listed = self.run(&["--with-colons", "--list-keys", user], b"")?;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let fingerprint = listed.lines().find_map(|line| line.strip_prefix("fpr:")).unwrap_or_default();
        let fingerprint = fingerprint.trim_matches(':').to_owned();
        self.run(&[&faked[..], &["--quick-add-key", &fingerprint, kind.1, "encr", ends.1][..]].concat(), b"")?;
        Ok(fingerprint)
    }

    /// A key as most people have it: without an end, on the curves.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn usual_key(&self, user: &str) -> io::Result<String> {
        self.key(user, ("ed25519", "cv25519"), ("never", "never"), None)
    }

    /// Revokes a key as a whole, by the certificate that was made with it.
    ///
    /// # Errors
    /// If it is not there.
    pub fn revoke(&self, fingerprint: &str) -> io::Result<()> {
        let path = self.home.path().join("openpgp-revocs.d").join(format!("{fingerprint}.rev"));
        // A colon keeps it from being used by mistake.
        let certificate = fs::read_to_string(path)?.replace(":-----BEGIN", "-----BEGIN");
        self.run(&["--import"], certificate.as_bytes()).map(drop)
    }

    /// Revokes the part of a key that encrypts.
    ///
    /// # Errors
    /// If it cannot be revoked.
    pub fn revoke_part(&self, fingerprint: &str) -> io::Result<()> {
        let answers = b"key 1\nrevkey\ny\n0\n\ny\nsave\n";
        self.run(&["--no-batch", "--command-fd", "0", "--edit-key", fingerprint], answers).map(drop)
    }

    /// The public half of a key, as text.
    ///
    /// # Errors
    /// If it is not there.
    pub fn public(&self, fingerprint: &str) -> io::Result<String> {
        self.run(&["--armor", "--export", fingerprint], b"").map(|bytes| text(&bytes))
    }

    /// The secret half of a key, as text, locked as it is.
    ///
    /// # Errors
    /// If it is not there.
    pub fn secret(&self, fingerprint: &str) -> io::Result<String> {
        self.run(&["--armor", "--export-secret-keys", fingerprint], b"").map(|bytes| text(&bytes))
    }

    /// Opens what was sealed to a key in here.
    ///
    /// # Errors
    /// If it does not open it.
    pub fn open(&self, sealed: &[u8]) -> io::Result<Vec<u8>> {
        self.run(&["--decrypt"], sealed)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let mut end = Command::new("gpgconf");
        drop(end.env("GNUPGHOME", self.home.path()).args(["--kill", "all"]).output());
    }
}
