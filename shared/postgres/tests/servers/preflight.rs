//! Preflight: what would hinder a dump is told before it begins.

use lifeboat_core::ports::{Severity, Source};
use lifeboat_postgres::PgSource;

use crate::setting::{MAJORS, cluster, create_database, search};

/// A table and a column in LATIN1, a schema in no encoding, and names in UTF-8, which are no hindrance.
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
async fn preflight_names_what_is_not_utf8_and_tells_what_to_do() {
    let context = lifeboat_testkit::context().build();
    for major in MAJORS {
        let cluster = cluster(major).await;
        let options = "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'";
        let connection = create_database(&cluster, "bytes", options).await;
        let session = connection.connect("test").await.unwrap();
        session.batch_execute(ODD_NAMES).await.unwrap();
        let source = PgSource::new(connection, search()).await.unwrap();
        let found = source.preflight().await.unwrap();
        let [finding] = found.findings.as_slice() else { panic!("{:?}", found.findings) };
        assert_eq!((finding.code.as_str(), finding.severity), ("names_not_utf8", Severity::Error));
        let named = r"column public.t\xe4\xf6.c\xe4\xf6, schema s\x80, table public.t\xe4\xf6";
        assert!(finding.message.ends_with(&format!(": {named}")), "{}", finding.message);
        assert!(finding.remedy.contains("pg_dump"), "{}", finding.remedy);
        assert_eq!(found.tables, 2);
        // Renamed, nothing is the matter: with names in UTF-8 the snapshot opens.
        let rename = r"
DO $$
BEGIN
  EXECUTE format('ALTER TABLE public.%I RENAME TO t', convert_from('\x74e4f6', 'SQL_ASCII'));
  EXECUTE format('ALTER TABLE public.t RENAME %I TO c', convert_from('\x63e4f6', 'SQL_ASCII'));
  EXECUTE format('ALTER SCHEMA %I RENAME TO s', convert_from('\x7380', 'SQL_ASCII'));
END
$$";
        session.batch_execute(rename).await.unwrap();
        assert_eq!(source.preflight().await.unwrap().findings, Vec::new());
        source.open_snapshot(&context).await.unwrap().close().await.unwrap();
    }
}
