//! Databases that are not UTF-8: names and rows come through byte for byte.

use lifeboat_core::{Error, ErrorKind, ports::Target};

use crate::setting::{Blocks, Dump, cluster, create_database, fatal, load_fixture, target};

async fn comes_back(encoding: &str, fixture: &str) {
    for major in crate::setting::MAJORS {
        let cluster = cluster(major).await;
        let options = format!("ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'");
        let source = create_database(&cluster, "source", &options).await;
        load_fixture(major, &source, &[fixture]).await;
        let dump = Dump::of(major, &source, encoding).await;
        let restored = create_database(&cluster, "restored", &options).await;
        let (before, after) = (target(&source).await, target(&restored).await);
        let messages = dump.restore(&after).await;
        assert_eq!(fatal(&messages), Vec::<&_>::new());
        let mut reading = (before.worker(None).await.unwrap(), after.worker(None).await.unwrap());
        for (statement, rows) in dump.tables() {
            for sorted in [false, true] {
                let expected = reading.0.checksum(&statement, sorted).await.unwrap();
                assert_eq!(expected.rows, rows.iter().filter(|b| **b == b'\n').count() as u64);
                assert_eq!(reading.1.checksum(&statement, sorted).await.unwrap(), expected);
            }
        }
        assert_eq!(before.inventory().await.unwrap(), after.inventory().await.unwrap());
        after.analyze(2, None).await.unwrap();
        assert!(after.orphans().await.unwrap().is_empty());
        assert!(after.sequences_behind().await.unwrap().is_empty());
        assert!(!after.facts().await.unwrap().contents.is_empty());
    }
}

#[tokio::test]
async fn a_latin1_database_comes_back() {
    comes_back("LATIN1", "latin1.sql").await;
}

#[tokio::test]
async fn a_database_without_encoding_comes_back_byte_for_byte() {
    comes_back("SQL_ASCII", "sql-ascii.sql").await;
}

#[tokio::test]
async fn tables_whose_names_are_no_text_are_loaded_whole_or_not_at_all() {
    let cluster = cluster(15).await;
    let source = create_database(&cluster, "source", "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'").await;
    load_fixture(15, &source, &["sql-ascii.sql"]).await;
    let dump = Dump::of(15, &source, "SQL_ASCII").await;
    let (statement, rows) =
        dump.tables().into_iter().find(|(s, _)| std::str::from_utf8(&s.copy_stmt).is_err()).unwrap();
    let mut worker = target(&source).await.worker(None).await.unwrap();
    let before = worker.checksum(&statement, false).await.unwrap();
    let failure = Error::new(ErrorKind::Corrupt, "the chunk's hash is wrong");
    let error = worker.copy_in(&statement, &mut Blocks::then_fail(&rows, failure), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let error = worker.copy_in(&statement, &mut Blocks::of(b"one\ttwo\tthree\tfour\n"), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Database);
    assert_eq!(worker.checksum(&statement, false).await.unwrap(), before);
    // As a role that may neither read nor write them.
    let session = source.connect("test").await.unwrap();
    session.batch_execute("CREATE ROLE stranger").await.unwrap();
    let mut stranger = target(&source).await.worker(Some("stranger")).await.unwrap();
    for refused in [
        stranger.checksum(&statement, false).await.map(|_| ()),
        stranger.copy_in(&statement, &mut Blocks::of(&rows), None).await.map(|_| ()),
    ] {
        assert!(refused.unwrap_err().to_string().contains("permission denied"));
    }
}
