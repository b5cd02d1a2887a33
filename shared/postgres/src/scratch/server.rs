//! A scratch target as a database of its own on a server that was given for drills.

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use lifeboat_core::{
    Error, ErrorKind, Result,
    manifest::SourceFacts,
    ports::{RunContext, Scratch, ScratchProvider, ScratchWish, Target, ToolMessage},
};

use super::{database, globals};
use crate::{
    classify::refused_statement, connect::ConnectionTarget, failure::database_error, quote, session::Session,
    target::PgTarget, tools::ToolSearch,
};

const APPLICATION: &str = "lifeboat drill";

/// Whether a database of this name has a subscription: all databases' are in one catalog.
const SUBSCRIPTIONS_LEFT: &str = "
SELECT EXISTS (SELECT FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
               WHERE d.datname = $1::text::name)";

/// Drops the subscriptions of the session's own database, once the backup's event triggers can no longer interfere. The
/// names stay on the server, where they need not be UTF-8.
const DROP_SUBSCRIPTIONS: &str = "
DO $lifeboat$
DECLARE
    one name;
BEGIN
    FOR one IN SELECT evtname FROM pg_catalog.pg_event_trigger WHERE evtenabled <> 'D' LOOP
        EXECUTE pg_catalog.format('ALTER EVENT TRIGGER %I DISABLE', one);
    END LOOP;
    FOR one IN SELECT subname FROM pg_catalog.pg_subscription WHERE subdbid =
               (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) LOOP
        EXECUTE pg_catalog.format('ALTER SUBSCRIPTION %I DISABLE', one);
        EXECUTE pg_catalog.format('ALTER SUBSCRIPTION %I SET (slot_name = NONE)', one);
        EXECUTE pg_catalog.format('DROP SUBSCRIPTION %I', one);
    END LOOP;
END
$lifeboat$ LANGUAGE plpgsql";

/// Makes databases on one server.
#[derive(Debug, Clone)]
pub struct ServerScratch {
    /// The server, and a database in it to connect to first.
    pub server: ConnectionTarget,
    /// Where to look for client tools.
    pub search: ToolSearch,
    /// Folder for the few files of a restore.
    pub work_folder: PathBuf,
}

/// What was made on the server, and is removed from it.
struct Made {
    server: ConnectionTarget,
    database: String,
    roles: Vec<String>,
    removed: bool,
}

struct Database {
    made: Made,
    target: Arc<PgTarget>,
    messages: Vec<ToolMessage>,
}

#[async_trait]
impl ScratchProvider for ServerScratch {
    fn describe(&self) -> String {
        format!("database on {}", self.server.server_label())
    }

    async fn provision(&self, wish: &ScratchWish<'_>, context: &RunContext) -> Result<Box<dyn Scratch>> {
        let source = wish.source;
        let server = self.server.clone().pin().await?;
        let session = server.connect(APPLICATION).await?;
        refuse_older(&session, &server, source).await?;
        let database = format!("lifeboat_drill_{:016x}", context.entropy.next());
        // Dropped without having been torn down, it removes what is there by then.
        let mut made = Made { server: server.clone(), database, roles: Vec::new(), removed: false };
        let messages = make(&session, &mut made, source, wish.globals, context).await?;
        let target = server.with_database(&made.database);
        let target = PgTarget::new(target, self.search.clone(), self.work_folder.clone()).await?;
        let target = Arc::new(target.fast_scratch(true));
        Ok(Box::new(Database { made, target, messages }))
    }
}

/// Makes a database of this name on a server that a drill has for itself, and the roles of the backup. What has the name is
/// dropped before. Nothing of it is removed again: the server is.
pub async fn prepare(
    server: &ConnectionTarget,
    database: &str,
    source: &SourceFacts,
    globals: &[u8],
    context: &RunContext,
) -> Result<Vec<ToolMessage>> {
    let server = server.clone().pin().await?;
    let session = server.connect(APPLICATION).await?;
    refuse_older(&session, &server, source).await?;
    let mut made = Made { server, database: database.to_owned(), roles: Vec::new(), removed: true };
    made.remove().await?;
    make(&session, &mut made, source, globals, context).await
}

async fn refuse_older(session: &Session, server: &ConnectionTarget, source: &SourceFacts) -> Result<()> {
    let version = session.server_version_num().await?;
    if version / 10_000 < source.server_version_num / 10_000 {
        return Err(Error::new(
            ErrorKind::Config,
            format!(
                "the scratch server {} is PostgreSQL {}, older than the backup's {}",
                server.server_label(),
                version / 10_000,
                source.server_version_num / 10_000
            ),
        )
        .with_hint("name a scratch server of the source's major version or newer, or use a local scratch"));
    }
    Ok(())
}

/// The roles, the database, and the remark by which it is known.
async fn make(
    session: &Session,
    made: &mut Made,
    source: &SourceFacts,
    globals: &[u8],
    context: &RunContext,
) -> Result<Vec<ToolMessage>> {
    let user = made.server.user().to_owned();
    let mut messages = make_roles(session, globals, &user, &mut made.roles).await?;
    messages.extend(context.cancel.race(database::create(session, &made.database, source)).await?);
    let remark = remark(context.clock.now());
    let comment = format!("COMMENT ON DATABASE {} IS {}", quote::identifier(&made.database), quote::literal(&remark));
    session.batch_execute(&comment).await.map_err(|e| database_error("mark the scratch database", &e))?;
    if let Some(owner) = source.owner.as_deref().filter(|owner| *owner != user) {
        messages.extend(give(session, &made.database, owner).await?);
    }
    Ok(messages)
}

/// Gives the database to the role that owned the source: whoever is no superuser can give what lies in `public` to that role
/// only then. What the server refuses is a message: the comparison finds what came of it.
async fn give(session: &Session, database: &str, owner: &str) -> Result<Option<ToolMessage>> {
    let sql = format!("ALTER DATABASE {} OWNER TO {}", quote::identifier(database), quote::identifier(owner));
    match session.batch_execute(&sql).await {
        Ok(()) => Ok(None),
        Err(error) => match error.as_db_error() {
            Some(refused) => Ok(Some(refused_statement(refused.message(), &sql))),
            None => Err(database_error("give the scratch database to its owner", &error)),
        },
    }
}

const REMARK: (&str, &str) = ("Scratch database of a Lifeboat drill, made ", "; it may be dropped");

/// What is written to a scratch database, so that it is known as such.
fn remark(made_at: Timestamp) -> String {
    format!("{}{made_at}{}", REMARK.0, REMARK.1)
}

/// When the database with this remark was made; none where the remark is not Lifeboat's.
pub(super) fn made_at(remark: &str) -> Option<Timestamp> {
    remark.strip_prefix(REMARK.0)?.strip_suffix(REMARK.1)?.parse().ok()
}

/// Drops a scratch database that outlived its drill. The roles made for it are not known any more, and stay.
pub(super) async fn drop_left(server: &ConnectionTarget, database: &str) -> Result<String> {
    let mut made = Made { server: server.clone(), database: database.to_owned(), roles: Vec::new(), removed: true };
    made.remove().await
}

/// Drops a database with the sessions in it, and subscriptions that would keep it; it is no error if it is not there.
pub(crate) async fn drop_database(server: &ConnectionTarget, database: &str) -> Result<()> {
    drop_left(server, database).await.map(drop)
}

/// Roles of the backup that the server lacks, without any right and without a login; we become a member of each, so that
/// we can give them what they own in the backup. Roles that are there are not touched.
async fn make_roles(session: &Session, globals: &[u8], user: &str, made: &mut Vec<String>) -> Result<Vec<ToolMessage>> {
    let mut messages = Vec::new();
    for role in globals::roles(globals) {
        let there = session
            .query_one("SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1::text::name)", &[&role])
            .await
            .map_err(|e| database_error("look for a role", &e))?;
        if there.get(0) {
            continue;
        }
        let sql = format!("CREATE ROLE {} NOLOGIN ROLE {}", quote::identifier(&role), quote::identifier(user));
        match session.batch_execute(&sql).await {
            Ok(()) => made.push(role),
            Err(error) => match error.as_db_error() {
                Some(refused) => messages.push(refused_statement(refused.message(), &sql)),
                None => return Err(database_error("create a role", &error)),
            },
        }
    }
    Ok(messages)
}

impl Made {
    /// Drops what keeps a database from being dropped even by force (SQLSTATE 55006). Nothing is told to the publisher,
    /// whose slots are the source's.
    async fn drop_subscriptions(&self, session: &Session) -> Result<()> {
        let doing = format!("drop the subscriptions of the database {}", self.database);
        let some =
            session.query_one(SUBSCRIPTIONS_LEFT, &[&self.database]).await.map_err(|e| database_error(&doing, &e))?;
        if !some.get::<_, bool>(0) {
            return Ok(());
        }
        let inside = self.server.with_database(&self.database).connect(APPLICATION).await?;
        inside.batch_execute(DROP_SUBSCRIPTIONS).await.map_err(|e| database_error(&doing, &e))
    }

    /// Removes database and roles; says what is left.
    async fn remove(&mut self) -> Result<String> {
        let session = self.server.connect(APPLICATION).await?;
        let doing = format!("drop the database {} on {}", self.database, self.server.server_label());
        self.drop_subscriptions(&session).await?;
        let drop_it = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quote::identifier(&self.database));
        session.batch_execute(&drop_it).await.map_err(|e| database_error(&doing, &e))?;
        let mut stayed = Vec::new();
        for role in &self.roles {
            if session.batch_execute(&format!("DROP ROLE IF EXISTS {}", quote::identifier(role))).await.is_err() {
                stayed.push(role.as_str());
            }
        }
        let row = session
            .query_one("SELECT count(*) FROM pg_catalog.pg_database WHERE datname = $1::text::name", &[&self.database])
            .await
            .map_err(|e| database_error(&doing, &e))?;
        if row.get::<_, i64>(0) != 0 {
            return Err(Error::new(ErrorKind::Database, format!("{doing}: it is still there")));
        }
        self.removed = true;
        let roles = match (self.roles.len(), stayed.is_empty()) {
            (0, _) => String::new(),
            (made, true) => format!(", nor are the {made} roles made for it"),
            (_, false) => format!("; roles made for it that could not be dropped: {}", stayed.join(", ")),
        };
        Ok(format!("database {} is no longer in pg_database{roles}", self.database))
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if self.removed {
            return;
        }
        let mut made = Self {
            server: self.server.clone(),
            database: std::mem::take(&mut self.database),
            roles: std::mem::take(&mut self.roles),
            removed: true,
        };
        // A drop cannot wait on the executor it may run in.
        let removing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime.map(|runtime| runtime.block_on(made.remove())) {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "a scratch database may be left"),
                Err(error) => tracing::warn!(%error, "a scratch database may be left"),
            }
        });
        drop(removing.join());
    }
}

#[async_trait]
impl Scratch for Database {
    fn target(&self) -> Arc<dyn Target> {
        Arc::clone(&self.target) as Arc<dyn Target>
    }

    fn describe(&self) -> String {
        format!("database {} on {}", self.made.database, self.made.server.server_label())
    }

    fn messages(&self) -> &[ToolMessage] {
        &self.messages
    }

    async fn tear_down(mut self: Box<Self>) -> Result<String> {
        self.made.remove().await
    }
}
