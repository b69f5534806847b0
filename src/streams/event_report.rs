//! Events: the actions of users, admins and the API. Each has one document.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{
    action_cache::{Action, ActionCache},
    canonical::{canonical, canonical_field},
    convert::Type,
    data::{Data, NoSpace},
    doc_id::{IdParts, Ordinals},
    ecs::{Constants, CustomFields, EcsDocument},
    input::Input,
    mapper::{Identity, Mapper, Stamps},
    record::{Content, Fields, Form, Record, content, read},
    value::{FieldValue, Time, broken, copy, is_empty, remove_empties, remove_repeats},
};
use crate::{
    document::{DocId, Document, Stream},
    lastpass::time::{ApiZone, EventTime, UnreadableTime},
    text::Text,
};

/// The `lastpass` of an event's document.
#[derive(Debug, Default, PartialEq, Serialize)]
struct LastPass<'r> {
    event_report: EventReport<'r>,
}

/// `lastpass.event_report`, in the order in which it is written.
#[derive(Debug, Default, PartialEq, Serialize)]
struct EventReport<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_name: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "is_empty")]
    data: Data<'r>,
}

impl CustomFields for LastPass<'_> {
    fn remove_empties(&mut self) {
        let EventReport { action, time: _, ip, user_name, data } = &mut self.event_report;
        remove_empties([action, ip, user_name]);
        data.remove_empties();
    }

    fn remove_duplicates(&mut self) {
        let EventReport { action, time, ip, user_name, data } = &mut self.event_report;
        *time = None;
        for field in [action, ip, user_name, &mut data.user_email, &mut data.group_name] {
            *field = None;
        }
    }
}

/// The tag of an event in a repeated hour whose pass is unknown.
pub const AMBIGUOUS_TIME: &str = "ambiguous_time";

/// Maps `events`, oldest first, to their documents, lazily. `events` must contain every event of each second in it,
/// because only their ordinals distinguish equal events.
///
/// An event has its record and the instant of its `Time`, or `None` if `Time` is missing or cannot be read. The record
/// is one value of the response's `data`, as LastPass wrote it. Its key there is a position and not part of the record.
pub fn documents<'m, I: IntoIterator<Item = (String, Option<EventTime>)>>(
    mapper: &'m Mapper,
    stamps: &Stamps,
    events: I,
) -> impl Iterator<Item = Document> + use<'m, I> {
    let mut mapping = Mapping::new(mapper, stamps);
    let events = events.into_iter();
    let mut ordinals = Ordinals::with_capacity(events.size_hint().0);
    events.map(move |(original, time)| {
        let record = read(&original);
        let action = mapping.action(record.as_ref());
        let id = ordinals.next_id(mapping.id_parts(record.as_ref(), &action, &original));
        let parsed = Parsed { time, record, text: &original, without_time: None };
        let document = mapping.map(id, &action, parsed);
        Document { original, ..document }
    })
}

/// Maps the record of one of these documents again, from the document's `original`.
#[must_use]
pub fn remap(mapper: &Mapper, stamps: &Stamps, identity: Identity, original: &str) -> Document {
    let Identity { stream: _, id, timestamp: first, ambiguous } = identity;
    let record = read(original);
    let mut mapping = Mapping::new(mapper, stamps);
    // The timestamp of an event without a readable `Time` is when it was first read.
    let readable = mapping.read_time(record.as_ref()).ok().flatten();
    let time = readable.and(first).map(|timestamp| {
        let is_repeated = mapper.zone.fold_at(timestamp).is_some();
        EventTime { timestamp, is_repeated, ambiguous }
    });
    let action = mapping.action(record.as_ref());
    let document = mapping.map(id, &action, Parsed { time, record, text: original, without_time: first });
    Document { original: original.to_owned(), ..document }
}

/// The values that the events of one reading share, and the results of the rules for their actions.
struct Mapping<'m> {
    zone: &'m ApiZone,
    read_at: Timestamp,
    constants: Constants<'m>,
    id_parts: IdParts,
    actions: ActionCache,
}

/// An event whose record was read.
struct Parsed<'r> {
    /// The instant of the event, if it is known.
    time: Option<EventTime>,
    record: Option<Record<'r>>,
    /// The text of the record.
    text: &'r str,
    /// The `@timestamp` of an event without a readable `Time`; `None` stands for the time of the reading.
    without_time: Option<Timestamp>,
}

/// The reason why a record cannot be mapped any further.
struct Stopped(&'static str);

impl<'m> Mapping<'m> {
    fn new(mapper: &'m Mapper, stamps: &Stamps) -> Self {
        Self {
            zone: &mapper.zone,
            read_at: stamps.created,
            constants: Constants::new(mapper, stamps, Stream::EventReport),
            id_parts: IdParts::new(mapper, Stream::EventReport.dataset()),
            actions: ActionCache::default(),
        }
    }

    /// Returns the results of the rules for the action of a record.
    fn action(&mut self, record: Option<&Record<'_>>) -> Arc<Action> {
        let text = record.and_then(|record| record.get("Action")).and_then(FieldValue::as_text);
        self.actions.get(text.map_or("", Text::as_str), &self.constants, self.zone.name())
    }

    /// Maps a record to its document, which lacks only its `original`.
    fn map(&self, id: DocId, action: &Action, parsed: Parsed<'_>) -> Document {
        let Parsed { time, record, text, without_time } = parsed;
        let time = match time {
            Some(time) => Ok(Some(time)),
            None => self.read_time(record.as_ref()),
        };
        let happened = time.as_ref().ok().copied().flatten();
        let timestamp = happened.map(|time| time.timestamp).or(without_time).unwrap_or(self.read_at);
        let mut document = EcsDocument::new(&self.constants, timestamp);
        if happened.is_some_and(|time| time.ambiguous) {
            document.add_tag(AMBIGUOUS_TIME);
        }
        match content(record) {
            Content::Fields(fields) => {
                if let Err(Stopped(reason)) = self.map_fields(action, time, fields, &mut document) {
                    document.stop(reason);
                }
            }
            Content::Other(reason) => {
                document.event.timezone = Some(self.zone.name());
                document.stop(reason);
            }
            Content::Refused(reason) => document.stop(reason),
        }
        // In a repeated hour, another reading may choose either pass.
        let since = happened.map(|time| match time.is_repeated {
            true => self.zone.begin_outside_fold(time.timestamp),
            false => time.timestamp,
        });
        Document { id, timestamp, since, source: document.finish(text), original: String::new() }
    }

    /// Reads the `Time` of a record, without regard to other events.
    fn read_time(&self, record: Option<&Record<'_>>) -> Result<Option<EventTime>, UnreadableTime> {
        let time = match record.and_then(|record| record.get("Time")) {
            None => None,
            Some(FieldValue::Text(text)) => self.zone.read_text(text.as_str())?,
            Some(other) => self.zone.read(Some(&other.clone().into_json()))?,
        };
        Ok(time.map(|time| time.either_pass()))
    }

    /// Maps the fields of a record, and reports errors, in the order of ECS_MAPPING.md, §2.
    ///
    /// # Errors
    /// [`Stopped`] if the integration's pipeline stops. `document` then has the fields before that point.
    fn map_fields<'r>(
        &'r self,
        action: &'r Action,
        time: Result<Option<EventTime>, UnreadableTime>,
        fields: Fields<'r>,
        document: &mut EcsDocument<'r, LastPass<'r>>,
    ) -> Result<(), Stopped> {
        let mut input = Input::new(fields, &mut document.error.message);
        let report = &mut document.lastpass.event_report;
        let event = &mut document.event;

        report.action = input.moved("Action");
        if let Some(FieldValue::Json(value)) = &report.action {
            match &**value {
                Value::Null => {}
                Value::Array(entries) if entries.is_empty() => {}
                Value::Array(entries) if entries.iter().all(Value::is_string) => {
                    input.reject("Action is a list".to_owned());
                }
                _ => {
                    event.action = report.action.clone();
                    return Err(Stopped("Action is not a string"));
                }
            }
        }
        action.describe(event, self.zone.name());

        report.time = time.map(|time| time.map(|time| Time(time.timestamp))).unwrap_or_else(|error| {
            input.reject(error.to_string());
            None
        });
        report.ip = input.converted("IP_Address", Type::Ip);
        document.source.ip = copy(report.ip.as_ref());
        report.user_name = input.moved("Username");
        let emails = map_data(action, &mut input, &mut report.data)?;
        let data = report.data.original.as_ref();
        report.data.login_type = action.login.and_then(|login| login.of(data.and_then(FieldValue::as_text)));

        document.user.group.name = copy(report.data.group_name.as_ref());
        let actor = input.name("Username", report.user_name.as_ref(), "user.email");
        document.user.target.email = action.targets.and_then(|targets| targets.of(&emails, data, actor.as_ref()));
        document.user.name = actor.clone();
        let mut users = emails;
        users.extend(actor);
        remove_repeats(&mut users);
        if !users.is_empty() {
            document.user.email = Some(FieldValue::Texts(users.clone()));
            document.related.user = users;
        }
        match &document.source.ip {
            Some(FieldValue::Text(ip)) => document.related.ip = Some([ip.clone()]),
            Some(FieldValue::Texts(_) | FieldValue::Json(_) | FieldValue::Broken(_)) => {
                input.reject("IP_Address is a list, so it is missing from related.ip".to_owned());
            }
            None => {}
        }
        Ok(())
    }

    /// Collects the texts of the `_id`: the five documented fields. Others may be added over time, and the key of the
    /// record in the response changes with each request.
    fn id_parts(&self, record: Option<&Record<'_>>, action: &Action, text: &str) -> IdParts {
        let parts = self.id_parts.begin();
        match record.map(|record| &record.form) {
            Some(Form::Fields(fields)) => {
                let with = |parts: IdParts, name| parts.with(&canonical_field(fields.get(name)));
                let parts = with(with(with(parts, "Time"), "Username"), "IP_Address");
                // LastPass has changed the case of actions over the years: LASTPASS_API.md, "reporting".
                let parts = match fields.get("Action") {
                    Some(FieldValue::Text(_)) => parts.with(&action.lower_case),
                    other => parts.with(&canonical_field(other).to_lowercase()),
                };
                with(parts, "Data")
            }
            Some(Form::Other(other)) => parts.with(&canonical(Some(other))),
            None => parts.with(text),
        }
    }
}

/// Maps `Data`, and returns the e-mail addresses of the users who were acted upon.
///
/// # Errors
/// [`Stopped`] if the integration's pipeline stops.
fn map_data<'r>(action: &Action, input: &mut Input<'r, '_>, fields: &mut Data<'r>) -> Result<Vec<Text<'r>>, Stopped> {
    let data = input.take("Data");
    if let Some(FieldValue::Broken(_)) = data {
        input.reject(broken("Data"));
        return Ok(Vec::new());
    }
    let emails = fields.fill(&action.rows, data.as_ref().and_then(FieldValue::as_text));
    fields.original = data;
    emails.map_err(|NoSpace| Stopped("Data of a limited shared folder has no space before the user"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{
        READ, at, errors, event, field, identity_of, map_event, map_one_event, mapper, plain_mapper, source, stamps,
    };
    use super::*;

    fn mapped(record: &Value) -> Value {
        source(&map_event(record))
    }

    fn text(record: &str) -> Document {
        map_one_event(&plain_mapper(), &stamps(), &event(record))
    }

    fn id(record: &str) -> String {
        text(record).id.to_string()
    }

    #[test]
    fn a_document_as_it_is_sent() {
        let record = r#"{ "Time":"2025-07-17 09:51:51", "Username":"ann@example.com","IP_Address":"192.0.2.1","Action":"Log In","Data":"ex\u00e4mple.com","New":1}"#;
        let stamps = Stamps { ingested: Some(at("2031-05-06T07:08:10Z")), ..stamps() };
        let document = map_one_event(&Mapper { tags: vec!["eu".into()], ..mapper() }, &stamps, &event(record));
        assert_eq!(document.original, record);
        let original = record.replace("{ ", "{").replace(", ", ",");
        assert_eq!(document.timestamp, at("2025-07-17T13:51:51Z"));
        assert_eq!(
            source(&document),
            json!({
                "@timestamp": "2025-07-17T13:51:51.000Z",
                "ecs": { "version": "8.11.0" },
                "data_stream": { "type": "logs", "dataset": "lastpass.event_report", "namespace": "default" },
                "event": {
                    "module": "lastpass",
                    "dataset": "lastpass.event_report",
                    "kind": "event",
                    "category": ["authentication"],
                    "type": ["start"],
                    "outcome": "success",
                    "action": "log in",
                    "timezone": "US/Eastern",
                    "created": "2031-05-06T07:08:09.123Z",
                    "ingested": "2031-05-06T07:08:10.000Z",
                    "original": original,
                },
                "source": { "ip": "192.0.2.1" },
                "user": { "name": "ann@example.com", "email": ["ann@example.com"] },
                "related": { "user": ["ann@example.com"], "ip": ["192.0.2.1"] },
                "lastpass": { "event_report": {
                    "action": "Log In",
                    "time": "2025-07-17T13:51:51.000Z",
                    "ip": "192.0.2.1",
                    "user_name": "ann@example.com",
                    "data": { "original": "exämple.com", "login_site": "exämple.com", "login_type": "site" },
                } },
                "tags": ["eu", "preserve_original_event", "preserve_duplicate_custom_fields"],
            })
        );
    }

    #[test]
    fn by_default_no_value_is_repeated() {
        let document = text(
            r#"{"Time":"2025-07-17 09:51:51","Username":"ann@example.com","IP_Address":"::1","Action":"Adding user to group","Data":"bob@example.com - G"}"#,
        );
        let source = source(&document);
        assert_eq!(source["lastpass"], json!({ "event_report": { "data": { "original": "bob@example.com - G" } } }));
        assert_eq!(
            source["user"],
            json!({
                "name": "ann@example.com",
                "email": ["bob@example.com", "ann@example.com"],
                "group": { "name": "G" },
                "target": { "email": ["bob@example.com"] },
            })
        );
        assert_eq!((source["event"].get("original"), source.get("tags")), (None, None));
    }

    #[test]
    fn actions_are_lower_cased_without_a_language() {
        for (action, lower) in [("LOG IN", "log in"), ("İ", "i̇"), ("ÉTÉ", "été"), ("STRASSE ß", "strasse ß")] {
            assert_eq!(field(&mapped(&json!({ "Action": action })), "/event/action"), json!(lower));
        }
    }

    #[test]
    fn nothing_is_trimmed_or_unescaped() {
        let source =
            mapped(&json!({ "Username": " a&amp;b ", "Action": " Log in ", "Data": "Tom &amp; Jerry&#39;s " }));
        assert_eq!(field(&source, "/event/action"), json!(" log in "));
        assert_eq!(field(&source, "/user/email"), json!([" a&amp;b "]));
        assert_eq!(field(&source, "/lastpass/event_report/data/login_site"), json!("Tom &amp; Jerry&#39;s "));
    }

    #[test]
    fn each_user_is_listed_once_at_its_first_place() {
        let users = |username: Value, data: &str| {
            let source = mapped(&json!({ "Username": username, "Action": "employee invited", "Data": data }));
            assert_eq!(field(&source, "/user/email"), field(&source, "/related/user"));
            field(&source, "/user/email")
        };
        assert_eq!(users(json!("b@x"), "a@x,b@x,a@x"), json!(["a@x", "b@x"]));
        assert_eq!(users(json!("B@x"), "a@x,b@x"), json!(["a@x", "b@x", "B@x"]));
        assert_eq!(users(json!(""), ","), Value::Null);
        assert_eq!(users(json!(7), ""), json!(["7"]));
        assert_eq!(users(json!(false), ""), json!(["false"]));
        assert_eq!(users(Value::Null, "a@x"), json!(["a@x"]));
    }

    #[test]
    fn the_actor_is_the_username_as_a_text() {
        let name =
            |username: Value| field(&mapped(&json!({ "Username": username, "Action": "Reporting" })), "/user/name");
        assert_eq!(name(json!("API: ann@example.com")), "API: ann@example.com");
        assert_eq!(name(json!(7)), "7");
        for nobody in [json!(""), Value::Null, json!(["a", "b"]), json!({ "a": "b" })] {
            assert_eq!(name(nobody), Value::Null);
        }
    }

    /// Comparing each user with all others would take minutes.
    #[test]
    fn an_event_that_names_very_many_users_is_mapped_quickly() {
        let users: Vec<String> = (0..100_000).map(|user| format!("{user}@x.org")).collect();
        let source = mapped(&json!({ "Action": "employee invited", "Data": users.join(",") }));
        assert_eq!(field(&source, "/user/email"), json!(users));
    }

    #[test]
    fn a_wrong_type_removes_only_its_field() {
        let record = json!({ "Time": "yesterday", "Username": ["a", "b"], "IP_Address": "nowhere", "Action": "log in", "Data": "x" });
        let source = mapped(&record);
        assert_eq!(errors(&source), 3);
        assert_eq!(field(&source, "/event/kind"), json!("event"));
        assert_eq!(field(&source, "/@timestamp"), json!(READ));
        for pointer in ["/source", "/related", "/user", "/lastpass/event_report/time", "/lastpass/event_report/ip"] {
            assert_eq!(field(&source, pointer), Value::Null, "{pointer}");
        }
        assert_eq!(field(&source, "/lastpass/event_report/user_name"), json!(["a", "b"]));
        assert_eq!(field(&source, "/lastpass/event_report/data/login_site"), json!("x"));
        // By default the original is not kept, but here only it has the values.
        let source = super::super::testing::source(&text(&record.to_string()));
        assert_eq!(field(&source, "/event/original"), json!(record.to_string()));
        assert_eq!(field(&source, "/tags"), Value::Null);
    }

    #[test]
    fn lists_in_place_of_texts() {
        let source = mapped(&json!({ "Action": ["Log in"], "IP_Address": ["::1", "192.0.2.1"], "Username": "a" }));
        assert_eq!(errors(&source), 2);
        assert_eq!(field(&source, "/source/ip"), json!(["::1", "192.0.2.1"]));
        assert_eq!(field(&source, "/related"), json!({ "user": ["a"] }));
        assert_eq!((field(&source, "/event/action"), field(&source, "/event/type")), (Value::Null, Value::Null));
        let source = mapped(&json!({ "Action": [], "IP_Address": [], "Username": [], "Data": [] }));
        assert_eq!((errors(&source), field(&source, "/lastpass")), (0, Value::Null));
    }

    #[test]
    fn an_action_without_a_text_stops_the_mapping() {
        for action in [json!(5), json!(true), json!({ "a": "b" }), json!(["a", 1]), json!([null])] {
            let source = mapped(
                &json!({ "Time": "2025-07-17 09:51:51", "Username": "a", "Action": action, "IP_Address": "::1" }),
            );
            assert_eq!(field(&source, "/event/kind"), json!("pipeline_error"));
            assert_eq!(field(&source, "/event/action"), action);
            assert_eq!(field(&source, "/lastpass/event_report"), json!({ "action": action }));
            for pointer in ["/event/timezone", "/event/category", "/user", "/source", "/related"] {
                assert_eq!(field(&source, pointer), Value::Null, "{pointer}");
            }
            assert_eq!(field(&source, "/@timestamp"), json!("2025-07-17T13:51:51.000Z"));
        }
    }

    #[test]
    fn a_record_that_cannot_be_mapped_is_kept_whole() {
        for record in ["[1]", "\"x\"", "7", "true", "{", "NaN", r#"{"Action":"a","Action":"b"}"#] {
            let document = text(record);
            let source = source(&document);
            assert_eq!(field(&source, "/event/kind"), json!("pipeline_error"), "{record}");
            assert_eq!(field(&source, "/event/original"), json!(record));
            assert_eq!(field(&source, "/tags"), json!(["preserve_original_event"]));
            assert_eq!((errors(&source), field(&source, "/lastpass")), (1, Value::Null));
            assert_eq!((document.timestamp, document.original.as_str()), (at(READ), record));
        }
        assert_eq!(field(&source(&text("[1]")), "/event/timezone"), json!("US/Eastern"));
        for record in ["null", "", "{}"] {
            let source = source(&text(record));
            assert_eq!((errors(&source), field(&source, "/event/kind")), (0, json!("event")));
            assert_eq!(field(&source, "/event/timezone"), json!("US/Eastern"));
        }
    }

    #[test]
    fn a_settled_time_is_used_and_a_guess_is_tagged() {
        let record = r#"{"Time":"2025-11-02 01:30:00","Action":"Log in"}"#;
        let local = mapper().zone.read(Some(&json!("2025-11-02 01:30:00"))).expect("readable").expect("a time");
        let map = |time| map_one_event(&plain_mapper(), &stamps(), &(record.to_owned(), time));
        for (time, timestamp, tags) in [
            (Some(local.first_pass()), "2025-11-02T05:30:00Z", Value::Null),
            (Some(local.second_pass()), "2025-11-02T06:30:00Z", Value::Null),
            (Some(local.either_pass()), "2025-11-02T05:30:00Z", json!(["ambiguous_time"])),
            (None, "2025-11-02T05:30:00Z", json!(["ambiguous_time"])),
        ] {
            let document = map(time);
            assert_eq!(document.timestamp, at(timestamp));
            assert_eq!(field(&source(&document), "/tags"), tags);
            assert_eq!(document.id, map(None).id);
        }
        // A time in a skipped hour is moved forward by the length of the gap: ECS_MAPPING.md, §5.
        assert_eq!(text(r#"{"Time":"2025-03-09 02:30:00"}"#).timestamp, at("2025-03-09T07:30:00Z"));
    }

    #[test]
    fn ids_are_frozen() {
        for (record, expected) in [
            (
                r#"{"Time":"2025-07-17 09:51:51","Username":"ann@example.com","IP_Address":"192.0.2.1","Action":"Log in","Data":"exämple.com"}"#,
                "aU5SDLL_maQwgq7Sm_5hu1oK",
            ),
            ("{}", "aT9XUcgy6Y06gQaDp8lxOdBz"),
            (
                r#"{"Time":"2025-07-17 09:51:51","Username":"ann@example.com","Action":"LOG IN","Data":{"b":{},"a":[1,"0",true,2.5],"c":null}}"#,
                "ajJWeFZmhvNJl75yUFWy0LcK",
            ),
            (r#""hello""#, "am8-Uzq6hItGGldl3QZLWTlh"),
            (r#"["a", 1]"#, "akR4GtJJ8bu78TU42ag-cHAN"),
            (r#"{"Time""#, "alJ63gj03oX04WfzNyLL1YFG"),
        ] {
            assert_eq!(id(record), expected, "{record}");
        }
    }

    #[test]
    fn equal_events_are_distinguished_by_their_ordinal() {
        let record = r#"{"Time":"2025-07-17 09:51:51","Username":"ann@example.com","IP_Address":"192.0.2.1","Action":"Log in","Data":"exämple.com"}"#;
        let spelled = r#"{"Extra":[],"Action":"LOG IN","Data":"ex\u00e4mple.com","Username":"ann@example.com", "IP_Address":"192.0.2.1","Time":"2025-07-17 09:51:51"}"#;
        let other = r#"{"Time":"2025-07-17 09:51:52"}"#;
        let (mapper, events) = (plain_mapper(), [record, other, spelled].map(event));
        let ids: Vec<String> = documents(&mapper, &stamps(), events).map(|document| document.id.to_string()).collect();
        assert_eq!((ids[0].as_str(), ids[2].as_str()), ("aU5SDLL_maQwgq7Sm_5hu1oK", "apJC75vDP-0asy3MHsUjulEm"));
    }

    #[test]
    fn the_account_is_the_only_setting_in_the_id() {
        let record = event(r#"{"Action":"Log in"}"#);
        let with = |mapper: Mapper| map_one_event(&mapper, &stamps(), &record).id;
        let other = Mapper {
            namespace: crate::document::Namespace::new("other").expect("a namespace"),
            zone: crate::lastpass::time::ApiZone::new("UTC").expect("a zone"),
            tags: vec!["a".into()],
            ..mapper()
        };
        assert_eq!(with(other), with(plain_mapper()));
        let account = crate::document::AccountNumber::new("12346").expect("an account number");
        assert_ne!(with(Mapper { account, ..mapper() }), with(mapper()));
    }

    #[test]
    fn the_original_is_enough_to_map_again() {
        let local = mapper().zone.read(Some(&json!("2025-11-02 01:30:00"))).expect("readable").expect("a time");
        for (record, time) in [
            (r#"{ "Time":"2025-07-17 09:51:51","Action":"Log in","Data":"x"}"#, None),
            (r#"{"Time":"2025-11-02 01:30:00"}"#, Some(local.second_pass())),
            (r#"{"Time":"2025-11-02 01:30:00"}"#, Some(local.either_pass())),
            (r#"{"Time":"yesterday","Action":"Log in"}"#, None),
            ("{}", None),
            ("no JSON", None),
        ] {
            let event = (record.to_owned(), time);
            let first = map_one_event(&mapper(), &stamps(), &event);
            assert_eq!(
                remap(&mapper(), &stamps(), identity_of(Stream::EventReport, &first), &first.original),
                first,
                "{record}"
            );
            // If the record is read at another time, the document keeps its `_id` and instant.
            let later = Stamps { created: at("2031-06-01T00:00:00Z"), ..stamps() };
            let second = remap(&mapper(), &later, identity_of(Stream::EventReport, &first), &first.original);
            assert_eq!((&second.id, second.timestamp), (&first.id, first.timestamp), "{record}");
        }
    }

    #[test]
    fn without_a_timestamp_an_event_is_mapped_again_by_its_time() {
        let unknown = |record: &str| {
            let first = text(record);
            let unknown = Identity { timestamp: None, ambiguous: false, ..identity_of(Stream::EventReport, &first) };
            (remap(&plain_mapper(), &stamps(), unknown, &first.original), first)
        };
        for record in [r#"{"Time":"2025-07-17 09:51:51"}"#, r#"{"Time":"2025-11-02 01:30:00"}"#, "{}"] {
            let (second, first) = unknown(record);
            assert_eq!(second, first);
        }
    }

    #[test]
    fn a_lone_surrogate_removes_only_its_field() {
        let time = r#""Time":"2025-07-17 09:51:51""#;
        let rest = r#""IP_Address":"192.0.2.1""#;
        for (record, count, gone) in [
            (format!(r#"{{{time},"Username":"\ud83d","Action":"Log in","Data":"x",{rest}}}"#), 1, "/user"),
            (format!(r#"{{{time},"Username":"\ud83d\ud83d\ude00","Action":"Log in","Data":"x",{rest}}}"#), 1, "/user"),
            (format!(r#"{{{time},"Username":"\uDE00\uD83D","Action":"Log in","Data":"x",{rest}}}"#), 1, "/user"),
            (format!(r#"{{{time},"Username":["\ud83d"],"Action":"Log in","Data":"x",{rest}}}"#), 1, "/user"),
            (
                format!(r#"{{{time},"Username":"a","Action":"Log in","Data":"x\ud83d",{rest}}}"#),
                1,
                "/lastpass/event_report/data",
            ),
            (
                format!(r#"{{{time},"Username":"a","Action":"Limit Shared Folder","Data":"\ud83d",{rest}}}"#),
                1,
                "/lastpass/event_report/data",
            ),
            (
                format!(r#"{{{time},"Username":"a","Action":"Log in","Data":{{"\ud83d":"x"}},{rest}}}"#),
                1,
                "/lastpass/event_report/data",
            ),
            (format!(r#"{{{time},"Username":"a","Action":"\ud83d","Data":"x",{rest}}}"#), 1, "/event/action"),
            (format!(r#"{{{time},"Username":"a","Action":["\ud83d",5],"Data":"x",{rest}}}"#), 1, "/event/action"),
            (format!(r#"{{{time},"Username":"a","Action":"Log in","Data":"x","IP_Address":"\ud83d"}}"#), 1, "/source"),
            (
                format!(r#"{{"Time":"2025\ud83d","Username":"a","Action":"Log in","Data":"x",{rest}}}"#),
                1,
                "/lastpass/event_report/time",
            ),
            (
                format!(r#"{{{time},"Username":"a","Action":"Log in","Data":"x",{rest},"\ud83d":"\ud83d"}}"#),
                0,
                "/error",
            ),
            (
                format!(r#"{{{time},"Username":"a","Action":"Log in","Data":"x",{rest},"Other":{{"a":["\ud83d"]}}}}"#),
                0,
                "/error",
            ),
        ] {
            let first = text(&record);
            let source = source(&first);
            assert_eq!(field(&source, "/event/kind"), json!("event"), "{record}\n{source}");
            assert_eq!(errors(&source), count, "{record}\n{source}");
            assert_eq!(field(&source, gone), Value::Null, "{record}\n{source}");
            let there = [
                "/event/timezone",
                "/event/action",
                "/source/ip",
                "/user/email",
                "/lastpass/event_report/data/original",
            ];
            let lost = there.iter().filter(|path| field(&source, path) == Value::Null).count();
            let expected = usize::from(gone != "/lastpass/event_report/time" && gone != "/error");
            assert_eq!(lost, expected, "{record}\n{source}");
            if count > 0 {
                assert_eq!(field(&source, "/event/original"), json!(record));
            }
            assert_eq!(first.original, record);
            assert_eq!(
                remap(&plain_mapper(), &stamps(), identity_of(Stream::EventReport, &first), &first.original),
                first
            );
        }
    }

    #[test]
    fn lone_surrogates_distinguish_events() {
        let id = |user: &str| id(&format!(r#"{{"Time":"2025-07-17 09:51:51","Username":"{user}","Action":"Log in"}}"#));
        assert_eq!(id(r"\ud83d"), id(r"\uD83D"), "the spelling does not matter");
        assert_ne!(id(r"\ud83d"), id(r"\ud83e"));
        assert_ne!(id(r"\ud83d"), id(""));
        assert_ne!(id(r"\ud83d"), id(r"\ufffd"));
        let other = r#"{"Time":"2025-07-17 09:51:51", "Username":"\ud83d","Action":"LOG IN","Extra":"\ud83d"}"#;
        assert_eq!(id(r"\ud83d"), text(other).id.as_str(), "other fields do not matter");
        let record = r#"{"Time":"2025-07-17 09:51:51","Username":"\ud83d"}"#;
        let twins: Vec<_> = documents(&plain_mapper(), &stamps(), [record, record].map(event)).collect();
        assert_ne!(twins[0].id, twins[1].id);
    }
}
