//! Reads `[databases.orders.maintenance]`.

use std::ops::RangeInclusive;

use lifeboat_core::{
    Result,
    config::{MaintenanceConfig, Setting, Size, Span, keys::nearest},
    maintenance::Operation,
};

use super::section::Section;

const DAY: u64 = 86_400;

pub(super) fn read(section: &Section<'_>) -> Result<MaintenanceConfig> {
    let mut config = MaintenanceConfig { schedule: section.parsed("schedule")?, ..MaintenanceConfig::default() };
    if let Some(operations) = operations(section)? {
        config.operations = operations;
    }
    for (key, setting, range) in [
        ("time_budget", &mut config.time_budget, 5..=DAY),
        ("lock_timeout", &mut config.lock_timeout, 1..=60),
        ("unused_index_after", &mut config.unused_index_after, DAY..=1000 * DAY),
        ("long_query", &mut config.long_query, 1..=DAY),
    ] {
        if let Some(found) = section.parsed::<Span>(key)? {
            *setting = within(section, key, found, &range)?;
        }
    }
    for (key, setting, least, most) in [
        ("attempts", &mut config.attempts, 1, 20),
        ("cost_delay_ms", &mut config.cost_delay_ms, 0, 100),
        ("cost_limit", &mut config.cost_limit, 1, 10_000),
        ("parallel", &mut config.parallel, 0, 64),
        ("dead_tuples_percent", &mut config.dead_tuples_percent, 0, 100),
        ("dead_tuples_least", &mut config.dead_tuples_least, 0, u32::MAX),
        ("changed_percent", &mut config.changed_percent, 0, 100),
        ("bloat_percent", &mut config.bloat_percent, 1, 100),
        ("sequence_percent", &mut config.sequence_percent, 1, 100),
    ] {
        if let Some(found) = section.number(key, least, most)? {
            *setting = found;
        }
    }
    if let Some(size) = section.parsed::<Size>("bloat_least")? {
        config.bloat_least = size;
    }
    Ok(config)
}

fn within(
    section: &Section<'_>,
    key: &str,
    found: Setting<Span>,
    range: &RangeInclusive<u64>,
) -> Result<Setting<Span>> {
    match section.value(key) {
        Some(value) if !range.contains(&found.value.0) => {
            let (least, most) = (Span(*range.start()), Span(*range.end()));
            Err(section.wrong(key, value, format!("must be from {least} to {most}")))
        }
        _ => Ok(found),
    }
}

/// Names of operations. VACUUM FULL is none that a file may ask for: it shuts the application out.
fn operations(section: &Section<'_>) -> Result<Option<Setting<Vec<Operation>>>> {
    let Some(value) = section.value("operations") else { return Ok(None) };
    let known: Vec<&str> = Operation::SCHEDULED.iter().map(|o| o.name()).collect();
    let hint = format!("write a list of some of: {}", known.join(", "));
    let Some(list) = value.get_ref().as_array() else {
        return Err(section.wrong("operations", value, "expected a list of texts").with_hint(hint));
    };
    let mut found = Vec::new();
    for item in list {
        let name = item.get_ref().as_str().unwrap_or_default();
        match Operation::SCHEDULED.into_iter().find(|o| o.name() == name) {
            Some(operation) if found.contains(&operation) => {
                return Err(section.wrong("operations", item, format!("names {name} twice")));
            }
            Some(operation) => found.push(operation),
            None if name == Operation::Full.name() => {
                return Err(section
                    .wrong("operations", item, "VACUUM FULL shuts the application out and is never done by a schedule")
                    .with_hint("lifeboat maintenance DATABASE --full --table schema.table does it, and asks first"));
            }
            None => {
                let near = nearest(name, &known).map_or(String::new(), |near| format!("did you mean '{near}'? "));
                let error = section.wrong("operations", item, format!("'{name}' is not an operation"));
                return Err(error.with_hint(format!("{near}{hint}")));
            }
        }
    }
    Ok(Some(Setting::new(found, section.source.origin(&value.span()))))
}
