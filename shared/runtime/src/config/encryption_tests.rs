//! Tests of the settings of encryption.

use std::path::Path;

use lifeboat_archive::encryption::{Identities, Recipients};
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

#[test]
fn keys_of_openpgp_stand_in_the_file_as_gpg_prints_them() {
    let gpg = lifeboat_testkit::Gpg::new().unwrap();
    let id = gpg.usual_key("Ops <ops@example.com>").unwrap();
    let (public, secret) = (gpg.public(&id).unwrap(), gpg.secret(&id).unwrap());
    let text = format!("[databases.a]\nencrypt_to = ['''\n{public}''']\nidentity_passphrase = {{ env = 'UNLOCK' }}\n");
    let encryption = of(&read(&text).unwrap(), "a");
    let keys = Recipients::parse(encryption.encrypt_to.value.iter().map(String::as_str)).unwrap();
    assert_eq!(keys.ids(), [id]);
    assert_eq!(encryption.identity_passphrase.unwrap().value, SecretRef::Env("UNLOCK".to_owned()));
    let (_, of_age, _) = Identities::generate();
    for (value, words) in [
        (format!("'''{secret}'''"), "secret key, which must not stand here"),
        (format!("'''{public}''', '{of_age}'"), "do not go together"),
        (format!("'''{}'''", &public[..public.len() / 2]), "cannot be read"),
    ] {
        let error = read(&format!("[databases.a]\nencrypt_to = [{value}]\n")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(!format!("{error} {error:?}").contains(&secret[80..120]), "{error:?}");
    }
}

#[test]
fn a_passphrase_stands_for_public_keys_and_not_beside_them() {
    let config = read("[databases.a]\npassphrase = { file = 'a.passphrase' }\n").unwrap();
    assert_eq!(of(&config, "a").passphrase.unwrap().value, SecretRef::File("/etc/lifeboat/a.passphrase".into()));
    let (_, public, _) = Identities::generate();
    let both = format!("[databases.a]\nencrypt_to = ['{public}']\npassphrase = {{ env = 'P' }}\n");
    let error = read(&both).unwrap_err();
    assert!(error.to_string().contains("line 3") && error.hint().contains("one of the two"), "{error}");
    let error = read("[databases.a]\npassphrase = 'correct horse'\n").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("horse"), "{error:?}");
}

#[test]
fn the_environment_says_where_passphrases_are_and_whether_old_keys_are_accepted() {
    fn load<const N: usize>(variables: [(&str, &str); N]) -> Result<Config> {
        super::load(&super::Flags::default(), &crate::environment::Environment::of(variables))
    }
    let config = load([("LIFEBOAT_PASSPHRASE", "correct horse"), ("LIFEBOAT_ACCEPT_EXPIRED_KEYS", "true")]).unwrap();
    assert_eq!(config.passphrase.clone().unwrap().value, SecretRef::Env("LIFEBOAT_PASSPHRASE".to_owned()));
    assert!(config.accept_expired_keys.clone().unwrap().value);
    assert!(!format!("{config:?} {:?}", config.in_force()).contains("horse"));
    assert_eq!(load([]).unwrap().passphrase, None);
    assert_eq!(load([("LIFEBOAT_ACCEPT_EXPIRED_KEYS", "yes")]).unwrap_err().kind(), ErrorKind::Config);
    assert!(read("accept_expired_keys = true\n[databases.a]\n").unwrap().accept_expired_keys.unwrap().value);
}
