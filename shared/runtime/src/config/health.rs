//! Reads the sections `health`: thresholds, and codes that nobody wants to hear of.

use lifeboat_core::{
    Result,
    config::{HealthConfig, Size, Span, THRESHOLDS, ThresholdKind, ThresholdValue, keys::nearest},
    health::CODES,
};

use super::section::{Section, article};

/// Lays what a section says over what is in force without it.
pub(super) fn read(section: &Section<'_>, mut config: HealthConfig) -> Result<HealthConfig> {
    for (key, kind) in THRESHOLDS {
        let found = match kind {
            ThresholdKind::Span => {
                section.parsed::<Span>(key)?.map(|found| (ThresholdValue::Span(found.value), found.origin))
            }
            ThresholdKind::Size => {
                section.parsed::<Size>(key)?.map(|found| (ThresholdValue::Size(found.value), found.origin))
            }
            ThresholdKind::Number { least, most } => {
                section.number(key, *least, *most)?.map(|found| (ThresholdValue::Number(found.value), found.origin))
            }
        };
        if let Some((value, origin)) = found {
            config.thresholds.set(key, value);
            config.origins.insert(key, origin);
        }
    }
    if let Some(value) = section.value("ignore") {
        let Some(list) = value.get_ref().as_array() else {
            let message = format!("expected a list of findings' names, found {}", article(value));
            return Err(section.wrong("ignore", value, message));
        };
        config.ignore.clear();
        for item in list {
            let name = item.get_ref().as_str().unwrap_or_default();
            let known: Vec<&str> = CODES.iter().map(|code| code.name).collect();
            if !known.contains(&name) {
                let near = nearest(name, &known).map_or(String::new(), |near| format!("did you mean '{near}'? "));
                let error = section.wrong("ignore", item, format!("'{name}' is not the name of a finding"));
                return Err(error.with_hint(format!("{near}docs/HEALTH.md lists them all")));
            }
            config.ignore.push(name.to_owned());
        }
        config.origins.insert("ignore", section.source.origin(&value.span()));
    }
    Ok(config)
}
