"""Plays for the detection rules: an attack that the rule must find, and near misses that it must not find.

The plays do not overlap in time, so that a rule sees only its own play. Times are minutes from the start of the play, and
negative before it. `finds` lists words, each of which must be in exactly one alert; there must be no other alert. The other
users, addresses and folders of a play are its near misses: one less than the threshold, another user, a minute too late.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

DAY = 24 * 60
HOME = "198.51.100."
ABROAD = "203.0.113."
# Beginning of an address -> its country, for an ingest pipeline of the local node.
COUNTRIES = {HOME: "CH", ABROAD: "BR", "192.0.2.": "US"}
VIA = "LastPass via Chrome v4.134.0"


def at(start: datetime, play: Play) -> list[dict]:
    """Returns the events of a play in the simulator's form."""
    return [{**{key: value for key, value in event.items() if key != "minute"},
             "instant": (start + timedelta(minutes=event["minute"])).strftime("%Y-%m-%dT%H:%M:%SZ")} for event in play.events]


@dataclass
class Play:
    rule: str
    finds: tuple[str, ...]
    events: list[dict] = field(default_factory=list)

    def event(self, minute: float, user: str, action: str, data: str = "", ip: str = HOME + "7") -> Play:
        username = user if "@" in user or ":" in user or not user else f"{user}@example.com"
        self.events.append({"minute": minute, "username": username, "ip": ip, "action": action, "data": data})
        return self

    def events_at(self, minutes, user: str, action: str, data=lambda number: "", ip=lambda number: HOME + "7") -> Play:
        for number, minute in enumerate(minutes):
            self.event(minute, user, action, data(number), ip(number))
        return self


def every(count: int, step: float, start: float = 0) -> list[float]:
    return [start + number * step for number in range(count)]


def address(name: str) -> str:
    return f"{name}@example.com"


def addresses(name: str, count: int) -> str:
    return ",".join(address(f"{name}{number}") for number in range(count))


def failed_logins() -> Play:
    play = Play("failed-logins", ("mallory1",))
    play.events_at(every(15, 2), "mallory1", "Failed Login Attempt", lambda _: VIA)
    play.events_at(every(9, 2), "nine", "Failed login attempt", lambda _: VIA)
    play.events_at(every(10, 8), "slow", "Failed Login Attempt", lambda _: VIA)
    for number in range(10):
        play.event(number, f"one{number}", "Failed Login Attempt", VIA, f"{ABROAD}{number + 1}")
    return play


def login_after_failed_logins() -> Play:
    play = Play("login-after-failed-logins", ("guessed",))
    for user, failures, success, minute in (("guessed", 8, "guessed", 60), ("seven", 7, "seven", 60), ("other", 8, "another", 60),
                                            ("late", 8, "late", 91), ("before", 8, "before", -1)):
        play.events_at(every(failures, 1), user, "Failed Login Attempt", lambda _: VIA)
        play.event(minute, success, "Log in", VIA)
    play.events_at(every(8, 1), "site", "Failed Login Attempt", lambda _: VIA)
    return play.event(20, "site", "Log in", "github.com")


def password_spray() -> Play:
    play = Play("password-spray", (ABROAD + "50",))
    for ip, users, step in ((50, 12, 2), (51, 9, 2), (53, 10, 8)):
        for number in range(users):
            play.event(number * step, f"sprayed{number}", "Failed Login Attempt", VIA, f"{ABROAD}{ip}")
    return play.events_at(every(10, 2), "sprayed0", "Failed Login Attempt", lambda _: VIA, lambda _: ABROAD + "52")


def login_from_new_country() -> Play:
    play = Play("login-from-new-country", ("moved",))
    for user in ("moved", "traveller", "tourist"):
        play.event(-5 * DAY, user, "Log in", VIA).event(-2 * DAY, user, "Log in", VIA)
    play.event(-20 * DAY, "traveller", "Log in", VIA, ABROAD + "9")
    for user in ("moved", "traveller", "newcomer"):
        play.events_at((10, 30, 90), user, "Log in", lambda _: VIA, lambda _: ABROAD + "9")
    return play.event(10, "tourist", "Log in", "github.com", ABROAD + "9")


def logins_from_two_countries() -> Play:
    play = Play("logins-from-two-countries", ("flash",))
    for user, minute in (("flash", 59), ("passenger", 61)):
        play.event(0, user, "Log in", VIA).event(minute, user, "Log in", VIA, ABROAD + "9")
    return play.event(0, "here", "Log in", VIA).event(10, "there", "Log in", VIA, ABROAD + "9")


def verification_mails() -> Play:
    play = Play("verification-mails", ("pestered",))
    play.events_at(every(7, 5), "pestered", "Login Verification Email Sent")
    return play.events_at(every(5, 5), "patient", "Login Verification Email Sent").events_at(
        every(6, 14), "slowly", "Login Verification Email Sent")


def single(rule: str, word: str, *near: tuple[str, str]) -> Play:
    """A play whose attack is one event. Its near misses are other events."""
    play = Play(rule, (word,)).event(5, word, *SINGLE_ATTACKS[rule])
    for number, (action, text) in enumerate(near):
        play.event(6, f"near{number}", action, text)
    return play


SINGLE_ATTACKS = {
    "second-factor-disabled": ("Disabled Multifactor Authentication", ""),
    "policy-weakened": ("Delete Policy", "Prohibit export of vault"),
    "recovery-or-key-strength": ("master password reverted", ""),
    "provisioning-changed": ("SCIM Provisioning Hash Updated", ""),
    "administrator-added": ("Make Admin", address("chosen")),
    "api-secret-regenerated": ("Enterprise API Secret regenerated", ""),
    "vault-exported": ("Data export", ""),
    "action-never-seen": ("Vault Teleported", ""),
}


def single_events() -> list[Play]:
    return [
        single("second-factor-disabled", "disarmed", ("Multifactor Enabled", "Duo"), ("Disabled", "")),
        single("policy-weakened", "weakener", ("Delete Policy", "Show the welcome page"),
               ("Add Policy", "Prohibit export of vault")),
        single("recovery-or-key-strength", "recovered", ("Master Password Changed", "")),
        single("provisioning-changed", "provisioner", ("Provisioning sync happened", "")),
        single("administrator-added", "promoter", ("Remove Admin", address("chosen")), ("Login to Admin Console", "")),
        single("api-secret-regenerated", "rotator", ("Get User Data", "Initiated by API")),
        single("vault-exported", "exporter", ("Data import", ""), ("Reporting", "Data export")),
    ]


def new_administrator_acts() -> Play:
    play = Play("new-administrator-acts", ("hasty",))
    for user, minute in (("hasty", 59), ("waiting", 61), ("earlier", -1)):
        play.event(0, "root", "Make Admin", address(user)).event(minute, user, "Delete Policy", "Prohibit export of vault")
    play.event(0, "root", "Make Admin", address("reader")).event(5, "reader", "Login to Admin Console", address("reader"))
    return play.event(5, "veteran", "Delete Policy", "Prohibit export of vault")


def many_master_password_resets() -> Play:
    play = Play("many-master-password-resets", ("resetter",))
    for user, count, victims in (("resetter", 4, 4), ("helper", 3, 3), ("insistent", 4, 1)):
        play.events_at(every(count, 10), user, "Master Password Reset by Super Admin", lambda n: address(f"v{n % victims}"))
    return play.events_at(every(4, 25), "desk", "Master Password Reset by Super Admin", lambda n: address(f"w{n}"))


def reset_then_login() -> Play:
    play = Play("reset-then-login-from-same-address", ("victim",))
    admin, own, office = ABROAD + "66", HOME + "20", HOME + "200"
    for user, ip, minute in (("victim", admin, 59), ("lucky", own, 20), ("late", ABROAD + "67", 24 * 60 + 1),
                             ("early", ABROAD + "68", -1), ("colleague", office, 20)):
        play.event(0, "super", "master password reset by super admin", address(user), ip if ip != own else admin)
        play.event(minute, user, "Log in", VIA, ip)
    for number in range(3):
        play.event(-30, f"desk{number}", "Log in", VIA, office)
    return play.event(20, "neighbour", "Log in", VIA, admin)


def many_accounts_deleted() -> Play:
    play = Play("many-accounts-deleted", ("purger",))
    play.event(0, "purger", "Employee Account Deleted", addresses("a", 5))
    play.event(30, "purger", "Employee Account Deleted", addresses("b", 5))
    play.event(0, "tidy", "Employee Account Deleted", addresses("c", 9))
    play.event(0, "later", "Employee Account Deleted", addresses("d", 5))
    return play.event(70, "later", "Employee Account Deleted", addresses("e", 5))


def api_from_new_address() -> Play:
    play = Play("api-from-new-address", (ABROAD + "60",))
    for minute in (-10 * DAY, -DAY, 5):
        play.event(minute, "API", "Get User Data", "Initiated by API", HOME + "80")
    play.event(4, "API: lastpass-elastic", "Reporting", "Enterprise API", "192.0.2.10")
    play.event(6, "API", "Get User Data", "Initiated by API", "192.0.2.10")
    play.event(6, "API: lastpass-elastic", "Reporting", "Enterprise API", "")
    play.event(7, "ann", "Log in", VIA, "192.0.2.77")
    return play.event(10, "API", "Get Shared Folder Data", "Initiated by API", ABROAD + "60")


def many_sites_used() -> Play:
    play = Play("many-sites-used", ("copier",))
    play.events_at(every(40, 1), "copier", "Log in", lambda n: f"VID: {n}")
    play.events_at(every(29, 1), "busy", "Log in", lambda n: f"VID: {n}")
    play.events_at(every(40, 1), "reloading", "Log in", lambda _: "VID: 1")
    play.events_at(every(40, 1), "flaky", "Log in", lambda n: f"LastPass via Chrome v4.{n}")
    return play.events_at(every(30, 3), "steady", "Log in", lambda n: f"VID: {n}")


def many_notes_opened() -> Play:
    play = Play("many-notes-opened", ("curious",))
    for user, count, notes in (("curious", 14, 14), ("eleven", 11, 11), ("again", 14, 3)):
        play.events_at(every(count, 2), user, "Open Secure Note", lambda n: f"Secure Note (n{n % notes})")
    return play


def unusual_volume() -> Play:
    play = Play("unusual-volume", ("grabber",))
    for user, usual, now in (("grabber", 4, 25), ("always", 22, 24), ("few", 4, 19)):
        for day in range(1, 13):
            play.events_at(every(usual + day % 3, 1, -day * DAY), user, "Log in", lambda n: f"VID: {n % 9}")
        play.events_at(every(now, 1, 5), user, "Log in", lambda n: f"VID: {n % 9}")
    return play.events_at(every(25, 1, 5), "unknown", "Log in", lambda n: f"VID: {n % 9}")


def folder_rights_widened() -> Play:
    play = Play("folder-rights-widened", ("generous",))
    def right(admin: str, hide: str):
        return lambda n: f"'Finance' '{address(f'r{n}')}' 'Read only:no Admin:{admin} Hide PW:{hide}'"
    play.events_at(every(3, 1), "generous", "Update Folder Permissions", right("yes", "yes"))
    play.events_at(every(2, 1, 3), "generous", "Update Folder Permissions",
                   lambda n: right("no", "no")(n + 3))
    play.events_at(every(4, 1), "four", "Update Folder Permissions", right("yes", "no"))
    return play.events_at(every(9, 1), "strict", "Update Folder Permissions", right("no", "yes"))


def folders_deleted() -> Play:
    play = Play("folders-deleted", ("wrecker",))
    play.events_at(every(3, 10), "wrecker", "Deleted Shared Folder", lambda n: f"Folder {n}")
    play.events_at(every(2, 10), "two", "Permanently Deleted Shared Folder", lambda n: f"Folder {n}")
    play.events_at(every(3, 35), "slow", "Deleted Shared Folder", lambda n: f"Folder {n}")
    return play.events_at(every(3, 10), "saver", "Restored Shared Folder", lambda n: f"Folder {n}")


def many_sites_deleted() -> Play:
    play = Play("many-sites-deleted", ("eraser",))
    sites = [f"site{n}.example" for n in range(25)]
    play.event(0, "eraser", "Deleted Sites", ",".join(sites[:10])).event(5, "eraser", "Deleted Sites", ",".join(sites[10:]))
    play.event(0, "cleaner", "Deleted Sites", ",".join(sites[:24]))
    return play.event(0, "adder", "Site Added", ",".join(sites))


def action_never_seen() -> Play:
    play = single("action-never-seen", "pioneer")
    play.finds = ("vault teleported",)
    return play.event(-80 * DAY, "ann", "Rare Thing").event(10, "ann", "Rare Thing").event(30, "bob", "Vault Teleported")


def plays_of_events() -> list[Play]:
    """Returns the plays for rules that read only events."""
    return [
        failed_logins(), login_after_failed_logins(), password_spray(), login_from_new_country(),
        logins_from_two_countries(), verification_mails(), *single_events(), new_administrator_acts(),
        many_master_password_resets(), reset_then_login(), many_accounts_deleted(), api_from_new_address(),
        many_sites_used(), many_notes_opened(), unusual_volume(), folder_rights_widened(), folders_deleted(),
        many_sites_deleted(), action_never_seen(),
    ]


def takeover(victim: str, ip: str) -> Play:
    """Returns an attack of ten minutes: a password is guessed, the second factor switched off, and the vault copied."""
    play = Play("demo", (victim, ip))
    play.events_at(every(12, 0.2, -11), victim, "Failed Login Attempt", lambda _: VIA, lambda _: ip)
    play.event(-8, victim, "Log in", VIA, ip).event(-7, victim, "Disabled Multifactor Authentication", "", ip)
    play.events_at(every(35, 0.1, -6), victim, "Log in", lambda number: f"VID: {number}", lambda _: ip)
    return play.event(-2, victim, "Data export", "", ip)


# --- rules that need snapshots, which can only be taken at the current time ---

EMPLOYEES = 60


def dormant_account() -> Play:
    play = Play("dormant-account", ("sleeper",))
    for user in ("sleeper", "holidaymaker", "newborn"):
        play.event(-10, user, "Log in", VIA)
    return play.event(-10, "ghost", "Log in", "github.com")


def shared_with_outsider() -> Play:
    play = Play("shared-with-outsider", ("evil.example",))
    play.event(-10, "ann", "Add to Shared Folder", "'Plans' 'eve@evil.example'")
    play.event(-9, "ann", "Add to Shared Folder", f"'Plans' '{address('e1')}'")
    play.event(-8, "ann", "Removed from Shared Folder", "'Plans' 'eve@other.example'")
    return play.event(-70, "ann", "Add to Shared Folder", "'Plans' 'eve@earlier.example'")


def access_without_audit_event() -> Play:
    play = Play("access-without-audit-event", ("smuggled",))
    play.event(-30, "ann", "Add to Shared Folder", f"'Shared-Secrets' '{address('invited')}'")
    play.event(-30, "ann", "Adding User to Group", f"{address('grouped')} - Support")
    for number in range(EMPLOYEES):
        for name in ("Everybody", "Nearly"):
            play.event(-30, "ann", "Add to Shared Folder", f"'{name}' '{address(f'e{number}')}'")
    return play.event(-30, "ann", "Add to Shared Folder", "'Secrets' 'agent@outside.example'")


def plays_of_snapshots() -> list[Play]:
    """Returns the plays for rules that also read snapshots or their changes."""
    return [
        dormant_account(), shared_with_outsider(), access_without_audit_event(),
        Play("folder-most-users-can-read", ("Everybody",)),
        Play("outsider-in-folder", ("outside.example",)),
        Play("super-admin-in-folder", ("climber",)),
        Play("administrator-without-second-factor", ("careless",)),
        Play("many-users-gone", ("20",)),
        Play("dead-letters", ("lastpass.user",)),
        Play("unreadable-records", ("lastpass.event_report",)),
    ]


def user(name: str, **fields: object) -> dict:
    """Returns a user in LastPass's form."""
    return {"username": address(name), "fullname": name.title(), "mpstrength": "90", "created": "2024-03-12 10:02:56",
            "neverloggedin": False, "disabled": False, "admin": False, "multifactor": "lastpassauth", **fields}


def days_ago(now: datetime, days: int) -> str:
    return (now - timedelta(days=days)).strftime("%Y-%m-%d %H:%M:%S")


def users(now: datetime) -> dict[str, dict]:
    """Returns the users of the first snapshot."""
    found = {f"e{number}": user(f"e{number}") for number in range(EMPLOYEES)}
    found |= {name: user(name) for name in ("invited", "grouped", "smuggled", "climber")}
    found |= {f"leaver{number}": user(f"leaver{number}") for number in range(39)}
    found |= {
        "sleeper": user("sleeper", last_login=days_ago(now, 91)),
        "holidaymaker": user("holidaymaker", last_login=days_ago(now, 89)),
        "newborn": user("newborn", last_login="", neverloggedin=True),
        "ghost": user("ghost", last_login=days_ago(now, 200)),
        "careless": user("careless", admin=True, multifactor=""),
        "careful": user("careful", admin=True),
        "plain": user("plain", multifactor=""),
        "retired": user("retired", admin=True, multifactor="", disabled=True),
        # Elasticsearch refuses an object in a field of numbers.
        "refused": user("refused", sites={"a": 1}),
    }
    return found


def changes_of_users() -> list[dict[str, dict | None]]:
    """Returns the changes before the second and the third snapshot: 19 users are gone, then 20.

    The refused user is corrected, because the comparison with a snapshot that lacks a user may be left out.
    """
    first = {"refused": None, **{f"leaver{number}": None for number in range(19)}}
    return [first, {f"leaver{number}": None for number in range(19, 39)}]


def member(email: str, **rights: object) -> dict:
    return {"username": email, "readonly": 1, "give": 0, "can_administer": False, "superadmin": 0, "sites": [], **rights}


def folder(name: str, *members: dict) -> dict:
    return {"sharedfoldername": name, "score": 90, "deleted": False, "users": list(members)}


def folders() -> dict[str, dict]:
    """Returns the shared folders of the first snapshot."""
    owner = member(address("ann"), can_administer=True)
    return {"1": folder("Secrets", owner), "2": folder("Everybody", owner), "3": folder("Nearly", owner), "4": folder("Ops", owner)}


def changes_of_folders(all_users: int) -> dict[str, dict]:
    """Returns the folders of the second snapshot."""
    owner = member(address("ann"), can_administer=True)
    half = -(-all_users // 2)
    crowd = [member(address(f"e{number}")) for number in range(EMPLOYEES)]
    return {
        "1": folder("Secrets", owner, *(member(address(name)) for name in ("invited", "grouped", "smuggled")),
                    member("agent@outside.example")),
        # The owner is one of the readers.
        "2": folder("Everybody", owner, *crowd[: half - 1]),
        "3": folder("Nearly", owner, *crowd[: half - 2]),
        "4": folder("Ops", owner, member(address("climber"), superadmin=1)),
    }


# The attack and the near misses of each play in words, for docs/detections.md.
STORIES = {
    "failed-logins": ("15 failed logins in half an hour: one alert", "9 failed logins; 10 within 72 minutes; 10 users with one each"),
    "login-after-failed-logins": (
        "8 failed logins, and a login after an hour",
        "7 failed logins; the login of another user; 91 minutes later; before the failed ones; to a site"),
    "password-spray": ("failed logins of 12 users from one address", "9 users; one user 10 times; 10 users within 72 minutes"),
    "login-from-new-country": (
        "a user who logged in from CH logs in from BR, three times: one alert",
        "a user who was in BR 20 days ago; a new user; the use of a site from BR"),
    "logins-from-two-countries": ("CH, and 59 minutes later BR", "61 minutes later; two users, each in one country"),
    "dormant-account": ("the last login was 91 days ago", "89 days ago; never logged in; the use of a site"),
    "verification-mails": ("7 mails in 30 minutes: one alert", "5 mails; 6 within 70 minutes"),
    "second-factor-disabled": ("`Disabled Multifactor Authentication`", "`Multifactor Enabled`, `Disabled`"),
    "policy-weakened": ("`Delete Policy` for *Prohibit export of vault*", "another policy; `Add Policy`"),
    "recovery-or-key-strength": ("`master password reverted`", "`Master Password Changed`"),
    "provisioning-changed": ("`SCIM Provisioning Hash Updated`", "`Provisioning sync happened`"),
    "administrator-added": ("`Make Admin`", "`Remove Admin`, `Login to Admin Console`"),
    "new-administrator-acts": (
        "a new administrator deletes a policy after 59 minutes",
        "after 61 minutes; before the grant; only opens the console; an older administrator"),
    "many-master-password-resets": (
        "resets for 4 users in 30 minutes", "3 users; the same user 4 times; 4 users within 75 minutes"),
    "reset-then-login-from-same-address": (
        "the user's account logs in from the administrator's address after 59 minutes",
        "from the user's own address; from an office; before the reset; a day later; another user"),
    "many-accounts-deleted": ("10 users in two events", "9 users; 10 within 70 minutes"),
    "api-secret-regenerated": ("`Enterprise API Secret regenerated`", "`Get User Data`"),
    "api-from-new-address": (
        "`Get Shared Folder Data` from an unknown address",
        "the collector's address of the day; a program's address; a user's new address"),
    "vault-exported": ("`Data export`", "`Data import`; the text *Data export* in another event"),
    "many-sites-used": (
        "40 sites in 40 minutes: one alert", "29 sites; one site 40 times; 40 logins to LastPass; 30 sites within 87 minutes"),
    "many-notes-opened": ("14 notes: one alert", "11 notes; 3 notes 14 times"),
    "unusual-volume": (
        "25 events in an hour after hours of 4 to 6", "24 after hours of 22 to 24; 19 after hours of 4; a user without a history"),
    "shared-with-outsider": ("a share with a domain of no user", "with a colleague; a removed share; one of the run before"),
    "folder-rights-widened": (
        "3 users may administer, and 2 others see passwords", "4 users; 9 users without either right"),
    "folders-deleted": ("3 folders in 20 minutes", "2 folders; 3 within 70 minutes; 3 restored"),
    "many-sites-deleted": ("25 sites in two events", "24 sites; 25 added"),
    "action-never-seen": ("an unknown action, twice: one alert", "an action that was seen 80 days ago"),
    "access-without-audit-event": (
        "a snapshot shows access that no event explains",
        "access with an event; through a group; of a super administrator"),
    "folder-most-users-can-read": ("half of the users", "one user less than half"),
    "outsider-in-folder": ("a snapshot shows an outsider", "colleagues"),
    "super-admin-in-folder": ("a snapshot shows a super administrator", "other users who got access"),
    "administrator-without-second-factor": (
        "in three snapshots: one alert", "an administrator with one; a user without one; a disabled administrator"),
    "many-users-gone": ("20 users gone between two snapshots", "19 users gone between the two before"),
    "stream-silent": ("2 hours without events: alerts in 2 hours and then daily", "1 hour without events; 25 hours without a snapshot"),
    "dead-letters": ("a user that Elasticsearch refused: one alert", "the accepted users"),
    "unreadable-records": ("an event without a readable action: one alert", "the readable events"),
}
