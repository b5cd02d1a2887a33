//! The demo's own database: a shop of a million rows in a throwaway cluster.

use std::time::Instant;

use lifeboat_core::{Error, ErrorKind, Result};
use lifeboat_postgres::{ConnectionTarget, cluster::ThrowawayCluster};

use crate::app::App;

const SCHEMA: &str = include_str!("../../demo/shop-schema.sql");
const DATA: &str = include_str!("../../demo/shop-data.sql");
const POST: &str = include_str!("../../demo/shop-post.sql");

/// The oldest major version that the demo's cluster may have; where only newer ones are installed, they serve.
const OLDEST: u32 = 14;

/// The shop in its cluster. Dropping it removes both.
pub(super) struct Shop {
    cluster: ThrowawayCluster,
    pub(super) start_seconds: f64,
    pub(super) load_seconds: f64,
}

impl Shop {
    /// Starts the cluster and fills the shop.
    pub(super) async fn open(app: &App, scale: f64) -> Result<Self> {
        if !(0.0001..=100.0).contains(&scale) {
            return Err(Error::new(ErrorKind::Usage, "--scale must be from 0.0001 to 100"));
        }
        let (cancel, progress) = (&app.context.cancel, &app.context.progress);
        progress.phase("start a cluster", None);
        let began = Instant::now();
        let cluster = cancel.race(ThrowawayCluster::start(&app.setup.cluster_options(OLDEST))).await?;
        let start_seconds = began.elapsed().as_secs_f64();
        progress.phase("fill the shop", None);
        let began = Instant::now();
        create(app, &cluster.target("postgres"), "shop").await?;
        let session = cancel.race(cluster.target("shop").connect("lifeboat demo")).await?;
        let set = format!("SET shop.scale = '{scale}'");
        for sql in [set.as_str(), SCHEMA, DATA, POST, "ANALYZE"] {
            cancel
                .race(async {
                    session.batch_execute(sql).await.map_err(|e| {
                        Error::new(ErrorKind::Database, format!("fill the demo's shop: {e}")).with_source(e)
                    })
                })
                .await?;
        }
        Ok(Self { cluster, start_seconds, load_seconds: began.elapsed().as_secs_f64() })
    }

    /// The shop's database.
    pub(super) fn connection(&self) -> ConnectionTarget {
        self.cluster.target("shop")
    }

    /// Such as `15.18`.
    pub(super) fn version(&self) -> &str {
        self.cluster.version()
    }

    /// A new and empty database beside it.
    pub(super) async fn second(&self, app: &App) -> Result<ConnectionTarget> {
        create(app, &self.cluster.target("postgres"), "shop_restored").await?;
        Ok(self.cluster.target("shop_restored"))
    }

    /// Removes it, and says how that was checked.
    pub(super) async fn close(self) -> Result<String> {
        self.cluster.stop().await
    }
}

async fn create(app: &App, server: &ConnectionTarget, name: &str) -> Result<()> {
    app.context
        .cancel
        .race(async {
            let session = server.connect("lifeboat demo").await?;
            session
                .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0"))
                .await
                .map_err(|e| Error::new(ErrorKind::Database, format!("create the database {name}: {e}")).with_source(e))
        })
        .await
}
