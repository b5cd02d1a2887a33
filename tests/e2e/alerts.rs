//! Alerts as people get them: from the bus, through queue, functions and topic, to chat and mail, once.

mod browser;
mod by_hand;
mod by_ses;
mod dead_letters;
mod on_the_bus;
mod samples;
mod store_hangs;

use anyhow::{Context, Result};
use lifeboat_tests::{
    Stack, StoreUnderTest,
    emulator::Functions,
    sinks::{mail_to, posts_to, sinks},
    stack::environment,
};
use serde_json::{Value, json};

use crate::shared::fifteen;

/// Where the messages of one test end.
struct Ends {
    slack: String,
    address: String,
}

impl Ends {
    fn of(test: &str) -> Self {
        Self { slack: format!("/slack/{test}"), address: format!("{test}@acme.example") }
    }

    fn configuration(&self) -> String {
        format!(
            // The events of these tests are of a certain day, and must not seem to have lasted since then.
            "[alerts]\ncontacts = [\"Ann, +49 30 1234\"]\nescalate_after = \"never\"\n[alerts.channels.team]\nslack = {{ env = \"SLACK_URL\" }}\n\
             [alerts.channels.mail]\nemail = {{ from = \"lifeboat@acme.example\", to = [\"{}\"], smtp = {{ env = \"SMTP_URL\" }} }}\n",
            self.address
        )
    }

    fn environment(&self) -> Result<[(&'static str, String); 2]> {
        let sinks = sinks()?;
        Ok([
            ("SLACK_URL", format!("{}{}", sinks.endpoint, self.slack)),
            ("SMTP_URL", format!("smtp://lifeboat:hunter2@{}", sinks.smtp)),
        ])
    }

    /// The texts that Slack took.
    fn chats(&self) -> Result<Vec<Value>> {
        let taken = posts_to(&self.slack)?.into_iter().filter(|post| post["status"] == 200);
        taken.map(|post| Ok(serde_json::from_str(post["body"].as_str().context("a body")?)?)).collect()
    }

    fn mail(&self) -> Result<Vec<Value>> {
        mail_to(&self.address)
    }

    /// How many messages each has.
    fn counts(&self) -> Result<(usize, usize)> {
        Ok((self.chats()?.len(), self.mail()?.len()))
    }
}

/// A deployment whose channels lead to these ends.
fn stack(store: &StoreUnderTest, ends: &Ends) -> Result<Stack> {
    let variables = ends.environment()?;
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let stack = Stack::create(store, fifteen()?, "alerts", &variables)?;
    stack.configure(&ends.configuration())?;
    Ok(stack)
}

/// The functions `alert` and `notify` behind Lambda's runtime API, without a topic, whose channels lead to these ends.
fn functions(store: &StoreUnderTest, ends: &Ends, database: &str) -> Result<Functions> {
    let folder = tempfile::tempdir()?;
    let mut variables = environment(folder.path(), fifteen()?, database, store)?;
    variables.extend(ends.environment()?.map(|(name, value)| (name.to_owned(), value)));
    let file = folder.path().join("lifeboat.toml");
    let whole = format!("{}{}", std::fs::read_to_string(&file)?, ends.configuration());
    std::fs::write(&file, whole)?;
    let mut functions = Functions::start(folder, variables)?;
    functions.serve("alert", 1, &[])?;
    functions.serve("notify", 1, &[])?;
    Ok(functions)
}

/// The detail of an event.
fn detail(database: &str, at: &str, name: &str, further: &Value) -> Value {
    let mut detail = json!({
        "format_version": 1, "run_id": "aaaaaaaaaaab", "database": database, "at": at, "type": name
    });
    for (key, value) in further.as_object().into_iter().flatten() {
        detail[key] = value.clone();
    }
    detail
}

fn refused() -> Value {
    json!({ "kind": "database", "message": "connect to db.internal:5432: connection refused", "hint": "look at the server" })
}

/// A batch as SQS hands it to `alert`.
fn batch(details: &[Value]) -> Value {
    let records = details.iter().enumerate().map(|(n, detail)| {
        let body =
            json!({ "id": n.to_string(), "detail-type": detail["type"], "source": "lifeboat", "detail": detail });
        json!({ "messageId": format!("message-{n}"), "body": body.to_string(), "eventSource": "aws:sqs" })
    });
    json!({ "Records": records.collect::<Vec<_>>() })
}
