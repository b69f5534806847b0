//! Converts values to the types of their fields (ECS_MAPPING.md, §1.1, §4 and §5).
//!
//! Accepts every spelling that a PHP back end has for a value. Spellings that only the language of the integration's
//! pipelines accepts (hexadecimal, other scripts' digits, `12f`, `NaN`) are of the wrong type here.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Number, Value};

use super::value::{FieldValue, Time};
use crate::{lastpass::time::ApiZone, text::Text};

/// The type that a field requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type<'z> {
    /// A whole number of 64 bits.
    Long,
    /// A finite number.
    Double,
    /// A flag: `true` and `false` in any letter case, or `1` and `0`.
    Boolean,
    /// An IPv4 or IPv6 address, kept as it is written.
    Ip,
    /// A wall time of this zone. A time that its clock shows twice is the earlier of both. A time that its clock skips
    /// is moved forward by the length of the gap.
    Date(&'z ApiZone),
}

impl Type<'_> {
    /// Names the type, with its article, for `error.message`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Long => "a whole number",
            Self::Double => "a number",
            Self::Boolean => "a boolean",
            Self::Ip => "an IP address",
            Self::Date(_) => "a time of the form YYYY-MM-DD hh:mm:ss",
        }
    }
}

/// A value that does not have the type of its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WrongType;

/// Converts `value` to the type `to`. Returns `None` for `null`, `""` and an empty list.
///
/// Converts a list entry by entry, and refuses it if one entry is empty or of the wrong type. Refuses lists of times.
///
/// # Errors
/// [`WrongType`] if the value cannot be converted.
pub(super) fn convert(value: Value, to: Type<'_>) -> Result<Option<Value>, WrongType> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text.is_empty() => Ok(None),
        Value::Array(entries) if entries.is_empty() => Ok(None),
        Value::Array(entries) if !matches!(to, Type::Date(_)) => {
            let entries: Option<Vec<Value>> = entries.into_iter().map(|entry| convert_one(entry, to)).collect();
            Ok(Some(Value::Array(entries.ok_or(WrongType)?)))
        }
        one => convert_one(one, to).map(Some).ok_or(WrongType),
    }
}

/// Converts the value of a field, as [`convert`] does.
///
/// # Errors
/// [`WrongType`] if the value cannot be converted.
pub(super) fn convert_field<'r>(value: FieldValue<'r>, to: Type<'_>) -> Result<Option<FieldValue<'r>>, WrongType> {
    match value {
        FieldValue::Text(text) if to == Type::Ip && !text.as_str().is_empty() => match is_ip(text.as_str()) {
            true => Ok(Some(FieldValue::Text(text))),
            false => Err(WrongType),
        },
        other => Ok(convert(other.into_json(), to)?.map(FieldValue::from)),
    }
}

fn convert_one(value: Value, to: Type<'_>) -> Option<Value> {
    match to {
        Type::Long => long(&value).map(Value::from),
        Type::Double => double(&value).map(Value::Number),
        Type::Boolean => boolean(&value).map(Value::Bool),
        Type::Ip => value.as_str().is_some_and(is_ip).then_some(value),
        Type::Date(zone) => zone.read(Some(&value)).ok()?.map(|time| Time(time.earliest()).written().into()),
    }
}

fn long(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => trim(text).parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn double(value: &Value) -> Option<Number> {
    match value {
        Value::Number(number) => Number::from_f64(number.as_f64()?),
        // JSON has no number for `nan`, `inf` and numbers that are too large.
        Value::String(text) => Number::from_f64(trim(text).parse().ok()?),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        // The documented form of flags is 0 and 1: LASTPASS_API.md, "shared folders".
        Value::Number(number) => match number.as_u64()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
        Value::String(text) if text.eq_ignore_ascii_case("true") || text == "1" => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") || text == "0" => Some(false),
        Value::String(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Removes spaces and control characters from both ends of a number.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ')
}

/// Returns whether `text` is an IPv4 address, or an IPv6 address with or without a zone.
fn is_ip(text: &str) -> bool {
    if text.parse::<Ipv4Addr>().is_ok() {
        return true;
    }
    match text.split_once('%') {
        Some((_, "")) => false,
        Some((address, _)) => is_ipv6(address),
        None => is_ipv6(text),
    }
}

/// Removes the zeros before the last four characters of a group.
fn shorten(group: &str) -> &str {
    match group.len().checked_sub(4) {
        Some(surplus) if group.bytes().take(surplus).all(|byte| byte == b'0') => &group[surplus..],
        Some(_) | None => group,
    }
}

/// Returns whether `text` is an IPv6 address. Its groups may have more leading zeros than they need.
fn is_ipv6(text: &str) -> bool {
    if text.parse::<Ipv6Addr>().is_ok() {
        return true;
    }
    text.split(':').map(shorten).collect::<Vec<_>>().join(":").parse::<Ipv6Addr>().is_ok()
}

/// Converts a value to an entry of a list of names (ECS_MAPPING.md, §1.2). Returns `None` for an empty value.
///
/// # Errors
/// [`WrongType`] for a list or an object, because nobody would search for its text.
pub(super) fn text<'r>(value: &FieldValue<'r>) -> Result<Option<Text<'r>>, WrongType> {
    match value {
        FieldValue::Text(text) => Ok((!text.as_str().is_empty()).then(|| text.clone())),
        FieldValue::Json(value) => match &**value {
            Value::Null => Ok(None),
            Value::Bool(flag) => Ok(Some(flag.to_string().into())),
            Value::Number(number) => Ok(Some(number_text(number).into())),
            Value::Array(entries) if entries.is_empty() => Ok(None),
            Value::Object(fields) if fields.is_empty() => Ok(None),
            Value::String(text) => Ok((!text.is_empty()).then(|| text.clone().into())),
            Value::Array(_) | Value::Object(_) => Err(WrongType),
        },
        FieldValue::Texts(_) | FieldValue::Broken(_) => Err(WrongType),
    }
}

/// Writes a number as the integration does: an integer as its digits, and a fraction in its shortest form with at least
/// one decimal, with an exponent below 1e-3 and from 1e7.
fn number_text(number: &Number) -> String {
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else {
        return number.to_string();
    };
    if float == 0.0 || (1e-3..1e7).contains(&float.abs()) {
        return format!("{float:?}");
    }
    let text = format!("{float:E}");
    match text.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        Some(_) | None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn utc() -> ApiZone {
        ApiZone::new("UTC").expect("a zone")
    }

    fn check_converted(to: Type<'_>, cases: impl IntoIterator<Item = (Value, Value)>) {
        for (value, expected) in cases {
            assert_eq!(convert(value.clone(), to), Ok(Some(expected)), "{to:?}: {value}");
        }
    }

    fn check_refused(to: Type, values: impl IntoIterator<Item = Value>) {
        for value in values {
            assert_eq!(convert(value.clone(), to), Err(WrongType), "{to:?}: {value}");
        }
    }

    #[test]
    fn empties_are_no_value_and_no_error() {
        for to in [Type::Long, Type::Double, Type::Boolean, Type::Ip, Type::Date(&utc())] {
            for value in [Value::Null, json!(""), json!([])] {
                assert_eq!(convert(value, to), Ok(None));
            }
            check_refused(
                to,
                [json!({}), json!({ "a": 1 }), json!([""]), json!([null]), json!([[]]), json!(" "), json!("x")],
            );
        }
    }

    #[test]
    fn longs() {
        check_converted(
            Type::Long,
            [
                (json!(7), json!(7)),
                (json!("007"), json!(7)),
                (json!("+7"), json!(7)),
                (json!("-7"), json!(-7)),
                (json!(" 12 "), json!(12)),
                (json!(i64::MAX), json!(i64::MAX)),
                (json!("-9223372036854775808"), json!(i64::MIN)),
                (json!([1, "2"]), json!([1, 2])),
            ],
        );
        check_refused(
            Type::Long,
            [
                json!("12.0"),
                json!(12.0),
                json!("12.5"),
                json!("1e3"),
                json!(1e3),
                json!("12L"),
                json!("1 2"),
                json!("\u{a0}12"),
                json!("0x1F"),
                json!("+0x1F"),
                json!("１２"),
                json!(true),
                json!("9223372036854775808"),
                json!(u64::MAX),
                json!([1, null]),
                json!([1, ""]),
            ],
        );
    }

    #[test]
    fn doubles() {
        check_converted(
            Type::Double,
            [
                (json!(99), json!(99.0)),
                (json!("79.4"), json!(79.4)),
                (json!(".5"), json!(0.5)),
                (json!("5."), json!(5.0)),
                (json!("1e2"), json!(100.0)),
                (json!("-1.5E-3"), json!(-0.0015)),
                (json!("+5"), json!(5.0)),
                (json!("\t 85 \n"), json!(85.0)),
                (json!("1e-999"), json!(0.0)),
                (json!(12_345_678_901_234_567_890_u64), json!(12_345_678_901_234_567_890.0)),
                (json!([1, "2.5"]), json!([1.0, 2.5])),
            ],
        );
        check_refused(
            Type::Double,
            [
                json!("85,5"),
                json!("85%"),
                json!("85d"),
                json!("0x10"),
                json!("nan"),
                json!("NaN"),
                json!("inf"),
                json!("Infinity"),
                json!("1e999"),
                json!("\u{a0}85"),
                json!("８５"),
                json!(true),
                json!("."),
                json!("-"),
            ],
        );
    }

    #[test]
    fn booleans() {
        for value in [json!(true), json!("true"), json!("TRUE"), json!("tRuE"), json!(1), json!("1")] {
            check_converted(Type::Boolean, [(value, json!(true))]);
        }
        for value in [json!(false), json!("false"), json!("False"), json!(0), json!("0")] {
            check_converted(Type::Boolean, [(value, json!(false))]);
        }
        check_converted(Type::Boolean, [(json!(["true", false, 0]), json!([true, false, false]))]);
        let others = ["yes", "no", "t", "Y", "on", " true", "true ", "01", "1.0", "2", "-1"];
        check_refused(Type::Boolean, others.map(Value::from));
        check_refused(Type::Boolean, [json!(2), json!(-1), json!(1.0), json!(0.0), json!(["true", "x"])]);
    }

    #[test]
    fn addresses_are_kept_as_they_are_written() {
        for ip in [
            "192.0.2.1",
            "0.0.0.0",
            "255.255.255.255",
            "::",
            "::1",
            "1::",
            "2001:DB8::A",
            "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
            "1:2:3:4:5:6:7:8",
            "::ffff:192.0.2.128",
            "::203.0.113.9",
            "00001::2",
            "fe80::1%eth0",
            "fe80::1%1",
        ] {
            check_converted(Type::Ip, [(json!(ip), json!(ip))]);
        }
        check_converted(Type::Ip, [(json!(["::1", "192.0.2.1"]), json!(["::1", "192.0.2.1"]))]);
        for text in [
            " 192.0.2.1",
            "192.0.2.1 ",
            "192.0.2.1:80",
            "192.0.2.0/24",
            "[::1]",
            "192.0.2.1, 192.0.2.2",
            "192.0.2.1.",
            "192.0.2",
            "192.0.2.256",
            "192.0.2.01",
            "192.0.2.1%eth0",
            "fe80::1%",
            "%eth0",
            "::10000",
            "00010000::1",
            "1::2::3",
            "1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7:8:9",
            ":::",
            ":1",
            "::ffff:192.0.2.01",
            "g::1",
            "localhost",
            "3232235521",
        ] {
            check_refused(Type::Ip, [json!(text), json!(["::1", text])]);
        }
        check_refused(Type::Ip, [json!(3_232_235_521_u32), json!(true), json!(["::1", null])]);
    }

    #[test]
    fn times_of_users_are_utc() {
        check_converted(Type::Date(&utc()), [(json!("2014-03-12 10:02:56"), json!("2014-03-12T10:02:56.000Z"))]);
        check_refused(
            Type::Date(&utc()),
            [
                json!("2014-03-12"),
                json!("12 March 2014"),
                json!("2014-03-12 10:02:56Z"),
                json!("2014-02-30 10:02:56"),
                json!("0000-00-00 00:00:00"),
                json!(1_394_618_576),
                json!(2015),
                json!(false),
                json!(["2014-03-12 10:02:56"]),
            ],
        );
    }

    #[test]
    fn names_have_the_text_of_their_value() {
        for (value, expected) in [
            (json!("a"), "a"),
            (json!(" "), " "),
            (json!(7), "7"),
            (json!(u64::MAX), "18446744073709551615"),
            (json!(false), "false"),
            (json!(12.0), "12.0"),
            (json!(0.0), "0.0"),
            (json!(12.25), "12.25"),
            (json!(0.001), "0.001"),
            (json!(0.000_5), "5.0E-4"),
            (json!(1e-7), "1.0E-7"),
            (json!(1.5e-7), "1.5E-7"),
            (json!(9_999_999.5), "9999999.5"),
            (json!(1e7), "1.0E7"),
            (json!(-1.25e20), "-1.25E20"),
        ] {
            assert_eq!(text(&value.clone().into()), Ok(Some(expected.into())), "{value}");
        }
        for value in [Value::Null, json!(""), json!([]), json!({})] {
            assert_eq!(text(&value.into()), Ok(None));
        }
        for value in [json!(["a"]), json!({ "a": "b" })] {
            assert_eq!(text(&value.into()), Err(WrongType));
        }
    }
}
