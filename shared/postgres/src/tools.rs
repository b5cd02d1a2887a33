//! Finds PostgreSQL's own programs, chooses the right major version, and prepares them to be run without secrets in argv.

mod found;
mod process;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Stdio,
};

use lifeboat_core::{Error, ErrorKind, Result};
use tokio::process::Command;

pub(crate) use found::Found;
pub(crate) use process::run;

/// What a dump or a restore needs.
const CLIENT: [&str; 4] = ["pg_dump", "pg_dumpall", "pg_restore", "psql"];

/// What a throwaway cluster needs.
const SERVER: [&str; 3] = ["initdb", "pg_ctl", "postgres"];

/// Where distributions and installers put the programs; `*` stands for one folder name.
const USUAL_PLACES: [&str; 9] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/lifeboat/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/opt/homebrew/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/usr/local/bin",
];

/// Where to look for PostgreSQL's programs and what they must be able to do.
#[derive(Debug, Clone, Default)]
pub struct ToolSearch {
    /// The folder named in the configuration: nothing else is looked at. It may hold the programs itself, a `bin`
    /// folder, or one folder per major version.
    pub configured: Option<PathBuf>,
    /// The value of `PATH`.
    pub path: Option<OsString>,
    /// Other variables that a program needs to run at all, such as `HOME`, `TMPDIR`, `LD_LIBRARY_PATH`. Nothing else
    /// of the environment is handed on.
    pub inherited: Vec<(OsString, OsString)>,
    /// The oldest `pg_restore` that must be able to read the backups, where the configuration names one.
    pub restorer: Option<u32>,
}

/// The programs of one PostgreSQL version in one folder.
#[derive(Debug, Clone)]
pub struct ClientTools {
    found: Found,
    path: Option<OsString>,
    inherited: Vec<(OsString, OsString)>,
}

impl ToolSearch {
    /// Every complete set of client tools: version, major version, folder; in the order in which they are looked for.
    pub(crate) async fn installed(&self) -> Vec<(String, u32, PathBuf)> {
        let found = found::complete(&self.folders(), &CLIENT).await;
        found.into_iter().map(|set| (set.version, set.major, set.folder)).collect()
    }

    /// Client tools for a server: its own major version if there, else the oldest newer one.
    ///
    /// `server_version_num` is the server's, such as 150018. `ClientTool` where nothing fits, naming what was found;
    /// `Config` where `restorer` rules out what the server needs.
    pub async fn find_for(&self, server_version_num: u32) -> Result<ClientTools> {
        let server = server_version_num / 10_000;
        if let Some(restorer) = self.restorer
            && restorer < server
        {
            return Err(Error::new(
                ErrorKind::Config,
                format!("restorer = {restorer}, but the server is PostgreSQL {server}: its backups need pg_restore {server} or newer"),
            )
            .with_hint(format!("set restorer to {server} or newer, or leave it out")));
        }
        let tools = self.at_least(server, &CLIENT).await?;
        match self.restorer {
            Some(restorer) if tools.major() > restorer => Err(Error::new(
                ErrorKind::Config,
                format!(
                    "restorer = {restorer}, but the oldest client found for PostgreSQL {server} is {}: an archive it writes may be unreadable for pg_restore {restorer}",
                    tools.version()
                ),
            )
            .with_hint(format!("install the PostgreSQL client {server} to {restorer}, or raise restorer"))),
            _ => Ok(tools),
        }
    }

    /// Programs that run a server of `major` or, where that is missing, the oldest newer one.
    pub(crate) async fn find_server(&self, major: u32) -> Result<ClientTools> {
        let all: Vec<&str> = SERVER.iter().chain(&["psql"]).copied().collect();
        self.at_least(major, &all).await
    }

    /// Programs able to read archives and servers of `major`; the configuration's `restorer` does not matter.
    pub(crate) async fn find_reader(&self, major: u32) -> Result<ClientTools> {
        self.at_least(major, &CLIENT).await
    }

    async fn at_least(&self, major: u32, programs: &[&str]) -> Result<ClientTools> {
        let found = found::complete(&self.folders(), programs).await;
        match found.iter().filter(|f| f.major >= major).min_by_key(|f| f.major) {
            Some(best) => {
                Ok(ClientTools { found: best.clone(), path: self.path.clone(), inherited: self.inherited.clone() })
            }
            None => Err(self.nothing_fits(major, programs, &found)),
        }
    }

    fn folders(&self) -> Vec<PathBuf> {
        if let Some(folder) = &self.configured {
            return found::below(folder);
        }
        let on_path = self.path.iter().flat_map(std::env::split_paths).filter(|p| p.is_absolute());
        let usual = USUAL_PLACES.iter().flat_map(|pattern| found::expand(pattern));
        on_path.chain(usual).collect()
    }

    fn nothing_fits(&self, major: u32, programs: &[&str], found: &[Found]) -> Error {
        let searched = match &self.configured {
            Some(folder) => format!("in {}", folder.display()),
            None => "on PATH or in the usual places".to_owned(),
        };
        let package = if programs.contains(&"initdb") {
            format!(
                "the PostgreSQL server {major} (Debian and Ubuntu: postgresql-{major}; RHEL: postgresql{major}-server)"
            )
        } else {
            format!(
                "the PostgreSQL client {major} (Debian and Ubuntu: postgresql-client-{major}; RHEL: postgresql{major})"
            )
        };
        let message = if found.is_empty() {
            format!("{} were not found {searched}", programs.join(", "))
        } else {
            let list: Vec<String> = found.iter().map(|f| format!("{} in {}", f.version, f.folder.display())).collect();
            format!("PostgreSQL {major} or newer is needed, found only {}", list.join(", "))
        };
        Error::new(ErrorKind::ClientTool, message)
            .with_hint(format!("install {package}, or set `client_tools` to the folder that holds it"))
    }
}

impl ClientTools {
    /// The version, such as `15.18`.
    pub fn version(&self) -> &str {
        &self.found.version
    }

    /// The major version, such as 15.
    pub fn major(&self) -> u32 {
        self.found.major
    }

    /// The folder of the programs.
    pub fn folder(&self) -> &Path {
        &self.found.folder
    }

    /// One program, ready to get its arguments and, as environment only, the connection. It speaks English, starts with
    /// no standard input, sees nothing of the environment but what it needs to run, and is killed when dropped.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.found.folder.join(program));
        command.env_clear().envs(self.inherited.iter().map(|(name, value)| (name, value)));
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        command.env("LC_ALL", "C").env("LC_MESSAGES", "C").env("PG_COLOR", "never");
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    /// A folder with programs that answer `--version`.
    fn install(folder: &Path, version: &str, programs: &[&str]) {
        fs::create_dir_all(folder).unwrap();
        for program in programs {
            let file = folder.join(program);
            fs::write(&file, format!("#!/bin/sh\necho \"{program} (PostgreSQL) {version} (Packager 1)\"\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    fn majors(versions: &[&str]) -> (tempfile::TempDir, ToolSearch) {
        let folder = tempfile::tempdir().unwrap();
        for version in versions {
            install(&folder.path().join(version.split('.').next().unwrap()).join("bin"), version, &CLIENT);
        }
        let search = ToolSearch { configured: Some(folder.path().to_owned()), ..ToolSearch::default() };
        (folder, search)
    }

    #[tokio::test]
    async fn the_servers_own_major_is_preferred() {
        let (_folder, search) = majors(&["18.4", "15.18", "16.14"]);
        assert_eq!(search.find_for(150_018).await.unwrap().version(), "15.18");
        assert_eq!(search.find_for(160_002).await.unwrap().version(), "16.14");
    }

    #[tokio::test]
    async fn else_the_oldest_newer_one_is_taken() {
        let (_folder, search) = majors(&["18.4", "16.14"]);
        assert_eq!(search.find_for(150_018).await.unwrap().major(), 16);
        assert_eq!(search.find_for(170_001).await.unwrap().major(), 18);
    }

    #[tokio::test]
    async fn older_tools_are_refused_and_named() {
        let (_folder, search) = majors(&["15.18"]);
        let error = search.find_for(160_000).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ClientTool);
        assert!(error.to_string().contains("15.18"), "{error}");
        assert!(error.hint().contains("postgresql-client-16"), "{}", error.hint());
    }

    #[tokio::test]
    async fn missing_tools_are_an_error_with_the_next_step() {
        let folder = tempfile::tempdir().unwrap();
        install(folder.path(), "15.18", &["pg_dump"]);
        let search = ToolSearch { configured: Some(folder.path().to_owned()), ..ToolSearch::default() };
        let error = search.find_for(150_018).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ClientTool);
        assert!(error.to_string().contains("not found"), "{error}");
    }

    #[tokio::test]
    async fn a_restorer_older_than_server_or_client_is_a_contradiction() {
        let (_folder, search) = majors(&["16.14", "18.4"]);
        let wanting = |restorer| ToolSearch { restorer: Some(restorer), ..search.clone() };
        assert_eq!(wanting(15).find_for(160_000).await.unwrap_err().kind(), ErrorKind::Config);
        assert_eq!(wanting(17).find_for(170_000).await.unwrap_err().kind(), ErrorKind::Config);
        assert_eq!(wanting(17).find_for(150_000).await.unwrap().major(), 16);
    }

    #[tokio::test]
    async fn path_is_searched_and_debians_wrappers_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let (wrapped, real) = (folder.path().join("wrapped"), folder.path().join("real"));
        install(&wrapped, "90.1", &CLIENT);
        for program in CLIENT {
            fs::write(wrapped.join(program), "#!/usr/bin/perl\n# pg_wrapper: PgCommon\n").unwrap();
        }
        install(&real, "90.2", &CLIENT);
        let path = std::env::join_paths([&wrapped, &real]).unwrap();
        let search = ToolSearch { path: Some(path), ..ToolSearch::default() };
        let tools = search.find_for(900_000).await.unwrap();
        assert_eq!((tools.version(), tools.folder()), ("90.2", real.as_path()));
    }

    #[tokio::test]
    async fn a_program_sees_only_what_it_needs() {
        let (_folder, search) = majors(&["15.18"]);
        let search = ToolSearch { inherited: vec![("HOME".into(), "/nowhere".into())], ..search };
        let tools = search.find_for(150_018).await.unwrap();
        fs::write(tools.folder().join("psql"), "#!/bin/sh\n/usr/bin/env\n").unwrap();
        let output = tools.command("psql").output().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("HOME=/nowhere") && text.contains("LC_ALL=C"), "{text}");
        assert!(!text.contains("CARGO"), "{text}");
    }
}
