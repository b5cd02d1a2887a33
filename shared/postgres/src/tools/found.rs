//! Folders that may hold PostgreSQL's programs, and what version each holds.

use std::{
    collections::HashSet,
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::process::Command;

/// A program that does not tell its version within this time is passed over.
const VERSION_WAIT: Duration = Duration::from_secs(20);

/// A folder with a complete set of programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) folder: PathBuf,
    /// Such as `15.18`, `18beta1`.
    pub(crate) version: String,
    pub(crate) major: u32,
}

/// The folders that hold every one of the programs, in the order given, each real folder once.
pub(crate) async fn complete(folders: &[PathBuf], programs: &[&str]) -> Vec<Found> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for folder in folders {
        // Where a program is a link (as /usr/local/bin/initdb often is), its folder of origin counts.
        let Some(first) = programs.first().and_then(|p| fs::canonicalize(folder.join(p)).ok()) else { continue };
        let Some(folder) = first.parent().map(Path::to_owned) else { continue };
        if !seen.insert(folder.clone()) || !programs.iter().all(|p| is_program(&folder.join(p))) {
            continue;
        }
        if let Some((version, major)) = version(&first).await {
            found.push(Found { folder, version, major });
        }
    }
    found
}

/// A folder itself, its `bin`, and those of the folders directly below it.
pub(crate) fn below(folder: &Path) -> Vec<PathBuf> {
    let mut folders = vec![folder.to_owned(), folder.join("bin")];
    folders.extend(children(folder).into_iter().map(|child| child.join("bin")));
    folders
}

/// The folders that a pattern with at most one `*` stands for.
pub(crate) fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else { return vec![PathBuf::from(pattern)] };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let fits = |child: &PathBuf| child.file_name().is_some_and(|n| n.to_string_lossy().starts_with(prefix));
    let parent = if parent.is_empty() { "/" } else { parent };
    children(Path::new(parent))
        .into_iter()
        .filter(fits)
        .map(|child| child.join(after.trim_start_matches('/')))
        .collect()
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let mut children: Vec<PathBuf> =
        fs::read_dir(folder).map(|entries| entries.flatten().map(|e| e.path()).collect()).unwrap_or_default();
    children.sort();
    children
}

/// An executable file that is not a script: Debian's /usr/bin/pg_dump is a Perl wrapper which chooses a version by the
/// cluster it believes is meant. Shell scripts pass, as packagers use them to set a library path.
fn is_program(file: &Path) -> bool {
    let mut head = [0_u8; 64];
    let read = fs::File::open(file).and_then(|mut f| f.read(&mut head)).unwrap_or(0);
    let head = &head[..read];
    read > 0 && !(head.starts_with(b"#!") && head.windows(4).any(|w| w == b"perl"))
}

async fn version(program: &Path) -> Option<(String, u32)> {
    let mut command = Command::new(program);
    command.arg("--version").env("LC_ALL", "C").stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(VERSION_WAIT, command.output()).await.ok()?.ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

/// `pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` → `15.18`, 15.
fn parse_version(text: &str) -> Option<(String, u32)> {
    let (_, after) = text.split_once("(PostgreSQL) ")?;
    let version = after.split_whitespace().next()?;
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    Some((version.to_owned(), digits.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_packagers_write_them() {
        let read = |text| parse_version(text).map(|(version, major)| format!("{version}/{major}"));
        assert_eq!(read("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n").as_deref(), Some("15.18/15"));
        assert_eq!(read("postgres (PostgreSQL) 18.4\n").as_deref(), Some("18.4/18"));
        assert_eq!(read("pg_restore (PostgreSQL) 19beta2\n").as_deref(), Some("19beta2/19"));
        assert_eq!(read("something else 1.0\n"), None);
    }

    #[test]
    fn a_pattern_stands_for_the_folders_that_are_there() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["pgsql-15/bin", "pgsql-16/bin", "other/bin"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let pattern = format!("{}/pgsql-*/bin", folder.path().display());
        let names: Vec<PathBuf> = expand(&pattern);
        assert_eq!(names, [folder.path().join("pgsql-15/bin"), folder.path().join("pgsql-16/bin")]);
        assert_eq!(expand("/opt/lifeboat/bin"), [PathBuf::from("/opt/lifeboat/bin")]);
    }
}
