//! Creates the database of a scratch target like its source: encoding, collation, character type, locale provider.

use lifeboat_core::{
    Result,
    manifest::SourceFacts,
    ports::{Classification, ToolMessage},
};
use tokio_postgres::error::SqlState;

use crate::{
    failure::{Failure, database_error},
    quote,
    session::Session,
};

/// Creates it; where the server lacks the locale, with C instead, and says so.
pub(crate) async fn create(session: &Session, name: &str, source: &SourceFacts) -> Result<Vec<ToolMessage>> {
    let doing = format!("create the database {name}");
    let version = session.server_version_num().await?;
    let mut refused: Option<String> = None;
    let mut attempts = attempts(source, version).into_iter().peekable();
    while let Some(locale) = attempts.next() {
        let sql = format!(
            "CREATE DATABASE {} TEMPLATE template0 ENCODING {} {}",
            quote::identifier(name),
            quote::literal(&source.encoding),
            locale
        );
        match session.batch_execute(&sql).await {
            Ok(()) => {
                return Ok(refused.into_iter().map(|reason| replaced(&reason, &locale)).collect());
            }
            Err(error) if is_about_locale(error.sql_state()) && attempts.peek().is_some() => {
                refused.get_or_insert(error.reason());
            }
            Err(error) => return Err(database_error(&doing, &error)),
        }
    }
    Ok(Vec::new())
}

/// What to try, the source's own locale first.
fn attempts(source: &SourceFacts, version: u32) -> Vec<String> {
    let locale = |collate: &str, ctype: &str| {
        format!("LC_COLLATE {} LC_CTYPE {}", quote::literal(collate), quote::literal(ctype))
    };
    let provider = match (source.locale_provider.as_str(), &source.locale) {
        ("icu", Some(icu)) if version >= 150_000 => format!(" LOCALE_PROVIDER icu ICU_LOCALE {}", quote::literal(icu)),
        ("builtin", Some(builtin)) if version >= 170_000 => {
            format!(" LOCALE_PROVIDER builtin BUILTIN_LOCALE {}", quote::literal(builtin))
        }
        _ if version >= 150_000 => " LOCALE_PROVIDER libc".to_owned(),
        _ => String::new(),
    };
    let plain = if version >= 150_000 { " LOCALE_PROVIDER libc" } else { "" };
    let mut attempts = vec![format!("{}{provider}", locale(&source.collate, &source.ctype))];
    if source.encoding == "UTF8" {
        attempts.push(format!("{}{plain}", locale("C", "C.UTF-8")));
    }
    attempts.push(format!("{}{plain}", locale("C", "C")));
    attempts
}

fn is_about_locale(state: Option<&SqlState>) -> bool {
    matches!(
        state,
        Some(
            &SqlState::WRONG_OBJECT_TYPE
                | &SqlState::INVALID_PARAMETER_VALUE
                | &SqlState::FEATURE_NOT_SUPPORTED
                | &SqlState::INVALID_OBJECT_DEFINITION
                | &SqlState::UNDEFINED_OBJECT
        )
    )
}

fn replaced(reason: &str, locale: &str) -> ToolMessage {
    ToolMessage {
        classification: Classification::VersionDifference,
        text: format!(
            "the scratch server lacks the source's locale ({reason}); made with {locale}: text sorts otherwise there"
        ),
        entry: None,
    }
}
