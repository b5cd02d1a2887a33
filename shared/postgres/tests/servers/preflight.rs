//! Preflight: what would hinder a dump is told before it begins.

use lifeboat_core::ports::{Severity, Source};
use lifeboat_postgres::{ConnectionTarget, PgSource};

use crate::setting::{MAJORS, cluster, create_database, search};

/// A table and a column in LATIN1, a schema in no encoding, and names in UTF-8.
const ODD_NAMES: &str = r"
DO $$
DECLARE
  umlauts text := convert_from('\xe4f6', 'SQL_ASCII');
  broken text := convert_from('\x80', 'SQL_ASCII');
BEGIN
  EXECUTE format('CREATE TABLE public.%I (%I integer, b integer)', 't' || umlauts, 'c' || umlauts);
  EXECUTE format('CREATE SCHEMA %I', 's' || broken);
  EXECUTE format('CREATE TABLE public.%I (%I integer)', convert_from('\xc3bc', 'SQL_ASCII'), convert_from('\xc3a4', 'SQL_ASCII'));
END
$$";

#[tokio::test]
async fn names_of_no_encoding_hinder_nothing_and_stay_apart() {
    let context = lifeboat_testkit::context().build();
    for major in MAJORS {
        let cluster = cluster(major).await;
        let options = "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'";
        let connection = create_database(&cluster, "bytes", options).await;
        let session = connection.connect("test").await.unwrap();
        session.batch_execute(ODD_NAMES).await.unwrap();
        let source = PgSource::new(connection, search()).await.unwrap();
        let found = source.preflight().await.unwrap();
        assert_eq!((found.findings, found.tables), (Vec::new(), 2));
        let snapshot = source.open_snapshot(&context).await.unwrap();
        let mut names: Vec<_> = snapshot.tables().iter().map(|t| (t.name.as_str(), t.columns[0].as_str())).collect();
        names.sort_unstable();
        assert_eq!(names, [(r"t\xe4\xf6", r"c\xe4\xf6"), ("ü", "ä")]);
        assert!(snapshot.inventory().items.iter().any(|item| item.name == r#""s\x80""#), "the schema");
        snapshot.close().await.unwrap();
    }
}

/// The role may look at nothing in the schema, and is told its name.
#[tokio::test]
async fn what_is_said_of_names_of_no_encoding_can_be_read() {
    let cluster = cluster(15).await;
    let options = "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'";
    let connection = create_database(&cluster, "bytes", options).await;
    let session = connection.connect("test").await.unwrap();
    session.batch_execute(ODD_NAMES).await.unwrap();
    session.batch_execute("CREATE ROLE blind LOGIN PASSWORD 'pw'").await.unwrap();
    let blind = ConnectionTarget::local("127.0.0.1", cluster.port(), "blind", Some("pw".to_owned().into()), "bytes");
    let found = PgSource::new(blind, search()).await.unwrap().preflight().await.unwrap();
    let [finding] = found.findings.as_slice() else { panic!("{:?}", found.findings) };
    assert_eq!((finding.code.as_str(), finding.severity), ("not_readable", Severity::Error));
    assert!(finding.message.contains(r#"public."t\xe4\xf6""#), "{}", finding.message);
}
