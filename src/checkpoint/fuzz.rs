//! Items without a table that has them.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::item::{Attributes, PK, VERSION, WRITE_ID, destination_change, lease_change, number, state_changes};
use super::{Destination, Error, Item, Key, State};

/// The item that `attributes`, in DynamoDB's own JSON, are.
pub(crate) fn read(attributes: &Map<String, Value>) -> Result<Option<Item>, Error> {
    let attributes: Attributes = attributes.iter().map(|(name, value)| (name.clone(), attribute(value))).collect();
    Item::read(&attributes, "checkpoints")
}

/// The attributes of an item, as they are written.
pub(crate) fn written(key: Key, state: &State, destination: &Destination, at: Timestamp) -> Value {
    let mut changes = state_changes(key, state, at);
    changes.push(destination_change(destination));
    changes.push(lease_change("token", "request-1", at));
    changes.push((VERSION, Some(number(7))));
    changes.push((WRITE_ID, Some(AttributeValue::S("write-1".to_owned()))));
    changes.push((PK, Some(AttributeValue::S(key.to_string()))));
    changes
        .iter()
        .filter_map(|(name, value)| Some(((*name).to_owned(), shown(value.as_ref()?))))
        .collect::<Map<_, _>>()
        .into()
}

/// An attribute from DynamoDB's JSON; what isn't any is one of a type that no item has.
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

fn shown(attribute: &AttributeValue) -> Value {
    match attribute {
        AttributeValue::S(text) => json!({"S": text}),
        AttributeValue::N(number) => json!({"N": number}),
        AttributeValue::Bool(flag) => json!({"BOOL": flag}),
        AttributeValue::M(map) => {
            let map: Map<String, Value> = map.iter().map(|(name, value)| (name.clone(), shown(value))).collect();
            json!({"M": map})
        }
        AttributeValue::L(list) => json!({"L": list.iter().map(shown).collect::<Vec<_>>()}),
        _ => json!({"NULL": true}),
    }
}
