//! Makes a database beside the live one that is as the source was: encoding, locale, settings.

use lifeboat_core::{Error, ErrorKind, Result, manifest::SourceFacts, ports::RunContext};

use super::APPLICATION;
use crate::{connect::ConnectionTarget, failure::database_error, quote, scratch, session::Session};

pub(super) async fn make(
    server: &ConnectionTarget,
    session: &Session,
    name: &str,
    source: &SourceFacts,
    remark: &str,
    context: &RunContext,
) -> Result<()> {
    let replaced = context.cancel.race(scratch::create_database(session, name, source)).await?;
    let comment = format!("COMMENT ON DATABASE {} IS {}", quote::identifier(name), quote::literal(remark));
    session.batch_execute(&comment).await.map_err(|e| database_error("mark the side database", &e))?;
    if let Some(message) = replaced.into_iter().next() {
        scratch::drop_database(server, name).await?;
        // Text would sort and compare otherwise than the application is used to.
        return Err(Error::new(ErrorKind::Refused, message.text)
            .with_hint("give the server the locale (locale-gen, a package), or restore into a database made by hand"));
    }
    set_as_source(server, name, source).await
}

/// What `ALTER DATABASE … SET` had said in the source. The values are lists, numbers or texts as the server writes them: it is
/// left to read them itself. What a session cannot set is left to the archive's own statements.
async fn set_as_source(server: &ConnectionTarget, name: &str, source: &SourceFacts) -> Result<()> {
    if source.settings.is_empty() {
        return Ok(());
    }
    // Its own settings change with every one that is handed on.
    let session = server.connect(APPLICATION).await?;
    for (setting, value) in &source.settings {
        let set = session.query_one("SELECT pg_catalog.set_config($1, $2, false)", &[setting, value]).await;
        let keep =
            format!("ALTER DATABASE {} SET {} FROM CURRENT", quote::identifier(name), quote::identifier(setting));
        let kept = match set {
            Ok(_) => session.batch_execute(&keep).await,
            Err(error) => Err(error),
        };
        if let Err(error) = kept {
            // The server's own words may hold the value.
            let Some(state) = error.code() else {
                return Err(database_error("set the side database as the source was", &error));
            };
            tracing::info!(setting, sqlstate = state.code(), "a setting of the database is left to the exchange");
        }
    }
    Ok(())
}
