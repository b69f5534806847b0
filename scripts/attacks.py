"""An attack for each detection rule, and what comes close to it without being one.

Each play has a time of its own, so that a rule sees only its own play. Times are minutes from the start of the play; the
history before it has negative ones. `finds` are the words that an alert must contain, once each; nothing else may raise an
alert. The other users, addresses and folders of a play are its near misses: one less than the threshold, another user, a
minute too late.
"""

from __future__ import annotations

from dataclasses import dataclass, field

DAY = 24 * 60
HOME = "198.51.100."
ABROAD = "203.0.113."
# The addresses of these tests, by their beginnings. The ingest pipeline of the local node maps them.
COUNTRIES = {HOME: "CH", ABROAD: "BR", "192.0.2.": "US"}
VIA = "LastPass via Chrome v4.134.0"


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


def single(rule: str, word: str, data: str, *near: tuple[str, str]) -> Play:
    """A play whose attack is one event. Its near misses are other events."""
    play = Play(rule, (word,)).event(5, word, *DATA[rule])
    for number, (action, text) in enumerate(near):
        play.event(6, f"near{number}", action, text)
    return play


DATA = {
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
        single("second-factor-disabled", "disarmed", "", ("Multifactor Enabled", "Duo"), ("Disabled", "")),
        single("policy-weakened", "weakener", "", ("Delete Policy", "Show the welcome page"),
               ("Add Policy", "Prohibit export of vault")),
        single("recovery-or-key-strength", "recovered", "", ("Master Password Changed", "")),
        single("provisioning-changed", "provisioner", "", ("Provisioning sync happened", "")),
        single("administrator-added", "promoter", "", ("Remove Admin", address("chosen")), ("Login to Admin Console", "")),
        single("api-secret-regenerated", "rotator", "", ("Get User Data", "Initiated by API")),
        single("vault-exported", "exporter", "", ("Data import", ""), ("Reporting", "Data export")),
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
    admin, own = ABROAD + "66", HOME + "20"
    for user, ip, minute in (("victim", admin, 59), ("lucky", own, 20), ("late", admin, 61), ("early", admin, -1)):
        play.event(0, "super", "master password reset by super admin", address(user), admin)
        play.event(minute, user, "Log in", VIA, ip)
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
    play = single("action-never-seen", "pioneer", "")
    play.finds = ("vault teleported",)
    return play.event(-80 * DAY, "ann", "Rare Thing").event(10, "ann", "Rare Thing").event(30, "bob", "Vault Teleported")


def plays_of_events() -> list[Play]:
    """Returns the plays for rules on events alone."""
    return [
        failed_logins(), login_after_failed_logins(), password_spray(), login_from_new_country(),
        logins_from_two_countries(), verification_mails(), *single_events(), new_administrator_acts(),
        many_master_password_resets(), reset_then_login(), many_accounts_deleted(), api_from_new_address(),
        many_sites_used(), many_notes_opened(), unusual_volume(), folder_rights_widened(), folders_deleted(),
        many_sites_deleted(), action_never_seen(),
    ]
