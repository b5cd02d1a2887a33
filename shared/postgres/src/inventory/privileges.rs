//! Owners and privileges in the inventory.

use super::statements::{member, plain, qualified, relation_kind, role, user_relations};

/// Owners, and privileges that differ from the default ones: all that a role may have is called ALL, because newer
/// versions know more kinds of privileges.
pub(super) fn owners_and_privileges() -> String {
    let relation = format!("{} || ' ' || {}", relation_kind("c.relkind"), qualified("n.nspname", "c.relname"));
    let kinds = "AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')";
    let schema = format!("'schema ' || {}", plain("n.nspname"));
    let user_schema = format!(
        "n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND NOT {}",
        member("pg_namespace", "n.oid")
    );
    let acl_type = "CASE c.relkind WHEN 'S' THEN 's'::\"char\" ELSE 'r'::\"char\" END";
    format!(
        "SELECT 'owner', {relation}, {relation_owner} {relations} {kinds} \
         UNION ALL SELECT 'owner', {schema}, {schema_owner} FROM pg_catalog.pg_namespace n WHERE {user_schema} \
         UNION ALL SELECT 'privileges', {relation}, {relation_acl} {relations} {kinds} AND c.relacl IS NOT NULL \
         AND c.relacl <> pg_catalog.acldefault({acl_type}, c.relowner) \
         UNION ALL SELECT 'privileges', {schema}, {schema_acl} FROM pg_catalog.pg_namespace n \
         WHERE {user_schema} AND n.nspacl IS NOT NULL AND n.nspacl <> pg_catalog.acldefault('n', n.nspowner) \
         UNION ALL SELECT 'privileges', 'column ' || {column}, {column_acl} {columns} AND a.attacl IS NOT NULL AND a.attacl <> '{{}}'",
        relation_owner = role("c.relowner"),
        schema_owner = role("n.nspowner"),
        relations = user_relations(""),
        relation_acl = privileges("c.relacl", acl_type, "c.relowner"),
        schema_acl = privileges("n.nspacl", "'n'", "n.nspowner"),
        column = format_args!("{} || '.' || {}", qualified("n.nspname", "c.relname"), plain("a.attname")),
        column_acl = privileges("a.attacl", "'c'", "c.relowner"),
        columns = user_relations("JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped"),
    )
}

/// An ACL as sorted text, without grantors: `ann=SELECT,UPDATE*; bob=ALL`. A star is the grant option.
fn privileges(acl: &str, kind: &str, owner: &str) -> String {
    let grantee = format!("CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE {} END", role("x.grantee"));
    format!(
        "coalesce((SELECT pg_catalog.string_agg(g.line, '; ' ORDER BY g.line COLLATE \"C\") FROM (\
         SELECT {grantee} || '=' || CASE WHEN count(DISTINCT x.privilege_type) = \
         (SELECT count(*) FROM pg_catalog.aclexplode(pg_catalog.acldefault({kind}, {owner})) y WHERE y.grantee = {owner}) \
         AND (bool_and(x.is_grantable) OR NOT bool_or(x.is_grantable)) \
         THEN CASE WHEN bool_or(x.is_grantable) THEN 'ALL*' ELSE 'ALL' END \
         ELSE pg_catalog.string_agg(DISTINCT (x.privilege_type || CASE WHEN x.is_grantable THEN '*' ELSE '' END) COLLATE \"C\", ',') \
         END AS line \
         FROM pg_catalog.aclexplode({acl}) x GROUP BY x.grantee) g), 'none')"
    )
}
