//! `config check`: everything in force, and where it came from.

use lifeboat_core::{Result, config::InForce};
use serde_json::{Map, Value, json};

use crate::{
    answer::Answer,
    app::App,
    table::{Align, table},
};

pub(crate) fn check(app: &App) -> Result<Answer> {
    let config = &app.setup.config;
    let mut settings = config.in_force();
    // A database whose URL was given by flag or environment has no section of its own.
    if let Some(selected) = app.named_or_by_url(None)? {
        let mut one = config.clone();
        one.databases = [(selected.slug, selected.config)].into();
        let of_call = one.in_force().into_iter().filter(|s| s.key.starts_with("databases."));
        for setting in of_call {
            settings.retain(|s| s.key != setting.key);
            settings.push(setting);
        }
    }
    let file = config.file.as_ref().map(|f| f.display().to_string());
    let rows = settings.iter().map(|s| vec![s.key.clone(), shown(&s.value), s.origin.clone()]);
    let text = format!(
        "file: {}\n\n{}",
        file.as_deref().unwrap_or("none"),
        table(&[("key", Align::Left), ("value", Align::Left), ("from", Align::Left)], rows)
    );
    let mut document = nested(&settings);
    document["file"] = json!(file);
    document["origins"] = settings.iter().map(|s| (s.key.clone(), json!(s.origin))).collect::<Map<_, _>>().into();
    Answer::new(&document, text)
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// As the file would nest it; a slug holds no dot.
fn nested(settings: &[InForce]) -> Value {
    let mut document = json!({ "databases": {} });
    for setting in settings {
        let mut place = &mut document;
        for segment in setting.key.split('.') {
            place = &mut place[segment];
        }
        *place = setting.value.clone();
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_nest_as_in_the_file() {
        let row = |key: &str, value: Value| InForce { key: key.to_owned(), value, origin: "default".to_owned() };
        let document = nested(&[row("store.url", json!("file:///x")), row("databases.a.jobs", json!(4))]);
        assert_eq!(document, json!({ "store": { "url": "file:///x" }, "databases": { "a": { "jobs": 4 } } }));
    }
}
