//! What help texts must look like.

use clap::CommandFactory as _;

use super::*;

fn examples(command: &clap::Command, found: &mut Vec<String>) {
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    found.extend(text.lines().filter(|line| line.starts_with("  ")).map(str::to_owned));
    command.get_subcommands().for_each(|inner| examples(inner, found));
}

#[test]
fn no_example_is_wrapped_in_a_terminal_of_80_columns() {
    let mut found = Vec::new();
    examples(&Arguments::command(), &mut found);
    assert!(found.len() > 20, "{found:#?}");
    let long: Vec<&String> = found.iter().filter(|line| line.chars().count() > 80).collect();
    assert!(long.is_empty(), "{long:#?}");
}
