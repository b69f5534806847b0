//! The actions of users, their frequencies, and the `Data` that LastPass writes for them.

use std::sync::Arc;

use crate::company::Company;

/// The form of an action's `Data`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form {
    /// Nothing.
    Empty,
    /// A login: to LastPass itself with the client, or to a site by its domain or by the number of its vault entry.
    Login,
    /// A failed login, which names the client, LastPass's own site, or nothing.
    FailedLogin,
    /// A site.
    Site,
    /// Several sites, separated by commas.
    Sites,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// One e-mail address.
    Email,
    /// Several e-mail addresses, separated by commas.
    Emails,
    /// A folder name.
    Folder,
    /// `Secure Note (…)`, sometimes with the folder.
    Note,
    /// `Secure Note (…)` without a folder.
    NoteAlone,
    /// `'folder' 'address'`
    FolderAndEmail,
    /// `'group' 'address'`
    GroupAndEmail,
    /// `folder address`
    FolderThenEmail,
    /// `'group'`
    Group,
    /// `address - group`
    EmailAndGroup,
    /// `address-Shared-folder`
    EmailAndShared,
    /// `'folder' 'address' 'Read only:… Admin:… Hide PW:…'`
    Permissions,
    /// `'old' 'new'`
    Renamed,
    /// `site to folder`
    ToFolder,
    /// `site from folder`, or a note that the folder was deleted.
    FromFolder,
}

/// The user of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Actor {
    /// An employee.
    Person,
    /// `API`.
    Api,
    /// An employee, an unknown address, or none.
    Anyone,
}

/// An action with its frequency and form.
#[derive(Debug)]
pub(crate) struct Action {
    /// Its frequency, relative to the others.
    pub(crate) weight: u32,
    pub(crate) name: &'static str,
    pub(crate) actor: Actor,
    pub(crate) form: Form,
}

const fn person(weight: u32, name: &'static str, form: Form) -> Action {
    Action { weight, name, actor: Actor::Person, form }
}

/// Documented actions, in LastPass's spellings over the years, names that were seen in recordings, with `Data` of a plausible
/// form where none is known, and two invented ones. Sources of the names: LastPass's help pages, Splunk's add-on for LastPass
/// and the log samples of Datadog.
pub(crate) const ACTIONS: &[Action] = &[
    person(3_000, "Log in", Form::Login),
    person(250, "Login to Admin Console", Form::Email),
    person(700, "SAML Login", Form::OneOf(&["authorizationserver.oidc", "AzureAD", "Okta SSO"])),
    Action { weight: 650, name: "Failed Login Attempt", actor: Actor::Anyone, form: Form::FailedLogin },
    person(300, "Login Verification Email Sent", Form::Empty),
    person(60, "Multifactor Enabled", Form::OneOf(&["LastPass Authenticator", "Duo", "YubiKey"])),
    person(20, "Add Policy", Form::OneOf(&["Require multifactor", "Länge des Passworts ≥ 16"])),
    person(10, "Delete Policy", Form::OneOf(&["Prohibit offline access"])),
    person(5, "Enterprise API Secret Regenerated", Form::Empty),
    person(12, "Make Admin", Form::Email),
    person(8, "Remove Admin", Form::Email),
    person(80, "Master Password Changed", Form::Empty),
    person(15, "Master Password Reset by Super Admin", Form::Email),
    person(15, "master password reset by super admin", Form::Email),
    person(60, "Employee Account Created", Form::Emails),
    person(40, "Created LastPass Account", Form::EmailAndShared),
    person(40, "Employee Account Deleted", Form::Emails),
    person(60, "Employee Invited", Form::Emails),
    person(20, "Create Group", Form::Group),
    person(60, "Adding User to Group", Form::EmailAndGroup),
    person(25, "Require Password Change", Form::Email),
    person(600, "Open Secure Note", Form::Note),
    person(120, "Edit Secure Note", Form::NoteAlone),
    person(120, "Add Secure Note", Form::Note),
    person(70, "Update Folder Permissions", Form::Permissions),
    person(25, "Renamed Shared Folder", Form::Renamed),
    person(150, "Move to Shared Folder", Form::ToFolder),
    person(90, "Move from Shared Folder", Form::FromFolder),
    person(25, "Limit Shared Folder", Form::FolderThenEmail),
    person(40, "Created Shared Folder", Form::Folder),
    person(15, "Deleted Shared Folder", Form::Folder),
    person(90, "Add to Shared Folder", Form::FolderAndEmail),
    person(60, "Removed from Shared Folder", Form::FolderAndEmail),
    person(900, "Site Added", Form::Site),
    person(120, "Deleted Sites", Form::Sites),
    person(60, "Delete Shared Sites", Form::FromFolder),
    Action { weight: 80, name: "Get Shared Folder Data", actor: Actor::Api, form: Form::Empty },
    Action { weight: 80, name: "Get User Data", actor: Actor::Api, form: Form::Empty },
    Action { weight: 260, name: "Reporting", actor: Actor::Api, form: Form::OneOf(&["", "allusers"]) },
    person(10, "Account Lockout", Form::Empty),
    person(10, "Add to Group", Form::EmailAndGroup),
    person(5, "Data export", Form::Empty),
    person(5, "Data import", Form::Empty),
    person(5, "Deactivated User", Form::Email),
    person(5, "Destroy All Sessions", Form::Empty),
    person(5, "Disabled Multifactor Authentication", Form::Empty),
    person(5, "Edit Group", Form::Group),
    person(5, "Edit Policy", Form::OneOf(&["Account lockout New value: 5"])),
    person(20, "Employee Account Requires Activation", Form::Email),
    person(200, "Form Filled", Form::Site),
    person(5, "History cleared", Form::Empty),
    person(10, "Iterations Changed", Form::OneOf(&["600000"])),
    person(200, "Password Changed", Form::Site),
    person(5, "Permanently Deleted Shared Folder", Form::Folder),
    person(10, "Re-invite User", Form::Email),
    person(5, "Reactivated User", Form::Email),
    person(10, "Remove from Group", Form::GroupAndEmail),
    person(5, "Remove User From Company", Form::Email),
    person(5, "Restored Shared Folder", Form::Folder),
    person(5, "SCIM Provisioning Hash Updated", Form::Empty),
    person(200, "Site Changed", Form::Site),
    person(60, "Site deleted", Form::Site),
    person(5, "Stop Requiring Password Change", Form::Email),
    person(10, "Passkey Registered", Form::Site),
    person(5, "Vault Exported \"CSV\"", Form::Empty),
];

/// Actions that happen twice in a second: impatient clicks, retrying clients, parallel jobs.
pub(crate) const TWIN_ACTIONS: &[&str] =
    &["Log in", "Failed Login Attempt", "SAML Login", "Open Secure Note", "Site Added", "Reporting", "Get User Data"];

const SITES: &[&str] = &[
    "github.com",
    "portal.example.com/ServiceLogin",
    "203.0.113.7:8443/admin",
    "accounts.example.org",
    "https://intranet.example.net/wiki?page=1&lang=en",
    "bücher.example/konto",
    "site \"quoted\" example",
    "example.com, with comma",
    "café.example\\backslash",
    "銀行.example",
];

const FOLDERS: &[&str] = &[
    "Finance",
    "Q1, Q2 plans",
    "Équipe Sécurité",
    "it's ours",
    "Ops from HQ",
    "Team (A)",
    "営業部",
    "The \"Vault\"",
    "Shared Folder",
    "R&D <internal>",
];

const GROUPS: &[&str] =
    &["Engineering", "Équipe Sécurité", "it's", "Finance & Legal", "東京オフィス", "Contractors (EU)"];

const NOTES: &[&str] = &["SSH Key", "Wifi", "Recovery codes (2025)", "clé d'accès", "a \"quoted\" note", "WPA 🔑"];

/// The `Data` of a login to LastPass itself. Source: the log samples of Datadog and Sumo Logic.
const CLIENTS: &[&str] = &[
    "LastPass via Chrome v4.134.0",
    "LastPass via Chrome v4.134.0",
    "LastPass via Firefox v4.133.1",
    "LastPass via Edge v4.134.0",
    "LastPass via Website",
];

/// Returns a folder name. Half of them have a number, so that a large company has many.
pub(crate) fn folder_name(company: &mut Company) -> String {
    let rng = company.rng();
    let name = *rng.pick(FOLDERS);
    if rng.chance(0.5) { format!("{name} {}", 1 + rng.below(90)) } else { name.to_owned() }
}

/// Returns a group name.
pub(crate) fn group_name(company: &mut Company) -> &'static str {
    company.rng().pick::<&str>(GROUPS)
}

/// Returns a site.
pub(crate) fn site(company: &mut Company) -> String {
    let rng = company.rng();
    let site = *rng.pick(SITES);
    if rng.chance(0.6) { format!("app{}.{site}", rng.below(400)) } else { site.to_owned() }
}

/// Returns the `Data` of an action of this form.
pub(crate) fn data(form: Form, company: &mut Company) -> Arc<str> {
    let text = match form {
        Form::Empty => String::new(),
        Form::Login => match company.rng().below(10) {
            0..3 => (*company.rng().pick(CLIENTS)).to_owned(),
            3 => format!("VID: {}", 1 + company.rng().below(9_000)),
            4 => format!("VID: {} from {}", 1 + company.rng().below(9_000), folder_name(company)),
            _ => site(company),
        },
        Form::FailedLogin => match company.rng().below(4) {
            0 => "lastpass.com".to_owned(),
            1 => String::new(),
            _ => (*company.rng().pick(CLIENTS)).to_owned(),
        },
        Form::Site => site(company),
        Form::Sites => {
            let sites: Vec<String> = (0..1 + company.rng().below(5)).map(|_| site(company)).collect();
            sites.join(",")
        }
        Form::OneOf(texts) => (*company.rng().pick(texts)).to_owned(),
        Form::Email => return company.colleague(),
        Form::Emails => {
            let emails: Vec<Arc<str>> = (0..1 + company.rng().below(3)).map(|_| company.colleague()).collect();
            emails.join(if company.rng().chance(0.5) { "," } else { ", " })
        }
        Form::Folder => folder_name(company),
        Form::Note if company.rng().chance(0.4) => {
            let note = *company.rng().pick(NOTES);
            format!("Secure Note ({note}) from {}", folder_name(company))
        }
        Form::Note | Form::NoteAlone => format!("Secure Note ({})", company.rng().pick(NOTES)),
        Form::FolderAndEmail => format!("'{}' '{}'", folder_name(company), company.colleague()),
        Form::GroupAndEmail => format!("'{}' '{}'", group_name(company), company.colleague()),
        Form::FolderThenEmail => format!("{} {}", folder_name(company), company.colleague()),
        Form::Group => format!("'{}'", group_name(company)),
        Form::EmailAndGroup => format!("{} - {}", company.colleague(), group_name(company)),
        Form::EmailAndShared => format!("{}-Shared-{}", company.colleague(), folder_name(company)),
        Form::Permissions => {
            let mut yes = || {
                if company.rng().chance(0.5) { "yes" } else { "no" }
            };
            let granted = format!("'Read only:{} Admin:{} Hide PW:{}'", yes(), yes(), yes());
            format!("'{}' '{}' {granted}", folder_name(company), company.colleague())
        }
        Form::Renamed => format!("'{}' '{}'", folder_name(company), folder_name(company)),
        Form::ToFolder => format!("{} to {}", site(company), folder_name(company)),
        Form::FromFolder if company.rng().chance(0.05) => {
            format!("{} from INVALID SHARED FOLDER", site(company))
        }
        Form::FromFolder => format!("{} from {}", site(company), folder_name(company)),
    };
    text.into()
}
