"""Maps a LastPass event to the document that Elastic's own integration creates, with the function's additional fields."""

import hashlib
import os
import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address
from zoneinfo import ZoneInfo

ZONE_NAME = "US/Eastern"
ZONE = ZoneInfo(ZONE_NAME)
NAMESPACE = os.environ.get("NAMESPACE", "default")

W = r"[ \t\n\x0b\x0c\r]+"
EMAIL = (
    r"[A-Za-z][A-Za-z0-9_+,\-./:;<=]+@[A-Za-z0-9][A-Za-z0-9-]{0,62}"
    r"(?:\.[A-Za-z0-9][A-Za-z0-9-]{0,62})*\.?"
)

# Substrings of an action, category, type and outcome. If several rules apply to a field, the last one in these lists
# wins.
CATEGORIES = [None, ["authentication"], ["configuration"], ["iam"]]
TYPES = [None, ["start"], ["admin"], ["change"], ["creation"], ["deletion"], ["group", "creation"], ["info"]]
OUTCOMES = [None, "success", "failure", "unknown"]
AUTHENTICATION, CONFIGURATION, IAM = 1, 2, 3
START, ADMIN, CHANGE, CREATION, DELETION, GROUP_CREATION, INFO = range(1, 8)
SUCCESS, FAILURE, UNKNOWN = 1, 2, 3
ACTIONS = [
    (("login verification email sent", "multifactor enabled"), AUTHENTICATION, INFO, SUCCESS),
    (("log in", "login to admin console", "saml login"), AUTHENTICATION, START, SUCCESS),
    (("failed login attempt",), AUTHENTICATION, START, FAILURE),
    (("add policy",), CONFIGURATION, CREATION, SUCCESS),
    (("delete policy",), CONFIGURATION, DELETION, SUCCESS),
    (("enterprise api secret regenerated",), CONFIGURATION, CHANGE, SUCCESS),
    (("make admin",), IAM, ADMIN, SUCCESS),
    (("master password changed", "master password reset by super admin"), IAM, CHANGE, SUCCESS),
    (("employee account created", "created lastpass account"), IAM, CREATION, SUCCESS),
    (("employee account deleted", "remove admin"), IAM, DELETION, SUCCESS),
    (("create group", "adding user to group"), IAM, GROUP_CREATION, SUCCESS),
    (("require password change",), IAM, INFO, UNKNOWN),
    (("open secure note",), 0, START, SUCCESS),
    (
        (
            "edit secure note",
            "update folder permissions",
            "renamed shared folder",
            "move to shared folder",
            "move from shared folder",
            "limit shared folder",
        ),
        0,
        CHANGE,
        SUCCESS,
    ),
    (("add secure note", "created shared folder", "add to shared folder", "site added"), 0, CREATION, SUCCESS),
    (
        ("deleted shared folder", "removed from shared folder", "delete shared sites", "deleted sites"),
        0,
        DELETION,
        SUCCESS,
    ),
    (("get shared folder data", "get user data", "employee invited"), 0, INFO, SUCCESS),
    (("reporting",), 0, INFO, UNKNOWN),
]


def line(*patterns: str) -> re.Pattern:
    pattern = "|".join(patterns).replace("<W>?", f"(?:{W})?").replace("<W>", W).replace("<EMAIL>", EMAIL)
    return re.compile(f"^(?:{pattern})$", re.MULTILINE)


FOLDER, USER, GROUP, NOTE, SITE = "shared_folder_name", "user_email", "group_name", "secure_note", "site"
PERMISSIONS = "shared_folder_user_permissions"

# Substrings of an action; the pattern of its data, or None if the data is a list; the fields of the pattern's groups.
DATA = [
    (("deleted sites",), None, ("deleted_site",)),
    (("employee invited", "employee account created", "employee account deleted"), None, (USER,)),
    (("log in",), line("(.*)"), ("login_site",)),
    (("saml login",), line("(.*)"), ("saml_login",)),
    (("failed login attempt",), line("(.*)"), ("failed_login",)),
    (
        (
            "login to admin console",
            "make admin",
            "remove admin",
            "require password change",
            "master password reset by super admin",
        ),
        line("(<EMAIL>)"),
        (USER,),
    ),
    (("site added",), line("(.*)"), ("added_site",)),
    (("created shared folder", "deleted shared folder"), line("(.*?)"), (FOLDER,)),
    (
        ("add secure note", "open secure note"),
        line(r"Secure Note<W>\((.*?)\)", r"Secure Note<W>\((.*?)\)<W>from<W>(.*?)"),
        (NOTE, NOTE, FOLDER),
    ),
    (("edit secure note",), line(r"Secure Note<W>\((.*?)\)"), (NOTE,)),
    (("add to shared folder",), line("'(.*?)'<W>'(<EMAIL>)'"), (FOLDER, USER)),
    (("create group",), line("'(.*?)'"), (GROUP,)),
    (("adding user to group",), line("(<EMAIL>)<W>-<W>(.*?)"), (USER, GROUP)),
    (("created lastpass account",), line("(<EMAIL>)<W>?-Shared-<W>?(.*?)"), (USER, FOLDER)),
    (
        ("update folder permissions",),
        line("'(.*?)'<W>'(<EMAIL>)'<W>'Read only:(.*?)<W>Admin:(.*?)<W>Hide PW:(.*?)'"),
        (FOLDER, USER, f"{PERMISSIONS}.read_only", f"{PERMISSIONS}.admin", f"{PERMISSIONS}.hide_password"),
    ),
    (("renamed shared folder",), line("'(.*?)'<W>'(.*?)'"), (FOLDER, "renamed_shared_folder_name")),
    (("move to shared folder",), line("<W>to<W>(.*?)", "(.*)<W>to<W>(.*?)"), (FOLDER, SITE, FOLDER)),
    (
        ("move from shared folder",),
        line(" from INVALID SHARED FOLDER", "<W>from<W>(.*?)", "(.*)<W>from<W>(.*?)"),
        (FOLDER, SITE, FOLDER),
    ),
    (
        ("delete shared sites",),
        line("<W>from<W>(.*?)", "(.*)<W>from<W>(.*?)"),
        (FOLDER, "deleted_site", FOLDER),
    ),
    (("limit shared folder",), line("(.*) (<EMAIL>)"), (FOLDER, USER)),
    (("removed from shared folder",), line("'(.*?)'<W>'(<EMAIL>)'"), (FOLDER, USER)),
]


@dataclass(frozen=True)
class Reading:
    """The times at which events were read and are sent, the latter only if detection rules use it."""

    created: datetime
    ingested: datetime | None


@lru_cache(maxsize=1_024)
def of_action(action: str) -> tuple[dict, list]:
    """Returns the fields that follow from an action, and the rules for reading its data."""
    held = [rule for rule in ACTIONS if any(substring in action for substring in rule[0])]
    fields = {
        "category": CATEGORIES[max((rule[1] for rule in held), default=0)],
        "type": TYPES[max((rule[2] for rule in held), default=0)],
        "outcome": OUTCOMES[max((rule[3] for rule in held), default=0)],
    }
    rows = [row for row in DATA if any(substring in action for substring in row[0])]
    return {name: value for name, value in fields.items() if value}, rows


def written(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03}Z"


@lru_cache(maxsize=1_024)
def utc(wall_time: str) -> str:
    return written(datetime.fromisoformat(wall_time).replace(tzinfo=ZONE).astimezone(UTC))


@lru_cache(maxsize=16_384)
def is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def document_id(record: dict, ordinals: Counter) -> str:
    """Returns the ID of a document. Equal events differ in their ordinal."""
    names = ("Time", "Username", "IP_Address", "Action", "Data")
    text = "\0".join(str(record.get(name) or "") for name in names)
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    ordinal = ordinals[digest.digest()]
    ordinals[digest.digest()] += 1
    digest.update(f"\0{ordinal}".encode())
    return digest.hexdigest()


def read_data(rows: list, data: str) -> tuple[dict, list[str]]:
    """Returns the fields of an event's data and the e-mail addresses in it."""
    fields: dict = {}
    emails: list[str] = []
    for _, pattern, names in rows:
        if pattern is None:
            parts = [part for part in data.split(",") if part]
            if parts:
                fields[names[0]] = parts
                if names[0] == USER:
                    emails = parts
            continue
        found = pattern.search(data)
        if not found:
            continue
        for name, value in zip(names, found.groups()):
            if not value:
                continue
            if name == USER:
                emails = [value]
            parent, _, child = name.rpartition(".")
            if parent:
                fields.setdefault(parent, {})[child] = value
            else:
                fields[name] = value
    return fields, emails


# Actions that are done to users, and which addresses in their data are the targets. The first that matches wins.
TARGETS = [
    ("login to admin console", "others"),
    *((action, "last") for action in ("add to shared folder", "removed from shared folder", "update folder permissions",
                                      "limit shared folder", "remove from group")),
    *((action, "all") for action in (
        "created lastpass account", "employee account", "employee invited", "re-invite user", "remove user from company",
        "deactivated user", "deactivating user", "reactivated user", "user provisioned", "user deprovisioned", "make admin",
        "remove admin", "require password change", "stop requiring password change", "master password reset",
        "adding user to group", "add to group", "group addition", "group removal", "update policy users", "personal share",
        "destroy all sessions")),
]
AROUND = "'\"()<>[]{}"
OWN_SITES = {"lastpass", "lastpass.com", "lastpass.eu", "www.lastpass.com", "www.lastpass.eu"}


@lru_cache(maxsize=1_000)
def target_rule(action: str) -> str | None:
    """Returns which addresses are the targets of an action in lower case."""
    return next((which for substring, which in TARGETS if substring in action), None)


def address(word: str) -> str | None:
    """Returns the address in a word."""
    name, at, host = word.partition("@")
    name = name.rpartition("''")[2].lstrip(AROUND)
    shared = host.lower().find("-shared-")
    host = (host if shared < 0 else host[:shared]).rstrip(".").rstrip(AROUND)
    is_host = host and all(c.isalnum() or c in "-." for c in host)
    return f"{name}@{host}" if at and name and is_host else None


def targets(action: str, emails: list[str], data: str, actor: str) -> list[str]:
    """Returns the users that an action was done to."""
    which = target_rule(action)
    if which is None:
        return []
    found = [email.strip() for email in emails]
    if not found:
        found = list(filter(None, map(address, re.split(r"[\s,;]", data))))
        found = found[-1:] if which == "last" else found
    return [target for target in dict.fromkeys(found) if target and not (which == "others" and target == actor)]


def login_type(action: str, data: str) -> str | None:
    """Returns whether a login was to LastPass itself or to a site."""
    if "saml login" in action:
        return "site"
    if "login to admin console" in action or "lastpass login" in action:
        return "lastpass"
    if "failed login attempt" not in action and "log in" not in action:
        return None
    data = data.strip().lower()
    if not data:
        return None
    client = data.removeprefix("lastpass via")
    is_own = data.rstrip("/") in OWN_SITES or client != data and not client[:1].isalnum()
    return "lastpass" if is_own else "site"


def document(record: dict, reading: Reading) -> dict:
    """Returns the document of an event, without empty fields and without fields that duplicate an ECS field."""
    action = record.get("Action") or ""
    about, rows = of_action(action.lower())
    event = {
        "module": "lastpass",
        "dataset": "lastpass.event_report",
        "kind": "event",
        "created": written(reading.created),
        "timezone": ZONE_NAME,
        **about,
    }
    if action:
        event["action"] = action.lower()
    if reading.ingested:
        event["ingested"] = written(reading.ingested)
    source = {
        "@timestamp": utc(record["Time"]),
        "ecs": {"version": "8.11.0"},
        "data_stream": {"type": "logs", "dataset": "lastpass.event_report", "namespace": NAMESPACE},
        "event": event,
    }
    related: dict = {}
    ip = record.get("IP_Address")
    if ip and is_ip(ip):
        source["source"] = {"ip": ip}
        related["ip"] = [ip]
    data = record.get("Data") or ""
    fields, emails = read_data(rows, data) if data else ({}, [])
    users = list(dict.fromkeys([*emails, *filter(None, [record.get("Username")])]))
    user: dict = {}
    if group := fields.pop(GROUP, None):
        user["group"] = {"name": group}
    actor = record.get("Username") or ""
    if actor:
        user["name"] = actor
    if acted_upon := targets(action.lower(), emails, data, actor):
        user["target"] = {"email": acted_upon}
    if users:
        user["email"] = users
        related["user"] = users
    fields.pop(USER, None)
    if login := login_type(action.lower(), data):
        fields["login_type"] = login
    if data:
        fields["original"] = data
    if user:
        source["user"] = user
    if related:
        source["related"] = related
    if fields:
        source["lastpass"] = {"event_report": {"data": fields}}
    return source
