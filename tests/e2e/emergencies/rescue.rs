//! Rows deleted by mistake come back by the statements that a rescue prints.

use anyhow::{Context, Result, ensure};
use lifeboat_tests::cluster::repository;
use serde_json::{Value, json};

use super::Emergency;
use crate::shared::fifteen;

const CONTENTS: &str = "
SELECT 'orders', count(*), md5(string_agg(o::text, E'\\n' ORDER BY o::text COLLATE \"C\")) FROM shop.orders o WHERE id >= 0
UNION ALL SELECT 'items', count(*), md5(string_agg(i::text, E'\\n' ORDER BY i::text COLLATE \"C\")) FROM shop.order_items i";

/// Orders that nobody has paid or shipped; their items go with them.
const MISTAKEN: &str =
    "FROM shop.orders o WHERE id % 3 > 0 AND NOT EXISTS (SELECT FROM shop.payments p WHERE p.order_id = o.id)
AND NOT EXISTS (SELECT FROM shop.shipments s WHERE s.order_id = o.id)";

fn tables(outcome: &Value) -> Result<&Vec<Value>> {
    outcome["tables"].as_array().context("tables")
}

/// Runs the printed statements as a person would, in their order.
fn run_statements(emergency: &Emergency<'_>, outcome: &Value) -> Result<()> {
    for statement in tables(outcome)?.iter().flat_map(|t| t["statements"].as_array().cloned().unwrap_or_default()) {
        let sql = statement["sql"].as_str().context("sql")?;
        emergency.sql(sql).with_context(|| sql.to_owned())?;
    }
    Ok(())
}

#[test]
fn orders_deleted_by_mistake_come_back_by_the_printed_statement_and_newer_ones_stay() -> Result<()> {
    let server = fifteen()?;
    server.create_shop("rescue_shop", "0.02")?;
    let emergency = Emergency::of(server, "rescue_shop")?;
    let before = emergency.sql(CONTENTS)?;
    let deleted: u64 = emergency.sql(&format!("SELECT count(*) {MISTAKEN}"))?.parse()?;
    ensure!(deleted > 5, "{deleted} orders to delete");
    // A customer ordered after the backup; then somebody forgot half of a WHERE.
    emergency
        .sql("CREATE TABLE copy AS SELECT * FROM shop.orders LIMIT 1; UPDATE copy SET id = -1, invoice_no = NULL")?;
    emergency.sql("INSERT INTO shop.orders SELECT * FROM copy; DROP TABLE copy")?;
    emergency.sql(&format!("DELETE {MISTAKEN} AND id >= 0"))?;

    let arguments = ["kept/latest", "--table", "shop.order_items", "--table", "shop.orders", "--into-schema", "rescue"];
    let plan = emergency.restore(&arguments).args(["--dry-run"]).json()?;
    ensure!(plan["side_database"] == "rescue_shop_lifeboat_rescue", "{plan:#}");
    emergency.expect_alone("after a dry run")?;
    let outcome = emergency.restore(&arguments).json()?;
    emergency.expect_alone("the side database is gone")?;
    let names: Vec<&str> = tables(&outcome)?.iter().filter_map(|t| t["live"].as_str()).collect();
    ensure!(names == ["shop.orders", "shop.order_items"], "what others refer to comes first: {names:?}");
    let orders = &tables(&outcome)?[0];
    ensure!(orders["missing_in_live"]["rows"] == deleted && orders["changed"]["rows"] == 0, "{orders:#}");
    ensure!(orders["only_in_live"]["rows"] == 1 && orders["only_in_live"]["keys"][0]["id"] == -1, "{orders:#}");
    ensure!(orders["missing_in_live"]["keys"].as_array().map(Vec::len) == Some(5), "{orders:#}");
    ensure!(emergency.sql("SELECT count(*) FROM rescue.order_items")? != "0", "rescued beside");
    ensure!(emergency.sql(CONTENTS)? != before, "nothing was merged by itself");

    run_statements(&emergency, &outcome)?;
    ensure!(emergency.sql(CONTENTS)? == before, "every row is back as it was");
    ensure!(emergency.sql("SELECT count(*) FROM shop.orders WHERE id = -1")? == "1", "the newer order is still there");
    // Once more does no harm.
    run_statements(&emergency, &outcome)?;
    ensure!(emergency.sql(CONTENTS)? == before, "the statements may be run twice");
    let text =
        emergency.restore(&["kept/latest", "--table", "shop.orders", "--into-schema", "again"]).run()?.expect(0)?;
    ensure!(
        text.stdout.contains("-- nothing to bring back") && text.stdout.contains("DROP SCHEMA \"again\" CASCADE"),
        "{}",
        text.stdout
    );
    Ok(())
}

#[test]
fn changed_rows_odd_names_and_tables_without_a_key_are_told_apart_and_brought_back() -> Result<()> {
    let server = fifteen()?;
    server.create_database("rescue_odd")?;
    server.sql(
        "rescue_odd",
        r#"CREATE SCHEMA "Odd ""one""";
           CREATE TABLE "Odd ""one"""."t'; x" (a int GENERATED ALWAYS AS IDENTITY, "B ""b" text, doc json, "twice" int GENERATED ALWAYS AS (a * 2) STORED, PRIMARY KEY (a, "B ""b"));
           INSERT INTO "Odd ""one"""."t'; x" ("B ""b", doc) SELECT 'r' || g, json_build_object('g', g) FROM generate_series(1, 50) g;
           CREATE TABLE public.bag (v point, n text); INSERT INTO public.bag SELECT point(g % 2, 0), NULL FROM generate_series(1, 6) g;
           CREATE TABLE public.parent (id int PRIMARY KEY, gone text); CREATE TABLE public.child () INHERITS (public.parent);
           INSERT INTO public.child VALUES (7, 'seven');
           CREATE TABLE public.dropped (id int PRIMARY KEY); INSERT INTO public.dropped VALUES (1), (2)"#,
    )?;
    let emergency = Emergency::of(server, "rescue_odd")?;
    emergency.sql(
        r#"UPDATE "Odd ""one"""."t'; x" SET doc = '{}' WHERE a <= 3; DELETE FROM "Odd ""one"""."t'; x" WHERE a > 48;
           DELETE FROM public.bag WHERE ctid IN (SELECT ctid FROM public.bag LIMIT 3); DROP TABLE public.dropped;
           ALTER TABLE public.parent DROP COLUMN gone"#,
    )?;
    let name = r#""Odd ""one"""."t'; x""#;
    let outcome = emergency
        .restore(&["kept/latest", "--table", name, "--table", "public.bag", "--table", "child", "--table", "dropped"])
        .args(["--into-schema", "res'c \"ue"])
        .json()?;
    let of = |live: &str| tables(&outcome)?.iter().find(|t| t["live"] == live).with_context(|| live.to_owned());
    let odd = of("Odd \"one\".t'; x")?;
    ensure!(odd["changed"]["rows"] == 3 && odd["missing_in_live"]["rows"] == 2, "{odd:#}");
    ensure!(odd["changed"]["keys"][0] == json!({ "a": 1, "B \"b": "r1" }), "{odd:#}");
    let bag = of("public.bag")?;
    ensure!(bag["missing_in_live"]["rows"] == 3 && bag["changed"].is_null() && bag["key"] == json!([]), "{bag:#}");
    let child = of("public.child")?;
    ensure!(child["remarks"].to_string().contains("the live one has lost it since"), "{child:#}");
    ensure!(emergency.sql("SELECT count(*) FROM public.parent")? == "1", "the copy is no child of the live parent");
    let dropped = of("public.dropped")?;
    ensure!(dropped["live_rows"].is_null() && dropped["rescued_rows"] == 2, "{dropped:#}");

    run_statements(&emergency, &outcome)?;
    let contents = format!("SELECT count(*), count(*) FILTER (WHERE doc ->> 'g' = a::text), sum(twice) FROM {name}");
    ensure!(emergency.sql(&contents)? == "50|50|2550", "{}", emergency.sql(&contents)?);
    let bags = "SELECT string_agg(v::text, ' ' ORDER BY v::text) FROM public.bag";
    ensure!(emergency.sql(bags)? == "(0,0) (0,0) (0,0) (1,0) (1,0) (1,0)", "{}", emergency.sql(bags)?);
    ensure!(emergency.sql("SELECT count(*) FROM public.dropped")? == "2", "the table is back in its place");
    Ok(())
}

#[test]
fn a_role_without_superuser_rescues_what_it_owns_and_is_told_which_triggers_will_run() -> Result<()> {
    let server = fifteen()?;
    server.sql_file("postgres", &repository().join("tests/fixtures/roles.sql"))?;
    server.create_database_with("rescue_owned", "OWNER lb_restore")?;
    server.sql(
        "rescue_owned",
        "SET ROLE lb_restore; CREATE SCHEMA s; CREATE TYPE s.mood AS ENUM ('good', 'bad');
         CREATE TABLE s.t (id int PRIMARY KEY, mood s.mood); INSERT INTO s.t SELECT g, 'good' FROM generate_series(1, 9) g;
         CREATE FUNCTION s.note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER noted BEFORE INSERT ON s.t FOR EACH ROW EXECUTE FUNCTION s.note();
         CREATE TRIGGER removed BEFORE DELETE ON s.t FOR EACH ROW EXECUTE FUNCTION s.note()",
    )?;
    let emergency = Emergency::of(server, "rescue_owned")?;
    emergency.sql("ALTER TABLE s.t DISABLE TRIGGER removed; DELETE FROM s.t WHERE id > 4")?;
    let url = format!("postgres://lb_restore@127.0.0.1:{}/rescue_owned", server.port());
    let call = emergency.call(&["restore", "kept/latest", "--to", &url, "--table", "s.t", "--into-schema", "rescue"]);
    let outcome = call.env("PGPASSWORD", "lb-restore-secret").json()?;
    let table = &tables(&outcome)?[0];
    ensure!(table["missing_in_live"]["rows"] == 5, "{outcome:#}");
    let remarks = table["remarks"].to_string();
    ensure!(remarks.contains("triggers of the live table run for what is brought back: noted\""), "{remarks}");
    for statement in table["statements"].as_array().context("statements")? {
        emergency.sql(&format!("SET ROLE lb_restore; {}", statement["sql"].as_str().context("sql")?))?;
    }
    ensure!(emergency.sql("SELECT count(*) FROM s.t")? == "9", "the rows are back");
    emergency.expect_alone("after the rescue")
}

#[test]
fn one_partition_is_rescued_without_becoming_part_of_the_live_table() -> Result<()> {
    let server = fifteen()?;
    server.create_database("rescue_part")?;
    server.sql(
        "rescue_part",
        "CREATE TABLE e (id int, day int, PRIMARY KEY (id, day)) PARTITION BY LIST (day);
         CREATE TABLE e1 PARTITION OF e FOR VALUES IN (1); CREATE TABLE e2 PARTITION OF e FOR VALUES IN (2);
         INSERT INTO e SELECT g, 1 + g % 2 FROM generate_series(1, 10) g;
         CREATE TABLE d (id int, day int, FOREIGN KEY (id, day) REFERENCES e ON DELETE CASCADE); INSERT INTO d SELECT * FROM e",
    )?;
    let emergency = Emergency::of(server, "rescue_part")?;
    emergency.sql("DELETE FROM e WHERE day = 1")?;
    let outcome = emergency.restore(&["kept/latest", "--table", "e1", "--into-schema", "rescue"]).json()?;
    ensure!(outcome["tables"][0]["missing_in_live"]["rows"] == 5, "{outcome:#}");
    ensure!(emergency.sql("SELECT count(*) FROM e")? == "5", "the copy is no partition of the live table");
    run_statements(&emergency, &outcome)?;
    ensure!(emergency.sql("SELECT count(*) FROM e")? == "10", "the rows are back");

    let whole = emergency.restore(&["kept/latest", "--table", "e", "--into-schema", "all_of_it"]).json()?;
    ensure!(whole["tables"][0]["remarks"].to_string().contains("public.d"), "the cascade is named: {whole:#}");
    ensure!(emergency.sql("SELECT count(*) FROM all_of_it.e")? == "10", "with its partitions");
    let sides = emergency.restore(&["kept/latest", "--table", "d", "--into-schema", "cascaded"]).json()?;
    run_statements(&emergency, &sides)?;
    ensure!(emergency.sql("SELECT count(*) FROM d")? == "10", "a table without a key");
    Ok(())
}
