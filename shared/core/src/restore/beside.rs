//! Databases beside a live one: how they are called, how an unfinished one is known, and what the archive says of a database.

use lifeboat_archive::toc::Toc;

use crate::{
    Error, ErrorKind, Result,
    manifest::{Manifest, sha256_hex},
    ports::{DatabaseEntries, LiveFacts},
};

/// The longest name that PostgreSQL takes, in bytes.
const LONGEST: usize = 63;

/// How the comment of a database begins that Lifeboat made and has not finished.
const UNFINISHED: &str = "Made by Lifeboat and not finished; it may be dropped";

/// What a database beside the live one is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It is restored into, and then takes the live one's name.
    New,
    /// It had the name before: the way back.
    Old,
    /// It had been swapped in and was taken back.
    Undone,
    /// Tables are restored into it, to be copied from there.
    Rescue,
}

/// The name of the database beside `live` for a purpose: always the same, so that whoever comes after a run that died
/// finds what it left.
pub fn name(live: &str, purpose: Purpose) -> String {
    let suffix = match purpose {
        Purpose::New => "_lifeboat_new",
        Purpose::Old => "_lifeboat_old",
        Purpose::Undone => "_lifeboat_undone",
        Purpose::Rescue => "_lifeboat_rescue",
    };
    if live.len() + suffix.len() <= LONGEST {
        return format!("{live}{suffix}");
    }
    // Two long names that begin alike stay apart.
    let hash = sha256_hex(live.as_bytes());
    let mark = format!("_{}", &hash[..8]);
    let mut room = LONGEST - suffix.len() - mark.len();
    while !live.is_char_boundary(room) {
        room -= 1;
    }
    format!("{}{mark}{suffix}", &live[..room])
}

/// The comment of a database that is being made from a backup.
pub(super) fn remark(manifest: &Manifest) -> String {
    format!("{UNFINISHED} (from {}/{})", manifest.database, manifest.backup_id)
}

/// Whether something under this name was left by a run that did not end, and is to be dropped first. Refused where it is not
/// known to be Lifeboat's.
pub(super) fn left_over(facts: &LiveFacts, name: &str) -> Result<bool> {
    match facts.beside.iter().find(|beside| beside.name == name) {
        None => Ok(false),
        Some(beside) if beside.remark.as_deref().is_some_and(|remark| remark.starts_with(UNFINISHED)) => Ok(true),
        Some(_) => Err(Error::new(
            ErrorKind::Refused,
            format!("a database '{name}' is on {} already, and nothing marks it as left by Lifeboat", facts.server),
        )
        .with_hint("look what is in it; rename or drop it, then run the command again")),
    }
}

/// Refuses where there is no such database, or this role may not do what is wanted beside it: `forbidden` says why.
pub(super) fn refuse_forbidden(facts: &LiveFacts, forbidden: &[&[String]]) -> Result<()> {
    if !facts.exists {
        return Err(Error::new(
            ErrorKind::Refused,
            format!("there is no database '{}' on {}", facts.database, facts.server),
        )
        .with_hint("createdb -T template0 it, and restore into it without --swap"));
    }
    let forbidden = forbidden.concat();
    if forbidden.is_empty() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Refused, format!("this role may not do that: {}", forbidden.join("; ")))
        .with_hint("connect as the owner of the database, with CREATEDB (on RDS, the master user), or as superuser"))
}

/// What the archive says of the database itself: owner, properties, privileges, comment. Texts that are not UTF-8
/// cannot be sent from another database.
pub(super) fn entries(toc: &Toc) -> Result<Option<DatabaseEntries>> {
    let Some(database) = toc.entries.iter().find(|e| e.desc == b"DATABASE") else { return Ok(None) };
    let text = |bytes: &[u8]| {
        String::from_utf8(bytes.to_vec()).map_err(|_| {
            let message = "name, owner or settings of the backup's database are not UTF-8: --swap cannot set them";
            Error::new(ErrorKind::Refused, message)
                .with_hint("restore into a new database, and rename the two with ALTER DATABASE")
        })
    };
    let of_it = toc.entries.iter().filter(|e| {
        let about = matches!(e.desc.as_slice(), b"DATABASE PROPERTIES" | b"ACL" | b"COMMENT" | b"SECURITY LABEL");
        about && e.dependencies.contains(&database.dump_id)
    });
    let statements = of_it.filter_map(|e| e.defn.as_deref()).map(text).collect::<Result<Vec<_>>>()?;
    let owner = database.owner.as_deref().filter(|owner| !owner.is_empty()).map(text).transpose()?;
    Ok(Some(DatabaseEntries { named: text(&database.tag)?, owner, statements }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Beside;

    fn facts(remark: Option<&str>) -> LiveFacts {
        let beside = Beside { name: "orders_lifeboat_new".to_owned(), remark: remark.map(str::to_owned) };
        LiveFacts {
            database: "orders".to_owned(),
            server: "db:5432".to_owned(),
            exists: true,
            bytes: 1,
            sessions: 0,
            cannot_create: Vec::new(),
            cannot_rename: Vec::new(),
            obstacles: Vec::new(),
            beside: vec![beside],
        }
    }

    #[test]
    fn names_beside_fit_and_stay_apart_however_long_the_live_one_is() {
        assert_eq!(name("orders", Purpose::Old), "orders_lifeboat_old");
        let (a, b) = ("ä".repeat(31), format!("{}b", "ä".repeat(30)));
        let made: Vec<String> = [&a, &b].iter().map(|live| name(live, Purpose::Undone)).collect();
        assert!(made.iter().all(|name| name.len() <= LONGEST && name.ends_with("_lifeboat_undone")), "{made:?}");
        assert_ne!(made[0], made[1]);
    }

    #[test]
    fn only_what_bears_the_remark_is_taken_for_left_over() {
        let name = "orders_lifeboat_new";
        assert!(
            left_over(&facts(Some("Made by Lifeboat and not finished; it may be dropped (from a/b)")), name).unwrap()
        );
        for remark in [None, Some("mine")] {
            assert_eq!(left_over(&facts(remark), name).unwrap_err().kind(), ErrorKind::Refused);
        }
        assert!(!left_over(&facts(None), "orders_lifeboat_rescue").unwrap());
    }
}
