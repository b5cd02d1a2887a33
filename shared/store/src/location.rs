//! Reads a store's URL: which kind of store, and where; refuses all that could mean two things.

use std::{path::PathBuf, str::FromStr};

use lifeboat_core::{Error, ErrorKind, Result};

const FORMS: &str = "write file:///absolute/folder or s3://bucket/prefix";

/// What a store's URL says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// `file:///absolute/folder`; `%20` and the like are decoded.
    File {
        /// The absolute folder below which every key is a path.
        root: PathBuf,
    },
    /// `s3://bucket/prefix`; taken literally, as the `aws` command does.
    S3 {
        /// The bucket.
        bucket: String,
        /// What every key begins with, without a slash at either end; may be empty.
        prefix: String,
    },
}

impl FromStr for Location {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self> {
        if let Some(rest) = url.strip_prefix("file://") {
            return file(url, rest);
        }
        if let Some(rest) = url.strip_prefix("s3://") {
            return s3(url, rest);
        }
        Err(match url.split_once("://") {
            // The rest of an unknown URL is not shown: it may hold a password.
            Some((scheme, _)) => refuse(format!("stores of the kind '{scheme}://' are not known")).with_hint(FORMS),
            None if url.starts_with('/') => {
                refuse(format!("'{url}' is not a store's URL")).with_hint(format!("write file://{url}"))
            }
            None => refuse(format!("'{url}' is not a store's URL")).with_hint(FORMS),
        })
    }
}

fn refuse(message: String) -> Error {
    Error::new(ErrorKind::Usage, message)
}

fn refuse_query(rest: &str, scheme: &str) -> Result<()> {
    if rest.contains(['?', '#']) {
        return Err(refuse(format!("a {scheme}:// store URL takes no '?query' and no '#fragment'")).with_hint(
            "endpoint, region and the like are settings of their own; in a folder's name write %3F and %23",
        ));
    }
    Ok(())
}

fn file(url: &str, rest: &str) -> Result<Location> {
    refuse_query(rest, "file")?;
    if !rest.starts_with('/') {
        return Err(refuse(format!("'{url}' does not name an absolute folder"))
            .with_hint("write three slashes, as in file:///var/backups"));
    }
    let path = percent_encoding::percent_decode_str(rest)
        .decode_utf8()
        .map_err(|_| refuse(format!("'{url}' does not decode to UTF-8")).with_hint(FORMS))?;
    if path.chars().any(char::is_control) {
        return Err(refuse(format!("{url:?} holds a control character")).with_hint(FORMS));
    }
    let mut root = PathBuf::from("/");
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        if matches!(segment, "." | "..") {
            return Err(
                refuse(format!("'{url}' holds a '{segment}' segment")).with_hint("write the folder's full path")
            );
        }
        root.push(segment);
    }
    if root.parent().is_none() {
        return Err(refuse(format!("'{url}' is the whole file system, which cannot be a store"))
            .with_hint("name a folder of its own, as in file:///var/backups"));
    }
    Ok(Location::File { root })
}

fn s3(url: &str, rest: &str) -> Result<Location> {
    refuse_query(rest, "s3")?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.contains('@') {
        // Not shown: what stands before the '@' may be a secret.
        return Err(refuse("an s3:// store URL takes no user and no password".to_owned()).with_hint(
            "credentials come from the usual AWS sources: environment, profile, or the role of the machine",
        ));
    }
    if bucket.contains(':') {
        return Err(refuse(format!("'{url}' names a port or an ARN where the bucket's name belongs"))
            .with_hint("write s3://bucket/prefix; another server is named by AWS_ENDPOINT_URL_S3"));
    }
    let named = (3..=63).contains(&bucket.len())
        && bucket.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'))
        && !bucket.starts_with(['-', '.'])
        && !bucket.ends_with(['-', '.'])
        && !bucket.contains("..");
    if !named {
        return Err(refuse(format!("'{url}' does not name a bucket"))
            .with_hint("a bucket's name has 3 to 63 of a-z, 0-9, '-' and '.'; write s3://bucket/prefix"));
    }
    let prefix = prefix.strip_suffix('/').filter(|prefix| !prefix.is_empty()).unwrap_or(prefix);
    if !prefix.is_empty() {
        if prefix.len() > 512 || prefix.chars().any(char::is_control) {
            return Err(refuse(
                "the prefix in the store's URL is longer than 512 bytes or holds a control character".to_owned(),
            ));
        }
        if let Some(segment) = prefix.split('/').find(|segment| matches!(*segment, "" | "." | "..")) {
            return Err(refuse(format!("'{url}' holds an empty, '.' or '..' segment ('{segment}')"))
                .with_hint("write s3://bucket/prefix with single slashes"));
        }
    }
    Ok(Location::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s3(bucket: &str, prefix: &str) -> Location {
        Location::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() }
    }

    #[test]
    fn folders_and_buckets_are_read() {
        let cases = [
            ("file:///var/backups", Location::File { root: "/var/backups".into() }),
            ("file:///var/backups/", Location::File { root: "/var/backups".into() }),
            ("file:///var/my%20backups", Location::File { root: "/var/my backups".into() }),
            ("file:///var/my backups", Location::File { root: "/var/my backups".into() }),
            ("s3://acme", s3("acme", "")),
            ("s3://acme/", s3("acme", "")),
            ("s3://acme/pg", s3("acme", "pg")),
            ("s3://acme-1.eu/pg/prod/", s3("acme-1.eu", "pg/prod")),
        ];
        for (url, expected) in cases {
            assert_eq!(url.parse::<Location>().unwrap(), expected, "{url}");
        }
    }

    #[test]
    fn whatever_could_mean_two_things_is_refused_as_usage() {
        for url in [
            "",
            "backups",
            "./backups",
            "/var/backups",
            "file:",
            "file://",
            "file:///",
            "file://backups",
            "file://host/var/backups",
            "file:///var/../etc",
            "file:///var/%2e%2e/etc",
            "file:///var/./x",
            "file:///var/x?y=z",
            "file:///var/x#y",
            "file:///var/%00",
            "file:///var/%ff",
            "s3:",
            "s3://",
            "s3:///prefix",
            "s3://ab/x",
            "s3://Acme/x",
            "s3://a_b_c/x",
            "s3://acme:9000/x",
            "s3://key:secret@acme/x",
            "s3://acme/x?region=y",
            "s3://acme/x//y",
            "s3://acme//",
            "s3://acme/../y",
            "s3://acme/./y",
            "https://acme/x",
            "gs://acme/x",
        ] {
            let error = url.parse::<Location>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{url}");
            assert!(!error.hint().is_empty(), "{url}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_not_repeated() {
        for url in ["s3://key:hunter2@acme/x", "https://user:hunter2@host/x"] {
            let error = url.parse::<Location>().unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
            assert!(!error.hint().contains("hunter2"), "{}", error.hint());
        }
    }

    #[test]
    fn a_bare_path_is_answered_with_the_url_to_write() {
        let error = "/var/backups".parse::<Location>().unwrap_err();
        assert_eq!(error.hint(), "write file:///var/backups");
    }
}
