//! Plans the installation or update of each detection rule. Values that a user changed are kept.

use serde_json::{Map, Value, json};

use super::digest::{Published, is_same};

/// The fields of a rule that belong to the user from the beginning, or that Kibana sets.
pub const NOT_OURS: [&str; 5] = ["rule_id", "version", "enabled", "actions", "exceptions_list"];
/// The fields that decide what a rule finds. They fit together: if the user changed one of them, all of them stay.
const DETECTION: [&str; 13] = [
    "type",
    "language",
    "query",
    "index",
    "filters",
    "threshold",
    "new_terms_fields",
    "history_window_start",
    "alert_suppression",
    "timestamp_override",
    "interval",
    "from",
    "to",
];

/// The plan for a rule.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    /// It is not in Kibana.
    Install,
    /// It is in Kibana with other values than in this version.
    Change {
        /// The fields that get the values of this version.
        fields: Map<String, Value>,
        /// The fields that the user changed, and that stay.
        kept: Vec<String>,
        /// Whether the rule is enabled.
        is_enabled: bool,
    },
}

/// Compares a rule of this version with the one in Kibana. With `overwrite`, no change of the user is kept.
pub fn plan(
    ours: &Map<String, Value>,
    installed: Option<&Map<String, Value>>,
    published: &Published,
    overwrite: bool,
) -> Plan {
    let Some(installed) = installed else { return Plan::Install };
    let value = |field: &str| installed.get(field).unwrap_or(&Value::Null);
    let rule_id = ours["rule_id"].as_str().unwrap_or_default();
    let differing: Vec<&String> = ours
        .keys()
        .filter(|field| !NOT_OURS.contains(&field.as_str()) && !is_same(&ours[*field], value(field)))
        .collect();
    let is_users = |field: &str| !overwrite && !published.has(rule_id, field, value(field));
    let keeps_detection = DETECTION.into_iter().any(is_users);
    let stays = |field: &str| is_users(field) || (keeps_detection && DETECTION.contains(&field));
    let (kept, changed): (Vec<_>, Vec<_>) = differing.into_iter().partition(|field| stays(field));
    Plan::Change {
        fields: changed.into_iter().map(|field| (field.clone(), ours[field].clone())).collect(),
        kept: kept.into_iter().cloned().collect(),
        is_enabled: value("enabled") == &json!(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = r#"{"rule_id": "r", "name": "Old", "type": "threshold", "query": "a: 1", "threshold": {"value": 10}, "note": "n",
        "tags": ["a"], "enabled": false, "version": 1}"#;
    const NEW: &str = r#"{"rule_id": "r", "name": "New", "type": "threshold", "query": "a: 2", "threshold": {"value": 20}, "note": "n2",
        "tags": ["a"], "enabled": false, "version": 2}"#;

    fn rule(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).expect("a rule")
    }

    /// Returns the digests of [`OLD`] and [`NEW`], from `scripts/published.py`.
    fn published() -> Published {
        serde_json::from_str(include_str!("testing/published.json")).expect("digests")
    }

    /// Returns the changed and the kept fields if [`OLD`] was installed with these changes by a user, and [`NEW`] replaces it.
    fn changed(changes: &Value, overwrite: bool) -> (Vec<String>, Vec<String>) {
        let mut installed = rule(OLD);
        installed.extend(changes.as_object().expect("fields").clone());
        match plan(&rule(NEW), Some(&installed), &published(), overwrite) {
            Plan::Change { fields, kept, .. } => (fields.into_iter().map(|(field, _)| field).collect(), kept),
            Plan::Install => panic!("it is installed"),
        }
    }

    #[test]
    fn a_rule_is_installed_once() {
        assert_eq!(plan(&rule(NEW), None, &published(), false), Plan::Install);
        let same = plan(&rule(NEW), Some(&rule(NEW)), &published(), false);
        assert_eq!(same, Plan::Change { fields: Map::new(), kept: Vec::new(), is_enabled: false });
    }

    #[test]
    fn an_unchanged_rule_is_updated_and_stays_enabled_with_its_actions() {
        let (fields, kept) =
            changed(&json!({"enabled": true, "actions": [{"id": "slack"}], "exceptions_list": [{"id": "e"}]}), false);
        assert_eq!(fields, ["name", "query", "threshold", "note"]);
        assert!(kept.is_empty());
    }

    #[test]
    fn a_changed_threshold_keeps_the_whole_detection() {
        let (fields, kept) = changed(&json!({"threshold": {"value": 50, "field": []}}), false);
        assert_eq!(fields, ["name", "note"]);
        assert_eq!(kept, ["query", "threshold"]);
    }

    #[test]
    fn a_field_that_the_user_added_to_the_detection_keeps_the_detection() {
        for added in [
            json!({"filters": [{"query": {}}, 1]}),
            json!({"alert_suppression": {"group_by": ["user.name"]}}),
            json!({"interval": "1h"}),
        ] {
            assert_eq!(changed(&added, false).1, ["query", "threshold"], "{added}");
        }
    }

    #[test]
    fn a_changed_text_keeps_only_itself() {
        let (fields, kept) = changed(&json!({"name": "Ours", "tags": ["a", "team"]}), false);
        assert_eq!(fields, ["query", "threshold", "note"]);
        assert_eq!(kept, ["name", "tags"]);
    }

    #[test]
    fn overwriting_keeps_only_the_fields_that_belong_to_the_user() {
        let (fields, kept) = changed(&json!({"threshold": {"value": 50}, "tags": ["team"], "enabled": true}), true);
        assert_eq!(fields, ["name", "query", "threshold", "note", "tags"]);
        assert!(kept.is_empty());
    }
}
