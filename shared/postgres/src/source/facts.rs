//! What the source is: version, encoding, locale, extensions, settings.

use std::collections::BTreeMap;

use lifeboat_archive::toc::Toc;
use lifeboat_core::{
    Result,
    manifest::{Extension, SourceFacts},
};

use super::{locks::Exported, statements};
use crate::{
    connect::ConnectionTarget,
    session::{Session, database_error},
    tools::ClientTools,
};

pub(super) async fn read(
    session: &Session,
    target: &ConnectionTarget,
    tools: &ClientTools,
    exported: &Exported,
    toc: &Toc,
) -> Result<SourceFacts> {
    let failed = |e: tokio_postgres::Error| database_error("read the database's facts", &e);
    let row = session.query_one(statements::FACTS, &[]).await.map_err(failed)?;
    let extensions = session.query(statements::EXTENSIONS, &[]).await.map_err(failed)?;
    let settings = session.query(statements::SETTINGS, &[]).await.map_err(failed)?;
    let (major, minor, _) = toc.header.version;
    Ok(SourceFacts {
        database_name: target.database().to_owned(),
        server: target.server_label(),
        system_identifier: row.get(8),
        server_version: row.get(0),
        server_version_num: u32::try_from(row.get::<_, i32>(1)).unwrap_or(0),
        client_version: tools.version().to_owned(),
        archive_version: format!("{major}.{minor}"),
        snapshot_at: exported.at,
        snapshot_lsn: exported.lsn.clone(),
        standby: exported.standby,
        encoding: row.get(2),
        collate: row.get(3),
        ctype: row.get(4),
        locale_provider: row.get(5),
        locale: row.get(6),
        lc_monetary: row.get(7),
        extensions: extensions.iter().map(|r| Extension { name: r.get(0), version: r.get(1) }).collect(),
        settings: settings
            .iter()
            .filter_map(|r| r.get::<_, String>(0).split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())))
            .collect::<BTreeMap<_, _>>(),
    })
}
