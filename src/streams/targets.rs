//! The users an action was done to: `user.target.email`. Elastic's integration lists them in `user.email`, together with
//! the actor, and only for the actions whose `Data` it reads.

use super::{
    actions::first_match,
    value::{FieldValue, remove_repeats},
};
use crate::text::Text;

/// The addresses in `Data` that are targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Targets {
    All,
    /// The last, because the name of a folder or group before it may contain an address.
    Last,
    /// All except the actor, because `Data` names the account that was used.
    Others,
}

use Targets::{All, Last, Others};

/// The actions that are done to users, as substrings of the action in lower case. The first that matches wins. Source of the
/// names: the integration's pipeline, Splunk's add-on for LastPass and LastPass's help pages.
const ACTIONS: &[(&str, Targets)] = &[
    ("login to admin console", Others),
    ("add to shared folder", Last),
    ("removed from shared folder", Last),
    ("update folder permissions", Last),
    ("limit shared folder", Last),
    ("remove from group", Last),
    ("created lastpass account", All),
    ("employee account", All),
    ("employee invited", All),
    ("re-invite user", All),
    ("remove user from company", All),
    ("deactivated user", All),
    ("deactivating user", All),
    ("reactivated user", All),
    ("user provisioned", All),
    ("user deprovisioned", All),
    ("make admin", All),
    ("remove admin", All),
    ("require password change", All),
    ("stop requiring password change", All),
    ("master password reset", All),
    ("adding user to group", All),
    ("add to group", All),
    ("group addition", All),
    ("group removal", All),
    ("update policy users", All),
    ("personal share", All),
    ("destroy all sessions", All),
];

/// The separator of address and folder in the `Data` of a new account: `ann@example.com-Shared-Finance`.
const SHARED: &str = "-shared-";

/// Finds which addresses in the `Data` of an action, which is in lower case, are targets. `None` if it has no targets.
pub(super) fn targets(action: &str) -> Option<Targets> {
    first_match(ACTIONS, action)
}

impl Targets {
    /// Lists the targets of an event, each once. `named` are the addresses that the integration finds in `data`. If there are
    /// none, because its pattern fits only one form of `data`, the addresses in `data` are used.
    pub(super) fn of<'r>(
        self,
        named: &[Text<'r>],
        data: Option<&FieldValue<'r>>,
        actor: Option<&Text<'r>>,
    ) -> Option<FieldValue<'r>> {
        let mut found: Vec<Text<'r>> = match (named, data) {
            ([], Some(FieldValue::Text(data))) => {
                let mut found = data.parts(addresses);
                if self == Last {
                    found.drain(..found.len().saturating_sub(1));
                }
                found
            }
            _ => named.iter().map(|named| named.part(str::trim)).collect(),
        };
        found.retain(|target| {
            let is_target = |actor: &Text<'_>| actor.as_str().to_lowercase() == target.as_str().to_lowercase();
            let is_actor = self == Others && actor.is_some_and(is_target);
            !is_actor && !target.as_str().is_empty()
        });
        remove_repeats(&mut found);
        (!found.is_empty()).then_some(FieldValue::Texts(found))
    }
}

/// Finds the addresses in a text: words with one `@` between a name and a host, without the quotes and brackets around them.
fn addresses(text: &str) -> Vec<&str> {
    text.split(|c: char| c.is_whitespace() || ",;".contains(c)).filter_map(address).collect()
}

/// Returns the address in a word. `None` if the word contains none.
fn address(word: &str) -> Option<&str> {
    const ENCLOSING: &[char] = &['\'', '"', '(', ')', '<', '>', '[', ']', '{', '}'];
    let at = word.find('@')?;
    let (name, host) = (word.get(..at)?, word.get(at + 1..)?);
    // A folder and an address without a space between them: 'Finance''ann@example.com'.
    let name = name.rsplit_once("''").map_or(name, |(_, name)| name).trim_start_matches(ENCLOSING);
    let shared = host.to_ascii_lowercase().find(SHARED);
    let host =
        shared.and_then(|end| host.get(..end)).unwrap_or(host).trim_end_matches(|c| c == '.' || ENCLOSING.contains(&c));
    let is_host = !host.is_empty() && host.chars().all(|c| c.is_alphanumeric() || "-.".contains(c));
    if name.is_empty() || !is_host { None } else { word.get(at - name.len()..=at + host.len()) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{acted, errors, field};

    /// Returns the targets of an action by `actor@example.com`.
    fn of(action: &str, data: impl Into<Value>) -> Value {
        let source = acted(action, data);
        assert_eq!(errors(&source), 0, "{action}");
        assert_eq!(field(&source, "/user/name"), "actor@example.com");
        field(&source, "/user/target/email")
    }

    #[test]
    fn each_form_names_its_targets() {
        for (action, data, targets) in [
            ("Add to Shared Folder", "'Finance' 'bob@example.com'", json!(["bob@example.com"])),
            ("Removed from Shared Folder", "'it's' 'o'brien@example.com'", json!(["o'brien@example.com"])),
            ("Add to shared folder", "'ann@example.com' 'o'brien@example.com'", json!(["o'brien@example.com"])),
            ("Limit Shared Folder", "Team (A) bob@example.com", json!(["bob@example.com"])),
            (
                "Update Folder Permissions",
                "'t' 'bob@example.com' 'Read only:no Admin:yes Hide PW:no'",
                json!(["bob@example.com"]),
            ),
            ("Make Admin", "bob@example.com", json!(["bob@example.com"])),
            ("make admin", "Bob (bob@example.com).", json!(["bob@example.com"])),
            ("make admin", "Group (bob@example.com.)", json!(["bob@example.com"])),
            ("Remove admin", "\"bob@example.com\"", json!(["bob@example.com"])),
            ("Employee Account Deleted", "a@x.org, b@x.org,a@x.org", json!(["a@x.org", "b@x.org"])),
            ("Employee Invited", " a@x.org ", json!(["a@x.org"])),
            ("Employee Account Requires Activation", "a@x.org;b@x.org", json!(["a@x.org", "b@x.org"])),
            ("Created LastPass Account", "a.b@x.org-Shared-Finance", json!(["a.b@x.org"])),
            ("Created LastPass Account", "o'b@x.org-Shared-Team (A)", json!(["o'b@x.org"])),
            ("Adding User to Group", "bob@example.com - Ops", json!(["bob@example.com"])),
            ("Add to shared folder", "'a''ann@example.com'", json!(["ann@example.com"])),
            ("Created LastPass account", "ann@example.com-shared-finance", json!(["ann@example.com"])),
            ("Remove from Group", "'Group3' 'cdd@example.com'", json!(["cdd@example.com"])),
            ("Super Admin Master Password Reset", "ann@example.com", json!(["ann@example.com"])),
            ("Master Password Reset by Super Admin", "ann@example.com", json!(["ann@example.com"])),
            ("Stop Requiring Password Change", "ann@example.com", json!(["ann@example.com"])),
            ("Remove User From Company", "zoë@münchen.example", json!(["zoë@münchen.example"])),
            ("Deactivated User", "ann@example.com", json!(["ann@example.com"])),
            ("Removed from shared folder", "'F' 'actor@example.com'", json!(["actor@example.com"])),
            ("Login to Admin Console", "bob@example.com", json!(["bob@example.com"])),
        ] {
            assert_eq!(of(action, data), targets, "{action}: {data}");
        }
    }

    #[test]
    fn other_actions_and_other_data_have_no_target() {
        for (action, data) in [
            ("Login to Admin Console", json!("actor@example.com")),
            ("Login to Admin Console", json!("Actor@Example.com")),
            ("Make Admin", json!("user4")),
            ("Make Admin", json!("@example.com")),
            ("Make Admin", json!("ann@")),
            ("Make Admin", json!("ann@exa/mple")),
            ("Make Admin", json!(["bob@example.com"])),
            ("Employee Invited", json!(" , ,")),
            ("Log in", json!("bob@example.com")),
            ("Site Added", json!("bob@example.com")),
            ("Open Secure Note", json!("Secure Note (bob@example.com)")),
            ("Created Shared Folder", json!("bob@example.com")),
            ("Reporting", json!("bob@example.com")),
            ("Unheard of", json!("bob@example.com")),
            ("", json!("bob@example.com")),
        ] {
            assert_eq!(of(action, data.clone()), Value::Null, "{action}: {data}");
        }
    }

    #[test]
    fn very_many_targets_are_listed_quickly() {
        let users: Vec<String> = (0..100_000).map(|user| format!("{user}@x.org")).collect();
        assert_eq!(of("Re-invite User", users.join(" ")), json!(users));
    }
}
