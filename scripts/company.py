"""Runs the LastPass simulator and returns the records that a complete copy of its company must contain.

    with Company.start(binary, end=datetime(2026, 11, 1, tzinfo=UTC)) as company:
        company.url, company.account_number, company.events()

The expected records come from the simulator's own truth and not from the product's code, so that a misunderstanding of
the product shows up as a difference.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import Request

from stack import LOOPBACK, end_with_parent

# Measured: 0.3 s for 60,000 events. The rest is for slower machines.
START_SECONDS = 60
STOP_SECONDS = 10


class CompanyError(Exception):
    """The simulator could not be started or reached. The text is for the user."""


@dataclass(frozen=True)
class Size:
    """The size of the company. `twins` is the share of events that have an equal event in their second."""

    events: int
    days: int
    twins: float
    users: int
    folders: int
    users_of_a_folder: int


@dataclass(frozen=True)
class Record:
    """One LastPass record: its fields in a normalized spelling, and its time."""

    text: str
    instant: datetime | None = None

    @classmethod
    def of(cls, fields: object, instant: datetime | None = None) -> Record:
        return cls(json.dumps(fields, sort_keys=True, ensure_ascii=False, separators=(",", ":")), instant)


@dataclass
class Company:
    """A running simulator."""

    process: subprocess.Popen
    url: str
    account_number: str
    provisioning_hash: str = field(repr=False)

    @classmethod
    @contextlib.contextmanager
    def start(
        cls, binary: Path, size: Size, seed: int, end: datetime, account_number: str = "12345", reporting_events: bool = False
    ) -> Iterator[Company]:
        """Starts the simulator on a free port, and stops it on exit.

        With `reporting_events`, each request for events becomes an event, as in LastPass. Otherwise the account has
        only the events of its history, so they can be counted.
        """
        if not binary.is_file():
            raise CompanyError(f"there is no {binary}: build it with `cargo build --workspace --bins`")
        provisioning_hash = secrets.token_hex(16)
        options = {
            "--account": account_number, "--seed": seed, "--end": rfc3339(end), "--events": size.events,
            "--days": size.days, "--twins": size.twins, "--users": size.users, "--folders": size.folders,
            "--folder-users": size.users_of_a_folder,
        }
        command = [str(binary), *(str(word) for pair in options.items() for word in pair)]
        environment = {**os.environ, "LASTPASS_SIMULATOR_PROVISIONING_HASH": provisioning_hash}
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, preexec_fn=end_with_parent
        )
        try:
            company = cls(process, address(process), account_number, provisioning_hash)
            company.write_reporting_events(reporting_events)
            yield company
        finally:
            stop(process)

    def events(self) -> list[Record]:
        """Returns every event with its instant."""
        lines = self._read("events").splitlines()
        entries = (json.loads(line) for line in lines)
        return [Record.of(entry["record"], instant(entry["instant"])) for entry in entries]

    def users(self) -> list[Record]:
        """Returns every user with its key as `id`."""
        return [Record.of({**user, "id": key}) for key, user in json.loads(self._read("users"))["users"].items()]

    def folders(self) -> list[Record]:
        """Returns every folder once for each of its users, and once if it has none."""
        folders = json.loads(self._read("folders"))["folders"]
        return [Record.of(record) for key, folder in folders.items() for record in split({**folder, "id": key})]

    def by_key(self, what: str) -> dict[str, dict]:
        """Returns the `users` or `folders` as LastPass holds them, by key."""
        return json.loads(self._read(what))[what]

    def accept(self, provisioning_hash: str) -> None:
        """Makes LastPass accept only this provisioning hash, as after "Reset your provisioning hash"."""
        self._tell("provisioning-hash", {"provisioning_hash": provisioning_hash})

    def write_reporting_events(self, whether: bool) -> None:
        """Sets whether later requests for events become events. Existing ones remain."""
        self._tell("quirks", {"reporting_events": whether})

    def limit_pages(self, events: int) -> None:
        """Sets the most events in a response."""
        self._tell("quirks", {"page_size": events})

    def add_event(self, at: datetime, username: str, action: str, late_s: int = 0) -> None:
        """Adds an event, which LastPass shows `late_s` seconds later."""
        shown = rfc3339(at + timedelta(seconds=late_s))
        self.add_events([{"instant": rfc3339(at), "appears_at": shown, "username": username, "action": action}])

    def add_events(self, events: list[dict]) -> None:
        """Adds events. Their fields are described in the simulator's README, "Control requests"."""
        self._tell("events", events)

    def change_users(self, users: dict[str, dict | None]) -> None:
        """Adds or replaces users by their keys, and removes those that are `None`."""
        self._tell("users", users)

    def change_folders(self, folders: dict[str, dict | None]) -> None:
        """Adds or replaces shared folders by their keys, and removes those that are `None`."""
        self._tell("folders", folders)

    def fail(self, rule: dict) -> None:
        """Adds a fault rule, as described in the simulator's README, "Faults"."""
        self._tell("faults", rule)

    def repair(self) -> None:
        """Removes all fault rules."""
        LOOPBACK.open(Request(f"{self._admin}/faults", method="DELETE"), timeout=START_SECONDS).close()

    def requests(self) -> list[dict]:
        """Returns every request so far and its response."""
        with LOOPBACK.open(f"{self._admin}/requests", timeout=START_SECONDS) as answer:
            return json.load(answer)["requests"]

    def _read(self, what: str) -> str:
        with LOOPBACK.open(f"{self._admin}/truth/{what}", timeout=START_SECONDS) as answer:
            return answer.read().decode()

    def _tell(self, what: str, body: dict | list) -> None:
        LOOPBACK.open(f"{self._admin}/{what}", json.dumps(body).encode(), timeout=START_SECONDS).close()

    @property
    def _admin(self) -> str:
        return f"{self.url.rpartition('/')[0]}/_simulator"


def users_of(folder: dict) -> list[dict]:
    """Returns the users of a folder, which LastPass writes as a list or as a map."""
    users = folder.get("users") or []
    return list(users.values()) if isinstance(users, dict) else users


def split(folder: dict) -> list[dict]:
    """Splits a folder into the records of its documents."""
    return [{**folder, "users": user} for user in users_of(folder)] or [folder]


def address(process: subprocess.Popen) -> str:
    """Returns the address in the one line that the simulator prints when it is ready."""
    ready, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    line = process.stdout.readline() if ready else ""
    if not line.startswith("listening on "):
        raise CompanyError(f"the simulator did not start within {START_SECONDS} s" if not ready else
                           "the simulator ended while it started; its output is above")
    return line.split()[-1]


def stop(process: subprocess.Popen) -> None:
    """Stops the simulator, by force if it does not stop by itself."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
