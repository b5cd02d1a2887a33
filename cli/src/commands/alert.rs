//! `alert test`: whether messages arrive. `alert digest`: the digest, now. `alert list`: what lasts, and what did not arrive.
//! `alert close`: ends what nothing else will end.

use lifeboat_core::{
    ErrorKind, Result,
    digest::DigestOutcome,
    incidents::{Overview, Policy, close, overview, remind},
    messages::of_test,
};
use lifeboat_runtime::{Patience, error_document};
use serde_json::{Value, json};

use crate::{
    answer::Answer,
    app::App,
    arguments::{Alert, AlertClose, OneDatabase},
    table::{Align, table},
};

pub(crate) async fn run(app: &App, command: &Alert) -> Result<Answer> {
    match command {
        Alert::Test => test(app).await,
        Alert::Digest => digest(app).await,
        Alert::List(OneDatabase { database }) => {
            let control = app.setup.open_control().await?;
            list(&app.context.cancel.race(overview(&*control, database.as_ref(), app.context.clock.now())).await?)
        }
        Alert::Close(close) => app.context.cancel.race(Box::pin(close_incidents(app, close))).await,
    }
}

async fn close_incidents(app: &App, wanted: &AlertClose) -> Result<Answer> {
    let (setup, context) = (&app.setup, &app.context);
    let policy = Policy::of_config(&setup.config);
    let control = setup.open_control().await?;
    let closed = close(&*control, &policy, &wanted.database, wanted.kind.as_ref(), context).await?;
    let told = if setup.config.alerts.reach_somebody() {
        let ports = setup.alert_ports(Patience::default(), None).await?;
        let outcome = remind(&ports, &policy, context).await;
        outcome.error.map_or(Ok(outcome.message_id), Err)
    } else {
        Ok(None)
    };
    let noun = if closed == 1 { "incident" } else { "incidents" };
    let mut text = format!("{closed} {noun} of {} closed.\n", wanted.database);
    text.push_str(match &told {
        Ok(Some(_)) => "People were told.\n",
        Ok(None) => "Nobody was told here: the next run that alerts tells whoever knew of it.\n",
        Err(_) => "People could not be told yet: the next run that alerts tells them.\n",
    });
    if let Err(error) = &told {
        app.context.progress.note(&format!("{error}; {}", error.hint()));
    }
    let document = json!({ "database": wanted.database, "closed": closed, "message_id": told.ok().flatten() });
    Answer::new(&document, text)
}

/// One message for each way, each of its own: the topic's goes on to the channels, as alerts do.
async fn test(app: &App) -> Result<Answer> {
    let setup = &app.setup;
    // Says what to configure where nobody can be told.
    app.context.cancel.race(Box::pin(setup.open_outlet(Patience::default()))).await?;
    let signature = Policy::of_config(&setup.config).signature;
    let message = |through: &str, name: &str| {
        of_test(through, &format!("{}/{name}", app.context.run_id), &signature, app.context.clock.now())
    };
    let mut results: Vec<(String, String, Result<()>)> = Vec::new();
    if let Some(topic) = setup.open_topic().await? {
        let sent = app.context.cancel.race(topic.publish(&message("the topic", "topic"))).await;
        results.push(("topic".to_owned(), topic.name().to_owned(), sent));
        match app.context.cancel.race(topic.unconfirmed()).await {
            Ok(waiting) => {
                for subscription in waiting {
                    app.context.progress.note(&format!("not confirmed, and so told nothing: {subscription}"));
                }
            }
            Err(error) => app.context.progress.note(&format!("subscriptions could not be listed: {error}")),
        }
    }
    for opened in setup.open_channels(Patience::default()).await? {
        match opened.target {
            Ok(target) => {
                let message = message(&format!("the channel '{}'", opened.name), &opened.name);
                let sent = app.context.cancel.race(target.channel.send(&message)).await;
                results.push((opened.name, target.channel.leads_to(), sent));
            }
            Err(error) => results.push((opened.name, String::new(), Err(error))),
        }
    }
    let failed = results.iter().filter(|(.., sent)| sent.is_err()).count();
    let documents: Vec<Value> = results
        .iter()
        .map(|(name, to, sent)| {
            let mut document = json!({ "name": name, "to": to, "sent": sent.is_ok() });
            if let Err(error) = sent {
                document["error"] = error_document(error)["error"].take();
            }
            document
        })
        .collect();
    let rows = results.into_iter().map(|(name, to, sent)| {
        let said = match sent {
            Ok(()) => "sent".to_owned(),
            Err(error) => format!("FAILED: {error}; {}", error.hint()),
        };
        vec![name, to, said]
    });
    let text = table(&[("name", Align::Left), ("to", Align::Left), ("result", Align::Left)], rows);
    let document = json!({ "results": documents, "failed": failed });
    Ok(Answer::new(&document, text)?.with_exit((failed > 0).then_some(ErrorKind::Store)))
}

async fn digest(app: &App) -> Result<Answer> {
    let sending = Box::pin(app.setup.send_digest(true, Patience::default(), &app.context));
    let id = match app.context.cancel.race(sending).await? {
        DigestOutcome::Sent(id) => Some(id),
        DigestOutcome::NotDue => None,
    };
    let text = match &id {
        Some(_) => "The digest was sent.\n",
        None => "Another run is sending a digest.\n",
    };
    Answer::new(&json!({ "message_id": id }), text)
}

fn list(overview: &Overview) -> Result<Answer> {
    let mut text = if overview.open.is_empty() {
        "No incident is open.\n".to_owned()
    } else {
        let rows = overview.open.iter().map(|open| {
            let incident = &open.incident;
            vec![
                open.database.to_string(),
                open.kind.to_string(),
                incident.severity.name().to_owned(),
                format!("{:.0}", incident.opened_at),
                incident.times.to_string(),
                incident.what.lines().next().unwrap_or_default().to_owned(),
            ]
        });
        table(
            &[
                ("database", Align::Left),
                ("kind", Align::Left),
                ("severity", Align::Left),
                ("since", Align::Left),
                ("times", Align::Right),
                ("what", Align::Left),
            ],
            rows,
        )
    };
    if !overview.unsent.is_empty() || !overview.undelivered.is_empty() {
        let unsent = overview.unsent.iter().map(|u| {
            let error = u.last_error.clone().unwrap_or_default();
            vec![format!("{:.0}", u.since), format!("{}: {}", u.database, u.title), error]
        });
        let undelivered = overview.undelivered.iter().map(|u| {
            let errors: Vec<String> = u.channels.iter().map(|(name, error)| format!("{name}: {error}")).collect();
            vec![format!("{:.0}", u.at), u.subject.clone(), errors.join("; ")]
        });
        text.push_str("\nNot arrived yet:\n");
        text.push_str(&table(
            &[("since", Align::Left), ("message", Align::Left), ("why", Align::Left)],
            unsent.chain(undelivered),
        ));
    }
    Answer::new(overview, text)
}
