//! The archives in `tests/fixtures`, and the stock tools that read them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use lifeboat_archive::toc::{self, Toc};

/// Major versions of the `pg_dump` and server that made the fixtures: archive versions 1.14, 1.15 and 1.16.
pub(crate) const MAJORS: [u32; 3] = [15, 16, 18];
pub(crate) const DATABASES: [&str; 2] = ["utf8", "ascii"];

pub(crate) fn path(major: u32, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(major.to_string()).join(name)
}

pub(crate) fn bytes(major: u32, name: &str) -> Vec<u8> {
    let path = path(major, name);
    fs::read(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}

pub(crate) fn read(major: u32, name: &str) -> Toc {
    toc::read(&bytes(major, name)).unwrap_or_else(|error| panic!("{major}/{name}: {error}"))
}

/// A client tool of one major version.
pub(crate) fn tool(major: u32, name: &str) -> Command {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let tools = std::env::var_os("LIFEBOAT_TOOLS").map_or_else(|| workspace.join(".tools"), PathBuf::from);
    let places = [tools.join(format!("postgresql/{major}/bin")), format!("/usr/lib/postgresql/{major}/bin").into()];
    let Some(program) = places.iter().map(|place| place.join(name)).find(|program| program.exists()) else {
        panic!("{name} {major} is in none of {places:?}: run `make setup`");
    };
    Command::new(program)
}

/// Standard output of a tool that must succeed without a word on standard error.
pub(crate) fn output(command: &mut Command) -> Vec<u8> {
    let output = command.env("TZ", "UTC").output().unwrap_or_else(|error| panic!("run {command:?}: {error}"));
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && messages.is_empty(), "{command:?}: {}: {messages}", output.status);
    output.stdout
}
