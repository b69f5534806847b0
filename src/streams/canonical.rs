//! The texts of values in an `_id`: the same for every spelling of a value.

use std::borrow::Cow;

use serde_json::{Number, Value};

use super::value::FieldValue;

/// Writes a value for the `_id`, the same for every spelling that a PHP back end has for it.
///
/// No value, `null` and `""` are empty. Numbers are their digits and booleans `1` and `0`, so that `5` and `"5"` are
/// the same, and so are `true`, `1` and `"1"`. A list or an object is compact JSON of such texts, with sorted keys and
/// without the keys of empty values; `{}` is `[]`.
pub(super) fn canonical(value: Option<&Value>) -> Cow<'_, str> {
    match value {
        None | Some(Value::Null) => Cow::Borrowed(""),
        Some(Value::String(text)) => Cow::Borrowed(text),
        Some(Value::Bool(flag)) => Cow::Borrowed(if *flag { "1" } else { "0" }),
        Some(Value::Number(number)) => Cow::Owned(digits(number)),
        Some(nested @ (Value::Array(_) | Value::Object(_))) => {
            let mut text = String::new();
            write_canonical(nested, &mut text);
            Cow::Owned(text)
        }
    }
}

/// Writes the value of a field as [`canonical`] does.
pub(super) fn canonical_field<'v>(value: Option<&'v FieldValue<'_>>) -> Cow<'v, str> {
    match value {
        None => Cow::Borrowed(""),
        Some(FieldValue::Text(text)) => Cow::Borrowed(text.as_str()),
        Some(FieldValue::Json(value) | FieldValue::Broken(value)) => canonical(Some(value)),
        Some(texts @ FieldValue::Texts(_)) => Cow::Owned(canonical(Some(&texts.clone().into_json())).into_owned()),
    }
}

/// Writes the digits of a number, without an exponent, and without a fraction that is zero.
fn digits(number: &Number) -> String {
    match number.as_f64() {
        // Adding zero turns -0 into 0.
        Some(float) if number.is_f64() => (float + 0.0).to_string(),
        Some(_) | None => number.to_string(),
    }
}

fn write_canonical(value: &Value, text: &mut String) {
    let mut separator = "";
    match value {
        Value::Array(entries) => {
            text.push('[');
            for entry in entries {
                text.push_str(separator);
                write_canonical(entry, text);
                separator = ",";
            }
            text.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> =
                fields.iter().filter(|(_, value)| !value.is_null() && value.as_str() != Some("")).collect();
            fields.sort_unstable_by_key(|(key, _)| *key);
            if fields.is_empty() {
                text.push_str("[]");
                return;
            }
            text.push('{');
            for (key, value) in fields {
                text.push_str(separator);
                write_string(key, text);
                text.push(':');
                write_canonical(value, text);
                separator = ",";
            }
            text.push('}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            write_string(&canonical(Some(value)), text);
        }
    }
}

fn write_string(string: &str, text: &mut String) {
    text.push_str(&Value::from(string).to_string());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_spelling_of_a_value_has_the_same_text() {
        let is = |value: Value, expected: &str| assert_eq!(canonical(Some(&value)), expected, "{value}");
        for value in [Value::Null, json!("")] {
            is(value, "");
        }
        assert_eq!(canonical(None), "");
        for value in [json!(5), json!("5"), json!(5.0)] {
            is(value, "5");
        }
        for value in [json!(true), json!(1), json!("1")] {
            is(value, "1");
        }
        for value in [json!(false), json!(0), json!("0"), json!(-0.0)] {
            is(value, "0");
        }
        is(json!(2.5), "2.5");
        is(json!(1e21), "1000000000000000000000");
        is(json!([]), "[]");
        is(json!({}), "[]");
        is(json!({ "a": null, "b": "" }), "[]");
        is(json!({ "b": 1, "a": ["x\"", null, true, {}], "c": null }), r#"{"a":["x\"","","1",[]],"b":"1"}"#);
    }
}
