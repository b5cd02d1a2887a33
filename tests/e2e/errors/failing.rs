//! What every failure owes its reader, held against both forms of output.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{Ended, Lifeboat, cluster::PASSWORD, stores::minio};
use serde_json::Value;

/// How a call must fail.
pub(super) struct Failure<'a> {
    /// The exit code.
    pub(super) code: i32,
    /// The stable name of the kind.
    pub(super) kind: &'a str,
    /// What the message says: what failed, on what, and why.
    pub(super) says: &'a [&'a str],
    /// What the hint says: what to do next.
    pub(super) hint: &'a [&'a str],
}

/// Runs a call as a person and as a program does, and holds both answers against what is expected.
pub(super) fn fails(call: impl Fn() -> Result<Lifeboat>, expected: &Failure<'_>) -> Result<()> {
    fails_within(&[], call, expected)
}

/// The same for a call that is started by another program, such as `bash -c 'ulimit …; exec "$@"' bash`.
pub(super) fn fails_within(
    wrapper: &[&str],
    call: impl Fn() -> Result<Lifeboat>,
    expected: &Failure<'_>,
) -> Result<()> {
    let text = run_within(wrapper, &call()?)?;
    as_text(&text, expected).with_context(|| format!("as text: {text:?}"))?;
    // Logs at their most talkative go to standard error and hold no secret either.
    let json = run_within(wrapper, &call()?.args(["-vv", "--output", "json"]))?;
    as_document(&json, expected).with_context(|| format!("as JSON: {json:?}"))
}

/// Runs a call to its end inside of a wrapper.
pub(crate) fn run_within(wrapper: &[&str], call: &Lifeboat) -> Result<Ended> {
    let Some((program, arguments)) = wrapper.split_first() else { return call.run() };
    let inner = call.command()?;
    let mut command = Command::new(program);
    command.args(arguments).arg(inner.get_program()).args(inner.get_args()).env_clear().stdin(Stdio::null());
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().with_context(|| format!("start {program}"))?;
    Ok(Ended {
        code: output.status.code().context("it was ended by a signal")?,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

fn as_text(ended: &Ended, expected: &Failure<'_>) -> Result<()> {
    ensure!(ended.code == expected.code, "exit code {} instead of {}", ended.code, expected.code);
    ensure!(ended.stdout.is_empty(), "something on standard output");
    let (_, error) = ended.stderr.split_once("error: ").context("no `error:` on standard error")?;
    contains(error, expected.says)?;
    if let Some((_, hint)) = error.split_once("\nhint: ") {
        contains(hint, expected.hint)?;
    } else {
        // The parser of arguments shows the way in its own words.
        contains(error, &["For more information, try '--help'"])?;
    }
    no_secret(ended)
}

fn as_document(ended: &Ended, expected: &Failure<'_>) -> Result<()> {
    ensure!(ended.code == expected.code, "exit code {} instead of {}", ended.code, expected.code);
    let document = document(&ended.stdout)?;
    let error = document.get("error").context("no `error`")?;
    let field = |name: &str| error.get(name).and_then(Value::as_str).with_context(|| format!("no `{name}`"));
    ensure!(field("kind")? == expected.kind, "kind {} instead of {}", field("kind")?, expected.kind);
    contains(field("message")?, expected.says)?;
    contains(field("hint")?, expected.hint)?;
    no_secret(ended)
}

/// The one document on standard output; a second one, or anything around it, is no JSON.
pub(super) fn document(stdout: &str) -> Result<Value> {
    serde_json::from_str(stdout).with_context(|| format!("not exactly one JSON document: {stdout}"))
}

fn contains(text: &str, pieces: &[&str]) -> Result<()> {
    for piece in pieces {
        ensure!(text.contains(piece), "`{piece}` is not in `{text}`");
    }
    Ok(())
}

/// Neither output holds a secret.
pub(super) fn no_secret(ended: &Ended) -> Result<()> {
    no_secret_in("standard output", &ended.stdout)?;
    no_secret_in("standard error", &ended.stderr)
}

/// No password or secret key that any of these tests uses, in plain, in a URL or in JSON.
pub(super) fn no_secret_in(place: &str, text: &str) -> Result<()> {
    let stem = PASSWORD.split('"').next().unwrap_or(PASSWORD);
    let in_url = stem.replace('\'', "%27");
    let store_key = minio()?.secret_key.as_str();
    for secret in
        [stem, in_url.as_str(), store_key, "hunter2", "subscription-secret", "mapping-secret", "server-secret"]
    {
        ensure!(!text.contains(secret), "the secret {secret} is in {place}");
    }
    Ok(())
}
