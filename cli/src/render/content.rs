//! Renders the answer of `content install` for people.

use serde_json::Value;

use super::table::{lines, table};

/// Renders the answer for a terminal of `width` columns.
pub fn render_content(answer: &Value, width: Option<u16>) -> String {
    let mut dashboards = table(["dashboard", "status", "address"]);
    for dashboard in entries(&answer["dashboards"]) {
        dashboards.add_row([text(&dashboard["name"]), text(&dashboard["status"]), text(&dashboard["url"])]);
    }
    let mut rules = table(["rule", "status", "updated", "kept because you changed it"]);
    for rule in entries(&answer["rules"]) {
        rules.add_row([text(&rule["name"]), text(&rule["status"]), list(&rule["updated"]), list(&rule["kept"])]);
    }
    let mut parts = vec![lines(dashboards, width), lines(rules, width)];
    parts.extend(notes(entries(&answer["rules"])).into_iter().map(str::to_owned));
    parts.join("\n\n")
}

/// Returns notes for the user about the rules.
fn notes(rules: &[Value]) -> Vec<&'static str> {
    let is = |status: &str| rules.iter().any(|rule| rule["status"] == status);
    let keeps = rules.iter().any(|rule| !entries(&rule["kept"]).is_empty());
    let runs_with_key = rules.iter().any(|rule| rule["enabled"] == Value::Bool(true) && rule["status"] == "updated");
    [
        (is("installed"), "Installed rules are disabled: enable those that you want in Kibana, under Security > Rules."),
        (keeps, "What you changed was kept. To replace it with the values of this version, run the command with --overwrite."),
        (
            runs_with_key,
            "Updated rules that are enabled now run with the privileges of this API key, and stop when it is deleted or expires. To \
             run them with your own privileges, disable and enable them in Kibana.",
        ),
    ]
    .into_iter()
    .filter_map(|(applies, note)| applies.then_some(note))
    .collect()
}

fn entries(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> String {
    entries(value).iter().map(text).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn people_see_what_happened_to_each_rule() {
        let rule = |status: &str, kept: Value, enabled: bool| json!({"name": "R", "status": status, "updated": ["note"], "kept": kept, "enabled": enabled});
        let render = |rules: Value| {
            render_content(
                &json!({"dashboards": [{"name": "D", "status": "installed", "url": "https://k/d"}], "rules": rules}),
                None,
            )
        };
        let first = render(json!([rule("installed", json!([]), false)]));
        assert!(
            first.contains("https://k/d") && first.contains("are disabled") && !first.contains("--overwrite"),
            "{first}"
        );
        let update = render(json!([rule("updated", json!(["threshold"]), true)]));
        assert!(
            update.contains("threshold") && update.contains("--overwrite") && update.contains("this API key"),
            "{update}"
        );
        let quiet = render(json!([rule("unchanged", json!([]), true)]));
        assert!(!quiet.contains("--overwrite") && !quiet.contains("this API key"), "{quiet}");
    }
}
