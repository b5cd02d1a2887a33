//! Who runs a server: PostgreSQL refuses root, so root lends it an unprivileged account.

use std::{fs, os::unix::fs::chown, path::Path};

use lifeboat_core::{Error, ErrorKind, Result, ResultExt};
use tokio::process::Command;

/// The account that PostgreSQL's packages make.
const USUAL: &str = "postgres";

/// Another account than our own, or none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Account(Option<(u32, u32)>);

impl Account {
    /// Our own account, unless that is root.
    pub(super) fn choose(wanted: Option<&str>) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self(None));
        }
        let name = wanted.unwrap_or(USUAL);
        let accounts = fs::read_to_string("/etc/passwd").or_error(ErrorKind::Config, "read /etc/passwd")?;
        let hint = "make an account for it: `useradd --system postgres`, or run Lifeboat as an ordinary user";
        match find(&accounts, name) {
            Some((0, _)) => {
                Err(Error::new(ErrorKind::Config, format!("a server cannot run as '{name}', which is root"))
                    .with_hint(hint))
            }
            Some(ids) => Ok(Self(Some(ids))),
            None => Err(Error::new(
                ErrorKind::Config,
                format!("a server cannot run as root, and there is no account '{name}' to run it"),
            )
            .with_hint(hint)),
        }
    }

    /// Gives it a file or folder.
    pub(super) fn own(self, path: &Path) -> Result<()> {
        match self.0 {
            Some((user, group)) => chown(path, Some(user), Some(group))
                .or_error(ErrorKind::Config, format!("give {} to the server's account", path.display())),
            None => Ok(()),
        }
    }

    /// Lets it run a command.
    pub(super) fn run(self, command: &mut Command) {
        if let Some((user, group)) = self.0 {
            command.uid(user).gid(group);
        }
    }
}

/// User and group of an account in the format of /etc/passwd.
fn find(accounts: &str, name: &str) -> Option<(u32, u32)> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then_some(())?;
        let user = fields.nth(1)?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        Some((user, group))
    })
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let accounts =
            "root:x:0:0:root:/root:/bin/bash\npostgres2:x:7:8::/:/bin/sh\npostgres:x:101:104::/var:/bin/sh\n";
        assert_eq!(find(accounts, "postgres"), Some((101, 104)));
        assert_eq!(find(accounts, "post"), None);
    }
}
