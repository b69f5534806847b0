//! Finds the type of a login: to LastPass itself, or to a site whose password is in the vault. LastPass reports both as
//! `Log in`, and only `Data` distinguishes them. Elastic's integration does not distinguish them.

use serde::Serialize;

use super::actions::first_match;
use crate::text::Text;

/// `lastpass.event_report.data.login_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum LoginType {
    /// The user logged in to LastPass itself.
    LastPass,
    /// The user used a site in the vault.
    Site,
}

/// The rule that determines the type of the logins of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Login {
    /// All logins of the action have this type.
    Always(LoginType),
    /// `Data` determines the type.
    ByData,
}

use Login::{Always, ByData};

/// The actions that are logins, as substrings of the action in lower case. The first that matches wins.
const LOGINS: &[(&str, Login)] = &[
    ("saml login", Always(LoginType::Site)),
    ("login to admin console", Always(LoginType::LastPass)),
    ("lastpass login", Always(LoginType::LastPass)),
    ("failed login attempt", ByData),
    ("log in", ByData),
];

/// The beginning of `Data` of a login to LastPass itself, such as `LastPass via Chrome v4.134.0`. Source: the log samples of
/// Datadog and Sumo Logic, <https://github.com/elastic/integrations/issues/4771>.
const VIA: &str = "lastpass via";
/// LastPass's own sites, which `Data` of a failed login names.
const OWN_SITES: &[&str] = &["lastpass", "lastpass.com", "lastpass.eu", "www.lastpass.com", "www.lastpass.eu"];

/// Finds how the type of the logins of an action, which is in lower case, is determined. `None` if it is no login.
pub(super) fn login(action: &str) -> Option<Login> {
    first_match(LOGINS, action)
}

impl Login {
    /// Returns the type of a login with this `Data`. `None` if nothing shows it.
    pub(super) fn of(self, data: Option<&Text<'_>>) -> Option<LoginType> {
        if let Always(known) = self {
            return Some(known);
        }
        let data = data?.as_str().trim();
        let site = data.trim_end_matches('/');
        let is_own_site = OWN_SITES.iter().any(|own| own.eq_ignore_ascii_case(site));
        let is_own = is_own_site
            || data.split_at_checked(VIA.len()).is_some_and(|(via, client)| {
                via.eq_ignore_ascii_case(VIA) && !client.starts_with(char::is_alphanumeric)
            });
        match (data.is_empty(), is_own) {
            (true, _) => None,
            (false, true) => Some(LoginType::LastPass),
            (false, false) => Some(LoginType::Site),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{acted, field};

    fn login_type(action: &str, data: impl Into<Value>) -> Value {
        field(&acted(action, data), "/lastpass/event_report/data/login_type")
    }

    #[test]
    fn a_login_to_lastpass_is_not_the_use_of_a_site() {
        for (action, data, expected) in [
            ("Log in", "LastPass via Chrome v4.134.0", "lastpass"),
            ("Log in", "LastPass via Website", "lastpass"),
            ("LOG IN", "lastpass via firefox v4.1", "lastpass"),
            ("Log in", " LastPass via Edge v4.134.0\nsecond line", "lastpass"),
            ("Log in", "LastPass via", "lastpass"),
            ("Log in", "LastPass viaduct.example", "site"),
            ("Log in", "not LastPass via Chrome", "site"),
            ("Log in", "github.com", "site"),
            ("Log in", "portal.example.com/ServiceLogin", "site"),
            ("Log in", "lastpass.com.evil.example", "site"),
            ("Log in", "VID: 7301", "site"),
            ("Log in", "VID: 7301 from Shared-Finance", "site"),
            ("Failed Login Attempt", "LastPass via Safari v4.129.0", "lastpass"),
            ("Failed Login Attempt", "lastpass.com", "lastpass"),
            ("Failed Login Attempt", "LastPass.eu/", "lastpass"),
            ("Failed Login Attempt", "github.com", "site"),
            ("SAML Login", "AzureAD", "site"),
            ("SAML Login", "", "site"),
            ("Failed SAML Login", "LastPass via Chrome", "site"),
            ("Login to Admin Console", "ann@example.com", "lastpass"),
            ("LastPass Login", "", "lastpass"),
        ] {
            assert_eq!(login_type(action, data), expected, "{action}: {data:?}");
        }
    }

    #[test]
    fn other_actions_and_other_data_have_no_type() {
        for (action, data) in [
            ("Log in", json!("")),
            ("Log in", json!(" \n")),
            ("Log in", json!(null)),
            ("Log in", json!(7)),
            ("Log in", json!(["LastPass via Chrome"])),
            ("Log out", json!("LastPass via Chrome v4.134.0")),
            ("Site Added", json!("github.com")),
            ("", json!("github.com")),
        ] {
            assert_eq!(login_type(action, data.clone()), Value::Null, "{action}: {data}");
        }
    }
}
