//! Forecasts in words: the next restore, the RTO in the months to come, the bill, and the bills of other policies.

use lifeboat_core::{
    forecast::{Alternative, Bill, CostForecast, DatabaseForecast},
    report::words::bytes,
};

use crate::{
    table::{Align, facts, table},
    text::Append,
};

/// The forecasts of one database.
pub(crate) fn told(forecast: &DatabaseForecast) -> String {
    let mut text = format!("\n{}: what is to be expected\n", forecast.database);
    let restore = match (&forecast.restore, &forecast.compare) {
        (Some(restore), Some(compare)) => format!("{restore}; comparing every row, {compare}"),
        (Some(restore), None) => restore.to_string(),
        (None, _) => "not known: no drill has measured one yet".to_owned(),
    };
    let growth = match (&forecast.recovery.growth, &forecast.recovery.newest) {
        (Some(growth), Some(newest)) => format!("{newest}; it {growth}"),
        (None, Some(newest)) => format!("{newest}; not known how it grows: there are too few backups"),
        (_, None) => "no backup".to_owned(),
    };
    text.push_str(&facts([
        ("recovery", forecast.recovery.to_string()),
        ("restore into a server that is there", restore),
        ("newest backup", growth),
    ]));
    for row in &forecast.storage {
        text.add(format_args!(
            "stored now: {} in {}: {}, {} a month\n",
            row.tier,
            row.storage_class,
            bytes(row.bytes),
            usd(row.usd_per_month)
        ));
    }
    match &forecast.cost {
        Some(cost) => text.push_str(&costs(forecast, cost)),
        None => text.push_str("cost: not known: there is no backup to go by\n"),
    }
    text
}

fn costs(forecast: &DatabaseForecast, cost: &CostForecast) -> String {
    let mut text =
        format!("\n{}: USD a month, once its policy has run for long enough ({})\n", forecast.database, cost.prices);
    let bill = &cost.bill;
    let rows = bill.storage.iter().map(|row| {
        vec![
            row.tier.name().to_owned(),
            row.storage_class.to_string(),
            format!("{:.1}", row.backups),
            bytes(row.bytes),
            usd(row.usd),
        ]
    });
    text.push_str(&table(
        &[
            ("tier", Align::Left),
            ("class", Align::Left),
            ("backups", Align::Right),
            ("size", Align::Right),
            ("usd", Align::Right),
        ],
        rows,
    ));
    text.push_str(&sums(bill));
    let now = usd(forecast.usd_per_month_now);
    match cost.total_in_a_year_usd {
        Some(later) => text.add(format_args!("storage now {now}; all, in a year at this growth {}\n", usd(later))),
        None => text.add(format_args!("storage now {now}\n")),
    }
    for note in &cost.notes {
        text.add(format_args!("note: {note}\n"));
    }
    if !cost.alternatives.is_empty() {
        text.push('\n');
        text.push_str(&table(
            &[
                ("instead", Align::Left),
                ("usd", Align::Right),
                ("difference", Align::Right),
                ("backups", Align::Right),
                ("early deletion", Align::Right),
                ("note", Align::Left),
            ],
            cost.alternatives.iter().map(alternative),
        ));
    }
    text.add(format_args!("{}\n", cost.not_counted));
    text
}

fn sums(bill: &Bill) -> String {
    let mut text = String::new();
    text.add(format_args!(
        "storage {}, requests {}, moves {}, early deletion {}, drills {}: together {}\n",
        usd(bill.storage_usd),
        usd(bill.requests_usd),
        usd(bill.moves_usd),
        usd(bill.early_deletion_usd),
        usd(bill.drills_usd),
        usd(bill.total_usd)
    ));
    text
}

fn alternative(other: &Alternative) -> Vec<String> {
    let sign = if other.difference_usd < 0.0 { "-" } else { "+" };
    vec![
        other.name.clone(),
        usd(other.bill.total_usd),
        format!("{sign}{}", usd(other.difference_usd.abs())),
        format!("{:.0}", other.bill.backups),
        usd(other.bill.early_deletion_usd),
        other.notes.join("; "),
    ]
}

/// Dollars; of less than a cent, that it is not nothing.
fn usd(dollars: f64) -> String {
    if dollars > 0.0 && dollars < 0.005 { "<$0.01".to_owned() } else { format!("${dollars:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_than_a_cent_is_not_nothing() {
        assert_eq!([0.0, 0.004, 0.005, 12.345].map(usd), ["$0.00", "<$0.01", "$0.01", "$12.35"]);
    }
}
