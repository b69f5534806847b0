//! Parses and checks the fields of the secret's document (pure).

use std::collections::HashMap;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::error::{Error, Problem, Problems};
use super::fields::{
    ACCOUNT_NUMBER, ELASTIC_API_KEY, ELASTIC_SETUP_API_KEY, NAMESPACE, ORGANIZATION_ID, ORGANIZATION_NAME, PLACEHOLDER,
    PROVISIONING_HASH, REQUIRED, TIME_ZONE, USER_TIME_ZONE,
};
use crate::document::{AccountNumber, Namespace, Organization};
use crate::lastpass::time::ApiZone;

/// The validated content of the secret.
#[derive(Debug)]
pub struct Credentials {
    /// The LastPass account (`cid`).
    pub account_number: AccountNumber,
    /// The account's provisioning hash (`provhash`).
    pub provisioning_hash: SecretString,
    /// The encoded API key for reading and writing documents: the text after `ApiKey ` in the `Authorization` header.
    pub elastic_api_key: SecretString,
    /// The API key that `setup` uses in its place, if the secret has one.
    pub elastic_setup_api_key: Option<SecretString>,
    /// The account's own settings, beside the credentials.
    pub profile: Profile,
}

/// The settings of one account. Each overrides a setting of the function.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// `namespace`: the namespace of the account's data streams.
    pub namespace: Option<Namespace>,
    /// `time_zone`: the zone in which the API writes the account's times.
    pub zone: Option<ApiZone>,
    /// `user_time_zone`: the zone in which the API writes the dates of the account's users.
    pub user_zone: Option<ApiZone>,
    /// `organization_id` and `organization_name`.
    pub organization: Organization,
}

/// A part of the secret that can be the cause of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The account number and the provisioning hash, which LastPass may refuse.
    LastPassCredentials,
    /// The API keys, which Elasticsearch may refuse.
    ApiKeys,
    /// The account number and the namespace, which a checkpoint is bound to.
    Destination,
    /// The zone of the account's times.
    Zone,
}

impl Credentials {
    /// Returns whether this part is the same in `others`.
    #[must_use]
    pub fn have_same(&self, part: Part, others: &Self) -> bool {
        match part {
            Part::LastPassCredentials => self.for_lastpass() == others.for_lastpass(),
            Part::ApiKeys => self.api_keys() == others.api_keys(),
            Part::Destination => {
                (&self.account_number, &self.profile.namespace) == (&others.account_number, &others.profile.namespace)
            }
            Part::Zone => self.profile.zone == others.profile.zone,
        }
    }

    fn for_lastpass(&self) -> (&AccountNumber, &str) {
        (&self.account_number, self.provisioning_hash.expose_secret())
    }

    fn api_keys(&self) -> (&str, Option<&str>) {
        (self.elastic_api_key.expose_secret(), self.elastic_setup_api_key.as_ref().map(|key| key.expose_secret()))
    }

    /// Parses the document of the secret `secret_id`. Ignores unknown fields.
    pub(crate) fn parse(document: &SecretString, secret_id: &str) -> Result<Self, Error> {
        let invalid = |problems| Error::Invalid { secret_id: secret_id.to_owned(), problems: Problems(problems) };
        let text = without_byte_order_mark(document.expose_secret());
        // If the document is not an object at all, the position of the JSON error does not help.
        let is_plain = !text.trim_start().starts_with('{');
        let fields = serde_json::from_str(text).map_err(|error| {
            invalid(vec![if is_plain || error.is_data() {
                Problem::NotAnObject
            } else {
                Problem::NotJson { line: error.line(), column: error.column() }
            }])
        })?;
        let mut fields = Fields { values: fields, problems: Vec::new() };
        let unfilled: Vec<_> = REQUIRED.into_iter().filter(|name| fields.is_placeholder(name)).collect();
        if !unfilled.is_empty() {
            return Err(Error::Placeholder { secret_id: secret_id.to_owned(), fields: unfilled });
        }
        let account_number = fields.required(ACCOUNT_NUMBER).and_then(|text| {
            let number = AccountNumber::new(text.expose_secret());
            number.or_else(|| fields.wrong(Problem::NotDigits))
        });
        let provisioning_hash = fields.required(PROVISIONING_HASH).and_then(|hash| {
            let is_pasted_whole = is_one_token(hash.expose_secret());
            if is_pasted_whole { Some(hash) } else { fields.wrong(Problem::NotOneToken(PROVISIONING_HASH)) }
        });
        let elastic_api_key = fields.required(ELASTIC_API_KEY).and_then(|key| fields.api_key(ELASTIC_API_KEY, key));
        let elastic_setup_api_key =
            fields.optional(ELASTIC_SETUP_API_KEY).and_then(|key| fields.api_key(ELASTIC_SETUP_API_KEY, key));
        let profile = fields.profile();
        match (account_number, provisioning_hash, elastic_api_key) {
            (Some(account_number), Some(provisioning_hash), Some(elastic_api_key)) if fields.problems.is_empty() => {
                Ok(Self { account_number, provisioning_hash, elastic_api_key, elastic_setup_api_key, profile })
            }
            _ => Err(invalid(fields.problems)),
        }
    }
}

/// The fields of the document, and the problems found so far.
struct Fields {
    values: HashMap<String, Value>,
    problems: Vec<Problem>,
}

impl Fields {
    fn is_placeholder(&self, name: &str) -> bool {
        matches!(self.values.get(name), Some(Value::Text(text)) if text.expose_secret() == PLACEHOLDER)
    }

    fn wrong<T>(&mut self, problem: Problem) -> Option<T> {
        self.problems.push(problem);
        None
    }

    /// Returns the text of a field, or `None` if it is missing, `null` or empty.
    fn text(&mut self, name: &'static str) -> Option<SecretString> {
        match self.values.remove(name) {
            Some(Value::Text(text)) => (!text.expose_secret().is_empty()).then_some(text),
            Some(Value::Other) => self.wrong(Problem::NotText(name)),
            Some(Value::Null) | None => None,
        }
    }

    /// Returns the text of an optional field. The placeholder counts as missing.
    fn optional(&mut self, name: &'static str) -> Option<SecretString> {
        if self.is_placeholder(name) { None } else { self.text(name) }
    }

    fn profile(&mut self) -> Profile {
        let namespace = self
            .optional(NAMESPACE)
            .and_then(|text| Namespace::new(text.expose_secret()).ok().or_else(|| self.wrong(Problem::NotNamespace)));
        let zone = self.zone(TIME_ZONE);
        let user_zone = self.zone(USER_TIME_ZONE);
        let mut plain = |name| self.optional(name).map(|text| text.expose_secret().to_owned());
        let organization = Organization { id: plain(ORGANIZATION_ID), name: plain(ORGANIZATION_NAME) };
        Profile { namespace, zone, user_zone, organization }
    }

    fn zone(&mut self, field: &'static str) -> Option<ApiZone> {
        let text = self.optional(field)?;
        ApiZone::new(text.expose_secret()).ok().or_else(|| self.wrong(Problem::NotTimeZone(field)))
    }

    fn required(&mut self, name: &'static str) -> Option<SecretString> {
        let before = self.problems.len();
        let text = self.text(name);
        if text.is_none() && self.problems.len() == before {
            return self.wrong(Problem::Lacks(name));
        }
        text
    }

    /// Checks the form of an API key. The encoded form is one token without a colon. Only Elasticsearch knows all encoded
    /// forms (keys of Elastic Cloud have a prefix), so nothing else is checked.
    ///
    /// Source: <https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-security-create-api-key>
    fn api_key(&mut self, name: &'static str, key: SecretString) -> Option<SecretString> {
        let text = key.expose_secret();
        if !is_one_token(text) {
            self.wrong(Problem::NotEncoded(name))
        } else if text.contains(':') {
            self.wrong(Problem::IdAndKey(name))
        } else {
            Some(key)
        }
    }
}

/// Removes the byte order mark that some editors and shells write before a file, also if it was decoded as Latin-1.
#[must_use]
pub fn without_byte_order_mark(document: &str) -> &str {
    const MARKS: [&str; 2] = ["\u{feff}", "\u{ef}\u{bb}\u{bf}"];
    let mut document = document;
    while let Some(rest) = MARKS.iter().find_map(|mark| document.trim_start().strip_prefix(mark)) {
        document = rest;
    }
    document
}

/// Returns whether a text is one token as consoles show it, without other characters that were pasted with it.
fn is_one_token(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'`,".contains(&byte))
}

/// One field of the document.
enum Value {
    /// A text, without surrounding white space (such as a pasted line end), or a whole number in digits.
    Text(SecretString),
    /// `null`.
    Null,
    /// Any other value.
    Other,
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any JSON")
            }

            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(SecretString::from(text.trim())))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
                Ok(Value::Text(SecretString::from(number.to_string())))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
                while entries.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Value::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
                while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Value::Other)
            }
        }

        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "f00dfeedf00dfeed";
    /// The Base64 of `VuaCfGcBCdbkQm-e5aOx:ui2lp2axTNmsyakw9tvNnw`.
    const KEY: &str = "VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHAyYXhUTm1zeWFrdzl0dk5udw==";

    fn parse(document: &str) -> Result<Credentials, Error> {
        Credentials::parse(&SecretString::from(document), "arn:secret")
    }

    /// Builds a complete document with `name` set to `value`.
    fn with(name: &str, value: serde_json::Value) -> String {
        let mut document = serde_json::json!({
            "account_number": "1234567", "provisioning_hash": HASH, "elastic_api_key": KEY,
        });
        document[name] = value;
        document.to_string()
    }

    fn problems(document: &str) -> Vec<Problem> {
        match parse(document) {
            Err(Error::Invalid { problems, .. }) => problems.0,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_complete_document_is_read() {
        let credentials = parse(&with("elastic_setup_api_key", KEY.into())).unwrap();
        assert_eq!(credentials.account_number.as_str(), "1234567");
        assert_eq!(credentials.provisioning_hash.expose_secret(), HASH);
        assert_eq!(credentials.elastic_api_key.expose_secret(), KEY);
        assert_eq!(credentials.elastic_setup_api_key.unwrap().expose_secret(), KEY);
    }

    #[test]
    fn a_byte_order_mark_is_ignored() {
        let document = with("note", "x".into());
        for mark in ["\u{feff}", "\u{feff}\r\n ", " \u{feff}", "\u{feff}\u{feff}", "\u{ef}\u{bb}\u{bf}"] {
            let credentials = parse(&format!("{mark}{document}")).unwrap();
            assert_eq!(credentials.account_number.as_str(), "1234567", "{mark:?}");
            assert_eq!(problems(&format!("{mark}[]")), [Problem::NotAnObject]);
        }
        assert_eq!(problems("\u{feff}{\n\"provisioning_hash\": \"x"), [Problem::NotJson { line: 2, column: 23 }]);
    }

    #[test]
    fn an_account_number_may_be_a_number() {
        assert_eq!(parse(&with("account_number", 1_234_567.into())).unwrap().account_number.as_str(), "1234567");
    }

    #[test]
    fn a_pasted_line_end_is_dropped() {
        let hash = parse(&with("provisioning_hash", format!(" {HASH}\n").into())).unwrap().provisioning_hash;
        assert_eq!(hash.expose_secret(), HASH);
        let key = parse(&with("elastic_api_key", format!("{KEY}\r\n").into())).unwrap().elastic_api_key;
        assert_eq!(key.expose_secret(), KEY);
    }

    #[test]
    fn characters_pasted_with_a_hash_are_detected() {
        for pasted in [format!("\"{HASH}\""), format!("'{HASH}'"), format!("{HASH} {HASH}"), format!("{HASH}\n{HASH}")]
        {
            let found = problems(&with("provisioning_hash", pasted.into()));
            assert_eq!(found, [Problem::NotOneToken(PROVISIONING_HASH)]);
        }
    }

    #[test]
    fn unknown_fields_are_ignored() {
        for value in [serde_json::json!({"a": [1, {}]}), serde_json::json!([null, true, 1.5]), serde_json::json!(-1)] {
            assert!(parse(&with("note", value)).is_ok());
        }
    }

    #[test]
    fn a_setup_key_may_be_missing_empty_or_the_placeholder() {
        for value in [serde_json::Value::Null, "".into(), " ".into(), PLACEHOLDER.into()] {
            assert!(parse(&with("elastic_setup_api_key", value)).unwrap().elastic_setup_api_key.is_none());
        }
    }

    #[test]
    fn an_account_may_have_its_own_namespace_zone_and_organization() {
        assert_eq!(parse(&with("note", "x".into())).unwrap().profile, Profile::default());
        let mut document: serde_json::Value = serde_json::from_str(&with("namespace", "globex".into())).unwrap();
        document["time_zone"] = "Europe/Berlin".into();
        document["organization_id"] = 17.into();
        document["organization_name"] = "Globex GmbH".into();
        let profile = parse(&document.to_string()).unwrap().profile;
        assert_eq!(profile.namespace.unwrap().as_str(), "globex");
        assert_eq!(profile.zone.unwrap().name(), "Europe/Berlin");
        let (id, name) = (Some("17".to_owned()), Some("Globex GmbH".to_owned()));
        assert_eq!(profile.organization, Organization { id, name });
        assert_eq!(problems(&with(NAMESPACE, "a-b".into())), [Problem::NotNamespace]);
        assert_eq!(problems(&with(TIME_ZONE, "Berlin".into())), [Problem::NotTimeZone(TIME_ZONE)]);
        for field in [NAMESPACE, TIME_ZONE, ORGANIZATION_ID, ORGANIZATION_NAME] {
            assert_eq!(problems(&with(field, serde_json::json!(["x"]))), [Problem::NotText(field)]);
            assert_eq!(parse(&with(field, PLACEHOLDER.into())).unwrap().profile, Profile::default());
        }
    }

    #[test]
    fn a_placeholder_in_a_required_field_is_a_separate_error() {
        for name in REQUIRED {
            // Even if another field is wrong, the error is that the secret is not filled in yet.
            let document = with(name, PLACEHOLDER.into()).replace(KEY, "id:key");
            match parse(&document) {
                Err(error @ Error::Placeholder { .. }) => {
                    assert!(error.to_string().contains(&format!("in `{name}`:")), "{error}");
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let found = problems(r#"{"account_number": "12a", "provisioning_hash": "", "elastic_api_key": ["x"]}"#);
        let (hash, key) = (PROVISIONING_HASH, ELASTIC_API_KEY);
        assert_eq!(found, [Problem::NotDigits, Problem::Lacks(hash), Problem::NotText(key)]);
        assert_eq!(problems("{}"), REQUIRED.map(Problem::Lacks));
    }

    #[test]
    fn an_account_number_with_other_characters_than_digits_is_refused() {
        for value in [serde_json::json!(-5), serde_json::json!(1.5), serde_json::json!(true)] {
            assert_eq!(problems(&with("account_number", value)), [Problem::NotText(ACCOUNT_NUMBER)]);
        }
        assert_eq!(problems(&with("account_number", "CID 7".into())), [Problem::NotDigits]);
    }

    #[test]
    fn a_document_that_is_not_a_json_object_is_refused_with_the_position() {
        assert_eq!(problems("{\n\"provisioning_hash\": \"x"), [Problem::NotJson { line: 2, column: 23 }]);
        assert_eq!(problems("{“account_number”: 7}"), [Problem::NotJson { line: 1, column: 2 }]);
        for document in ["[\"1\", \"hash\", \"key\"]", "\"hash\"", "null", "7", "", "f00dfeed", "'{}'"] {
            assert_eq!(problems(document), [Problem::NotAnObject], "{document}");
        }
    }

    #[test]
    fn an_api_key_must_be_in_its_encoded_form() {
        for key in [KEY, KEY.trim_end_matches('='), "essu_VnVhQ2ZHY0JDZGJr"] {
            assert_eq!(parse(&with(ELASTIC_API_KEY, key.into())).unwrap().elastic_api_key.expose_secret(), key);
        }
        for key in [format!("ApiKey {KEY}"), format!("\"{KEY}\""), format!("{KEY},")] {
            assert_eq!(problems(&with(ELASTIC_API_KEY, key.into())), [Problem::NotEncoded(ELASTIC_API_KEY)]);
        }
        for key in ["VuaCfGcBCdbkQm-e5aOx:ui2lp2axTNmsyakw9tvNnw", "id:key"] {
            for field in [ELASTIC_API_KEY, ELASTIC_SETUP_API_KEY] {
                assert_eq!(problems(&with(field, key.into())), [Problem::IdAndKey(field)]);
            }
        }
    }

    #[test]
    fn no_text_and_no_debug_output_quotes_the_document() {
        let whole = parse(&with("elastic_setup_api_key", KEY.into())).unwrap();
        let mut printed = format!("{whole:?} {whole:#?}");
        let secret = "s3cr3t-value";
        for document in [
            with("account_number", secret.into()),
            with("elastic_api_key", format!("{secret}:{secret}").into()),
            with("namespace", secret.into()),
            with("time_zone", secret.into()),
            format!("\"{secret}\""),
            secret.to_string(),
            format!("{{\"provisioning_hash\": \"{secret}\", {secret}}}"),
            format!("{{\"{secret}\": 1, \"{secret}\": 2}}"),
            format!("{{\"account_number\": \"{PLACEHOLDER}\", \"provisioning_hash\": \"{secret}\"}}"),
        ] {
            let error = parse(&document).unwrap_err();
            assert!(std::error::Error::source(&error).is_none());
            printed.push_str(&format!("{error} {error:?}"));
        }
        for secret in [secret, HASH, KEY] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }
}
