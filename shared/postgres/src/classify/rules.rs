//! The table of known messages: the first row that fits decides.

use lifeboat_core::ports::Classification::{
    self, ClusterPrivilege, Data, Harmless, MissingDependency, Ownership, Unknown, VersionDifference,
};

use super::messages::{Label, Spoken};

/// What fits any command, or none.
const ANY: &str = "*";

/// Classification, the error's first line, the command it came from. `*` stands for any text.
type Rule = (Classification, &'static str, &'static str);

/// Errors of pg_restore and the server. An owner or a grant that could not be set is no loss of data; the same words on
/// any other command are, because then an object is missing.
const ERRORS: &[Rule] = &[
    // Versions.
    (VersionDifference, "unrecognized configuration parameter \"*\"", "SET *"),
    (VersionDifference, "unrecognized configuration parameter \"*\"", "SELECT pg_catalog.set_config(*"),
    (VersionDifference, "unrecognized configuration parameter \"*\"", "ALTER DATABASE * SET *"),
    (VersionDifference, "unrecognized configuration parameter \"*\"", "ALTER ROLE * SET *"),
    (VersionDifference, "unrecognized subscription parameter: \"*\"", "CREATE SUBSCRIPTION *"),
    (VersionDifference, "unrecognized publication parameter: \"*\"", "CREATE PUBLICATION *"),
    (VersionDifference, "invalid value for parameter \"default_tablespace\": *", "SET default_tablespace *"),
    (VersionDifference, "invalid value for parameter \"default_toast_compression\": *", "SET *"),
    (Harmless, "schema \"public\" already exists", "CREATE SCHEMA public;*"),
    // Owners and grants.
    (MissingDependency, "role \"*\" does not exist", ANY),
    (Ownership, "must be owner of *", "ALTER * OWNER TO *"),
    (Ownership, "must be owner of *", "COMMENT ON *"),
    (Ownership, "must be owner of *", "SECURITY LABEL *"),
    (Ownership, "must be owner of *", "GRANT *"),
    (Ownership, "must be owner of *", "REVOKE *"),
    (Ownership, "must be member of role \"*\"", "ALTER * OWNER TO *"),
    (Ownership, "must be member of role \"*\"", "ALTER DEFAULT PRIVILEGES *"),
    (Ownership, "must be able to SET ROLE \"*\"", "ALTER * OWNER TO *"),
    (Ownership, "permission denied for *", "ALTER * OWNER TO *"),
    (Ownership, "permission denied for *", "GRANT *"),
    (Ownership, "permission denied for *", "REVOKE *"),
    (Ownership, "permission denied to change default privileges", "ALTER DEFAULT PRIVILEGES *"),
    (Ownership, "permission denied to change owner of *", "ALTER * OWNER TO *"),
    (Ownership, "permission denied to set session authorization*", "SET SESSION AUTHORIZATION *"),
    (Ownership, "grantor must be current user", ANY),
    (Ownership, "permission denied to set role \"*\"", "SET *"),
    // What only a superuser, or a role with a cluster-wide privilege, may create.
    (ClusterPrivilege, "must be superuser to create *", "CREATE *"),
    (ClusterPrivilege, "must be superuser to create *", "ALTER PUBLICATION *"),
    (ClusterPrivilege, "must be superuser to define *", "CREATE *"),
    (ClusterPrivilege, "must be superuser to add or alter *", ANY),
    (ClusterPrivilege, "must be superuser to alter *", "ALTER *"),
    (ClusterPrivilege, "must be superuser to COPY to or from *", ANY),
    (ClusterPrivilege, "only superuser can define a leakproof function", "CREATE *"),
    (ClusterPrivilege, "permission denied for language *", "CREATE *"),
    (ClusterPrivilege, "permission denied to create event trigger \"*\"", "CREATE *"),
    (ClusterPrivilege, "permission denied to create foreign-data wrapper \"*\"", "CREATE *"),
    (ClusterPrivilege, "permission denied to create extension \"*\"", "CREATE *"),
    (ClusterPrivilege, "permission denied to create access method \"*\"", "CREATE *"),
    (ClusterPrivilege, "permission denied to create subscription*", "CREATE *"),
    (ClusterPrivilege, "permission denied to COPY to or from *", ANY),
    (ClusterPrivilege, "permission denied for foreign-data wrapper *", "CREATE SERVER *"),
    (ClusterPrivilege, "permission denied for foreign server *", "CREATE *"),
    (ClusterPrivilege, "permission denied to set parameter \"*\"", ANY),
    (ClusterPrivilege, "permission denied for parameter *", ANY),
    (ClusterPrivilege, "must be owner of extension *", "ALTER EXTENSION *"),
    (ClusterPrivilege, "permission denied for database *", "CREATE PUBLICATION *"),
    (ClusterPrivilege, "permission denied for database *", "CREATE SUBSCRIPTION *"),
    (ClusterPrivilege, "password is required", "CREATE SUBSCRIPTION *"),
    // What the archive takes for granted.
    (MissingDependency, "extension \"*\" is not available", ANY),
    (MissingDependency, "extension \"*\" has no installation script nor update path *", ANY),
    (MissingDependency, "required extension \"*\" is not installed", ANY),
    (MissingDependency, "could not open extension control file \"*", ANY),
    (MissingDependency, "could not access file \"*", ANY),
    (MissingDependency, "could not load library \"*", ANY),
    (MissingDependency, "could not find function \"*\" in file \"*", ANY),
    (MissingDependency, "tablespace \"*\" does not exist", ANY),
    (MissingDependency, "language \"*\" does not exist", "CREATE *"),
    (MissingDependency, "access method \"*\" does not exist", ANY),
    (MissingDependency, "could not create locale \"*", ANY),
    (MissingDependency, "could not open collator for locale \"*", ANY),
    (MissingDependency, "ICU is not supported in this build", ANY),
    (MissingDependency, "invalid locale name*", ANY),
    (MissingDependency, "collation \"*\" for encoding \"*\" does not exist", ANY),
    (MissingDependency, "compression method * not supported", ANY),
    (MissingDependency, "unsupported XML feature", ANY),
    (MissingDependency, "text search template \"*\" does not exist", ANY),
    (MissingDependency, "security label provider \"*\" is not loaded", ANY),
    (MissingDependency, "no security label providers have been loaded", ANY),
    // Data and definitions.
    (Data, "COPY failed for table \"*", ANY),
    (Data, "duplicate key value violates *", ANY),
    (Data, "could not create unique index \"*\"", ANY),
    (Data, "* violates *", ANY),
    (Data, "* is violated by some row", ANY),
    (Data, "* already exists", ANY),
    (Data, "* does not exist", ANY),
    (Data, "there is no unique constraint matching *", ANY),
    (Data, "permission denied for *", ANY),
    (Data, "permission denied to *", ANY),
    (Data, "must be owner of *", ANY),
    (Data, "must be superuser *", ANY),
    (Data, "invalid input *", ANY),
    (Data, "invalid byte sequence *", ANY),
    (Data, "character with byte sequence *", ANY),
    (Data, "value too long *", ANY),
    (Data, "value * is out of range *", ANY),
    (Data, "numeric field overflow", ANY),
    (Data, "syntax error *", ANY),
    (Data, "missing data for column *", ANY),
    (Data, "extra data after last expected column", ANY),
    (Data, "cannot drop * because other objects depend on it", ANY),
    (Data, "could not extend file *", ANY),
    (Data, "could not write *", ANY),
    (Data, "could not read *", ANY),
    (Data, "could not open file *", ANY),
    (Data, "could not find *", ANY),
    (Data, "could not open *", ANY),
    (Data, "could not resize shared memory segment *", ANY),
    (Data, "canceling statement due to *", ANY),
    (Data, "deadlock detected", ANY),
    (Data, "out of memory", ANY),
    (Data, "out of shared memory", ANY),
    (Data, "a worker process died unexpectedly", ANY),
    (Data, "unsupported version (*) in file header", ANY),
];

/// Errors of psql, which tells the command only by its place: loading roles into a server that has some of them.
const ROLE_ERRORS: &[Rule] = &[
    (Harmless, "role \"*\" already exists", ANY),
    (Harmless, "tablespace \"*\" already exists", ANY),
    (VersionDifference, "unrecognized configuration parameter \"*\"", ANY),
    (VersionDifference, "unrecognized role option \"*\"", ANY),
    (MissingDependency, "directory \"*\" does not exist", ANY),
    (ClusterPrivilege, "permission denied to *", ANY),
    (ClusterPrivilege, "must be superuser to *", ANY),
    (ClusterPrivilege, "must have CREATEROLE privilege*", ANY),
    (ClusterPrivilege, "must have admin option on role \"*\"", ANY),
    (ClusterPrivilege, "permission denied", ANY),
    (ClusterPrivilege, "permission denied for *", ANY),
    (ClusterPrivilege, "must be member of role \"*\"", ANY),
    (ClusterPrivilege, "* cannot be granted", ANY),
    (ClusterPrivilege, "grantor must be current user", ANY),
];

/// The tools' warnings that are more than that.
const WARNINGS: &[Rule] = &[
    // Our own list was not understood, so something was left out.
    (Unknown, "line ignored: *", ANY),
    (Data, "could not find *", ANY),
];

/// The server's warnings that are more than that.
const SERVER_WARNINGS: &[Rule] =
    &[(Ownership, "no privileges were granted for \"*\"", ANY), (Ownership, "no privileges could be revoked *", ANY)];

pub(super) fn classification(spoken: &Spoken) -> Classification {
    let decide = |tables: &[&[Rule]], otherwise| {
        let command = spoken.command.as_deref().unwrap_or("");
        tables
            .iter()
            .flat_map(|table| table.iter())
            .find(|(_, error, from)| matches(error, &spoken.error) && (*from == ANY || matches(from, command)))
            .map_or(otherwise, |(classification, _, _)| *classification)
    };
    match spoken.label {
        Label::Error if spoken.tool == "psql" => decide(&[ROLE_ERRORS, ERRORS], Unknown),
        Label::Error => decide(&[ERRORS], Unknown),
        Label::Warning => decide(&[WARNINGS], Harmless),
        Label::ServerWarning => decide(&[SERVER_WARNINGS], Harmless),
        Label::Info => Harmless,
        Label::None => Unknown,
    }
}

/// Whether `text` is `pattern`, in which each `*` stands for any text, line breaks included.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let pieces: Vec<&str> = pieces.collect();
    let Some((last, middle)) = pieces.split_last() else { return rest.is_empty() };
    for piece in middle {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        assert!(matches("ALTER * OWNER TO *", "ALTER TABLE public.\"a\nb\" OWNER TO bob;"));
        assert!(matches("*", ""));
        assert!(matches("a*", "a"));
        assert!(matches("deadlock detected", "deadlock detected"));
        assert!(!matches("deadlock detected", "deadlock detected!"));
        assert!(!matches("* does not exist", "does not exist, they say"));
        assert!(!matches("a*a", "a"));
    }
}
