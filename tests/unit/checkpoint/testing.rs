//! Builds items for tests, without a table.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Value};

use super::{Error, Item, attributes::Attributes};

/// Reads an item from `attributes` in DynamoDB's own JSON.
pub(crate) fn read(attributes: &Map<String, Value>) -> Result<Option<Item>, Error> {
    let attributes: Attributes = attributes.iter().map(|(name, value)| (name.clone(), attribute(value))).collect();
    Item::read(&attributes, "checkpoints")
}

/// Reads an attribute from DynamoDB's JSON. Anything else becomes an attribute of a type that no item has.
fn attribute(json: &Value) -> AttributeValue {
    let only = json.as_object().and_then(|map| map.iter().next());
    match only.map(|(kind, value)| (kind.as_str(), value)) {
        Some(("S", Value::String(text))) => AttributeValue::S(text.clone()),
        Some(("N", Value::String(number))) => AttributeValue::N(number.clone()),
        Some(("N", Value::Number(number))) => AttributeValue::N(number.to_string()),
        Some(("BOOL", Value::Bool(flag))) => AttributeValue::Bool(*flag),
        Some(("NULL", _)) => AttributeValue::Null(true),
        Some(("M", Value::Object(map))) => {
            AttributeValue::M(map.iter().map(|(name, value)| (name.clone(), attribute(value))).collect())
        }
        Some(("L", Value::Array(list))) => AttributeValue::L(list.iter().map(attribute).collect()),
        _ => AttributeValue::Ss(vec![json.to_string()]),
    }
}
