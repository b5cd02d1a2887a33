//! What an older Lifeboat wrote is read for ever: committed documents of every format version. None is ever changed.

use std::path::{Path, PathBuf};

use lifeboat_core::{
    attestation::{Attestation, Statement},
    manifest::{Manifest, Tier},
    report::{DrillReport, Verdict},
};

fn fixture(version: u32, name: &str) -> Vec<u8> {
    let path: PathBuf =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/format-{version}")).join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn a_manifest_of_format_1_is_read_with_all_that_it_says() {
    let manifest = Manifest::open(&fixture(1, "manifest.json")).unwrap();
    assert_eq!((manifest.format_version, manifest.database.as_str()), (1, "tiny"));
    assert_eq!((manifest.totals.tables, manifest.totals.rows, manifest.totals.large_objects), (2, 2000, 1));
    assert_eq!(manifest.tier, Tier::Daily);
    assert_eq!(manifest.source.archive_version, "1.14");
    assert_eq!(manifest.objects().count() as u64, manifest.totals.objects);
    assert!(manifest.inventory.items.iter().any(|i| i.kind.contains("constraint") || i.kind == "foreign key"));
}

#[test]
fn attestations_of_format_1_are_read() {
    let statement = |name: &str| Attestation::from_json(&fixture(1, name)).unwrap().statement;
    assert!(matches!(statement("attestation-verified.json"), Statement::Verified { objects: 7, .. }));
    assert!(matches!(statement("attestation-restored.json"), Statement::Restored { .. }));
    assert_eq!(statement("attestation-hold.json"), Statement::Hold { reason: "before the migration".to_owned() });
}

#[test]
fn a_drill_report_of_format_1_is_read() {
    let report = DrillReport::open(&fixture(1, "report.json")).unwrap();
    assert_eq!((report.format_version, report.verdict), (1, Verdict::Passed));
    assert_eq!(report.data.coverage.rows_compared, 2000);
}
