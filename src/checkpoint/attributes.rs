//! Reads the attributes of an item.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

pub(super) type Attributes = HashMap<String, AttributeValue>;

pub(super) const A_MAP: &str = "a map";
const A_TEXT: &str = "a string";
const A_TIME: &str = "a string with an RFC 3339 time, such as 2024-05-01T12:00:00Z";
const A_NUMBER: &str = "a non-negative whole number";

/// An attribute that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) attribute: String,
    pub(super) wanted: &'static str,
}

/// A map of attributes; `name` is empty for the item itself.
pub(super) struct Map<'a> {
    pub(super) name: &'a str,
    pub(super) attributes: &'a Attributes,
}

impl<'a> Map<'a> {
    pub(super) fn unreadable(&self, name: &str, wanted: &'static str) -> Unreadable {
        let dot = if self.name.is_empty() { "" } else { "." };
        Unreadable { attribute: format!("{}{dot}{name}", self.name), wanted }
    }

    pub(super) fn read<T>(
        &self,
        name: &str,
        wanted: &'static str,
        read: impl Fn(&'a AttributeValue) -> Option<T>,
    ) -> Result<Option<T>, Unreadable> {
        let value = self.attributes.get(name).filter(|value| !value.is_null());
        value.map(|value| read(value).ok_or_else(|| self.unreadable(name, wanted))).transpose()
    }

    pub(super) fn optional_time(&self, name: &str) -> Result<Option<Timestamp>, Unreadable> {
        self.read(name, A_TIME, |value| value.as_s().ok()?.parse().ok())
    }

    pub(super) fn optional_text(&self, name: &str) -> Result<Option<String>, Unreadable> {
        self.read(name, A_TEXT, |value| value.as_s().ok().cloned())
    }

    pub(super) fn optional_number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Unreadable> {
        self.read(name, A_NUMBER, |value| value.as_n().ok()?.parse().ok())
    }

    pub(super) fn map(&self, name: &'a str) -> Result<Option<Map<'a>>, Unreadable> {
        self.read(name, A_MAP, |value| Some(Map { name, attributes: value.as_m().ok()? }))
    }

    /// Reads instants in seconds since 1970. An absent attribute is an empty list.
    pub(super) fn instants(&self, name: &str) -> Result<Vec<Timestamp>, Unreadable> {
        let instant = |value: &AttributeValue| Timestamp::from_second(value.as_n().ok()?.parse().ok()?).ok();
        let list = self.read(name, "a list of numbers", |value| value.as_l().ok()?.iter().map(instant).collect())?;
        Ok(list.unwrap_or_default())
    }

    /// Reads pairs of instants in milliseconds since 1970. An absent attribute is an empty list.
    pub(super) fn pairs_of_instants(&self, name: &str) -> Result<Vec<(Timestamp, Timestamp)>, Unreadable> {
        let instant = |value: &AttributeValue| Timestamp::from_millisecond(value.as_n().ok()?.parse().ok()?).ok();
        let pair = |pair: &[AttributeValue]| match pair {
            [begin, end] => Some((instant(begin)?, instant(end)?)),
            _ => None,
        };
        let list =
            self.read(name, "a list of pairs of numbers", |value| value.as_l().ok()?.chunks(2).map(pair).collect())?;
        Ok(list.unwrap_or_default())
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, Unreadable> {
        Ok(self.read(name, "a boolean", |value| value.as_bool().ok().copied())?.unwrap_or(false))
    }

    pub(super) fn parsed<T>(
        &self,
        name: &str,
        wanted: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, Unreadable> {
        self.read(name, wanted, |value| parse(value.as_s().ok()?))?.ok_or_else(|| self.unreadable(name, wanted))
    }

    pub(super) fn text(&self, name: &str) -> Result<String, Unreadable> {
        self.parsed(name, A_TEXT, |text| Some(text.to_owned()))
    }

    pub(super) fn time(&self, name: &str) -> Result<Timestamp, Unreadable> {
        self.optional_time(name)?.ok_or_else(|| self.unreadable(name, A_TIME))
    }

    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<T, Unreadable> {
        self.optional_number(name)?.ok_or_else(|| self.unreadable(name, A_NUMBER))
    }
}
