//! Tests of the settings of encryption.

use std::path::Path;

use lifeboat_archive::encryption::Identities;
use lifeboat_core::{
    ErrorKind, Result,
    config::{Config, EncryptionConfig, SecretRef},
};

fn read(text: &str) -> Result<Config> {
    super::file::read(Path::new("/etc/lifeboat/lifeboat.toml"), text)
}

fn of(config: &Config, name: &str) -> EncryptionConfig {
    config.databases.get(&name.parse().unwrap()).unwrap().encryption.clone()
}

#[test]
fn recipients_and_where_the_identity_is_kept_are_read() {
    let (_, public, _) = Identities::generate();
    let text = format!("[databases.a]\nencrypt_to = ['{public}']\nidentity = {{ file = 'key.txt' }}\n[databases.b]\n");
    let config = read(&text).unwrap();
    assert_eq!(of(&config, "a").encrypt_to.value, [public]);
    assert_eq!(of(&config, "a").identity.unwrap().value, SecretRef::File("/etc/lifeboat/key.txt".into()));
    assert_eq!(of(&config, "b"), EncryptionConfig::default());
}

#[test]
fn what_is_required_of_all_is_required_of_each_that_does_not_say_otherwise() {
    let config = read("require_encryption = true\n[databases.a]\n[databases.b]\nrequire_encryption = false\n").unwrap();
    assert!(of(&config, "a").required.value);
    assert!(!of(&config, "b").required.value);
}

#[test]
fn what_is_no_public_key_is_refused_and_a_secret_one_is_never_shown() {
    let (_, public, secret) = Identities::generate();
    let secret = secrecy::ExposeSecret::expose_secret(&secret).to_owned();
    let mistyped = format!("{}q", &public[..public.len() - 1]);
    for (value, words) in [
        ("'age1xyz'".to_owned(), "expected a list"),
        ("[]".to_owned(), "expected a list"),
        ("[1]".to_owned(), "expected a public key"),
        ("['age1xyz']".to_owned(), "no public key of age"),
        (format!("['{mistyped}x']"), "no public key of age"),
        (format!("['{secret}']"), "secret key, which must not stand here"),
    ] {
        let error = read(&format!("[databases.a]\nencrypt_to = {value}\n")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.to_string().contains("line 2"), "{error}");
        assert!(!format!("{error} {error:?}").contains(&secret), "{error:?}");
    }
    let error = read(&format!("[databases.a]\nidentity = '{secret}'\n")).unwrap_err();
    assert!(error.to_string().contains("must not stand in the file"), "{error}");
    assert!(!format!("{error} {error:?}").contains(&secret), "{error:?}");
}
