//! Keys of every kind, the right one and those that open nothing.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use lifeboat_testkit::Gpg;
use lifeboat_tests::Lifeboat;

/// How a test's backups are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Age,
    OpenPgp,
    Passphrase,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Age, Self::OpenPgp, Self::Passphrase];

    /// What stands behind the names of objects.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Age | Self::Passphrase => ".age",
            Self::OpenPgp => ".gpg",
        }
    }
}

/// A secret that opens backups, or something that does not.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// As `--identity` takes it.
    pub(super) file: Option<PathBuf>,
    /// As `--encrypt-to` takes it.
    pub(super) to: Option<String>,
    /// How manifests call it.
    pub(super) id: String,
    /// What is in the environment.
    pub(super) environment: Vec<(&'static str, String)>,
}

/// What a key that opens nothing is, and the key, if there is one.
pub(super) type Wrong = (&'static str, Option<Key>);

impl Key {
    fn of_file(file: PathBuf) -> Self {
        Self { file: Some(file), to: None, id: String::new(), environment: Vec::new() }
    }

    /// A passphrase.
    pub(super) fn passphrase(text: &str) -> Self {
        let environment = vec![("LIFEBOAT_PASSPHRASE", text.to_owned())];
        Self { file: None, to: None, id: "LIFEBOAT_PASSPHRASE".to_owned(), environment }
    }

    /// A key of `age` that the program made.
    pub(super) fn make(folder: &Path, name: &str) -> Result<Self> {
        let file = folder.join(name);
        let made = Lifeboat::new(["keys", "new"]).args([&file]).json()?;
        let public = made["public_key"].as_str().context("no public key was printed")?.to_owned();
        Ok(Self { to: Some(public.clone()), id: public, ..Self::of_file(file) })
    }

    /// Both halves of a key of gpg's as it has them now.
    pub(super) fn export(gpg: &Gpg, id: &str, folder: &Path, name: &str) -> Result<Self> {
        let (file, public) = (folder.join(name), folder.join(format!("{name}.public")));
        fs::write(&file, gpg.secret(id)?)?;
        fs::write(&public, gpg.public(id)?)?;
        let to = public.to_str().context("a path that is text")?.to_owned();
        Ok(Self { to: Some(to), id: id.to_owned(), ..Self::of_file(file) })
    }

    pub(super) fn with(mut self, variable: &'static str, value: &str) -> Self {
        self.environment.push((variable, value.to_owned()));
        self
    }

    /// The right key of a kind, and keys that open nothing of it, each with what it is.
    pub(super) fn right_and_wrong(kind: Kind, folder: &Path) -> Result<(Self, Vec<Wrong>)> {
        let broken = folder.join("broken.key");
        fs::write(&broken, "AGE-SECRET-KEY-1 is missing\n")?;
        let mut wrong = vec![
            ("none", None),
            ("of another age", Some(Self::make(folder, "wrong.key")?)),
            ("broken", Some(Self::of_file(broken))),
            ("nowhere", Some(Self::of_file(folder.join("nowhere.key")))),
        ];
        let right = match kind {
            Kind::Age => Self::make(folder, "right.key")?,
            Kind::Passphrase => {
                wrong.truncate(1);
                wrong.push(("another", Some(Self::passphrase("battery staple"))));
                Self::passphrase("correct horse")
            }
            Kind::OpenPgp => {
                let (gpg, strange) = (Gpg::locked_by("correct horse")?, Gpg::new()?);
                let id = gpg.usual_key("Right <right@example.com>")?;
                let right = Self::export(&gpg, &id, folder, "right.asc")?;
                wrong.push(("locked", Some(right.clone())));
                let guessed = right.clone().with(UNLOCK, "battery staple");
                wrong.push(("locked by another passphrase", Some(guessed)));
                let stranger = strange.usual_key("Wrong <wrong@example.com>")?;
                wrong.push(("of another person", Some(Self::export(&strange, &stranger, folder, "wrong.asc")?)));
                // What is said of a key later holds for what was sealed to it before.
                gpg.run(&["--quick-set-expire", &id, "seconds=1"], b"")?;
                let expired = Self::export(&gpg, &id, folder, "expired.asc")?.with(UNLOCK, "correct horse");
                gpg.revoke(&id)?;
                let revoked = Self::export(&gpg, &id, folder, "revoked.asc")?.with(UNLOCK, "correct horse");
                wrong.extend([("expired", Some(expired)), ("revoked", Some(revoked))]);
                right.with(UNLOCK, "correct horse")
            }
        };
        Ok((right, wrong))
    }
}

/// The variable of the passphrase by which secret keys are locked.
const UNLOCK: &str = "LIFEBOAT_IDENTITY_PASSPHRASE";
