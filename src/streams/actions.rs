//! Classifies the action of an event: category, type and outcome (ECS_MAPPING.md, §3.1).

use serde::Serialize;

/// `event.category`. If several rules match, the variant that is listed last wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Category {
    Authentication,
    Configuration,
    Iam,
}

/// `event.type`. If several rules match, the variant that is listed last wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EventType {
    Start,
    Admin,
    Change,
    Creation,
    Deletion,
    GroupCreation,
    Info,
}

/// `event.outcome`. If several rules match, the variant that is listed last wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    Success,
    Failure,
    Unknown,
}

/// A rule for all actions that contain one of `substrings`.
struct Rule {
    substrings: &'static [&'static str],
    category: Option<Category>,
    event_type: EventType,
    outcome: Outcome,
}

const fn rule(
    substrings: &'static [&'static str],
    category: Option<Category>,
    (event_type, outcome): (EventType, Outcome),
) -> Rule {
    Rule { substrings, category, event_type, outcome }
}

use Category::{Authentication, Configuration, Iam};
use EventType::{Admin, Change, Creation, Deletion, GroupCreation, Info, Start};
use Outcome::{Failure, Success, Unknown};

/// The rules for `event.category`, `event.type` and `event.outcome`. They see the action in lower case, and a substring
/// matches anywhere in it, even inside a word.
///
/// If several rules match, each of the three fields takes the value that is last in its enum. The order of the rules
/// and of the substrings does not matter. If no rule matches, the document has none of the three fields.
const ACTIONS: &[Rule] = &[
    rule(&["login verification email sent", "multifactor enabled"], Some(Authentication), (Info, Success)),
    rule(&["log in", "login to admin console", "saml login"], Some(Authentication), (Start, Success)),
    rule(&["failed login attempt"], Some(Authentication), (Start, Failure)),
    rule(&["add policy"], Some(Configuration), (Creation, Success)),
    rule(&["delete policy"], Some(Configuration), (Deletion, Success)),
    rule(&["enterprise api secret regenerated"], Some(Configuration), (Change, Success)),
    rule(&["make admin"], Some(Iam), (Admin, Success)),
    rule(&["master password changed", "master password reset by super admin"], Some(Iam), (Change, Success)),
    rule(&["employee account created", "created lastpass account"], Some(Iam), (Creation, Success)),
    rule(&["employee account deleted", "remove admin"], Some(Iam), (Deletion, Success)),
    rule(&["create group", "adding user to group"], Some(Iam), (GroupCreation, Success)),
    rule(&["require password change"], Some(Iam), (Info, Unknown)),
    rule(&["open secure note"], None, (Start, Success)),
    rule(
        &[
            "edit secure note",
            "update folder permissions",
            "renamed shared folder",
            "move to shared folder",
            "move from shared folder",
            "limit shared folder",
        ],
        None,
        (Change, Success),
    ),
    rule(
        &["add secure note", "created shared folder", "add to shared folder", "site added"],
        None,
        (Creation, Success),
    ),
    rule(
        &["deleted shared folder", "removed from shared folder", "delete shared sites", "deleted sites"],
        None,
        (Deletion, Success),
    ),
    rule(&["get shared folder data", "get user data", "employee invited"], None, (Info, Success)),
    rule(&["reporting"], None, (Info, Unknown)),
];

/// Returns the value of the first row whose substring an action contains. The action is in lower case.
pub(super) fn first_match<T: Copy>(rows: &[(&str, T)], action: &str) -> Option<T> {
    rows.iter().find(|(substring, _)| action.contains(substring)).map(|(_, value)| *value)
}

/// The category, type and outcome of an event.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Classification {
    pub(super) category: Option<Category>,
    pub(super) event_type: Option<EventType>,
    pub(super) outcome: Option<Outcome>,
}

/// Finds the category, type and outcome of an action, which is in lower case.
pub(super) fn classify(action: &str) -> Classification {
    let mut found = Classification::default();
    for rule in ACTIONS.iter().filter(|rule| rule.substrings.iter().any(|substring| action.contains(substring))) {
        found.category = found.category.max(rule.category);
        found.event_type = found.event_type.max(Some(rule.event_type));
        found.outcome = found.outcome.max(Some(rule.outcome));
    }
    found
}

impl Category {
    pub(super) const fn words(self) -> &'static [&'static str] {
        match self {
            Authentication => &["authentication"],
            Configuration => &["configuration"],
            Iam => &["iam"],
        }
    }
}

impl EventType {
    pub(super) const fn words(self) -> &'static [&'static str] {
        match self {
            Start => &["start"],
            Admin => &["admin"],
            Change => &["change"],
            Creation => &["creation"],
            Deletion => &["deletion"],
            GroupCreation => &["group", "creation"],
            Info => &["info"],
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{acted, field};
    use super::*;

    fn classified(action: &str) -> (Value, Value, Value) {
        let source = acted(action, "a b");
        let of = |name| field(&source, name);
        (of("/event/category"), of("/event/type"), of("/event/outcome"))
    }

    /// The table of ECS_MAPPING.md, §3.1, as one line for each substring.
    const TABLE: &str = "\
        login verification email sent|authentication|info|success
        multifactor enabled|authentication|info|success
        log in|authentication|start|success
        login to admin console|authentication|start|success
        saml login|authentication|start|success
        failed login attempt|authentication|start|failure
        add policy|configuration|creation|success
        delete policy|configuration|deletion|success
        enterprise api secret regenerated|configuration|change|success
        make admin|iam|admin|success
        master password changed|iam|change|success
        master password reset by super admin|iam|change|success
        employee account created|iam|creation|success
        created lastpass account|iam|creation|success
        employee account deleted|iam|deletion|success
        remove admin|iam|deletion|success
        create group|iam|group,creation|success
        adding user to group|iam|group,creation|success
        require password change|iam|info|unknown
        open secure note||start|success
        edit secure note||change|success
        update folder permissions||change|success
        renamed shared folder||change|success
        move to shared folder||change|success
        move from shared folder||change|success
        limit shared folder||change|success
        add secure note||creation|success
        created shared folder||creation|success
        add to shared folder||creation|success
        site added||creation|success
        deleted shared folder||deletion|success
        removed from shared folder||deletion|success
        delete shared sites||deletion|success
        deleted sites||deletion|success
        get shared folder data||info|success
        get user data||info|success
        employee invited||info|success
        reporting||info|unknown";

    #[test]
    fn each_action_is_classified_in_any_letter_case_and_inside_other_text() {
        assert_eq!(TABLE.lines().count(), ACTIONS.iter().map(|rule| rule.substrings.len()).sum::<usize>());
        for line in TABLE.lines() {
            let [action, category, event_type, outcome] = line.trim().split('|').collect::<Vec<_>>()[..] else {
                panic!("{line}");
            };
            let category = if category.is_empty() { Value::Null } else { json!([category]) };
            let expected = (category, json!(event_type.split(',').collect::<Vec<_>>()), json!(outcome));
            for action in [action.to_owned(), action.to_uppercase(), format!("x{action}y")] {
                assert_eq!(classified(&action), expected, "{action}");
            }
        }
    }

    #[test]
    fn if_several_rules_match_each_field_takes_the_last_value() {
        for (action, category, event_type, outcome) in [
            ("reporting failed login attempt", json!(["authentication"]), json!(["info"]), "unknown"),
            ("Failed Login Attempt Reporting", json!(["authentication"]), json!(["info"]), "unknown"),
            ("require password change get user data", json!(["iam"]), json!(["info"]), "unknown"),
            ("failed login attempt add policy", json!(["configuration"]), json!(["creation"]), "failure"),
            ("failed saml login", json!(["authentication"]), json!(["start"]), "success"),
            ("failed login attempt log in", json!(["authentication"]), json!(["start"]), "failure"),
            ("make admin remove admin create group get user data", json!(["iam"]), json!(["info"]), "success"),
            ("add policy log in", json!(["configuration"]), json!(["creation"]), "success"),
            ("make admin add policy log in", json!(["iam"]), json!(["creation"]), "success"),
            ("log in make admin", json!(["iam"]), json!(["admin"]), "success"),
            ("make admin master password changed", json!(["iam"]), json!(["change"]), "success"),
            ("site added edit secure note", Value::Null, json!(["creation"]), "success"),
            ("remove admin employee account created", json!(["iam"]), json!(["deletion"]), "success"),
            ("remove admin create group", json!(["iam"]), json!(["group", "creation"]), "success"),
        ] {
            assert_eq!(classified(action), (category, event_type, json!(outcome)), "{action}");
        }
    }

    #[test]
    fn spaces_matter_and_word_boundaries_do_not() {
        let nothing = (Value::Null, Value::Null, Value::Null);
        for action in ["log  in", "login", "log out", "log\tin", "", "unheard of"] {
            assert_eq!(classified(action), nothing, "{action}");
        }
        assert_eq!(classified("Catalog Info"), classified("log in"));
    }
}
