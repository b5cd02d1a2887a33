//! The packaged certificates: whole, current, used for servers of RDS and for nobody else.

use std::collections::{BTreeMap, BTreeSet};

use rustls::pki_types::{CertificateDer, pem::PemObject};
use x509_cert::{Certificate, der::Decode};

use super::*;
use crate::connect::ConnectionTarget;

const HOST: &str = "orders.abc123.eu-central-1.rds.amazonaws.com";

/// The names as written above the certificates, with the certificates.
fn roots() -> Vec<(&'static str, Certificate)> {
    let names = ROOTS.lines().skip(1).filter_map(|line| line.strip_prefix("# "));
    let certificates = CertificateDer::pem_slice_iter(ROOTS.as_bytes()).map(|der| {
        let der = der.unwrap();
        Certificate::from_der(der.as_ref()).unwrap()
    });
    let (names, certificates): (Vec<_>, Vec<_>) = (names.collect(), certificates.collect());
    assert_eq!(names.len(), certificates.len());
    names.into_iter().zip(certificates).collect()
}

#[test]
fn every_packaged_root_is_what_stands_above_it_and_lasts_for_years() {
    let ten_years = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap()
        + std::time::Duration::from_hours(24 * 3650);
    for (name, certificate) in roots() {
        let tbs = certificate.tbs_certificate;
        assert!(tbs.subject.to_string().contains(&format!("CN={name}")), "{name} stands above {}", tbs.subject);
        assert_eq!(tbs.subject, tbs.issuer, "{name} is no root");
        assert!(tbs.validity.not_after.to_unix_duration() > ten_years, "{name} ends {}", tbs.validity.not_after);
    }
}

#[test]
fn each_region_has_a_root_of_each_kind_and_proxies_have_theirs() {
    let mut kinds: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let roots = roots();
    for (name, _) in &roots {
        if let Some((region, kind)) = name.strip_prefix("Amazon RDS ").and_then(|rest| rest.split_once(" Root CA ")) {
            kinds.entry(region).or_default().insert(kind);
        }
    }
    assert!(kinds.len() >= 27, "{:?}", kinds.keys());
    for (region, kinds) in &kinds {
        assert_eq!(kinds.iter().copied().collect::<Vec<_>>(), ["ECC384 G1", "RSA2048 G1", "RSA4096 G1"], "{region}");
        assert!(is_packaged(region));
    }
    for region in ["us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-2", "sa-east-1"] {
        assert!(kinds.contains_key(region), "{region}");
    }
    for proxy in ["Amazon Root CA 1", "Amazon Root CA 4"] {
        assert!(roots.iter().any(|(name, _)| name == &proxy), "{proxy}");
    }
}

#[test]
fn a_server_of_rds_is_known_by_its_name() {
    assert_eq!(region_of(HOST), Some("eu-central-1"));
    assert_eq!(region_of("pool.proxy-abc.us-east-1.rds.amazonaws.com."), Some("us-east-1"));
    assert_eq!(region_of("orders.abc.rds.cn-north-1.amazonaws.com.cn"), None);
    assert_eq!(region_of("orders.abc.cn-north-1.rds.amazonaws.com.cn"), Some("cn-north-1"));
    for other in ["db.example", "rds.amazonaws.com", "x.rds.amazonaws.com.evil.example", "rds-amazonaws.com"] {
        assert!(RdsRoots::of_host(other).is_none(), "{other}");
    }
    // Not packaged: the roots of the partition for China are others.
    assert!(RdsRoots::of_host("orders.abc.cn-north-1.rds.amazonaws.com.cn").is_none());
    assert!(RdsRoots::of_host(HOST).is_some());
}

async fn file_of(target: &ConnectionTarget) -> Option<PathBuf> {
    let environment = target.tool_environment("x").await.unwrap();
    environment.into_iter().find(|(name, _)| name == "PGSSLROOTCERT").map(|(_, value)| value.into())
}

#[tokio::test]
async fn client_tools_get_the_roots_as_a_file_that_goes_with_the_last_who_needs_it() {
    let target = ConnectionTarget::parse(&format!("postgres://a@{HOST}/d")).unwrap();
    let file = file_of(&target).await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), ROOTS);
    let other = target.with_database("e");
    assert_eq!(file_of(&other).await.unwrap(), file, "written once");
    drop(target);
    assert!(file.exists());
    drop(other);
    assert!(!file.exists());
}

#[tokio::test]
async fn a_file_that_is_named_wins_and_other_servers_are_checked_with_the_systems_certificates() {
    let named = ConnectionTarget::parse(&format!("postgres://a@{HOST}/d?sslrootcert=/own.pem")).unwrap();
    assert_eq!(file_of(&named.of_rds()).await, Some("/own.pem".into()));
    let configured = ConnectionTarget::parse(&format!("postgres://a@{HOST}/d")).unwrap();
    assert_eq!(file_of(&configured.or_root_cert(Some("/rds.pem".into()))).await, Some("/rds.pem".into()));
    let other = ConnectionTarget::parse("postgres://a@db.example/d").unwrap();
    let roots = other.roots().unwrap();
    assert!(file_of(&other).await.is_none_or(|file| file.starts_with("/etc")));
    // Whoever logs in by IAM is on RDS, whatever the server's name.
    let by_iam = other.of_rds();
    assert_eq!(std::fs::read_to_string(file_of(&by_iam).await.unwrap()).unwrap(), ROOTS);
    let of_rds = by_iam.roots().unwrap();
    assert_eq!(of_rds.len(), super::tests::roots().len());
    let subjects = |roots: &rustls::RootCertStore| -> BTreeSet<Vec<u8>> {
        roots.roots.iter().map(|anchor| anchor.subject.to_vec()).collect()
    };
    let instances = |roots: &rustls::RootCertStore| {
        subjects(roots).iter().filter(|subject| subject.windows(10).any(|part| part == b"Amazon RDS")).count()
    };
    assert_eq!(instances(&roots), 0);
    assert!(instances(&of_rds) >= 81);
}
