//! Reads one section of the file: known keys only, every error with its line and, for a misspelt key, the nearest one.

use std::{fmt::Display, ops::Range, str::FromStr};

use lifeboat_core::{
    Error, ErrorKind, Result,
    config::{
        Origin, Setting,
        keys::{Section as Keys, nearest},
    },
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The file, for messages.
pub(super) struct Source<'a> {
    /// Its name as messages show it.
    pub(super) name: &'a str,
    /// Where its lines end: every key has an origin, and a fleet has thousands of keys.
    ends: Vec<usize>,
}

impl<'a> Source<'a> {
    /// A file by its name and text.
    pub(super) fn new(name: &'a str, text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(place, _)| place).collect();
        Self { name, ends }
    }

    /// The line of a place, from 1.
    pub(super) fn line(&self, place: &Range<usize>) -> usize {
        self.ends.partition_point(|end| *end < place.start) + 1
    }

    /// An error at a place.
    pub(super) fn error(&self, place: &Range<usize>, message: impl Display) -> Error {
        Error::new(ErrorKind::Config, format!("{}, line {}: {message}", self.name, self.line(place)))
    }

    pub(super) fn origin(&self, place: &Range<usize>) -> Origin {
        Origin::File { line: self.line(place) }
    }
}

/// One table of the file.
pub(super) struct Section<'a> {
    pub(super) source: &'a Source<'a>,
    table: &'a DeTable<'a>,
    /// As a person would write it, such as `databases.orders`.
    path: String,
}

impl<'a> Section<'a> {
    /// Opens a table and refuses what it does not know.
    pub(super) fn open(source: &'a Source<'a>, table: &'a DeTable<'a>, path: String, keys: Keys) -> Result<Self> {
        for key in table.keys() {
            let written: &str = key.get_ref();
            if keys.keys.contains(&written) {
                continue;
            }
            let place = if path.is_empty() { "at the top of the file".to_owned() } else { format!("in {path}") };
            let known = keys.keys.join(", ");
            let hint = match nearest(written, keys.keys) {
                Some(near) => format!("did you mean '{near}'? Known here: {known}"),
                None => format!("known here: {known}"),
            };
            return Err(source.error(&key.span(), format!("'{written}' is not a key {place}")).with_hint(hint));
        }
        Ok(Self { source, table, path })
    }

    /// The full name of a key.
    pub(super) fn name(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// A key's value, if it is there.
    pub(super) fn value(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table.get(key)
    }

    /// An error about a key's value.
    pub(super) fn wrong(&self, key: &str, value: &Spanned<DeValue<'a>>, message: impl Display) -> Error {
        self.source.error(&value.span(), format!("{}: {message}", self.name(key)))
    }

    fn setting<T>(&self, value: &Spanned<DeValue<'a>>, found: T) -> Setting<T> {
        Setting::new(found, self.source.origin(&value.span()))
    }

    /// A text.
    pub(super) fn text(&self, key: &str) -> Result<Option<Setting<String>>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        match value.get_ref().as_str() {
            Some(text) if !text.is_empty() => Ok(Some(self.setting(value, text.to_owned()))),
            Some(_) => Err(self.wrong(key, value, "is empty; leave the key out instead")),
            None => Err(self.wrong(key, value, format!("expected a text, found {}", article(value)))),
        }
    }

    /// A text that is parsed.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self, key: &str) -> Result<Option<Setting<T>>> {
        let (Some(text), Some(value)) = (self.text(key)?, self.value(key)) else { return Ok(None) };
        match text.value.parse() {
            Ok(parsed) => Ok(Some(Setting::new(parsed, text.origin))),
            Err(error) => Err(self.wrong(key, value, error)),
        }
    }

    /// A whole number within limits.
    pub(super) fn number(&self, key: &str, least: u32, most: u32) -> Result<Option<Setting<u32>>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let number = value
            .get_ref()
            .as_integer()
            .and_then(|i| u32::from_str_radix(i.as_str(), i.radix()).ok())
            .filter(|n| (least..=most).contains(n));
        match number {
            Some(number) => Ok(Some(self.setting(value, number))),
            None => Err(self.wrong(key, value, format!("expected a whole number from {least} to {most}"))),
        }
    }

    /// A table in it.
    pub(super) fn section(&self, key: &str, keys: Keys) -> Result<Option<Section<'a>>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        match value.get_ref().as_table() {
            Some(table) => Section::open(self.source, table, self.name(key), keys).map(Some),
            None => Err(self.wrong(key, value, format!("expected a table, found {}", article(value)))),
        }
    }
}

/// `a text`, `an integer`, for messages.
pub(super) fn article(value: &Spanned<DeValue<'_>>) -> String {
    match value.get_ref() {
        DeValue::String(_) => "a text".to_owned(),
        DeValue::Integer(_) => "a number".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        other => format!("a {}", other.type_str()),
    }
}
