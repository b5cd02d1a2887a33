//! The environment, read once and in one place, so that everything else can be given one in tests.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use lifeboat_core::{Error, ErrorKind, Result};

/// Variables that client tools may see, because they may need them to run at all.
const INHERITED: [&str; 9] = [
    "HOME",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "KRB5CCNAME",
    "TZDIR",
    "USER",
];

/// The environment of a process. Empty variables count as not set, as shells and container files leave them.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// This process's.
    pub fn of_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// Made up.
    pub fn of<const N: usize>(variables: [(&str, &str); N]) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// A variable as the system has it.
    pub fn raw(&self, name: &str) -> Option<&OsString> {
        self.0.get(&OsString::from(name)).filter(|value| !value.is_empty())
    }

    /// A variable as text; `Config` where it is not UTF-8.
    pub fn text(&self, name: &str) -> Result<Option<String>> {
        let Some(value) = self.raw(name) else { return Ok(None) };
        match value.to_str() {
            Some(text) => Ok(Some(text.to_owned())),
            None => Err(Error::new(ErrorKind::Config, format!("the variable {name} is not UTF-8"))),
        }
    }

    /// Sets a variable, for whoever is given this environment.
    pub(crate) fn set(&mut self, name: &str, value: &OsStr) {
        self.0.insert(name.into(), value.to_owned());
    }

    /// A variable as a path.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.raw(name).map(PathBuf::from)
    }

    /// What client tools may see of it, `PATH` aside.
    pub fn inherited(&self) -> Vec<(OsString, OsString)> {
        INHERITED.iter().filter_map(|name| Some((OsString::from(name), self.raw(name)?.clone()))).collect()
    }
}

/// Names only: values may be secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_is_not_set() {
        let environment = Environment::of([("LIFEBOAT_STORE", ""), ("HOME", "/home/ann")]);
        assert_eq!(environment.text("LIFEBOAT_STORE").unwrap(), None);
        assert_eq!(environment.inherited(), [("HOME".into(), "/home/ann".into())]);
    }

    #[test]
    fn printing_it_shows_no_value() {
        let environment = Environment::of([("PGPASSWORD", "hunter2")]);
        assert!(!format!("{environment:?}").contains("hunter2"));
    }
}
