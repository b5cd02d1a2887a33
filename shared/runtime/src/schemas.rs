//! JSON Schema of everything that crosses the bus or asks a function, made from the types.

use lifeboat_core::{events::Event, messages::Message};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::Value;

use crate::requests::{
    AlertWish, DrillRequest, DrillStep, DumpRequest, HealthRequest, MaintenanceRequest, NotifyWish, RestoreRequest,
    RetentionRequest, VerifyRequest,
};

/// Every schema with the name of its file below `events/schema/`.
pub fn all() -> Vec<(&'static str, Value)> {
    vec![
        ("event.json", of::<Event>()),
        ("message.json", of::<Message>()),
        ("alert-wish.json", of::<AlertWish>()),
        ("notify-wish.json", of::<NotifyWish>()),
        ("dump-request.json", of::<DumpRequest>()),
        ("verify-request.json", of::<VerifyRequest>()),
        ("retention-request.json", of::<RetentionRequest>()),
        ("health-request.json", of::<HealthRequest>()),
        ("maintenance-request.json", of::<MaintenanceRequest>()),
        ("drill-request.json", of::<DrillRequest>()),
        ("drill-step.json", of::<DrillStep>()),
        ("restore-request.json", of::<RestoreRequest>()),
    ]
}

fn of<T: JsonSchema>() -> Value {
    let generator: SchemaGenerator = SchemaSettings::draft2020_12().into();
    generator.into_root_schema_for::<T>().to_value()
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;
    use crate::environment::Environment;

    fn folder() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../events/schema")
    }

    /// `LIFEBOAT_UPDATE_SCHEMAS=1 cargo test -p lifeboat-runtime schemas` writes the files anew.
    #[test]
    fn the_schemas_in_the_repository_are_those_of_the_types() {
        let update = Environment::of_process().raw("LIFEBOAT_UPDATE_SCHEMAS").is_some();
        for (name, schema) in all() {
            let (path, text) = (folder().join(name), format!("{schema:#}\n"));
            if update {
                fs::create_dir_all(folder()).unwrap();
                fs::write(&path, &text).unwrap();
            }
            let found = fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(found, text, "{name}: run LIFEBOAT_UPDATE_SCHEMAS=1 cargo test -p lifeboat-runtime schemas");
        }
        let files = fs::read_dir(folder()).unwrap().count();
        assert_eq!(files, all().len(), "a schema that no type has");
    }

    /// Names of properties anywhere in a schema.
    fn properties(schema: &Value, found: &mut Vec<String>) {
        match schema {
            Value::Object(members) => {
                if let Some(Value::Object(properties)) = members.get("properties") {
                    found.extend(properties.keys().cloned());
                }
                members.values().for_each(|value| properties(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| properties(value, found)),
            _ => {}
        }
    }

    /// Names of events anywhere in a schema.
    fn types(schema: &Value, found: &mut Vec<String>) {
        match schema {
            Value::Object(members) => {
                let name = members.get("properties").and_then(|p| p["type"]["const"].as_str());
                found.extend(name.map(str::to_owned));
                members.values().for_each(|value| types(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| types(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_event_and_every_field_is_documented() {
        let documentation = include_str!("../../../docs/EVENTS.md");
        let (mut names, mut fields) = (Vec::new(), Vec::new());
        types(&of::<Event>(), &mut names);
        assert!(names.len() >= 14, "{names:?}");
        for name in names {
            assert!(documentation.contains(&format!("### {name}\n")), "docs/EVENTS.md does not tell of {name}");
        }
        for (_, schema) in all() {
            properties(&schema, &mut fields);
        }
        for field in fields {
            assert!(documentation.contains(&format!("`{field}`")), "docs/EVENTS.md does not tell of {field}");
        }
    }

    #[test]
    fn every_event_that_the_documentation_shows_is_one() {
        let documentation = include_str!("../../../docs/EVENTS.md");
        let examples: Vec<&str> =
            documentation.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(examples.len() >= 14, "{}", examples.len());
        for example in examples {
            let value: Value = serde_json::from_str(example).unwrap_or_else(|e| panic!("{e}: {example}"));
            let detail = value.get("detail").unwrap_or(&value);
            let event = Event::from_detail(detail).unwrap_or_else(|e| panic!("{e}: {example}"));
            assert_eq!(&serde_json::to_value(&event).unwrap(), detail, "a field too many or too few");
        }
    }
}
