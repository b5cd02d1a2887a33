//! A database's past in a store: backups of many days, some good, some not, and what a dump that died left behind.

use std::{
    fs::{self, File},
    path::Path,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use lifeboat_core::{manifest::Tier, ports::Store};
use lifeboat_testkit::BackupBuilder;
use lifeboat_tests::StoreUnderTest;

/// The database with this past.
pub(super) const DATABASE: &str = "orders";

/// The dump that died.
pub(super) const LEFTOVER: &str = "2025-03-03T15:00:00Z";

/// Days with a good backup: two months' firsts and three weeks of March. On Sunday the 9th nothing was dumped.
pub(super) fn good_days() -> Vec<String> {
    let march = (1..=20).filter(|day| *day != 9).map(|day| format!("2025-03-{day:02}"));
    ["2025-02-01".to_owned()].into_iter().chain(march).collect()
}

/// What `daily = 3, weekly = 2, monthly = 2` keeps of it: three days, the last two weeks (Monday the 10th stands for
/// Sunday the 9th), two months; and the newest dump of all, which nobody has verified yet.
pub(super) const KEPT: [&str; 8] =
    ["2025-03-21", "2025-03-20", "2025-03-19", "2025-03-18", "2025-03-16", "2025-03-10", "2025-03-01", "2025-02-01"];

/// An object that is large enough to be moved to another storage class.
const LARGE: usize = 200 << 10;

/// Puts it there. Contents are stand-ins that verify byte for byte.
pub(super) async fn put(store: &dyn Store, under_test: &StoreUnderTest) -> Result<()> {
    for day in good_days() {
        let backup = BackupBuilder::new(DATABASE, &format!("{day}T02:00:00Z"));
        let large = day.ends_with("-16") || day.ends_with("-20");
        let backup = if large { backup.table("pictures", 1, &vec![b'x'; LARGE]) } else { backup };
        backup.store_verified(store).await?;
    }
    BackupBuilder::new(DATABASE, "2025-03-21T02:00:00Z").tier(Tier::Daily).store(store).await?;
    BackupBuilder::new(DATABASE, LEFTOVER).store_unfinished(store).await?;
    // Only a folder lets a test write in the past; elsewhere what was just written is too young to be removed.
    if let Some(root) = under_test.path() {
        let leftover = root.join(DATABASE).join("20250303T150000Z-aaaa");
        age_all_files(&leftover).with_context(|| format!("age {}", leftover.display()))?;
    }
    Ok(())
}

fn age_all_files(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            age_all_files(&path)?;
        } else {
            // 2025-03-03T15:00:00Z.
            let long_ago = SystemTime::UNIX_EPOCH + Duration::from_hours(483_615);
            File::options().write(true).open(&path)?.set_modified(long_ago)?;
        }
    }
    Ok(())
}
