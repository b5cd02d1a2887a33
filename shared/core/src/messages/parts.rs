//! A message in parts, or a digest with fewer rows, for a place that takes no more at once.

use super::{
    Digest, DigestLeftOut, LONGEST_SUBJECT, Message,
    compose::{ascii, id_of},
    words::cut,
};

/// The most characters of what happened, where a single entry is too long.
const LONGEST: usize = 5_000;
/// Problems that a shortened digest names.
const PROBLEMS: usize = 10;

impl Message {
    /// The same in so many messages, each with some of the entries, gravest first, and an id of its own that is the same
    /// whenever it is divided so. Nothing is left out.
    #[must_use]
    pub fn parts(&self, most: usize) -> Vec<Self> {
        if most <= 1 || self.entries.len() <= 1 {
            return vec![self.clone()];
        }
        let chunks = self.entries.chunks(self.entries.len().div_ceil(most));
        let of = chunks.len();
        let part = |(n, entries): (usize, &[super::Entry])| {
            let mut part = Self { entries: entries.to_vec(), ..self.clone() };
            part.refresh();
            part.id = id_of(&[format!("{}/{n}/{of}", self.id)]);
            let suffix = format!(" ({}/{of})", n + 1);
            let mut subject = part.subject;
            subject.truncate(LONGEST_SUBJECT - suffix.len());
            part.subject = ascii(&(subject + &suffix));
            part
        };
        chunks.enumerate().map(part).collect()
    }

    /// The same with words that are cut where they are very long.
    #[must_use]
    pub fn cut(&self) -> Self {
        let mut shorter = self.clone();
        for entry in &mut shorter.entries {
            entry.what = cut(&entry.what, LONGEST);
            entry.remedy = entry.remedy.as_ref().map(|remedy| cut(remedy, LONGEST));
        }
        shorter
    }

    /// The same with fewer rows of its digest, if it is one: databases without a good backup stay longest, and what is left
    /// out is counted.
    #[must_use]
    pub fn with_fewer_rows(&self, databases: usize, open: usize) -> Self {
        Self { digest: self.digest.as_ref().map(|digest| digest.shortened(databases, open)), ..self.clone() }
    }
}

impl Digest {
    fn shortened(&self, databases: usize, open: usize) -> Self {
        let mut shorter = self.clone();
        shorter.databases.sort_by_key(|database| database.newest_good.is_some());
        let mut left = shorter.left_out.take().unwrap_or_default();
        for database in shorter.databases.split_off(databases.min(shorter.databases.len())) {
            left.databases += 1;
            left.made += database.made;
            left.verified += database.verified;
            left.drills += database.drills;
            left.stored_bytes += database.stored_bytes;
        }
        left.open += shorter.open.split_off(open.min(shorter.open.len())).len() as u64;
        for incident in &mut shorter.open {
            incident.what = cut(&incident.what, LONGEST);
        }
        if shorter.problems.len() > PROBLEMS {
            let more = shorter.problems.split_off(PROBLEMS).len();
            shorter.problems.push(format!("and {more} further problems of this kind"));
        }
        shorter.left_out = (left != DigestLeftOut::default()).then_some(left);
        shorter
    }
}
