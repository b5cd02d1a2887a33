//! Whatever the order and however often events arrive, beginnings and ends are told once.

use std::collections::BTreeMap;

use lifeboat_core::{events::Event, messages::Change};
use proptest::prelude::*;

use crate::{Story, completed, corrupt, failed, terms, verified};

#[derive(Debug, Clone)]
struct Arrival {
    batches: Vec<Vec<usize>>,
}

/// Every event at least once, some more often, in any order and in any batches.
fn arrivals(events: usize) -> impl Strategy<Value = Arrival> {
    let extra = prop::collection::vec(0..events, 0..events);
    extra
        .prop_flat_map(move |extra| {
            let all: Vec<usize> = (0..events).chain(extra).collect();
            (Just(all).prop_shuffle(), prop::collection::vec(1..5_usize, 1..=events * 2))
        })
        .prop_map(|(order, sizes)| {
            let (mut batches, mut rest) = (Vec::new(), &order[..]);
            for size in sizes {
                let (batch, after) = rest.split_at(size.min(rest.len()));
                batches.push(batch.to_vec());
                rest = after;
            }
            batches.push(rest.to_vec());
            Arrival { batches }
        })
}

fn outcomes() -> impl Strategy<Value = Vec<bool>> {
    prop::collection::vec(any::<bool>(), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_any_order_and_however_often_beginnings_and_ends_alternate_and_the_newest_event_decides(
        (outcomes, arrival) in outcomes().prop_flat_map(|o| { let n = o.len(); (Just(o), arrivals(n)) })
    ) {
        let events: Vec<Event> = outcomes
            .iter()
            .enumerate()
            .map(|(i, ok)| { let i = i64::try_from(i).unwrap(); if *ok { completed(i, false) } else { failed(i) } })
            .collect();
        let mut story = Story::new(terms());
        for batch in &arrival.batches {
            let batch: Vec<Event> = batch.iter().map(|i| events[*i].clone()).collect();
            story.batch(100, &batch);
        }
        let changes: Vec<Change> = story.told.iter().map(|n| n.entry.change).collect();
        for (i, change) in changes.iter().enumerate() {
            prop_assert_eq!(*change, if i % 2 == 0 { Change::Opened } else { Change::Resolved });
        }
        let lasts = !outcomes.last().unwrap();
        prop_assert_eq!(changes.len() % 2 == 1, lasts);
        prop_assert_eq!(story.ledger.open().count() == 1, lasts);
        let mut ids: Vec<&String> = story.told.iter().map(|n| &n.id).collect();
        ids.sort();
        ids.dedup();
        prop_assert_eq!(ids.len(), story.told.len(), "two pieces of news share an id");
    }

    #[test]
    fn in_order_and_however_often_each_beginning_and_each_end_is_told_exactly_once(
        outcomes in outcomes(), repeats in prop::collection::vec(0..12_usize, 0..24), cuts in prop::collection::vec(any::<bool>(), 12)
    ) {
        let mut story = Story::new(terms());
        let (mut batch, mut expected, mut lasts) = (Vec::new(), 0, false);
        for (i, ok) in outcomes.iter().enumerate() {
            let minutes = i64::try_from(i).unwrap();
            let event = if *ok { completed(minutes, false) } else { failed(minutes) };
            expected += usize::from(lasts == *ok);
            lasts = !ok;
            batch.push(event.clone());
            // Older ones again, together with this one or later.
            batch.extend(repeats.iter().filter(|r| **r == i).map(|_| event.clone()));
            if cuts[i] {
                story.batch(100, &batch);
                if !repeats.contains(&(i + 1)) {
                    batch.clear();
                }
            }
        }
        story.batch(100, &batch);
        prop_assert_eq!(story.told.len(), expected);
    }

    #[test]
    fn each_damaged_backup_is_told_of_once_in_any_order(
        (whole, arrival) in prop::collection::vec(any::<bool>(), 1..8).prop_flat_map(|w| { let n = w.len(); (Just(w), arrivals(n)) })
    ) {
        let events: Vec<Event> = whole
            .iter()
            .enumerate()
            .map(|(i, ok)| { let i = i64::try_from(i).unwrap(); if *ok { verified(100 + i, i) } else { corrupt(100 + i, i) } })
            .collect();
        let mut story = Story::new(terms());
        for batch in &arrival.batches {
            let batch: Vec<Event> = batch.iter().map(|i| events[*i].clone()).collect();
            story.batch(200, &batch);
        }
        let mut of: BTreeMap<Change, usize> = BTreeMap::new();
        for notice in &story.told {
            *of.entry(notice.entry.change).or_default() += 1;
        }
        let opened = of.get(&Change::Opened).copied().unwrap_or(0);
        let resolved = of.get(&Change::Resolved).copied().unwrap_or(0);
        let open = story.ledger.open().count();
        prop_assert_eq!(opened, resolved + open);
        prop_assert_eq!(opened > 0, whole.contains(&false));
        // It lasts exactly if the newest damaged backup is newer than every whole one.
        prop_assert_eq!(open == 1, !whole.last().unwrap());
        prop_assert_eq!(story.ledger.damaged.len(), whole.iter().filter(|ok| !**ok).count());
    }
}
