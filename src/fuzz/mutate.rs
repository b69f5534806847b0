//! Makes of a good input one that nobody would write: by its JSON where it is some, else by its bytes.

use fastrand::Rng;
use serde_json::Value;

/// Values that are known to be troublesome somewhere, as JSON texts.
const LITERALS: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "-0",
    "0.0",
    "1.5",
    "2",
    "1e999",
    "-1e999",
    "1e-999",
    "1e22",
    "1.0",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "123456789012345678901234567890",
    "1437126711000000",
    "1.437126711e15",
    "99999999999999999",
    "-62135596800000000",
    r#""""#,
    r#"" ""#,
    r#""\n""#,
    r#""\u0000""#,
    r#""\ud800""#,
    r#""\udc00\ud800""#,
    r#""\ud83d\ude00""#,
    r#""\u2028""#,
    r#""\u202e""#,
    r#""1""#,
    r#""0""#,
    r#""true""#,
    r#""FALSE""#,
    r#""1e3""#,
    r#""NaN""#,
    r#"" 12 ""#,
    r#""-7""#,
    r#""١٢""#,
    r#""1437126711000000""#,
    "[]",
    "{}",
    "[[]]",
    "[{}]",
    "[null]",
    r#"[""]"#,
    r#"{"":""}"#,
    r#"{"0":"a","1":"b"}"#,
    r#"{"a":1,"a":2}"#,
    r#"[{"username":"a@x.org"},{"username":"a@x.org"}]"#,
    r#"{"7":{"username":"a@x.org","readonly":1}}"#,
    r#""2025-07-17 09:51:51""#,
    r#""2025-11-02 01:30:00""#,
    r#""2025-03-09 02:30:00""#,
    r#""2025-10-26 01:30:00""#,
    r#""2025-04-06 01:45:00""#,
    r#""0000-00-00 00:00:00""#,
    r#""0001-01-01 00:00:00""#,
    r#""9999-12-31 23:59:59""#,
    r#""9999-12-30 22:00:00""#,
    r#""2025-02-30 00:00:00""#,
    r#""2016-12-31 23:59:60""#,
    r#""2025-07-17T09:51:51Z""#,
    r#""2025-01-31""#,
    r#""-009999-01-02T01:59:59Z""#,
    r#""9999-12-30T22:00:00.999999999Z""#,
    r#""<aws.scheduler.scheduled-time>""#,
    r#""OK""#,
    r#""FAIL""#,
    r#""192.0.2.1""#,
    r#""::ffff:192.0.2.1""#,
    r#""fe80::1%eth0""#,
    r#""::00000001""#,
    r#""REPLACE_ME""#,
    r#""ann@example.com""#,
    r#""a@x.org,b@x.org,a@x.org,,""#,
    r#""'F' 'ann@example.com'""#,
    r#""x from y""#,
    r#""Secure Note (a) from b""#,
    r#""'F' 'a@x.org' 'Read only:1 Admin:0 Hide PW:1'""#,
    r#""Log in""#,
    r#""LOG İN""#,
    r#""Employee Invited""#,
    r#""Limit shared folder""#,
    r#""Deleted Sites""#,
    r#""Update Folder Permissions""#,
    r#""Move from shared folder""#,
    r#""Failed Login Attempt""#,
    r#""collect""#,
    r#""backfill""#,
    r#""reset""#,
    r#""event_report""#,
    r#""365d""#,
    r#""document_parsing_exception""#,
    r#""cluster_block_exception""#,
    r#""illegal_argument_exception""#,
    r#""validation_exception""#,
    "201",
    "409",
    "400",
    "429",
    "503",
    "65536",
];

/// Names that stand somewhere in an input.
const NAMES: &[&str] = &[
    "",
    "Time",
    "Username",
    "IP_Address",
    "Action",
    "Data",
    "id",
    "users",
    "Users",
    "username",
    "groups",
    "sites",
    "score",
    "deleted",
    "created",
    "totalscore",
    "status",
    "error",
    "errors",
    "next",
    "data",
    "total",
    "count",
    "action",
    "stream",
    "from",
    "to",
    "scheduled_time",
    "retention",
    "alert",
    "account_number",
    "provisioning_hash",
    "elastic_api_key",
    "elastic_setup_api_key",
    "items",
    "create",
    "type",
    "reason",
    "caused_by",
    "failure_store",
    "S",
    "N",
    "M",
    "position",
    "unfinished",
    "lease",
    "token",
    "expires",
    "version",
    "0",
    "\u{0}",
    "é",
];

/// An input made of `input`, with a little of `other`, another good one.
#[must_use]
pub fn mutate(rng: &mut Rng, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut changed = input.to_vec();
    for _ in 0..rng.usize(1..5) {
        let (start, json) = json_in(&changed);
        let json = json.filter(|_| rng.u8(..) < 240);
        changed = match json {
            Some(json) => [&changed[..start], &change_json(rng, &json)[..]].concat(),
            None => change_bytes(rng, changed, other),
        };
    }
    changed
}

/// Whether there is JSON in an input, so that more can be done to it than to its bytes.
#[must_use]
pub fn is_json(input: &[u8]) -> bool {
    json_in(input).1.is_some()
}

/// Where the JSON of an input begins, and what it is. What stands before it, as a status does, is kept.
fn json_in(input: &[u8]) -> (usize, Option<Value>) {
    let start = input.iter().position(|byte| matches!(byte, b'{' | b'[')).unwrap_or(0);
    (start, serde_json::from_slice(&input[start..]).ok())
}

/// What is done at one place of a JSON value.
enum Edit {
    Replace(String),
    /// An object gets this entry, which it may have already.
    Add(String, String),
    Remove,
    /// A name is another one.
    Rename(String),
    /// The value twice: in a list, or under the same name.
    Double,
}

fn change_json(rng: &mut Rng, json: &Value) -> Vec<u8> {
    let place = rng.usize(..count(json));
    let edit = match rng.u8(..10) {
        0..5 => Edit::Replace(literal(rng)),
        5 | 6 => Edit::Add(name(rng), literal(rng)),
        7 => Edit::Remove,
        8 => Edit::Rename(name(rng)),
        _ => Edit::Double,
    };
    let mut writer = Writer { left: place, edit: Some(edit), text: String::new() };
    writer.value(json);
    writer.text.into_bytes()
}

fn count(json: &Value) -> usize {
    1 + match json {
        Value::Array(entries) => entries.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

fn name(rng: &mut Rng) -> String {
    let name = NAMES[rng.usize(..NAMES.len())];
    serde_json::to_string(name).unwrap_or_default()
}

fn literal(rng: &mut Rng) -> String {
    match rng.u8(..40) {
        0 => "[".repeat(300) + &"]".repeat(300),
        1 => r#"{"a":"#.repeat(122) + "1" + &"}".repeat(122),
        2 => {
            let depth = rng.usize(115..135);
            "[".repeat(depth) + &"]".repeat(depth)
        }
        3 => {
            let piece = ["a", "\\u0001", "é", ",", "a@x.org,", "\\\"", " ", "'"][rng.usize(..8)];
            format!("\"{}\"", piece.repeat(rng.usize(1..400)))
        }
        4 => format!("[{}1]", "1,".repeat(rng.usize(1..300))),
        5 => rng.i64(..).to_string(),
        6 => format!("{:e}", f64::from_bits(rng.u64(..))).replace("NaN", "7").replace("inf", "1e400"),
        7 => {
            let text: String = (0..rng.usize(..12)).map(|_| rng.char(..)).collect();
            serde_json::to_string(&text).unwrap_or_default()
        }
        _ => LITERALS[rng.usize(..LITERALS.len())].to_owned(),
    }
}

/// Writes a JSON value with one edit in it.
struct Writer {
    /// Values before the one that is edited.
    left: usize,
    edit: Option<Edit>,
    text: String,
}

impl Writer {
    /// The edit, once its place is reached.
    fn turn(&mut self) -> Option<Edit> {
        if self.left > 0 {
            self.left -= 1;
            return None;
        }
        self.edit.take()
    }

    fn value(&mut self, json: &Value) {
        let edit = self.turn();
        self.edited(json, edit);
    }

    fn edited(&mut self, json: &Value, edit: Option<Edit>) {
        if let Some(Edit::Replace(text)) = edit {
            self.text.push_str(&text);
            return;
        }
        match json {
            Value::Array(entries) => {
                self.text.push('[');
                for entry in entries {
                    match self.turn() {
                        Some(Edit::Remove) => continue,
                        Some(Edit::Double) => self.text.push_str(&format!("{entry},{entry}")),
                        edit => self.edited(entry, edit),
                    }
                    self.text.push(',');
                }
                self.close(']');
            }
            Value::Object(fields) => {
                self.text.push('{');
                for (name, value) in fields {
                    let mut name = serde_json::to_string(name).unwrap_or_default();
                    let edit = match self.turn() {
                        Some(Edit::Remove) => continue,
                        Some(Edit::Rename(other)) => {
                            name = other;
                            None
                        }
                        Some(Edit::Double) => {
                            self.text.push_str(&format!("{name}:{value},"));
                            None
                        }
                        edit => edit,
                    };
                    self.text.push_str(&name);
                    self.text.push(':');
                    self.edited(value, edit);
                    self.text.push(',');
                }
                if let Some(Edit::Add(name, value)) = edit {
                    self.text.push_str(&format!("{name}:{value},"));
                }
                self.close('}');
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                self.text.push_str(&json.to_string());
            }
        }
    }

    fn close(&mut self, bracket: char) {
        if self.text.ends_with(',') {
            self.text.pop();
        }
        self.text.push(bracket);
    }
}

fn change_bytes(rng: &mut Rng, mut bytes: Vec<u8>, other: &[u8]) -> Vec<u8> {
    const BYTES: &[u8] = b"\x00\xff\xc3\xed\xa0\x80\"\\{}[],: \n\r\t=0e-<#%$'";
    let at = rng.usize(..=bytes.len());
    let end = (at + rng.usize(..20)).min(bytes.len());
    match rng.u8(..7) {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, BYTES[rng.usize(..BYTES.len())]),
        2 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = rng.u8(..);
            }
        }
        3 => drop(bytes.drain(at..end)),
        4 => {
            let piece = bytes[at..end].repeat(rng.usize(1..4));
            bytes.splice(at..at, piece);
        }
        5 => {
            let from = rng.usize(..=other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        _ => {
            let literal = LITERALS[rng.usize(..LITERALS.len())];
            bytes.splice(at..end, literal.bytes());
        }
    }
    bytes
}
