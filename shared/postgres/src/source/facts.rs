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
    failure::database_error,
    tools::ClientTools,
    wire::{Row, WireError, WireSession},
};

pub(super) async fn read(
    session: &mut WireSession,
    target: &ConnectionTarget,
    tools: &ClientTools,
    exported: &Exported,
    toc: &Toc,
) -> Result<SourceFacts> {
    let failed = |e: WireError| database_error("read the database's facts", &e);
    let row = session.query_one(statements::FACTS).await.map_err(failed)?;
    let extensions = session.query(statements::EXTENSIONS).await.map_err(failed)?;
    let settings = session.query(statements::SETTINGS).await.map_err(failed)?;
    let text = |row: &Row, column| row.text(column).into_owned();
    let (major, minor, _) = toc.header.version;
    Ok(SourceFacts {
        database_name: target.database().to_owned(),
        server: target.server_label(),
        owner: row.some_text(9),
        system_identifier: row.some_text(8),
        server_version: text(&row, 0),
        server_version_num: row.number(1).map_err(failed)?,
        client_version: tools.version().to_owned(),
        archive_version: format!("{major}.{minor}"),
        snapshot_at: exported.at,
        snapshot_lsn: exported.lsn.clone(),
        standby: exported.standby,
        encoding: text(&row, 2),
        collate: text(&row, 3),
        ctype: text(&row, 4),
        locale_provider: text(&row, 5),
        locale: row.some_text(6),
        lc_monetary: text(&row, 7),
        extensions: extensions.iter().map(|r| Extension { name: text(r, 0), version: text(r, 1) }).collect(),
        settings: settings
            .iter()
            .filter_map(|r| r.text(0).split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())))
            .collect::<BTreeMap<_, _>>(),
    })
}
