//! How a test's backup is encrypted, and what opens it by each of the ways back.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use lifeboat_testkit::Gpg;
use lifeboat_tests::Lifeboat;

/// What a passphrase must survive: spaces, quotation marks, and what a shell would run.
const PASSPHRASE: &str = "it's \"right\" $(touch lb_pwned)";

/// How.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Not at all.
    Not,
    /// To a key of `age`.
    Age,
    /// To a key of OpenPGP.
    OpenPgp,
    /// By a passphrase.
    Passphrase,
}

/// What opens it.
pub(super) enum Lock {
    Not,
    Age(PathBuf),
    OpenPgp(Gpg, PathBuf),
    Passphrase,
}

impl Lock {
    /// Makes a key in a folder, and adds to a database's configuration what encrypts to it.
    pub(super) fn make(kind: Kind, folder: &Path, config: &mut String) -> Result<Self> {
        let file = folder.join("kept.key");
        match kind {
            Kind::Not => return Ok(Self::Not),
            Kind::Age => {
                let made = Lifeboat::new(["keys", "new"]).args([&file]).json()?;
                let public = made["public_key"].as_str().context("no public key was printed")?;
                writeln!(config, "encrypt_to = [\"{public}\"]")?;
            }
            Kind::OpenPgp => {
                let gpg = Gpg::new()?;
                let key = gpg.usual_key("Kept <kept@example.com>")?;
                fs::write(&file, gpg.secret(&key)?)?;
                writeln!(config, "encrypt_to = ['''\n{}''']", gpg.public(&key)?)?;
                writeln!(config, "require_encryption = true")?;
                return Ok(Self::OpenPgp(gpg, file));
            }
            Kind::Passphrase => {
                writeln!(config, "require_encryption = true\npassphrase = {{ env = \"KEPT_PASSPHRASE\" }}")?;
                return Ok(Self::Passphrase);
            }
        }
        writeln!(config, "require_encryption = true")?;
        Ok(Self::Age(file))
    }

    /// What every call of the program has in its environment.
    pub(super) fn environment(&self) -> Option<(&'static str, &'static str)> {
        matches!(self, Self::Passphrase).then_some(("KEPT_PASSPHRASE", PASSPHRASE))
    }

    /// What opens the backup, as commands take it.
    pub(super) fn flags(&self) -> Vec<&str> {
        match self {
            Self::Age(file) | Self::OpenPgp(_, file) => {
                file.to_str().map_or_else(Vec::new, |file| vec!["--identity", file])
            }
            Self::Not | Self::Passphrase => Vec::new(),
        }
    }

    /// A shell that follows RESTORE.md, given what it says that it wants; a passphrase is typed, on a terminal.
    pub(super) fn follow(&self, mut shell: Command, script: &Path) -> Result<Command> {
        match self {
            Self::Not => {}
            Self::Age(file) => drop(shell.env("AGE_IDENTITY", file)),
            Self::OpenPgp(gpg, _) => drop(shell.env("GNUPGHOME", gpg.home())),
            Self::Passphrase => {
                let typed = script.with_extension("typed");
                fs::write(&typed, format!("{PASSPHRASE}\n"))?;
                let at_terminal = "exec script -qec 'exec sh \"$SCRIPT\"' /dev/null < \"$TYPED\"";
                shell.env("SCRIPT", script).env("TYPED", &typed).args(["-c", at_terminal]);
                return Ok(shell);
            }
        }
        shell.arg(script);
        Ok(shell)
    }
}
