//! URLs of databases: what they mean, and that nobody repeats their passwords.

use super::*;

#[tokio::test]
async fn a_url_gives_its_parts_and_hides_its_password() {
    let target = ConnectionTarget::parse("postgres://ann:s%40cret@db.example:5433/orders").unwrap();
    assert_eq!(target.server_label(), "db.example:5433");
    assert_eq!(target.database(), "orders");
    assert_eq!(target.tls, Tls::VerifyFull);
    assert!(!format!("{target:?}").contains("cret"));
    let env = target.tool_environment("x").await.unwrap();
    assert!(env.contains(&("PGPASSWORD".to_owned(), "s@cret".to_owned())));
    assert!(env.contains(&("PGSSLMODE".to_owned(), "verify-full".to_owned())));
}

#[test]
fn weaker_ssl_modes_are_raised_and_loopback_is_plain() {
    assert_eq!(ConnectionTarget::parse("postgres://a@h/d?sslmode=require").unwrap().tls, Tls::VerifyFull);
    assert_eq!(ConnectionTarget::parse("postgres://a@h/d?sslmode=disable").unwrap().tls, Tls::Disable);
    assert_eq!(ConnectionTarget::parse("postgres://a@127.0.0.1/d").unwrap().tls, Tls::Disable);
    let socket = ConnectionTarget::parse("postgres://a@/d?host=/run/postgresql").unwrap();
    assert_eq!((socket.host(), socket.tls), ("/run/postgresql", Tls::Disable));
}

#[tokio::test]
async fn certificates_of_the_configuration_serve_where_the_url_names_none() {
    let file = async |url: &str| {
        let target = ConnectionTarget::parse(url).unwrap().or_root_cert(Some("/rds.pem".into()));
        let environment = target.tool_environment("x").await.unwrap();
        environment.into_iter().find(|(name, _)| name == "PGSSLROOTCERT").map(|(_, value)| value)
    };
    assert_eq!(file("postgres://a@h/d").await.as_deref(), Some("/rds.pem"));
    assert_eq!(file("postgres://a@h/d?sslrootcert=/own.pem").await.as_deref(), Some("/own.pem"));
    assert_eq!(file("postgres://a@localhost/d").await, None);
    assert_eq!(
        ConnectionTarget::parse("postgres://a@localhost/d?sslmode=disable").unwrap().of_rds().tls,
        Tls::VerifyFull
    );
}

#[test]
fn a_database_by_its_parts_is_what_a_url_would_say() {
    let target = ConnectionTarget::of_parts("db.example", 5433, "ann@x", "or/ders").unwrap();
    assert_eq!((target.user(), target.database(), target.port()), ("ann@x", "or/ders", 5433));
    let target = ConnectionTarget::parse_for("ann", "postgres://db.example/orders?sslrootcert=/x.pem").unwrap();
    assert_eq!((target.server_label().as_str(), target.user()), ("db.example:5432", "ann"));
    for url in ["db.example/orders", "postgres://bob@db.example/orders", "mysql://db.example/orders"] {
        assert!(ConnectionTarget::parse_for("ann", url).is_err(), "{url}");
    }
}

#[test]
fn what_is_wrong_with_a_url_is_told() {
    for (url, word) in [
        ("postgres://a@h:99999/d", "the port"),
        ("postgres://a@h:x/d", "the port"),
        ("postgres://a@h/d?foo=1", "a parameter that is not known"),
        ("postgres://a:secret@h/%FF", "%-encoded"),
    ] {
        let error = ConnectionTarget::parse(url).unwrap_err();
        assert!(error.to_string().contains(word), "{url}: {error}");
    }
}

#[test]
fn errors_do_not_repeat_the_url() {
    for url in ["mysql://a:secret@h/d", "postgres://a:secret@h:99999999/d", "postgres://a:secret@h,i/d?sslmode=x"] {
        let error = ConnectionTarget::parse(url).unwrap_err();
        assert!(!format!("{error} {} {error:?}", error.hint()).contains("secret"), "{url}");
    }
}
