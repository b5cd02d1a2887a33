//! The catalog queries behind the inventory, as SQL text: each gives kind, name and state.
//!
//! Functions that look into the newest catalog (`pg_get_constraintdef` and its like) are avoided: objects that are
//! dropped meanwhile must not matter to a snapshot.

use super::privileges;

/// What is looked at, with the query.
pub(super) fn all(version: u32) -> Vec<(&'static str, String)> {
    vec![
        ("schemas", schemas()),
        ("relations", relations()),
        ("columns", columns()),
        ("constraints", constraints(version)),
        ("indexes", indexes()),
        ("triggers", triggers()),
        ("rules and policies", rules_and_policies()),
        ("extensions and event triggers", extensions_and_event_triggers()),
        ("sequences", sequence_definitions()),
        ("publications", publications(version)),
        ("subscriptions", subscriptions()),
        ("statistics objects", statistics_objects()),
        ("large objects", LARGE_OBJECTS.to_owned()),
        ("comments and labels", comments_and_labels()),
        ("owners and privileges", privileges::owners_and_privileges()),
    ]
}

/// A name as people read it: bare if it is a plain word, else in double quotes. Unlike `quote_ident` it does not depend
/// on the server's list of keywords, which grows with every version.
pub(super) fn plain(name: &str) -> String {
    format!(
        "(CASE WHEN {name} ~ '^[a-z_][a-z0-9_$]*$' THEN {name}::text \
         ELSE '\"' || pg_catalog.replace({name}::text, '\"', '\"\"') || '\"' END)"
    )
}

/// `schema.name`
pub(super) fn qualified(schema: &str, name: &str) -> String {
    format!("({} || '.' || {})", plain(schema), plain(name))
}

/// A role's name by OID.
pub(super) fn role(oid: &str) -> String {
    format!("coalesce((SELECT {} FROM pg_catalog.pg_roles r WHERE r.oid = {oid}), '?')", plain("r.rolname"))
}

/// Whether an object is a member of an extension, and so comes with it.
pub(super) fn member(class: &str, oid: &str) -> String {
    format!(
        "EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = 'pg_catalog.{class}'::pg_catalog.regclass \
         AND e.objid = {oid} AND e.deptype = 'e')"
    )
}

/// `FROM` and `WHERE` for relations of users: `c` the relation, `n` its schema.
pub(super) fn user_relations(more: &str) -> String {
    format!(
        "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace {more} \
         WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND c.relpersistence <> 't' AND NOT {}",
        member("pg_class", "c.oid")
    )
}

fn schemas() -> String {
    format!(
        "SELECT 'schema', {}, '' FROM pg_catalog.pg_namespace n \
         WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND NOT {}",
        plain("n.nspname"),
        member("pg_namespace", "n.oid")
    )
}

pub(super) fn relation_kind(relkind: &str) -> String {
    format!(
        "CASE {relkind} WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view' \
         WHEN 'm' THEN 'matview' WHEN 'f' THEN 'foreign table' WHEN 'S' THEN 'sequence' END"
    )
}

fn relations() -> String {
    // By name: pg_dump lists parents as they lie in pg_inherits, so that a restore may number them otherwise.
    let parents = format!(
        "coalesce((SELECT pg_catalog.string_agg({0} || CASE WHEN (pg_catalog.to_jsonb(i) ->> 'inhdetachpending')::bool \
         THEN ' (detaching)' ELSE '' END, ', ' ORDER BY {0} COLLATE \"C\") FROM pg_catalog.pg_inherits i \
         JOIN pg_catalog.pg_class p ON p.oid = i.inhparent JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace \
         WHERE i.inhrelid = c.oid), '')",
        qualified("pn.nspname", "p.relname")
    );
    let replica_index = format!(
        "coalesce((SELECT ' ' || {} FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class xc ON xc.oid = x.indexrelid \
         WHERE x.indrelid = c.oid AND x.indisreplident), '')",
        plain("xc.relname")
    );
    let options = "coalesce((SELECT pg_catalog.string_agg(o, ',' ORDER BY o COLLATE \"C\") \
                   FROM pg_catalog.unnest(c.reloptions) o), '')";
    format!(
        "SELECT {kind}, {name}, CASE c.relkind \
         WHEN 'm' THEN 'populated=' || c.relispopulated || ' method=' || coalesce(am.amname, '') \
         WHEN 'v' THEN '' \
         ELSE 'persistence=' || c.relpersistence::text || ' method=' || coalesce(am.amname, '') \
         || ' row_security=' || c.relrowsecurity || ' forced=' || c.relforcerowsecurity \
         || ' replica_identity=' || c.relreplident::text || {replica_index} \
         || CASE WHEN c.relispartition THEN ' partition_of=' ELSE ' inherits=' END || {parents} END \
         || ' options=' || {options} {from} AND c.relkind IN ('r', 'p', 'v', 'm', 'f')",
        kind = relation_kind("c.relkind"),
        name = qualified("n.nspname", "c.relname"),
        from = user_relations("LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam"),
    )
}

/// Only those with a state of their own: identity and generated columns.
fn columns() -> String {
    format!(
        "SELECT 'column', {} || '.' || {}, 'identity=' || a.attidentity::text || ' generated=' || a.attgenerated::text {} \
         AND c.relkind IN ('r', 'p', 'f') AND NOT a.attisdropped AND (a.attidentity <> '' OR a.attgenerated <> '')",
        qualified("n.nspname", "c.relname"),
        plain("a.attname"),
        user_relations("JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"),
    )
}

/// Constraints by name, but those that PostgreSQL makes for partitions from a parent's: their own names may come out
/// otherwise after a restore, so they are named by what they stem from.
fn constraints(version: u32) -> String {
    let enforced = if version >= 180_000 { "' enforced=' || k.conenforced" } else { "' enforced=true'" };
    let columns = |array: &str, relation: &str| {
        format!(
            "coalesce((SELECT pg_catalog.string_agg({}, ',' ORDER BY u.place) FROM pg_catalog.unnest({array}) \
             WITH ORDINALITY AS u(attnum, place) JOIN pg_catalog.pg_attribute a \
             ON a.attrelid = {relation} AND a.attnum = u.attnum), '')",
            plain("a.attname")
        )
    };
    let referenced = qualified("fn.nspname", "f.relname");
    let state = format!(
        "'type=' || k.contype::text || ' validated=' || k.convalidated || ' deferrable=' || k.condeferrable \
         || ' deferred=' || k.condeferred || {enforced} \
         || CASE k.contype WHEN 'f' THEN ' columns=' || {own} || ' references=' || {referenced} || '(' || {theirs} || ')' \
         || ' match=' || k.confmatchtype::text || ' update=' || k.confupdtype::text || ' delete=' || k.confdeltype::text \
         WHEN 'c' THEN ' no_inherit=' || k.connoinherit ELSE ' columns=' || {own} END",
        own = columns("k.conkey", "k.conrelid"),
        theirs = columns("k.confkey", "k.confrelid"),
    );
    let joins = "JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid \
                 LEFT JOIN pg_catalog.pg_class f ON f.oid = k.confrelid \
                 LEFT JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace \
                 LEFT JOIN pg_catalog.pg_constraint pk ON pk.oid = k.conparentid AND k.conparentid <> 0 \
                 LEFT JOIN pg_catalog.pg_class pc ON pc.oid = pk.conrelid \
                 LEFT JOIN pg_catalog.pg_namespace pcn ON pcn.oid = pc.relnamespace";
    let origin = format!(
        "CASE WHEN pk.oid IS NULL THEN {} ELSE '<' || {} || '.' || {} || '>' || CASE WHEN k.contype = 'f' THEN '->' || {referenced} ELSE '' END END",
        plain("k.conname"),
        qualified("pcn.nspname", "pc.relname"),
        // A clone's parent may itself be a clone, whose name is as little to be relied on.
        format_args!("CASE WHEN pk.conparentid <> 0 THEN '' ELSE {} END", plain("pk.conname")),
    );
    // From 18 on NOT NULL constraints are in the catalog: only those with a state that a column does not show.
    let wanted = "k.contype IN ('c', 'f', 'p', 'u', 'x') OR (k.contype = 'n' AND NOT k.convalidated)";
    let on_tables = format!(
        "SELECT CASE k.contype WHEN 'f' THEN 'foreign key' ELSE 'constraint' END, {} || '.' || {origin}, {state} {} AND ({wanted})",
        qualified("n.nspname", "c.relname"),
        user_relations(joins),
    );
    let on_domains = format!(
        "SELECT 'domain constraint', {} || '.' || {}, 'type=' || k.contype::text || ' validated=' || k.convalidated \
         FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_type t ON t.oid = k.contypid \
         JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
         WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND k.contype = 'c' AND NOT {}",
        qualified("n.nspname", "t.typname"),
        plain("k.conname"),
        member("pg_type", "t.oid"),
    );
    format!("{on_tables} UNION ALL {on_domains}")
}

/// As pg_dump, without indexes that are not valid, but for those of partitioned tables.
fn indexes() -> String {
    let attached = format!(
        "coalesce((SELECT ' attached_to=' || {} FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class p \
         ON p.oid = i.inhparent JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace WHERE i.inhrelid = x.oid), '')",
        qualified("pn.nspname", "p.relname")
    );
    let key = format!(
        "coalesce((SELECT pg_catalog.string_agg(coalesce({}, '(expression)'), ',' ORDER BY u.place) \
         FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS u(attnum, place) \
         LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.attnum AND u.attnum <> 0), '')",
        plain("a.attname")
    );
    format!(
        "SELECT 'index', {} || ' on ' || {}, 'method=' || am.amname || ' columns=' || {key} || ' keys=' || i.indnkeyatts \
         || ' unique=' || i.indisunique || ' primary=' || i.indisprimary || ' exclusion=' || i.indisexclusion \
         || ' nulls_not_distinct=' || coalesce(pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct', 'false') \
         || ' partial=' || (i.indpred IS NOT NULL) || ' immediate=' || i.indimmediate || ' valid=' || i.indisvalid \
         || ' ready=' || i.indisready || ' clustered=' || i.indisclustered || {attached} {} \
         AND i.indisready AND (i.indisvalid OR x.relkind = 'I')",
        qualified("n.nspname", "x.relname"),
        plain("c.relname"),
        user_relations(
            "JOIN pg_catalog.pg_index i ON i.indrelid = c.oid JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid \
             JOIN pg_catalog.pg_am am ON am.oid = x.relam"
        ),
    )
}

fn triggers() -> String {
    format!(
        "SELECT 'trigger', {} || '.' || {}, 'enabled=' || t.tgenabled::text || ' type=' || t.tgtype || ' deferrable=' \
         || t.tgdeferrable || ' deferred=' || t.tginitdeferred || ' function=' || {} {} AND NOT t.tgisinternal",
        qualified("n.nspname", "c.relname"),
        plain("t.tgname"),
        qualified("pn.nspname", "p.proname"),
        user_relations(
            "JOIN pg_catalog.pg_trigger t ON t.tgrelid = c.oid JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid \
             JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace"
        ),
    )
}

fn rules_and_policies() -> String {
    let relation = qualified("n.nspname", "c.relname");
    let roles = format!(
        "coalesce((SELECT pg_catalog.string_agg(CASE WHEN o = 0 THEN 'PUBLIC' ELSE {0} END, ',' \
         ORDER BY CASE WHEN o = 0 THEN 'PUBLIC' ELSE {0} END COLLATE \"C\") FROM pg_catalog.unnest(p.polroles) o), '')",
        role("o")
    );
    format!(
        "SELECT 'rule', {relation} || '.' || {}, 'enabled=' || w.ev_enabled::text || ' event=' || w.ev_type::text || ' instead=' || w.is_instead \
         {} AND w.rulename <> '_RETURN' \
         UNION ALL SELECT 'policy', {relation} || '.' || {}, 'command=' || p.polcmd::text || ' permissive=' || p.polpermissive \
         || ' roles=' || {roles} || ' using=' || (p.polqual IS NOT NULL) || ' check=' || (p.polwithcheck IS NOT NULL) {}",
        plain("w.rulename"),
        user_relations("JOIN pg_catalog.pg_rewrite w ON w.ev_class = c.oid"),
        plain("p.polname"),
        user_relations("JOIN pg_catalog.pg_policy p ON p.polrelid = c.oid"),
    )
}

/// plpgsql comes with every database and is not in an archive.
fn extensions_and_event_triggers() -> String {
    format!(
        "SELECT 'extension', {}, 'version=' || e.extversion || ' schema=' || {} FROM pg_catalog.pg_extension e \
         JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname <> 'plpgsql' \
         UNION ALL SELECT 'event trigger', {}, 'enabled=' || t.evtenabled::text || ' event=' || t.evtevent || ' function=' || {} \
         || ' tags=' || coalesce((SELECT pg_catalog.string_agg(g, ',' ORDER BY g COLLATE \"C\") \
         FROM pg_catalog.unnest(t.evttags) g), '') FROM pg_catalog.pg_event_trigger t \
         JOIN pg_catalog.pg_proc p ON p.oid = t.evtfoid JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE NOT {}",
        plain("e.extname"),
        plain("n.nspname"),
        plain("t.evtname"),
        qualified("n.nspname", "p.proname"),
        member("pg_event_trigger", "t.oid"),
    )
}

fn sequence_definitions() -> String {
    let owner = format!(
        "coalesce((SELECT {} || '.' || {} || CASE d.deptype WHEN 'i' THEN ' (identity)' ELSE '' END \
         FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class tc ON tc.oid = d.refobjid \
         JOIN pg_catalog.pg_namespace tn ON tn.oid = tc.relnamespace \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = tc.oid AND a.attnum = d.refobjsubid \
         WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid \
         AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i')), '')",
        qualified("tn.nspname", "tc.relname"),
        plain("a.attname"),
    );
    format!(
        "SELECT 'sequence definition', {}, 'type=' || \
         coalesce((SELECT t.typname FROM pg_catalog.pg_type t WHERE t.oid = s.seqtypid), '?') \
         || ' start=' || s.seqstart || ' increment=' || s.seqincrement || ' min=' || s.seqmin || ' max=' || s.seqmax \
         || ' cache=' || s.seqcache || ' cycle=' || s.seqcycle || ' owned_by=' || {owner} {}",
        qualified("n.nspname", "c.relname"),
        user_relations("JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid"),
    )
}

/// From 18 on a function tells what is in a sequence: kind, name, state; no state where the role may not read it.
pub(super) fn sequence_values() -> String {
    format!(
        "SELECT 'sequence', {}, coalesce(v.last_value || ',' || v.is_called, '?') {}",
        qualified("n.nspname", "c.relname"),
        user_relations(
            "JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid \
             CROSS JOIN LATERAL pg_catalog.pg_get_sequence_data(s.seqrelid) v"
        ),
    )
}

/// Before 18 each sequence has to be read: name as shown, schema, name, whether it may be read.
pub(super) fn sequence_names() -> String {
    format!(
        "SELECT {}, n.nspname, c.relname, pg_catalog.has_sequence_privilege(s.seqrelid, 'SELECT') \
         AND NOT (c.relpersistence = 'u' AND pg_catalog.pg_is_in_recovery()) {}",
        qualified("n.nspname", "c.relname"),
        user_relations("JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid"),
    )
}

fn publications(version: u32) -> String {
    let schemas = if version >= 150_000 {
        format!(
            " UNION ALL SELECT 'publication schema', {} || ': ' || {}, '' FROM pg_catalog.pg_publication_namespace s \
             JOIN pg_catalog.pg_publication p ON p.oid = s.pnpubid JOIN pg_catalog.pg_namespace n ON n.oid = s.pnnspid",
            plain("p.pubname"),
            plain("n.nspname")
        )
    } else {
        String::new()
    };
    format!(
        "SELECT 'publication', {publication}, 'all_tables=' || p.puballtables || ' insert=' || p.pubinsert || ' update=' || p.pubupdate \
         || ' delete=' || p.pubdelete || ' truncate=' || p.pubtruncate || ' via_root=' || p.pubviaroot \
         FROM pg_catalog.pg_publication p WHERE NOT {member} \
         UNION ALL SELECT 'publication table', {publication} || ': ' || {relation}, \
         'where=' || (pg_catalog.to_jsonb(t) ->> 'prqual' IS NOT NULL) || ' columns=' || (pg_catalog.to_jsonb(t) ->> 'prattrs' IS NOT NULL) \
         FROM pg_catalog.pg_publication_rel t JOIN pg_catalog.pg_publication p ON p.oid = t.prpubid \
         JOIN pg_catalog.pg_class c ON c.oid = t.prrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace{schemas}",
        publication = plain("p.pubname"),
        member = member("pg_publication", "p.oid"),
        relation = qualified("n.nspname", "c.relname"),
    )
}

/// Restored subscriptions are disabled on purpose, so whether one is enabled is no part of its state. Only columns that
/// every role may read; the connection string is none of them.
fn subscriptions() -> String {
    format!(
        "SELECT 'subscription', {}, 'slot=' || coalesce(s.subslotname, '') || ' publications=' || \
         (SELECT pg_catalog.string_agg(p, ',' ORDER BY p COLLATE \"C\") FROM pg_catalog.unnest(s.subpublications) p) \
         FROM pg_catalog.pg_subscription s WHERE s.subdbid = \
         (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())",
        plain("s.subname")
    )
}

fn statistics_objects() -> String {
    let columns = format!(
        "coalesce((SELECT pg_catalog.string_agg({0}, ',' ORDER BY {0} COLLATE \"C\") FROM pg_catalog.pg_attribute a \
         WHERE a.attrelid = c.oid AND a.attnum = ANY (s.stxkeys::int2[])), '')",
        plain("a.attname")
    );
    format!(
        "SELECT 'statistics', {}, 'on=' || {} || ' kinds=' || pg_catalog.array_to_string(s.stxkind::text[], ',') || ' columns=' || {columns} \
         || ' expressions=' || coalesce(pg_catalog.to_jsonb(s) ->> 'stxexprs' IS NOT NULL, false) \
         || ' target=' || coalesce(nullif(s.stxstattarget, -1)::text, 'default') {}",
        qualified("sn.nspname", "s.stxname"),
        qualified("n.nspname", "c.relname"),
        user_relations(
            "JOIN pg_catalog.pg_statistic_ext s ON s.stxrelid = c.oid \
             JOIN pg_catalog.pg_namespace sn ON sn.oid = s.stxnamespace"
        ),
    )
}

/// There may be millions: counted as a whole, by owner and by privileges.
const LARGE_OBJECTS: &str = "
SELECT 'large objects', 'all', 'count=' || count(*) FROM pg_catalog.pg_largeobject_metadata
UNION ALL SELECT 'owner', 'large objects of ' || coalesce(r.rolname, '?'), 'count=' || count(*)
FROM pg_catalog.pg_largeobject_metadata m LEFT JOIN pg_catalog.pg_roles r ON r.oid = m.lomowner GROUP BY r.rolname
UNION ALL SELECT 'privileges', 'large objects for ' || coalesce(r.rolname, 'PUBLIC') || ': ' || x.privilege_type
|| CASE WHEN x.is_grantable THEN ' with grant option' ELSE '' END, 'count=' || count(*)
FROM pg_catalog.pg_largeobject_metadata m, pg_catalog.aclexplode(m.lomacl) x
LEFT JOIN pg_catalog.pg_roles r ON r.oid = x.grantee WHERE x.grantee <> m.lomowner
GROUP BY r.rolname, x.privilege_type, x.is_grantable";

/// Counted by kind of object. What initdb and extensions bring is not counted, nor what lies on extensions' tables.
fn comments_and_labels() -> String {
    let brought = "EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = d.classoid AND e.objid = d.objoid AND e.deptype = 'e')";
    let subject = "(SELECT c.relname FROM pg_catalog.pg_class c WHERE c.oid = d.classoid)::text";
    format!(
        "SELECT 'comments', {subject}, 'count=' || count(*) FROM pg_catalog.pg_description d \
         WHERE d.objoid >= 16384 AND NOT {brought} AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c \
         WHERE c.oid = d.objoid AND d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.relpersistence = 't') \
         GROUP BY d.classoid \
         UNION ALL SELECT 'security labels', d.provider || ' on ' || {subject}, 'count=' || count(*) \
         FROM pg_catalog.pg_seclabel d WHERE NOT {brought} GROUP BY d.provider, d.classoid"
    )
}
