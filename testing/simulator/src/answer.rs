//! The response of a command's handler, before faults and HTTP are applied.

use std::ops::Range;

use serde_json::Value;

use crate::json::push_string;
use crate::quirks::{PagesCounted, Quirks, UnauthorizedForm};

/// The response to one request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A page of records.
    Page(Page),
    /// A logical error.
    Refusal(String),
    /// The account number or the hash is wrong.
    Unauthorized,
}

/// A successful response.
#[derive(Debug)]
pub(crate) struct Page {
    /// The JSON text.
    pub(crate) body: String,
    /// The number of events, users or folders in it.
    pub(crate) records: usize,
    /// Whether more records follow.
    pub(crate) more: bool,
}

/// The text of the response to a wrong account number or hash.
pub(crate) const UNAUTHORIZED: &str = "Authorization Error";
const XML: &str = "text/xml;charset=UTF-8";

/// Returns `Content-Type` and body of the response to a wrong account number or hash.
pub(crate) fn unauthorized(quirks: &Quirks) -> (&str, String) {
    let element = format!("<lastpass rc=\"{UNAUTHORIZED}\"/>");
    match quirks.unauthorized_form {
        UnauthorizedForm::Xml => (XML, format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{element}")),
        UnauthorizedForm::XmlWithoutDeclaration => (XML, element),
        UnauthorizedForm::Json => (&quirks.content_type, refusal_body(quirks, UNAUTHORIZED)),
        UnauthorizedForm::Text => ("text/plain", UNAUTHORIZED.to_owned()),
    }
}

/// Returns the JSON of a refusal.
pub(crate) fn refusal_body(quirks: &Quirks, reason: &str) -> String {
    let mut body = String::from("{\"status\":");
    push_string(&mut body, &quirks.fail_status);
    body.push(',');
    push_string(&mut body, quirks.error_key.name());
    body.push(':');
    body.push_str(&quirks.error_form.of(reason).to_string());
    body.push('}');
    body
}

/// An empty map, as PHP writes it.
pub(crate) const EMPTY_MAP: &str = "[]";

/// Appends a map of serialized values.
pub(crate) fn push_map<'a>(out: &mut String, entries: impl Iterator<Item = (&'a str, &'a str)>) {
    let start = out.len();
    for (key, text) in entries {
        out.push(if out.len() == start { '{' } else { ',' });
        push_string(out, key);
        out.push(':');
        out.push_str(text);
    }
    if out.len() == start {
        out.push_str(EMPTY_MAP);
    } else {
        out.push('}');
    }
}

/// `pagesize` and `pageindex` of a request. Both are numbers or strings of digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageAsked {
    pub(crate) size: usize,
    pub(crate) index: usize,
}

impl PageAsked {
    /// Reads them. `None` if the request has no page size.
    pub(crate) fn read(data: &Value) -> Option<Self> {
        let size = number(data.get("pagesize")?)?.max(1);
        let index = data.get("pageindex").and_then(number).unwrap_or(0);
        Some(Self { size, index })
    }

    /// Returns the range of its records among `all`, if a response holds at most `cap`.
    pub(crate) fn range(self, cap: usize, all: usize, quirks: &Quirks) -> Range<usize> {
        let given = self.size.min(cap.max(1));
        let counted = match quirks.pages_counted {
            PagesCounted::Given => given,
            PagesCounted::Asked => self.size,
        };
        let start = counted.saturating_mul(self.index).min(all);
        start..start.saturating_add(given).min(all)
    }
}

fn number(value: &Value) -> Option<usize> {
    match value {
        Value::Number(number) => usize::try_from(number.as_u64()?).ok(),
        Value::String(digits) => digits.trim().parse().ok(),
        _ => None,
    }
}

/// Returns whether PHP treats a value as true: everything except `false`, `null`, 0, `"0"`, `""` and empty lists.
pub(crate) fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty() && text != "0",
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}
