//! Real texts of the tools and servers of PostgreSQL 15 to 18, and how each is to be taken.

mod secrets;

use lifeboat_core::ports::Classification::{
    self, ClusterPrivilege, Data, Harmless, MissingDependency, Ownership, Unknown, VersionDifference,
};

use super::classify;

/// The classification of one error of pg_restore with its command.
fn restore(error: &str, command: &str) -> Classification {
    let text = format!("pg_restore: error: could not execute query: ERROR:  {error}\nCommand was: {command}\n\n\n");
    let messages = classify(text.as_bytes());
    assert_eq!(messages.len(), 1, "{messages:?}");
    messages[0].classification
}

#[test]
fn owners_and_grants_that_could_not_be_set_lose_no_data() {
    for (error, command) in [
        ("must be member of role \"bob\"", "ALTER TABLE public.a OWNER TO bob;"),
        ("must be able to SET ROLE \"bob\"", "ALTER TABLE public.a OWNER TO bob;"),
        ("must be owner of extension plpgsql", "COMMENT ON EXTENSION plpgsql IS 'PL/pgSQL';"),
        ("must be owner of schema public", "ALTER SCHEMA public OWNER TO bob;"),
        ("permission denied for schema kinds", "ALTER TABLE kinds.a OWNER TO bob;"),
        ("permission denied for table a", "GRANT SELECT ON TABLE public.a TO bob;"),
        (
            "permission denied for schema public",
            "REVOKE USAGE ON SCHEMA public FROM PUBLIC;\nGRANT ALL ON SCHEMA public TO PUBLIC;",
        ),
        ("must be member of role \"bob\"", "ALTER DEFAULT PRIVILEGES FOR ROLE bob GRANT SELECT ON TABLES  TO nosu;"),
        (
            "permission denied to change default privileges",
            "ALTER DEFAULT PRIVILEGES FOR ROLE bob GRANT SELECT ON TABLES TO nosu;",
        ),
        (
            "permission denied to set session authorization \"bob\"",
            "SET SESSION AUTHORIZATION bob;\nGRANT SELECT ON TABLE public.a TO ann;",
        ),
        ("permission denied to set session authorization", "SET SESSION AUTHORIZATION bob;"),
    ] {
        assert_eq!(restore(error, command), Ownership, "{error} / {command}");
    }
}

#[test]
fn the_same_words_on_a_definition_are_a_loss() {
    for (error, command) in [
        ("must be owner of table a", "ALTER TABLE ONLY public.a\n    ADD CONSTRAINT a_pkey PRIMARY KEY (i);"),
        ("must be owner of table a", "CREATE INDEX a_i ON public.a USING btree (i);"),
        ("permission denied for schema public", "CREATE TABLE public.a (\n    i integer\n);"),
        ("permission denied for database t", "CREATE SCHEMA kinds;"),
        ("must be owner of materialized view mv", "REFRESH MATERIALIZED VIEW public.mv;"),
        ("permission denied for table a", "REFRESH MATERIALIZED VIEW public.mv;"),
    ] {
        assert_eq!(restore(error, command), Data, "{error} / {command}");
    }
}

#[test]
fn what_only_a_superuser_may_create_is_listed() {
    for (error, command) in [
        ("must be superuser to create a base type", "CREATE TYPE public.base1;"),
        (
            "must be superuser to create an operator class",
            "CREATE OPERATOR CLASS public.c FOR TYPE integer USING btree AS STORAGE integer;",
        ),
        ("must be superuser to create an operator family", "CREATE OPERATOR FAMILY public.c USING btree;"),
        (
            "must be superuser to create text search templates",
            "CREATE TEXT SEARCH TEMPLATE public.t (\n    LEXIZE = dsimple_lexize );",
        ),
        (
            "must be superuser to create FOR ALL TABLES publication",
            "CREATE PUBLICATION p FOR ALL TABLES WITH (publish = 'insert');",
        ),
        (
            "must be superuser to create subscriptions",
            "CREATE SUBSCRIPTION sub CONNECTION 'dbname=x' PUBLICATION p WITH (connect = false);",
        ),
        (
            "permission denied to create subscription",
            "CREATE SUBSCRIPTION sub CONNECTION 'dbname=x' PUBLICATION p WITH (connect = false);",
        ),
        (
            "permission denied for language internal",
            "CREATE FUNCTION public.lp(integer) RETURNS integer\n    LANGUAGE internal\n    AS $$int4um$$;",
        ),
        (
            "permission denied to create foreign-data wrapper \"w\"\nHINT:  Must be superuser to create a foreign-data wrapper.",
            "CREATE FOREIGN DATA WRAPPER w;",
        ),
        (
            "permission denied to create event trigger \"et\"\nHINT:  Must be superuser to create an event trigger.",
            "CREATE EVENT TRIGGER et ON ddl_command_start\n   EXECUTE FUNCTION public.etf();",
        ),
        (
            "permission denied to create extension \"file_fdw\"\nHINT:  Must be superuser to create this extension.",
            "CREATE EXTENSION IF NOT EXISTS file_fdw WITH SCHEMA public;",
        ),
        (
            "permission denied to create access method \"m\"\nHINT:  Must be superuser to create an access method.",
            "CREATE ACCESS METHOD m TYPE TABLE HANDLER heap_tableam_handler;",
        ),
        (
            "only superuser can define a leakproof function",
            "CREATE FUNCTION public.f() RETURNS integer LANGUAGE sql LEAKPROOF AS $$ SELECT 1 $$;",
        ),
        ("must be superuser to create custom procedural language", "CREATE PROCEDURAL LANGUAGE lb HANDLER public.h;"),
    ] {
        assert_eq!(restore(error, command), ClusterPrivilege, "{error} / {command}");
    }
}

#[test]
fn what_the_target_lacks_is_named_as_that() {
    for (error, command) in [
        ("role \"bob\" does not exist", "ALTER TABLE public.a OWNER TO bob;"),
        (
            "extension \"postgis\" is not available\nDETAIL:  Could not open extension control file \"/usr/share/postgresql/15/extension/postgis.control\": No such file or directory.",
            "CREATE EXTENSION IF NOT EXISTS postgis WITH SCHEMA public;",
        ),
        (
            "could not access file \"$libdir/nothing\": No such file or directory",
            "CREATE FUNCTION public.f() RETURNS integer LANGUAGE c AS '$libdir/nothing', 'f';",
        ),
        ("ICU is not supported in this build", "CREATE COLLATION public.c (provider = icu, locale = 'de');"),
        (
            "could not create locale \"de_DE.utf8\": No such file or directory",
            "CREATE COLLATION public.c (provider = libc, locale = 'de_DE.utf8');",
        ),
        (
            "language \"plperl\" does not exist\nHINT:  Use CREATE EXTENSION to load the language into the database.",
            "CREATE FUNCTION public.f() RETURNS integer LANGUAGE plperl AS $$ 1 $$;",
        ),
        ("compression method lz4 not supported", "CREATE TABLE public.a (t text COMPRESSION lz4);"),
    ] {
        assert_eq!(restore(error, command), MissingDependency, "{error} / {command}");
    }
}

#[test]
fn differences_between_versions_change_no_data() {
    assert_eq!(
        restore("unrecognized configuration parameter \"transaction_timeout\"", "SET transaction_timeout = 0;"),
        VersionDifference
    );
    assert_eq!(
        restore(
            "unrecognized subscription parameter: \"run_as_owner\"",
            "CREATE SUBSCRIPTION sub CONNECTION 'x' PUBLICATION p WITH (run_as_owner = true);"
        ),
        VersionDifference
    );
    assert_eq!(
        restore(
            "invalid value for parameter \"default_tablespace\": \"fast\"\nDETAIL:  Tablespace \"fast\" does not exist.",
            "SET default_tablespace = fast;"
        ),
        VersionDifference
    );
    // The same words for a setting within a definition: the function is missing.
    assert_eq!(
        restore(
            "unrecognized configuration parameter \"x\"",
            "CREATE FUNCTION public.f() RETURNS integer SET x TO '1';"
        ),
        Unknown
    );
}

#[test]
fn data_and_definitions_that_were_not_restored_are_fatal() {
    for (error, command) in [
        (
            "could not create unique index \"a_pkey\"\nDETAIL:  Key (i)=(1) is duplicated.",
            "ALTER TABLE ONLY public.a\n    ADD CONSTRAINT a_pkey PRIMARY KEY (i);",
        ),
        (
            "insert or update on table \"b\" violates foreign key constraint \"b_a_fkey\"\nDETAIL:  Key (a)=(9) is not present in table \"a\".",
            "ALTER TABLE ONLY public.b\n    ADD CONSTRAINT b_a_fkey FOREIGN KEY (a) REFERENCES public.a(i);",
        ),
        ("relation \"a\" already exists", "CREATE TABLE public.a (\n    i integer\n);"),
        ("relation \"public.usesbase\" does not exist", "COPY public.usesbase (b) FROM stdin;\n"),
        (
            "type \"public.citext\" does not exist\nLINE 2:     b public.citext\n              ^",
            "CREATE TABLE public.t (\n    b public.citext\n);",
        ),
        (
            "check constraint \"c\" of relation \"a\" is violated by some row",
            "ALTER TABLE public.a ADD CONSTRAINT c CHECK (i > 0);",
        ),
        (
            "could not extend file \"base/5/16384\": No space left on device\nHINT:  Check free disk space.",
            "CREATE INDEX a_i ON public.a USING btree (i);",
        ),
        ("canceling statement due to statement timeout", "CREATE INDEX a_i ON public.a USING btree (i);"),
    ] {
        assert_eq!(restore(error, command), Data, "{error} / {command}");
    }
    let copy = b"pg_restore: error: COPY failed for table \"a\": ERROR:  duplicate key value violates unique constraint \"a_pkey\"\nDETAIL:  Key (i)=(1) already exists.\nCONTEXT:  COPY a, line 1\n";
    assert_eq!(classify(copy)[0].classification, Data);
}

#[test]
fn what_is_not_known_is_fatal() {
    assert_eq!(restore("the flux capacitor has drifted", "CREATE TABLE public.a (i integer);"), Unknown);
    assert_eq!(classify(b"Segmentation fault\n")[0].classification, Unknown);
    assert_eq!(restore("Rolle >>bob<< existiert nicht", "ALTER TABLE public.a OWNER TO bob;"), Unknown);
    assert!(Unknown.is_fatal() && Data.is_fatal());
    let ignored = classify(b"pg_restore: warning: line ignored: x;\n");
    assert_eq!(ignored[0].classification, Unknown);
}

#[test]
fn warnings_and_notices_are_harmless() {
    let text = "pg_restore: warning: errors ignored on restore: 31\n\
        pg_restore: WARNING:  wal_level is insufficient to publish logical changes\n\
        HINT:  Set wal_level to \"logical\" before creating subscriptions.\n\
        pg_restore: NOTICE:  return type base1 is only a shell\n\
        psql:<stdin>:14: NOTICE:  role \"ann\" has already been granted membership in role \"bob\" by role \"postgres\"\n";
    let messages = classify(text.as_bytes());
    assert_eq!(messages.len(), 4);
    assert!(messages.iter().all(|m| m.classification == Harmless), "{messages:?}");
    let grants = classify(b"pg_restore: WARNING:  no privileges were granted for \"a\"\n");
    assert_eq!(grants[0].classification, Ownership);
}

#[test]
fn an_error_with_its_command_and_entry_is_one_message() {
    let text = "pg_restore: while PROCESSING TOC:\n\
        pg_restore: from TOC entry 215; 1259 16386 TABLE a bob\n\
        pg_restore: error: could not execute query: ERROR:  must be member of role \"bob\"\n\
        Command was: ALTER TABLE public.a OWNER TO bob;\n\n\n\
        pg_restore: error: could not execute query: ERROR:  relation \"a\" already exists\n\
        Command was: CREATE TABLE public.a (\n    i integer\n);\n\n\n\
        pg_restore: warning: errors ignored on restore: 2\n";
    let messages = classify(text.as_bytes());
    assert_eq!(messages.len(), 3, "{messages:?}");
    let entry = Some("215; 1259 16386 TABLE a bob");
    assert_eq!((messages[0].classification, messages[0].entry.as_deref()), (Ownership, entry));
    assert_eq!((messages[1].classification, messages[1].entry.as_deref()), (Data, entry));
    assert!(messages[1].text.ends_with("    i integer\n);"), "{:?}", messages[1].text);
    assert_eq!((messages[2].classification, messages[2].entry.as_deref()), (Harmless, None));
}

#[test]
fn consequences_of_what_could_not_be_created_are_no_new_failures() {
    let text = "pg_restore: error: could not execute query: ERROR:  permission denied to create foreign-data wrapper \"w\"\n\
        HINT:  Must be superuser to create a foreign-data wrapper.\nCommand was: CREATE FOREIGN DATA WRAPPER w;\n\n\n\
        pg_restore: error: could not execute query: ERROR:  foreign-data wrapper \"w\" does not exist\n\
        Command was: ALTER FOREIGN DATA WRAPPER w OWNER TO postgres;\n\n\
        pg_restore: error: could not execute query: ERROR:  foreign-data wrapper \"w\" does not exist\n\
        Command was: CREATE SERVER \"s \"\"1\" FOREIGN DATA WRAPPER w;\n\n\n\
        pg_restore: error: could not execute query: ERROR:  server \"s \"1\" does not exist\n\
        Command was: CREATE FOREIGN TABLE public.ft (\n    i integer\n)\nSERVER \"s \"\"1\";\n\n\n\
        pg_restore: error: could not execute query: ERROR:  relation \"public.ft\" does not exist\n\
        Command was: COMMENT ON FOREIGN TABLE public.ft IS 'x';\n\n\n\
        pg_restore: error: could not execute query: ERROR:  permission denied for language internal\n\
        Command was: CREATE FUNCTION public.lp(integer) RETURNS integer\n    LANGUAGE internal\n    AS $$int4um$$;\n\n\n\
        pg_restore: error: could not execute query: ERROR:  function public.lp(integer) does not exist\n\
        Command was: ALTER FUNCTION public.lp(integer) OWNER TO postgres;\n\n\n";
    let messages = classify(text.as_bytes());
    assert_eq!(messages.len(), 7);
    for message in messages {
        assert_eq!(message.classification, ClusterPrivilege, "{message:?}");
    }
}

#[test]
fn a_table_lost_to_a_type_that_could_not_be_created_is_fatal() {
    let text = "pg_restore: error: could not execute query: ERROR:  must be superuser to create a base type\n\
        Command was: CREATE TYPE public.base1;\n\n\n\
        pg_restore: error: could not execute query: ERROR:  type \"public.base1\" does not exist\n\
        LINE 2:     b public.base1\n              ^\nCommand was: CREATE TABLE public.usesbase (\n    b public.base1\n);\n\n\n";
    let messages = classify(text.as_bytes());
    assert_eq!(messages[1].classification, Data, "{messages:?}");
}

#[test]
fn loading_roles_where_some_exist_is_harmless() {
    let text = "psql:<stdin>:14: ERROR:  role \"postgres\" already exists\n\
        psql:<stdin>:19: ERROR:  permission denied to create role\n\
        psql:<stdin>:20: ERROR:  permission denied to create role\nDETAIL:  Only roles with the CREATEROLE attribute may create roles.\n\
        psql:<stdin>:21: ERROR:  unrecognized configuration parameter \"transaction_timeout\"\n\
        psql:<stdin>:22: ERROR:  syntax error at or near \"INHERIT\"\nLINE 1: GRANT a TO b WITH INHERIT TRUE;\n                          ^\n";
    let kinds: Vec<_> = classify(text.as_bytes()).into_iter().map(|m| m.classification).collect();
    assert_eq!(kinds, [Harmless, ClusterPrivilege, ClusterPrivilege, VersionDifference, Data]);
}

#[test]
fn a_lost_connection_is_fatal() {
    for text in [
        "pg_restore: error: connection to server at \"127.0.0.1\", port 1 failed: Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?\n",
        "pg_restore: error: connection to server on socket \"/run/.s.PGSQL.5432\" failed: FATAL:  database \"t1r\" does not exist\n",
        "pg_restore: error: could not execute query: server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally\n",
    ] {
        let messages = classify(text.as_bytes());
        assert_eq!(messages.len(), 1);
        assert!(messages[0].classification.is_fatal(), "{messages:?}");
    }
}

#[test]
fn text_in_a_command_cannot_hide_the_error_before_it() {
    let text = "pg_restore: error: could not execute query: ERROR:  relation \"a\" already exists\n\
        Command was: CREATE TABLE public.a (\n    i integer DEFAULT '\npg_restore: warning: all is well\n'\n);\n";
    assert_eq!(classify(text.as_bytes())[0].classification, Data);
}
