//! Restores of a part, and by other roles: each beside what stock `pg_restore` makes of the same choice.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{Cluster, Lifeboat, StoreUnderTest, cluster::repository};
use serde_json::Value;
use tempfile::TempDir;

use super::{backup::Backup, contents::Contents};

const SHOP: &str = "shop";

/// A role as managed services hand it out, of `roles.sql`.
const RESTORER: (&str, &str) = ("lb_restore", "lb-restore-secret");

/// A server with the shop, one backup of it, and the archive that stock `pg_dump` makes of it.
struct Shop {
    server: Cluster,
    backup: Backup,
    folder: TempDir,
    whole: Contents,
}

impl Shop {
    async fn open(major: u32) -> Result<Self> {
        let server = Cluster::start(major).await?;
        server.sql_file("postgres", &repository().join("tests/fixtures/roles.sql"))?;
        server.create_shop(SHOP, "0.01")?;
        // Owners and grants that a role without superuser cannot give.
        server.sql(
            SHOP,
            "ALTER TABLE shop.customers OWNER TO lb_owner; GRANT SELECT ON shop.orders TO lb_reader; \
             GRANT USAGE ON SCHEMA shop TO lb_reader",
        )?;
        let backup = Backup::of(&server, SHOP, StoreUnderTest::folder()?, &["--jobs", "2"])?;
        let folder = tempfile::tempdir()?;
        lifeboat_tests::cluster::run(
            server.tool("pg_dump", SHOP).args(["-Fc", "-f"]).arg(folder.path().join("stock")),
        )?;
        let whole = Contents::of(&server, SHOP)?;
        Ok(Self { server, backup, folder, whole })
    }

    fn archive(&self) -> std::path::PathBuf {
        self.folder.path().join("stock")
    }

    fn fresh(&self, name: &str) -> Result<()> {
        self.server.create_database_with(name, "TEMPLATE template0")
    }

    /// A database of the restoring role's own.
    fn fresh_of_restorer(&self, name: &str) -> Result<()> {
        self.server.create_database_with(name, "TEMPLATE template0 OWNER lb_restore")
    }

    fn restore(&self, database: &str, options: &[&str]) -> Result<Value> {
        self.backup.restore(&self.server, database, options).json().with_context(|| format!("restore with {options:?}"))
    }

    fn restore_as_restorer(&self, database: &str, options: &[&str]) -> Lifeboat {
        self.backup.restore_as(RESTORER.0, RESTORER.1, &self.server, database, options)
    }

    /// Stock `pg_restore`; its errors are what they are.
    fn stock(&self, (role, password): (&str, &str), database: &str, options: &[&str]) -> Result<()> {
        let mut tool = self.server.tool("pg_restore", database);
        tool.env("PGUSER", role).env("PGPASSWORD", password).args(options).args(["-d", database]).arg(self.archive());
        tool.output().map(drop).context("run pg_restore")
    }

    fn contents(&self, database: &str) -> Result<Contents> {
        Contents::of(&self.server, database)
    }

    fn number(&self, database: &str, sql: &str) -> Result<u64> {
        Ok(self.server.sql(database, sql)?.trim().parse()?)
    }
}

/// One table comes with its rows, keys, indexes, triggers and what it needs; foreign keys to what did not come are named.
fn one_table(shop: &Shop) -> Result<()> {
    shop.fresh("one_table")?;
    let outcome = shop.restore("one_table", &["--table", "shop.products", "--table", "shop.orders"])?;
    let (found, source) = (shop.contents("one_table")?, shop.contents(SHOP)?);
    let partitions = shop.server.sql(SHOP, "SELECT relid FROM pg_partition_tree('shop.orders') WHERE isleaf")?;
    let names: Vec<&str> = partitions.lines().chain(["shop.products"]).collect();
    ensure!(names.len() > 3, "{names:?}");
    found.only_rows_of(&names).expect_same("the tables asked for", &source.only_rows_of(&names))?;
    for catalog in [
        "SELECT count(*) FROM pg_indexes WHERE tablename ~ '^(products|orders)'",
        "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal AND tgrelid::regclass::text ~ '(products|orders)'",
        "SELECT count(*) FROM pg_constraint WHERE contype <> 'f' AND conrelid::regclass::text ~ '(products|orders)'",
    ] {
        let (here, there) = (shop.number("one_table", catalog)?, shop.number(SHOP, catalog)?);
        ensure!(here == there, "{catalog}: {here} instead of {there}");
    }
    ensure!(shop.number("one_table", "SELECT count(*) FROM pg_class WHERE relname = 'reviews'")? == 0, "too much came");
    let left_out = outcome["left_out"].as_array().context("what was left out")?;
    ensure!(!left_out.is_empty(), "products refer to suppliers, which did not come");
    Ok(())
}

/// Definitions first, then the rows into the empty tables, under foreign keys and triggers: together the whole.
fn definitions_then_data(shop: &Shop) -> Result<()> {
    shop.fresh("two_steps")?;
    shop.restore("two_steps", &["--schema-only"])?;
    shop.fresh("two_steps_stock")?;
    shop.stock(("postgres", lifeboat_tests::cluster::PASSWORD), "two_steps_stock", &["--schema-only"])?;
    shop.contents("two_steps")?.expect_same("--schema-only", &shop.contents("two_steps_stock")?)?;
    shop.restore("two_steps", &["--data-only"])?;
    shop.contents("two_steps")?.expect_same("--schema-only, then --data-only", &shop.whole)?;
    // Once more: the rows would be there twice.
    shop.backup.restore(&shop.server, "two_steps", &["--data-only"]).run()?.expect(9)?;
    shop.contents("two_steps")?.expect_same("after a refusal", &shop.whole)
}

/// A target that holds something is refused, and stays what it was.
fn not_into_what_is_not_empty(shop: &Shop) -> Result<()> {
    shop.fresh("not_empty")?;
    shop.server.sql("not_empty", "CREATE TABLE precious (id integer); INSERT INTO precious VALUES (1)")?;
    let before = shop.contents("not_empty")?;
    let refused = shop.backup.restore(&shop.server, "not_empty", &[]).run()?.expect(9)?;
    ensure!(refused.stderr.contains("precious") && refused.stderr.contains("--force"), "{}", refused.stderr);
    shop.contents("not_empty")?.expect_same("after a refusal", &before)
}

/// `--clean --force` replaces what is there, after a safety backup from which it can be had back.
fn clean_over_the_living(shop: &Shop) -> Result<()> {
    shop.fresh("living")?;
    shop.restore("living", &["--jobs", "4"])?;
    shop.contents("living")?.expect_same("--jobs 4", &shop.whole)?;
    shop.server.sql(
        "living",
        "UPDATE shop.products SET name = name || '!'; DELETE FROM shop.reviews; ALTER TABLE shop.customers ADD new text; \
         CREATE TABLE public.later (id integer); INSERT INTO public.later VALUES (7)",
    )?;
    // What hangs on it and is not in the backup would be lost: that is refused, before anything is dropped.
    shop.server.sql("living", "CREATE VIEW public.hangs_on_it AS SELECT * FROM shop.reviews")?;
    let before = shop.contents("living")?;
    let options = ["--clean", "--force", "--yes", "--no-safety-backup"];
    let refused = shop.backup.restore(&shop.server, "living", &options).run()?.expect(4)?;
    ensure!(
        refused.stderr.contains("hangs_on_it") && refused.stderr.contains("nothing was changed"),
        "{}",
        refused.stderr
    );
    ensure!(!refused.stderr.contains("do not use the target"), "{}", refused.stderr);
    shop.contents("living")?.expect_same("after a refusal", &before)?;
    shop.server.sql("living", "DROP VIEW public.hangs_on_it")?;

    let before = shop.contents("living")?;
    let outcome = shop.restore("living", &["--clean", "--force", "--yes"])?;
    let safety = outcome["safety_backup"].as_str().context("a safety backup")?.to_owned();

    // What the backup does not know stays.
    shop.server.sql("living", "DROP TABLE public.later")?;
    shop.contents("living")?.expect_same("--clean --force", &shop.whole)?;

    let listed = shop.backup.lifeboat(["list"]).json()?;
    let listed = listed["backups"].as_array().context("a list of backups")?;
    let is_safety = |b: &Value| {
        format!("{}/{}", b["database"].as_str().unwrap_or(""), b["backup_id"].as_str().unwrap_or("")) == safety
    };
    ensure!(listed.iter().any(is_safety), "{safety} is not listed: {listed:#?}");
    shop.fresh("rescued")?;
    let url = shop.server.bare_url("rescued");
    let restore = shop.backup.lifeboat(["restore", &safety, "--to", &url]);
    restore.env("PGPASSWORD", lifeboat_tests::cluster::PASSWORD).json().context("restore the safety backup")?;
    shop.contents("rescued")?.expect_same("the safety backup", &before)
}

/// Owners and privileges, as the options mean them to `pg_restore`.
fn owners_and_privileges(shop: &Shop) -> Result<()> {
    let superuser = ("postgres", lifeboat_tests::cluster::PASSWORD);
    for (number, options) in
        [&["--no-owner"][..], &["--no-acl"], &["--no-owner", "--no-acl"], &["--no-owner", "--role", "lb_owner"]]
            .into_iter()
            .enumerate()
    {
        let (ours, stock) = (format!("owners_{number}"), format!("owners_{number}_stock"));
        for name in [&ours, &stock] {
            shop.fresh(name)?;
            shop.server.sql(name, &format!("GRANT CREATE ON DATABASE {name} TO lb_owner"))?;
        }
        shop.restore(&ours, options)?;
        shop.stock(superuser, &stock, options)?;
        let what = format!("restore with {options:?}");
        // The databases' own grants name no database, so they compare as well.
        shop.contents(&ours)?.expect_same(&what, &shop.contents(&stock)?)?;
    }
    Ok(())
}

/// A role without superuser restores what such a role can, and is told what it could not.
fn by_a_role_without_superuser(shop: &Shop) -> Result<()> {
    for (name, options) in [("restorer", &[][..]), ("restorer_plain", &["--no-owner", "--no-acl"])] {
        let stock = format!("{name}_stock");
        shop.fresh_of_restorer(name)?;
        shop.fresh_of_restorer(&stock)?;
        let outcome =
            shop.restore_as_restorer(name, options).json().with_context(|| format!("as a role: {options:?}"))?;
        shop.stock(RESTORER, &stock, options)?;
        shop.contents(name)?.expect_same(&format!("as a role with {options:?}"), &shop.contents(&stock)?)?;
        let messages = outcome["messages"].as_array().context("messages")?;
        ensure!(messages.is_empty() != options.is_empty(), "with {options:?}: {messages:#?}");
    }
    Ok(())
}

async fn parts_are_what_stock_pg_restore_makes_of_them(major: u32) -> Result<()> {
    let shop = Shop::open(major).await?;
    ensure!(Path::new(&shop.archive()).exists(), "the stock archive");
    one_table(&shop).context("--table")?;
    definitions_then_data(&shop)?;
    not_into_what_is_not_empty(&shop)?;
    clean_over_the_living(&shop)?;
    owners_and_privileges(&shop)?;
    by_a_role_without_superuser(&shop)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "every run does it on 18: run by `make soak`"]
async fn parts_of_the_shop_come_back_on_15() -> Result<()> {
    parts_are_what_stock_pg_restore_makes_of_them(15).await
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_the_shop_come_back_on_18() -> Result<()> {
    parts_are_what_stock_pg_restore_makes_of_them(18).await
}
