//! Moves or converts the fields of a record to fields of a document (ECS_MAPPING.md, §1).

use serde_json::Value;

use super::{
    convert::{self, Type, WrongType},
    record::Fields,
    value::{FieldValue, broken},
};
use crate::text::Text;

/// The fields of a record and the errors of its document.
pub(super) struct Input<'r, 'e> {
    fields: Fields<'r>,
    errors: &'e mut Vec<String>,
}

impl<'r, 'e> Input<'r, 'e> {
    pub(super) fn new(fields: Fields<'r>, errors: &'e mut Vec<String>) -> Self {
        Self { fields, errors }
    }

    /// Takes a field, even a broken one.
    pub(super) fn take(&mut self, name: &str) -> Option<FieldValue<'r>> {
        self.fields.take(name)
    }

    /// Takes a field as it is, whatever its type. Rejects a broken one.
    pub(super) fn moved(&mut self, name: &str) -> Option<FieldValue<'r>> {
        match self.take(name) {
            Some(FieldValue::Broken(_)) => {
                self.reject(broken(name));
                None
            }
            value => value,
        }
    }

    /// Takes a field that Elastic's integration does not read. Leaves out a broken one without an error, because such a
    /// document has no error in the integration.
    pub(super) fn extra(&mut self, name: &str) -> Option<FieldValue<'r>> {
        self.take(name).filter(|value| !matches!(value, FieldValue::Broken(_)))
    }

    /// Takes a field as it is, except that it turns a map of positions into a list, because the index would refuse the
    /// map. PHP writes a list with gaps as such a map (LASTPASS_API.md, "getdetailedsfdata").
    pub(super) fn moved_list(&mut self, name: &str) -> Option<FieldValue<'r>> {
        self.moved(name).map(without_positions)
    }

    /// Takes a field and converts it to the type `to`. Rejects it if it cannot be converted.
    pub(super) fn converted(&mut self, name: &str, to: Type<'_>) -> Option<FieldValue<'r>> {
        convert::convert_field(self.moved(name)?, to).unwrap_or_else(|WrongType| {
            self.reject(format!("{name} is not {}", to.name()));
            None
        })
    }

    /// Lists the texts of `fields` for `related.user`. Errors contain the names of the fields.
    pub(super) fn names<const N: usize>(&mut self, fields: [(&str, Option<&FieldValue<'r>>); N]) -> Vec<Text<'r>> {
        fields.into_iter().filter_map(|(name, value)| self.name(name, value, "related.user")).collect()
    }

    /// Returns the text of the field `name`. Rejects a value that has none, so that the field `missing_from` lacks it.
    pub(super) fn name(&mut self, name: &str, value: Option<&FieldValue<'r>>, missing_from: &str) -> Option<Text<'r>> {
        value.map_or(Ok(None), convert::text).unwrap_or_else(|WrongType| {
            self.reject(format!("{name} is not a string, so it is missing from {missing_from}"));
            None
        })
    }

    /// Adds the reason why a field is missing to the errors.
    pub(super) fn reject(&mut self, message: String) {
        self.errors.push(message);
    }
}

/// Turns a map of positions into a list, and returns anything else as it is.
fn without_positions(value: FieldValue<'_>) -> FieldValue<'_> {
    let is_position = |key: &String| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit());
    let FieldValue::Json(json) = value else { return value };
    match *json {
        Value::Object(map) if !map.is_empty() && map.keys().all(is_position) => {
            map.into_iter().map(|(_, value)| value).collect::<Value>().into()
        }
        other => other.into(),
    }
}
