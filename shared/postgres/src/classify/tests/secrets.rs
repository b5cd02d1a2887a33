//! What is kept of commands and messages that may hold a password.

use lifeboat_core::ports::Classification::ClusterPrivilege;

use crate::classify::{classify, refused_statement, told};

/// What is kept of one error of pg_restore with its command.
fn kept(error: &str, command: &str) -> String {
    let text = format!("pg_restore: error: could not execute query: ERROR:  {error}\nCommand was: {command}\n\n\n");
    let messages = classify(text.as_bytes());
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert_eq!(told(text.as_bytes()), messages[0].text);
    let kept = messages[0].text.strip_prefix("error: could not execute query: ERROR:  ");
    kept.unwrap_or_else(|| panic!("{messages:?}")).to_owned()
}

#[test]
fn a_command_is_kept_up_to_where_it_may_hold_a_password() {
    for (command, shown) in [
        (
            "CREATE SUBSCRIPTION \"a CONNECTION; b\" CONNECTION 'host=h password=hunter2' PUBLICATION p WITH (connect = false);",
            "CREATE SUBSCRIPTION \"a CONNECTION; b\" …",
        ),
        ("ALTER SUBSCRIPTION s CONNECTION 'password=hunter2';", "ALTER SUBSCRIPTION s …"),
        (
            "CREATE USER MAPPING FOR bob SERVER s OPTIONS (\n    password 'hunter2',\n    \"user\" 'remote'\n);",
            "CREATE USER MAPPING FOR bob SERVER s …",
        ),
        (
            "alter user mapping for bob server s options (set password 'hunter2')",
            "alter user mapping for bob server s …",
        ),
        (
            "CREATE SERVER s TYPE 'it''s OPTIONS' VERSION E'\\\\ \\' OPTIONS' FOREIGN DATA WRAPPER w OPTIONS (\n    token 'hunter2'\n);",
            "CREATE SERVER s TYPE 'it''s OPTIONS' VERSION E'\\\\ \\' OPTIONS' FOREIGN DATA WRAPPER w …",
        ),
        (
            "CREATE FOREIGN DATA WRAPPER w VALIDATOR v OPTIONS (\n    key 'hunter2'\n);",
            "CREATE FOREIGN DATA WRAPPER w VALIDATOR v …",
        ),
        (
            "CREATE FOREIGN TABLE public.ü (\n    i integer\n)\nSERVER s\nOPTIONS (\n    login 'hunter2'\n);\nALTER FOREIGN TABLE public.ü ALTER COLUMN i OPTIONS (\n    n 'I'\n);",
            "CREATE FOREIGN TABLE public.ü (\n    i integer\n)\nSERVER s …",
        ),
        ("ALTER ROLE bob WITH LOGIN PASSWORD 'hunter2' VALID UNTIL 'infinity';", "ALTER ROLE bob WITH LOGIN …"),
        (
            "ALTER DATABASE \"a SET b\" SET \"app.jwt_secret\" TO 'hunter2';",
            "ALTER DATABASE \"a SET b\" SET \"app.jwt_secret\" …",
        ),
        (
            "ALTER ROLE bob IN DATABASE d SET app.\"jwt secret\"=E'hunter2\\\\';",
            "ALTER ROLE bob IN DATABASE d SET app.\"jwt secret\" …",
        ),
        ("ALTER ROLE set SET app.jwt_secret TO hunter2", "ALTER ROLE set SET …"),
        ("ALTER SUBSCRIPTION s SET (slot_name = 'hunter2')", "ALTER SUBSCRIPTION s SET …"),
        (
            "SET ROLE 'a;b';\nCREATE USER bob ENCRYPTED PASSWORD 'hunter2",
            "SET ROLE 'a;b';\nCREATE USER bob ENCRYPTED …",
        ),
    ] {
        let kept = kept("must be superuser to create it", command);
        assert_eq!(kept, format!("must be superuser to create it\nCommand was: {shown}"));
    }
    let refused = refused_statement("permission denied", "ALTER ROLE bob WITH PASSWORD 'hunter2'");
    assert_eq!(refused.text, "permission denied\nCommand was: ALTER ROLE bob WITH …");
    assert_eq!(refused.classification, ClusterPrivilege);
    let setting = "ALTER ROLE bob SET \"app.jwt_secret\" TO 'hunter2'";
    let error = "permission denied to set parameter \"app.jwt_secret\"";
    let refused = refused_statement(error, setting);
    assert_eq!(refused.text, format!("{error}\nCommand was: ALTER ROLE bob SET \"app.jwt_secret\" …"));
    assert_eq!(refused.classification, ClusterPrivilege);
    for command in [
        "CREATE TABLE public.a (\n    options text,\n    password text\n);",
        "GRANT ALL ON TABLE public.options TO bob;",
    ] {
        assert_eq!(kept("permission denied", command), format!("permission denied\nCommand was: {command}"));
    }
}

#[test]
fn what_the_server_quotes_of_a_password_is_not_kept() {
    let subscription =
        "CREATE SUBSCRIPTION s CONNECTION 'host=h password=hunter2' PUBLICATION p WITH (connect = false);";
    let server =
        "CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (\n    size 'it''s hunter2',\n    path E'C:\\\\hunter2'\n);";
    let mapping = "CREATE USER MAPPING FOR bobby SERVER s OPTIONS (\n    password 'hunter2',\n    \"user\" 'bobby'\n);";
    let setting = "ALTER DATABASE d SET app.x TO 'hunter2'";
    for (error, command, remains) in [
        (
            "invalid connection string syntax: missing \"=\" after \"hunter2\" in connection info string\n",
            subscription,
            "invalid connection string syntax: …",
        ),
        (
            "invalid connection string syntax: invalid connection option \"sslnegotiation\"\n",
            subscription,
            "invalid connection string syntax: invalid connection option \"sslnegotiation\"",
        ),
        (
            "conflicting or redundant options\nLINE 1: ...rd=hunter2' PUBLICATION p WITH (connect=false, connect=tr...\n                                                             ^\nHINT:  x",
            subscription,
            "conflicting or redundant options\nHINT:  x",
        ),
        (
            "not here\nCONTEXT:  CREATE SUBSCRIPTION s CONNECTION 'host=h password=hunter2' PUBLICATION p",
            subscription,
            "not here\nCONTEXT:  CREATE SUBSCRIPTION s CONNECTION '…' PUBLICATION p",
        ),
        ("invalid value for option \"size\": it's hunter2", server, "invalid value for option \"size\": …"),
        ("invalid value\nDETAIL:  C:\\hunter2 is no path.", server, "invalid value\nDETAIL:  … is no path."),
        ("role \"bobby\" does not exist", mapping, "role \"bobby\" does not exist"),
        ("invalid value for parameter \"app.x\": \"hunter2\"", setting, "invalid value for parameter \"app.x\": \"…\""),
    ] {
        let kept = kept(error, command);
        assert!(!kept.contains("hunter2"), "{kept}");
        assert_eq!(kept.split("\nCommand was: ").next(), Some(remains));
    }
}
