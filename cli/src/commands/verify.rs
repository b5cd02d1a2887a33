//! `verify`: reads backups back and checks every byte.

use lifeboat_core::{
    ErrorKind, Result, catalog,
    report::words::{bytes, count, duration},
    verify::VerifyOutcome,
};
use lifeboat_runtime::{error_document, requests::total, runs};
use serde_json::json;

use crate::{
    answer::Answer,
    app::App,
    arguments::{Output, Verify},
    table::{Align, table},
};

pub(crate) async fn run(app: &App, arguments: &Verify) -> Result<Answer> {
    let store = app.store().await?;
    let identity = arguments.identity.as_deref();
    if arguments.backup != "all" {
        let backup = app.find(&*store, &arguments.backup.parse()?).await?;
        let jobs = app.jobs(&backup.manifest.database, arguments.jobs);
        let (database, id) = (&backup.manifest.database, &backup.manifest.backup_id);
        let outcome = runs::verify(&app.setup, &store, database, id, identity, jobs, &app.context).await?;
        return match outcome.clone().into_result() {
            Ok(outcome) => Answer::new(&outcome, format!("{}\n", words(&outcome))),
            Err(error) if app.output == Output::Text => Err(error),
            // Programs get the list of damaged objects beside the error.
            Err(error) => {
                let mut document = json!(outcome);
                document["error"] = error_document(&error)["error"].take();
                Ok(Answer::new(&document, "")?.with_exit(Some(error.kind())))
            }
        };
    }
    let database = app.named_or_by_url(None)?.map(|s| s.slug);
    let states = app.context.cancel.race(catalog::list(&*store, database.as_ref())).await?;
    let (mut rows, mut documents, mut damaged) = (Vec::new(), Vec::new(), 0_u32);
    let mut unread: Vec<ErrorKind> = Vec::new();
    for state in &states {
        let jobs = app.jobs(&state.database, arguments.jobs);
        let (database, id) = (&state.database, &state.backup_id);
        let result = runs::verify(&app.setup, &store, database, id, identity, jobs, &app.context).await;
        let (words, document) = match result {
            Ok(outcome) => {
                damaged += u32::from(!outcome.damage.is_empty());
                (words(&outcome), json!(outcome))
            }
            Err(e) if matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => {
                damaged += 1;
                let document = json!({ "database": state.database, "backup_id": state.backup_id, "damage": [
                    { "object": "manifest.json", "what": e.to_string() } ] });
                (format!("DAMAGED: {e}"), document)
            }
            // Nobody is left who waits for the others.
            Err(e) if app.context.cancel.check().is_err() => return Err(e),
            Err(e) => {
                unread.push(e.kind());
                let mut document = json!({ "database": state.database, "backup_id": state.backup_id });
                document["error"] = error_document(&e)["error"].take();
                (format!("not read: {e}; {}", e.hint()), document)
            }
        };
        rows.push(vec![state.qualified(), words]);
        documents.push(document);
    }
    let text = if rows.is_empty() {
        format!("There is no backup in {}.\n", store.url())
    } else {
        table(&[("backup", Align::Left), ("result", Align::Left)], rows)
    };
    let checked = states.len() - unread.len();
    let document = json!({ "backups": documents, "checked": checked, "damaged": damaged, "unread": unread.len() });
    // Damage is the graver news: what was not read may be whole.
    let exit = if damaged > 0 { Some(ErrorKind::Corrupt) } else { unread.first().copied() };
    Ok(Answer::new(&document, text)?.with_exit(exit))
}

fn words(outcome: &VerifyOutcome) -> String {
    if outcome.damage.is_empty() {
        let rows = if outcome.decoded {
            format!("{} rows", count(outcome.rows))
        } else {
            "hashed only, because it is encrypted and no key was given,".to_owned()
        };
        format!(
            "verified: {} objects, {}, {rows} in {}",
            count(outcome.objects),
            bytes(outcome.bytes),
            duration(total(&outcome.phases))
        )
    } else {
        let what: Vec<&str> = outcome.damage.iter().map(|d| d.what.as_str()).collect();
        format!("DAMAGED: {}", what.join("; "))
    }
}
