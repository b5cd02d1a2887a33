//! The client tools that go to Lambda, as `make layer` makes them: started with nothing in their environment, over TLS.

use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{
    Cluster,
    cluster::{PASSWORD, repository, run},
};

/// The tools' folder; `make test` makes it.
fn tools() -> Result<PathBuf> {
    let folder = repository().join("target/layer/18-x86_64/bin");
    ensure!(folder.is_dir(), "{} is missing: run `make layer`", folder.display());
    Ok(folder)
}

fn with_nothing(tools: &Path, name: &str) -> Command {
    let mut command = Command::new(tools.join(name));
    command.env_clear();
    command
}

/// Gives the server a certificate for 127.0.0.1 that it signed itself, and gives the certificate's file.
fn certify(cluster: &Cluster) -> Result<PathBuf> {
    let data = cluster.server.folder().join("data");
    let (certificate, key) = (data.join("server.crt"), data.join("server.key"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=lifeboat"]);
    openssl.args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout"]).arg(&key).arg("-out").arg(&certificate);
    run(&mut openssl)?;
    let owner = fs::metadata(&data)?;
    for file in [&certificate, &key] {
        chown(file, Some(owner.uid()), Some(owner.gid())).with_context(|| format!("hand over {}", file.display()))?;
    }
    cluster.sql("postgres", "ALTER SYSTEM SET ssl = on")?;
    cluster.sql("postgres", "SELECT pg_reload_conf()")?;
    Ok(certificate)
}

#[tokio::test]
async fn they_check_the_servers_certificate_and_dump_and_list_with_an_emptied_environment() -> Result<()> {
    let (tools, cluster) = (tools()?, Cluster::start(15).await?);
    let certificate = certify(&cluster)?;
    cluster.create_shop("tls", "0.01")?;
    let password = PASSWORD.replace('\\', r"\\").replace('\'', r"\'");
    let server = format!("host=127.0.0.1 port={} user=postgres dbname=tls password='{password}'", cluster.port());
    let trusting = |file: &str| format!("{server} sslmode=verify-full sslrootcert={file}");
    let asked = |target: &str| -> Result<Output> {
        let sql = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        Ok(with_nothing(&tools, "psql").args(["-XAt", "-c", sql, target]).output()?)
    };

    let trusted = trusting(&certificate.display().to_string());
    let answered = asked(&trusted)?;
    ensure!(String::from_utf8_lossy(&answered.stdout).starts_with("TLSv1."), "{answered:?}");
    let other = asked(&trusting("/etc/ssl/certs/ca-certificates.crt"))?;
    ensure!(String::from_utf8_lossy(&other.stderr).contains("certificate verify failed"), "{other:?}");

    let folder = tempfile::tempdir()?;
    let dump = folder.path().join("dump");
    run(with_nothing(&tools, "pg_dump").args(["-Fd", "-j2", "--file"]).arg(&dump).args(["--dbname", &trusted]))?;
    let listed = run(with_nothing(&tools, "pg_restore").arg("--list").arg(&dump))?;
    ensure!(listed.contains("TABLE DATA shop orders"), "{listed}");
    let roles = run(with_nothing(&tools, "pg_dumpall").args(["--roles-only", "--dbname", &trusted]))?;
    ensure!(roles.contains("CREATE ROLE postgres"), "{roles}");
    Ok(())
}
