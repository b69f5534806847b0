//! Turns a request body into a reply: credentials, command, faults, record. Performs no I/O.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::answer::{Answer, UNAUTHORIZED, refusal_body, unauthorized};
use crate::clock::Clock;
use crate::command::Command;
use crate::event::Event;
use crate::faults::{Fault, FaultPlan, access_denied_page, maintenance_page};
use crate::json::{php_spelling, push_string};
use crate::quirks::Quirks;
use crate::requests::{Answered, RequestRecord};
use crate::world::World;
use crate::{folders, reporting, users};

const HTML: &str = "text/html; charset=utf-8";
/// Replaces the hash in a recorded request that has it in the wrong place.
const REDACTED: &str = "[redacted]";

/// A change of the world after a page was served.
type Change = Box<dyn FnOnce(&mut World) + Send>;

/// The state of the simulator.
pub(crate) struct State {
    pub(crate) world: World,
    pub(crate) quirks: Quirks,
    pub(crate) clock: Clock,
    pub(crate) faults: FaultPlan,
    pub(crate) requests: Vec<RequestRecord>,
    pub(crate) answered: u64,
    hooks: Vec<Hook>,
}

struct Hook {
    command: Command,
    pages_left: u64,
    change: Option<Change>,
}

/// The reply on the wire.
#[derive(Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) delay_ms: u64,
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: String,
    pub(crate) cut: Cut,
}

/// The point at which the connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    Nowhere,
    BeforeAnswer,
    InsideBody,
}

impl Reply {
    fn new(status: u16, content_type: &str, body: String) -> Self {
        Self { delay_ms: 0, status, content_type: content_type.to_owned(), retry_after: None, body, cut: Cut::Nowhere }
    }
}

impl State {
    pub(crate) fn new(world: World, quirks: Quirks) -> Self {
        let faults = FaultPlan::default();
        Self { world, quirks, clock: Clock::Real, faults, requests: Vec::new(), answered: 0, hooks: Vec::new() }
    }

    /// Changes the world after the n-th page of this command from now on.
    pub(crate) fn after_page(&mut self, command: Command, nth: u64, change: Change) {
        self.hooks.push(Hook { command, pages_left: nth.max(1), change: Some(change) });
    }

    /// Answers one request and records it.
    pub(crate) fn respond(&mut self, body: &[u8]) -> Reply {
        let at = self.clock.now();
        let request: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let name = request.get("cmd").and_then(Value::as_str).unwrap_or_default();
        let command = Command::named(name);
        let met = self.faults.meet(command);
        let (mut reply, answered) = match met.fault {
            Some(fault) => (self.faulty(&fault, &request, at), Answered::Fault(fault)),
            None => self.ordinary(&request, at),
        };
        reply.delay_ms = met.delay_ms;
        let is_read =
            reply.status == 200 && matches!(answered, Answered::Page { .. } | Answered::Fault(Fault::CutInsideBody));
        if command == Some(Command::Reporting) && is_read && self.quirks.reporting_events {
            self.note_poll(&request, at);
        }
        self.answered += 1;
        self.world.set_requests(self.answered);
        let record = RequestRecord {
            number: self.answered,
            at,
            command: self.redacted(Value::from(name)).as_str().unwrap_or_default().to_owned(),
            data: self.redacted(request.get("data").cloned().unwrap_or(Value::Null)),
            answered,
            delayed_ms: met.delay_ms,
        };
        if let (Answered::Page { .. }, Some(command)) = (&record.answered, command) {
            self.run_hooks(command);
        }
        self.requests.push(record);
        reply
    }

    fn ordinary(&self, request: &Value, at: Timestamp) -> (Reply, Answered) {
        let json = self.quirks.content_type.as_str();
        let (content_type, body, answered) = match self.answer(request, at) {
            Answer::Page(page) => (json, page.body, Answered::Page { records: page.records, more: page.more }),
            Answer::Refusal(reason) => (json, refusal_body(&self.quirks, &reason), Answered::Refused { reason }),
            Answer::Unauthorized => {
                let (content_type, body) = unauthorized(&self.quirks);
                (content_type, body, Answered::Refused { reason: UNAUTHORIZED.to_owned() })
            }
        };
        let is_json = body.starts_with(['{', '[']);
        let body = if self.quirks.php_escapes && is_json { php_spelling(&body) } else { body };
        (Reply::new(200, content_type, format!("{}{body}", self.quirks.before_answers)), answered)
    }

    fn answer(&self, request: &Value, at: Timestamp) -> Answer {
        if !request.is_object() {
            return Answer::Refusal("Invalid request".to_owned());
        }
        if !self.authorized(request) {
            return Answer::Unauthorized;
        }
        let data = request.get("data").unwrap_or(&Value::Null);
        match request.get("cmd").and_then(Value::as_str).and_then(Command::named) {
            Some(Command::Reporting) => reporting::answer(&self.world.events, data, &self.quirks, at),
            Some(Command::GetUserData) => users::answer(&self.world, data, &self.quirks),
            Some(Command::GetDetailedSfData) => folders::answer(&self.world, data, &self.quirks),
            None => Answer::Refusal("Unknown command".to_owned()),
        }
    }

    fn authorized(&self, request: &Value) -> bool {
        let account = match request.get("cid") {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => return false,
        };
        let hash = request.get("provhash").and_then(Value::as_str);
        account == self.world.account_number && hash == Some(self.world.provisioning_hash.reveal())
    }

    fn faulty(&self, fault: &Fault, request: &Value, at: Timestamp) -> Reply {
        match fault {
            Fault::Throttled { retry_after } => {
                Reply { retry_after: retry_after.clone(), ..Reply::new(429, HTML, maintenance_page()) }
            }
            Fault::Response { status, content_type, body } => Reply::new(*status, content_type, body.clone()),
            Fault::AccessDenied => Reply::new(403, HTML, access_denied_page()),
            Fault::CutBeforeAnswer => Reply { cut: Cut::BeforeAnswer, ..Reply::new(200, HTML, String::new()) },
            Fault::CutInsideBody => Reply { cut: Cut::InsideBody, ..self.ordinary(request, at).0 },
            Fault::Fail { key, value } => {
                let mut body = String::from("{\"status\":");
                push_string(&mut body, &self.quirks.fail_status);
                body.push(',');
                push_string(&mut body, key);
                body.push(':');
                body.push_str(&value.to_string());
                body.push('}');
                Reply::new(200, &self.quirks.content_type, body)
            }
            Fault::Delay { .. } => self.ordinary(request, at).0,
        }
    }

    /// Adds the event of an event report request. The response to the request does not contain it.
    fn note_poll(&mut self, request: &Value, at: Timestamp) {
        let api_user = request.pointer("/data/apiuser").and_then(Value::as_str).filter(|user| !user.is_empty());
        let late = SignedDuration::from_secs(self.quirks.reporting_events_late_seconds.into());
        let event = Event::of_poll(at, api_user).appearing(at.saturating_add(late).unwrap_or(at));
        self.world.events.extend([event]);
    }

    fn run_hooks(&mut self, command: Command) {
        for hook in self.hooks.iter_mut().filter(|hook| hook.command == command) {
            hook.pages_left -= 1;
            if hook.pages_left == 0
                && let Some(change) = hook.change.take()
            {
                change(&mut self.world);
            }
        }
        self.hooks.retain(|hook| hook.pages_left > 0);
    }

    /// Returns the value without the valid hash, in case a client put it there.
    fn redacted(&self, value: Value) -> Value {
        let hash = self.world.provisioning_hash.reveal();
        if !hash.is_empty() && value.to_string().contains(hash) { Value::from(REDACTED) } else { value }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::faults::FaultRule;

    fn state() -> State {
        let mut world = World::default().with_credentials("7", "good-hash");
        for key in ["1", "2", "3"] {
            world.users.put(key, json!({"username": key}));
        }
        State::new(world, Quirks::default())
    }

    fn ask(state: &mut State, request: &Value) -> Value {
        let reply = state.respond(request.to_string().as_bytes());
        assert_eq!(reply.status, 200);
        serde_json::from_str(&reply.body).unwrap()
    }

    fn users_page(index: usize) -> Value {
        json!({"cid": 7, "provhash": "good-hash", "cmd": "getuserdata", "data": {"pagesize": 2, "pageindex": index}})
    }

    #[test]
    fn wrong_credentials_and_unknown_commands_fail_with_status_200() {
        let wrong = [
            json!({"cid": "8", "provhash": "good-hash", "cmd": "getuserdata"}),
            json!({"cid": "7", "provhash": "bad", "cmd": "getuserdata"}),
            json!({}),
        ];
        for request in &wrong {
            let reply = state().respond(request.to_string().as_bytes());
            assert_eq!((reply.status, reply.content_type.as_str()), (200, "text/xml;charset=UTF-8"));
            assert_eq!(
                reply.body,
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<lastpass rc=\"Authorization Error\"/>"
            );
        }
        let unknown = json!({"cid": "7", "provhash": "good-hash", "cmd": "dance"});
        assert_eq!(ask(&mut state(), &unknown), json!({"status": "FAIL", "error": ["Unknown command"]}));
        let mut state = state();
        for (form, body) in [
            ("xml_without_declaration", "<lastpass rc=\"Authorization Error\"/>"),
            ("json", r#"{"status":"WARN","errors":{"0":"Authorization Error"}}"#),
            ("text", "Authorization Error"),
        ] {
            let quirks = json!({
                "error_key": "errors", "error_form": "map", "fail_status": "WARN", "unauthorized_form": form,
            });
            state.quirks = state.quirks.patched(&quirks).unwrap();
            assert_eq!(state.respond(b"{}").body, body);
        }
    }

    fn reporting(api_user: Option<&str>) -> Value {
        json!({"cid": 7, "provhash": "good-hash", "cmd": "reporting", "data": {
            "from": "2025-07-01 00:00:00", "to": "2025-07-03 00:00:00", "user": "allusers", "apiuser": api_user
        }})
    }

    #[test]
    fn each_request_for_events_is_an_event_in_the_next_response() {
        let mut state = state();
        state.clock = Clock::Fixed("2025-07-02T16:00:00Z".parse().unwrap());
        assert_eq!(ask(&mut state, &reporting(None))["data"], json!([]));
        let own = |username: &str| {
            json!({"Time": "2025-07-02 12:00:00", "Username": username, "IP_Address": "", "Action": "Reporting",
                   "Data": "Enterprise API"})
        };
        assert_eq!(ask(&mut state, &reporting(Some("siem")))["data"], json!({"Event1": own("")}));
        let third = ask(&mut state, &reporting(None));
        assert_eq!((&third["data"]["Event1"], &third["data"]["Event2"]), (&own("API: siem"), &own("")));
        // A refused request, or one that never reached the API, does not become an event. A request whose response was lost does.
        state.faults.add(FaultRule::next(Fault::throttled(None)));
        state.respond(reporting(None).to_string().as_bytes());
        state.respond(json!({"cid": 8, "provhash": "x", "cmd": "reporting"}).to_string().as_bytes());
        ask(&mut state, &users_page(0));
        assert_eq!(state.world.events.len(), 3);
        state.faults.add(FaultRule::next(Fault::CutInsideBody));
        state.respond(reporting(None).to_string().as_bytes());
        assert_eq!(state.world.events.len(), 4);
    }

    #[test]
    fn events_of_requests_may_appear_late_or_never() {
        let mut state = state();
        state.quirks.reporting_events_late_seconds = 90;
        let second = |seconds: i64| {
            let noon: Timestamp = "2025-07-02T16:00:00Z".parse().unwrap();
            Clock::Fixed(noon + SignedDuration::from_secs(seconds))
        };
        state.clock = second(0);
        ask(&mut state, &reporting(None));
        state.clock = second(89);
        assert_eq!(ask(&mut state, &reporting(None))["data"], json!([]));
        state.clock = second(90);
        state.quirks.reporting_events = false;
        assert_eq!(ask(&mut state, &reporting(None))["data"]["Event1"]["Time"], "2025-07-02 12:00:00");
        assert_eq!(state.world.events.len(), 2);
    }

    #[test]
    fn a_rotated_hash_is_invalid_at_once() {
        let mut state = state();
        assert_eq!(ask(&mut state, &users_page(0))["count"], 2);
        state.after_page(
            Command::GetUserData,
            1,
            Box::new(|world| {
                *world = world.clone().with_credentials("7", "new-hash");
            }),
        );
        assert_eq!(ask(&mut state, &users_page(0))["count"], 2);
        assert!(state.respond(users_page(1).to_string().as_bytes()).body.contains("Authorization Error"));
    }

    #[test]
    fn the_world_changes_after_the_chosen_page() {
        let mut state = state();
        state.after_page(
            Command::GetUserData,
            1,
            Box::new(|world| {
                world.users.remove("1");
            }),
        );
        assert_eq!(ask(&mut state, &users_page(0))["total"], 3);
        let second = ask(&mut state, &users_page(1));
        assert_eq!((&second["total"], &second["Users"]), (&json!(2), &json!([])));
        let kept: Vec<_> = state.world.users.throughout(1, 2).into_iter().map(|(key, _)| key).collect();
        assert_eq!(kept, ["2", "3"]);
    }

    #[test]
    fn recorded_requests_contain_no_hash() {
        let mut state = state();
        ask(&mut state, &users_page(0));
        ask(&mut state, &json!({"cid": 7, "provhash": "good-hash", "cmd": "good-hash", "data": {"x": "good-hash"}}));
        let records = serde_json::to_string(&state.requests).unwrap();
        assert!(!records.contains("good-hash"), "{records}");
        assert_eq!(state.requests[0].data, json!({"pagesize": 2, "pageindex": 0}));
        assert_eq!(state.requests[0].answered, Answered::Page { records: 2, more: true });
    }

    #[test]
    fn faults_replace_the_page() {
        let mut state = state();
        state.faults.add(FaultRule::next(Fault::throttled(Some(3))));
        state.faults.add(FaultRule::next(Fault::Fail { key: "errors".into(), value: json!({"a": "b"}) }));
        state.faults.add(FaultRule::next(Fault::CutInsideBody));
        let request = users_page(0).to_string();
        let throttled = state.respond(request.as_bytes());
        assert_eq!((throttled.status, throttled.retry_after.as_deref()), (429, Some("3")));
        assert_eq!(state.respond(request.as_bytes()).body, r#"{"status":"FAIL","errors":{"a":"b"}}"#);
        let cut = state.respond(request.as_bytes());
        assert_eq!((cut.cut, cut.body.contains("\"total\":3")), (Cut::InsideBody, true));
        assert_eq!(state.respond(request.as_bytes()).cut, Cut::Nowhere);
    }
}
