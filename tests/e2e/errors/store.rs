//! A store that cannot be written or read: full, missing, forbidden, unreachable; and nothing half-written is listed.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{
    Lifeboat, StoreUnderTest,
    program::{program, wait_until},
};

use super::failing::{Failure, fails, fails_within, run_within};
use crate::shared::{call, fifteen, no_session_stays_on};

/// A database whose data are larger than every limit of these tests, compressed too.
fn larger_than_the_disk(name: &str) -> Result<()> {
    let cluster = fifteen()?;
    cluster.create_database(name)?;
    let sql =
        "CREATE TABLE noise AS SELECT n, md5(n::text) || md5((n * 7)::text) AS text FROM generate_series(1, 40000) n";
    cluster.sql(name, sql).map(drop)
}

/// Everything in a folder but the control store's own.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name == ".control") {
            continue;
        }
        if path.is_dir() {
            found.extend(files_below(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

#[test]
fn a_file_that_may_not_grow_ends_the_dump_and_leaves_nothing() -> Result<()> {
    larger_than_the_disk("limited")?;
    let store = StoreUnderTest::folder()?;
    fails_within(
        &["bash", "-c", "ulimit -f 300; exec \"$@\"", "bash"],
        || call(&store, "limited", &["dump"]),
        &Failure {
            code: 6,
            kind: "store",
            says: &["write limited/", "archive/", "may not grow"],
            hint: &["ulimit -f", "chunk_size"],
        },
    )?;
    let listed = store.lifeboat(["list"]).json()?;
    ensure!(listed["backups"] == serde_json::json!([]), "{listed:#}");
    let left = files_below(&store.path().context("a folder")?)?;
    ensure!(left.is_empty(), "left behind: {left:?}");
    no_session_stays_on(&["limited"])
}

/// A small disk in a mount namespace of its own: it ends with the last process in it.
const ON_A_SMALL_DISK: &str = r#"mount -t tmpfs -o size=512k lifeboat "$1" || exit 99
disk=$1 left=$2
shift 2
"$@"
code=$?
find "$disk" -name .control -prune -o -type f -print >"$left"
exit $code"#;

#[test]
fn a_full_disk_ends_the_dump_and_leaves_nothing() -> Result<()> {
    larger_than_the_disk("full")?;
    let folder = tempfile::tempdir()?;
    let (disk, left) = (folder.path().join("disk"), folder.path().join("left"));
    fs::create_dir(&disk)?;
    let (disk_name, left_name) = (disk.display().to_string(), left.display().to_string());
    let namespace = if runs_as_root()? { vec!["--mount"] } else { vec!["--mount", "--map-root-user"] };
    let mut wrapper = vec!["unshare"];
    wrapper.extend(&namespace);
    // A container may forbid mounting even to root; then the limit on a file's size stands for it, in the test above.
    let probe = Command::new("unshare").args(&namespace).args(["mount", "-t", "tmpfs", "x", "/mnt"]).output();
    if !probe.is_ok_and(|o| o.status.success()) {
        eprintln!("this machine lets nobody mount: only the file size limit was tried");
        return Ok(());
    }
    wrapper.extend(["sh", "-c", ON_A_SMALL_DISK, "sh", &disk_name, &left_name]);
    let store = StoreUnderTest::folder()?;
    let url = format!("file://{disk_name}/store");
    fails_within(
        &wrapper,
        || Ok(call(&store, "full", &["dump"])?.env("LIFEBOAT_STORE", &url)),
        &Failure {
            code: 6,
            kind: "store",
            says: &["write full/", "archive/", "the disk is full", "were to be written", "are free"],
            hint: &["free space"],
        },
    )?;
    let left = fs::read_to_string(&left)?;
    ensure!(left.is_empty(), "left behind: {left}");
    no_session_stays_on(&["full"])
}

fn runs_as_root() -> Result<bool> {
    let output = Command::new("id").arg("-u").output().context("ask who runs this test")?;
    Ok(output.stdout.starts_with(b"0\n"))
}

/// The program where every user may start it, and how a user without rights does.
fn as_nobody(folder: &Path) -> Result<Vec<String>> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    if !runs_as_root()? {
        return Ok(vec!["env".to_owned()]);
    }
    let copy = folder.join("lifeboat");
    fs::copy(program()?, &copy)?;
    let script = format!("shift; exec setpriv --reuid=65534 --regid=65534 --clear-groups -- {} \"$@\"", copy.display());
    Ok(["sh", "-c", &script, "sh"].map(str::to_owned).into())
}

#[test]
fn a_folder_without_permission() -> Result<()> {
    fifteen()?.create_database("forbidden")?;
    let folder = tempfile::tempdir()?;
    let wrapper = as_nobody(folder.path())?;
    let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
    let closed = folder.path().join("closed");
    fs::create_dir(&closed)?;
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o555))?;
    let store = StoreUnderTest::folder()?;
    let url = format!("file://{}/store", closed.display());
    let no_right = ["give the user that runs Lifeboat the right"];
    fails_within(
        &wrapper,
        || Ok(call(&store, "forbidden", &["dump"])?.env("LIFEBOAT_STORE", &url)),
        &Failure { code: 6, kind: "store", says: &["probe file://", "no permission at"], hint: &no_right },
    )?;
    // A store that another user made can be neither written nor read.
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755))?;
    call(&store, "forbidden", &["dump"])?.env("LIFEBOAT_STORE", &url).run()?.expect(0)?;
    if runs_as_root()? {
        fails_within(
            &wrapper,
            || Ok(call(&store, "forbidden", &["dump"])?.env("LIFEBOAT_STORE", &url)),
            &Failure { code: 6, kind: "store", says: &["no permission at"], hint: &no_right },
        )?;
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700))?;
        fails_within(
            &wrapper,
            || Ok(store.lifeboat(["list"]).env("LIFEBOAT_STORE", &url)),
            &Failure { code: 6, kind: "store", says: &["no permission at"], hint: &no_right },
        )?;
    }
    no_session_stays_on(&["forbidden"])
}

#[test]
fn a_folder_whose_parent_is_missing() -> Result<()> {
    let (store, folder) = (StoreUnderTest::folder()?, tempfile::tempdir()?);
    let parent = folder.path().join("not-there");
    fails(
        || Ok(call(&store, "postgres", &["dump"])?.args(["--store", &format!("file://{}/store", parent.display())])),
        &Failure {
            code: 6,
            kind: "not_found",
            says: &["does not exist", &parent.display().to_string()],
            hint: &["mkdir -p"],
        },
    )
}

#[test]
fn a_bucket_that_does_not_exist() -> Result<()> {
    for store in [StoreUnderTest::minio()?, StoreUnderTest::localstack()?] {
        for command in ["dump", "list", "status"] {
            fails(
                || Ok(call(&store, "postgres", &[command])?.args(["--store", "s3://no-such-bucket/pg"])),
                &Failure {
                    code: 6,
                    kind: "not_found",
                    says: &["list s3://no-such-bucket/pg/", "NoSuchBucket"],
                    hint: &["create the bucket"],
                },
            )
            .with_context(|| command.to_owned())?;
        }
    }
    Ok(())
}

#[test]
fn keys_that_the_store_does_not_take() -> Result<()> {
    let store = StoreUnderTest::minio()?;
    let wrong = |name: &'static str, value: &'static str, says: &'static str| {
        fails(
            || Ok(call(&store, "postgres", &["dump"])?.env(name, value)),
            &Failure {
                code: 6,
                kind: "store",
                says: &["probe s3://", says, "HTTP 403"],
                hint: &["the credentials are wrong or expired"],
            },
        )
    };
    wrong("AWS_SECRET_ACCESS_KEY", "hunter2-is-no-key", "SignatureDoesNotMatch")?;
    wrong("AWS_ACCESS_KEY_ID", "nobody", "InvalidAccessKeyId")?;
    fails(
        || {
            let call = Lifeboat::new(["list", "--store", &store.url]).env("AWS_EC2_METADATA_DISABLED", "true");
            let endpoint = store.environment().iter().find(|(name, _)| *name == "AWS_ENDPOINT_URL_S3");
            Ok(call.env("AWS_ENDPOINT_URL_S3", endpoint.context("an endpoint")?.1.as_str()))
        },
        &Failure {
            code: 6,
            kind: "store",
            says: &["list s3://", "no credentials found"],
            hint: &["AWS_PROFILE", "AWS_ACCESS_KEY_ID"],
        },
    )
}

#[test]
fn a_store_that_does_not_answer_is_given_up_soon() -> Result<()> {
    let (store, begun) = (StoreUnderTest::minio()?, Instant::now());
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    fails(
        || Ok(store.lifeboat(["list"]).env("AWS_ENDPOINT_URL_S3", format!("http://{address}"))),
        &Failure { code: 6, kind: "store", says: &["list s3://", "refused"], hint: &["can be reached"] },
    )?;
    ensure!(begun.elapsed() < Duration::from_mins(1), "it took {:?}", begun.elapsed());
    Ok(())
}

#[test]
fn a_store_that_fills_up_takes_the_next_dump_once_there_is_room() -> Result<()> {
    larger_than_the_disk("again")?;
    let store = StoreUnderTest::folder()?;
    let limit = ["bash", "-c", "ulimit -f 300; exec \"$@\"", "bash"];
    run_within(&limit, &call(&store, "again", &["dump"])?)?.expect(6)?;
    let done = call(&store, "again", &["dump"])?.json()?;
    ensure!(done["rows"] == 40_000, "{done:#}");
    let listed = store.lifeboat(["list"]).json()?;
    ensure!(listed["backups"].as_array().is_some_and(|b| b.len() == 1), "{listed:#}");
    wait_until("the lease is given back", Duration::from_secs(1), || {
        let lease = fs::read_to_string(store.path().context("a folder")?.join(".control/leases/again.json"))?;
        Ok(lease.contains("\"released\": true") || lease.contains("\"released\":true"))
    })
}
