//! Scratch databases that outlived their drill on the server that was given for drills.

use async_trait::async_trait;
use jiff::Timestamp;
use lifeboat_core::{
    Error, ErrorKind, Result,
    ports::{LeftScratch, ScratchReaper},
};

use super::server::{drop_left, made_at};
use crate::{connect::ConnectionTarget, failure::database_error};

/// Databases by the names that drills give them, with their remarks and the sessions in them.
const CANDIDATES: &str = "
SELECT d.datname::text, coalesce(pg_catalog.shobj_description(d.oid, 'pg_database'), ''),
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid)::int8
FROM pg_catalog.pg_database d WHERE d.datname ~ '^lifeboat_drill_[0-9a-f]{16}$' ORDER BY d.datname";

/// Finds and removes left databases on one server.
#[derive(Debug, Clone)]
pub struct LeftDatabases {
    /// The server, and a database in it to connect to first.
    pub server: ConnectionTarget,
}

#[async_trait]
impl ScratchReaper for LeftDatabases {
    fn describe(&self) -> String {
        format!("databases on {}", self.server.server_label())
    }

    async fn left(&self) -> Result<Vec<LeftScratch>> {
        let session = self.server.clone().pin().await?.connect("lifeboat health").await?;
        let rows =
            session.query(CANDIDATES, &[]).await.map_err(|e| database_error("look for scratch databases", &e))?;
        let left = rows.iter().filter_map(|row| {
            let made_at: Timestamp = made_at(row.get(1))?;
            let sessions: i64 = row.get(2);
            Some(LeftScratch {
                kind: "database".to_owned(),
                name: row.get(0),
                made_at,
                expires_at: None,
                in_use: (sessions > 0).then(|| format!("{sessions} sessions are connected to it")),
            })
        });
        Ok(left.collect())
    }

    async fn remove(&self, left: &LeftScratch) -> Result<()> {
        let now = self.left().await?;
        match now.iter().find(|there| there.name == left.name) {
            None => Ok(()),
            Some(there) => match &there.in_use {
                Some(why) => Err(Error::new(ErrorKind::Refused, format!("database {}: {why}", left.name))),
                None => drop_left(&self.server.clone().pin().await?, &left.name).await.map(drop),
            },
        }
    }
}
