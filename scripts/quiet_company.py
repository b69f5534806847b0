"""The events of a company in which nothing bad happens, for measuring how often detection rules alert without a cause.

2,500 users who work in offices and at home, mistype passwords, travel, get new phones, join and leave; administrators and a
help desk; programs that use the API, among them the collector. The rates are assumptions about an ordinary company, and
each is a constant here. `docs/detections.md` names those that decide the numbers of alerts.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

USERS = 2_500
DOMAIN = "example.com"
SECONDS_OF_DAY = 86_400
DAYS_OF_YEAR = 365

# --- how often, per year unless another unit is named
EVENTS_OF_YEAR = 1_000_000
POLLS_OF_DAY = 288
PROGRAM_CALLS_OF_DAY = 24
JOURNEYS = 120
VPN_HOURS = 10
JOINERS = 250
LEAVERS_OF_WEEK = 4.6
NEW_PHONES = 30
POLICY_CHANGES = 24
NEW_ADMINISTRATORS = 8
RESETS_OF_WORKDAY = 2.5
EXPORTS = 12
SHARES_OF_WORKDAY = 9
OUTSIDE_SHARES = 40
RIGHTS_CHANGES_OF_WORKDAY = 2.4
TEAM_REORGANIZATIONS = 6
FOLDERS_CREATED_OF_WORKDAY = 0.5
FOLDER_DELETIONS = 60
SITES_ADDED_OF_WORKDAY = 60
SITE_DELETIONS_OF_WORKDAY = 12
PASSWORDS_CHANGED_OF_WORKDAY = 25
TIDY_DAYS = 5
GUESSES_FROM_OUTSIDE_OF_DAY = 1.0
PROGRAM_MOVES = 2
SECRET_ROTATIONS = 2
PROVISIONING_CHANGES = 2
RECOVERIES = 8

# --- how people log in
FAILURE_SHARE = 0.04
ANOTHER_FAILURE = 0.35
VERIFICATION_SHARE = 0.05
ANOTHER_MAIL = 0.3
SITES_OF_SESSION = 3.2
MOST_SITES_OF_SESSION = 14
NOTE_SHARE = 0.15
OFFICE_SHARE = 0.6
RAREST_SESSIONS = 30

HOME_COUNTRIES = ("CH", "DE")
OTHER_COUNTRIES = ("AT", "FR", "IT", "GB", "US", "ES", "NL", "SE", "PL", "JP")
# The second byte of an address tells its country.
COUNTRY_BYTES = {country: number for number, country in enumerate((*HOME_COUNTRIES, *OTHER_COUNTRIES), 1)}
COUNTRIES = {f"10.{number}.": country for country, number in COUNTRY_BYTES.items()}
OFFICES = tuple(f"10.{COUNTRY_BYTES[country]}.0.{number}" for country in HOME_COUNTRIES for number in range(1, 5))
VIA = ("LastPass via Chrome v4.134.0", "LastPass via Edge v4.134.0", "LastPass via Firefox v4.133.1", "LastPass via Website")
# Share of the day's sessions in each hour, UTC.
HOURS = (0, 0, 0, 0, 0, 1, 4, 10, 13, 12, 9, 6, 8, 10, 9, 7, 4, 2, 2, 1, 1, 1, 0, 0)
WEEKEND_SHARE = 0.03


@dataclass
class Person:
    number: int
    address: str
    country: str
    office: str
    home: str
    sessions_of_year: float
    abroad: list[tuple[datetime, datetime, str]] = field(default_factory=list)

    def ip(self, moment: datetime, rng: random.Random) -> str:
        for start, end, ip in self.abroad:
            if start <= moment < end:
                return ip
        return self.office if rng.random() < OFFICE_SHARE and moment.weekday() < 5 else self.home


class QuietCompany:
    """The company. Equal arguments give equal events."""

    def __init__(self, seed: int, start: datetime, days: int) -> None:
        self.rng = random.Random(seed)
        self.start, self.days = start, days
        self.people = [self._person(number) for number in range(USERS)]
        self.administrators = self.people[:6]
        self.help_desk = self.people[6:10]
        self._travel()
        quiet_sessions = EVENTS_OF_YEAR - DAYS_OF_YEAR * (POLLS_OF_DAY + 2 * PROGRAM_CALLS_OF_DAY) - 250 * 130
        events_of_session = 1 + SITES_OF_SESSION + NOTE_SHARE + VERIFICATION_SHARE * 1.4 + FAILURE_SHARE * 1.5
        self.sessions_of_year = quiet_sessions / events_of_session
        self.weights = [person.sessions_of_year for person in self.people]

    def _person(self, number: int) -> Person:
        country = HOME_COUNTRIES[self.rng.random() < 0.3]
        offices = [office for office in OFFICES if office.startswith(f"10.{COUNTRY_BYTES[country]}.")]
        home = f"10.{COUNTRY_BYTES[country]}.{1 + number // 250}.{number % 250}"
        sessions = RAREST_SESSIONS + self.rng.lognormvariate(2.2, 1.0)
        return Person(number, f"user{number}@{DOMAIN}", country, self.rng.choice(offices), home, sessions)

    def _travel(self) -> None:
        def away(person: Person, start: datetime, length: timedelta, country: str) -> None:
            ip = f"10.{COUNTRY_BYTES[country]}.200.{self.rng.randrange(250)}"
            person.abroad.append((start, start + length, ip))

        for _ in range(self._count(JOURNEYS)):
            person = self.rng.choice(self.people)
            day = self.start + timedelta(days=self.rng.randrange(self.days), hours=4)
            away(person, day, timedelta(days=self.rng.randrange(2, 11)), self.rng.choice(OTHER_COUNTRIES))
        self.vpn = []
        for _ in range(self._count(VPN_HOURS)):
            person = self.rng.choice(self.people)
            moment = self._working_moment()
            away(person, moment, timedelta(minutes=30), "US")
            self.vpn.append((person, moment))

    def _count(self, of_year: float) -> int:
        return self._poisson(of_year * self.days / DAYS_OF_YEAR)

    def _poisson(self, mean: float) -> int:
        if mean > 50:
            return max(0, round(self.rng.gauss(mean, math.sqrt(mean))))
        limit, product, count = math.exp(-mean), self.rng.random(), 0
        while product > limit:
            product *= self.rng.random()
            count += 1
        return count

    def _working_moment(self) -> datetime:
        while True:
            day = self.start + timedelta(days=self.rng.randrange(self.days))
            if day.weekday() < 5:
                return self._moment(day)

    def _moment(self, day: datetime) -> datetime:
        hour = self.rng.choices(range(24), HOURS)[0]
        return day + timedelta(seconds=hour * 3600 + self.rng.randrange(3600))

    # --- the events ---

    def events(self, session_share: float = 1.0) -> list[dict]:
        """Returns all events, oldest first. `session_share` is the share of the sessions that take place."""
        found = [event for day in range(self.days) for event in self._day(self.start + timedelta(days=day), session_share)]
        found += self._rare()
        found.sort(key=lambda event: event["instant"])
        return found

    def _day(self, day: datetime, session_share: float) -> Iterator[dict]:
        works = day.weekday() < 5
        workdays = DAYS_OF_YEAR * (5 + 2 * WEEKEND_SHARE) / 7
        mean = self.sessions_of_year / workdays * (1 if works else WEEKEND_SHARE) * session_share
        for person in self.rng.choices(self.people, self.weights, k=self._poisson(mean)):
            yield from self._session(person, self._moment(day))
        yield from self._programs(day, session_share)
        for _ in range(self._poisson(GUESSES_FROM_OUTSIDE_OF_DAY)):
            ip = f"203.0.113.{self.rng.randrange(250)}"
            moment = day + timedelta(seconds=self.rng.randrange(SECONDS_OF_DAY))
            yield event_of(moment, self.rng.choice(self.people).address, ip, "Failed Login Attempt", VIA[3])
        if works:
            yield from self._work(day)
        if day.weekday() == 1:
            yield from self._leavers(day)

    def _session(self, person: Person, moment: datetime) -> Iterator[dict]:
        rng, ip, via = self.rng, person.ip(moment, self.rng), self.rng.choice(VIA)
        if rng.random() < FAILURE_SHARE:
            while True:
                yield event_of(moment, person.address, ip, "Failed Login Attempt", via)
                moment += timedelta(seconds=rng.randrange(5, 60))
                if rng.random() >= ANOTHER_FAILURE:
                    break
        if rng.random() < VERIFICATION_SHARE:
            while True:
                yield event_of(moment, person.address, ip, "Login Verification Email Sent", "")
                moment += timedelta(seconds=rng.randrange(20, 180))
                if rng.random() >= ANOTHER_MAIL:
                    break
        yield event_of(moment, person.address, ip, "Log in", via)
        sites = min(MOST_SITES_OF_SESSION, int(rng.expovariate(1 / SITES_OF_SESSION) + 0.5))
        for _ in range(sites):
            moment += timedelta(seconds=rng.randrange(20, 900))
            # The same few sites most of the time.
            site = f"VID: {person.number * 100 + int(rng.paretovariate(0.9)) % 60}"
            yield event_of(moment, person.address, ip, "Log in", site)
        if rng.random() < NOTE_SHARE:
            yield event_of(moment, person.address, ip, "Open Secure Note", f"Secure Note (note {rng.randrange(15)})")

    def _programs(self, day: datetime, share: float) -> Iterator[dict]:
        """The collector, whose addresses change, and two programs of the company, whose addresses stay."""
        own = f"192.0.2.{self.rng.randrange(250)}"
        polls = POLLS_OF_DAY if share == 1.0 else 1
        for number in range(polls):
            moment = day + timedelta(seconds=number * SECONDS_OF_DAY / polls + 7)
            yield event_of(moment, "API: lastpass-elastic", own, "Reporting", "Enterprise API")
        for action in ("Get User Data", "Get Shared Folder Data"):
            yield event_of(day + timedelta(hours=3, minutes=1), "API", own, action, "Initiated by API")
        moves = [day > self.start + timedelta(days=self.days * (number + 1) / (PROGRAM_MOVES + 1)) for number in range(PROGRAM_MOVES)]
        calls = PROGRAM_CALLS_OF_DAY if share == 1.0 else 1
        moved = sum(moves) if share == 1.0 and self.days > 100 else 0
        for program, action in enumerate(("Get User Data", "Reporting")):
            for number in range(calls):
                moment = day + timedelta(seconds=number * SECONDS_OF_DAY / calls + 60 * program)
                yield event_of(moment, "API", f"198.51.100.{10 * program + moved + 1}", action, "Initiated by API")

    def _work(self, day: datetime) -> Iterator[dict]:
        """What administrators, the help desk and the owners of folders do on a working day."""
        rng, anyone = self.rng, lambda: self.rng.choice(self.people)

        def times(mean: float) -> Iterator[datetime]:
            return (self._moment(day) for _ in range(self._poisson(mean)))

        for admin in rng.sample(self.administrators, 3):
            moment = self._moment(day)
            yield event_of(moment, admin.address, admin.ip(moment, rng), "Login to Admin Console", admin.address)
        for moment in times(RESETS_OF_WORKDAY):
            helper, person = rng.choice(self.help_desk), anyone()
            ip = helper.ip(moment, rng)
            yield event_of(moment, helper.address, ip, "Master Password Reset by Super Admin", person.address)
            yield from self._session(person, moment + timedelta(minutes=rng.randrange(2, 30)))
        for moment in times(SHARES_OF_WORKDAY):
            owner = anyone()
            yield event_of(moment, owner.address, owner.ip(moment, rng), "Add to Shared Folder",
                       f"'{folder(rng)}' '{anyone().address}'")
        for moment in times(RIGHTS_CHANGES_OF_WORKDAY):
            yield self._right(anyone(), moment, folder(rng))
        for action, mean, data in (
            ("Created Shared Folder", FOLDERS_CREATED_OF_WORKDAY, lambda: folder(rng)),
            ("Site Added", SITES_ADDED_OF_WORKDAY, lambda: f"app{rng.randrange(400)}.example.net"),
            ("Deleted Sites", SITE_DELETIONS_OF_WORKDAY,
             lambda: ",".join(f"app{rng.randrange(400)}.example.net" for _ in range(1 + int(rng.expovariate(1))))),
            ("Password Changed", PASSWORDS_CHANGED_OF_WORKDAY, lambda: f"app{rng.randrange(400)}.example.net"),
            ("Add Secure Note", 8, lambda: f"Secure Note (note {rng.randrange(15)})"),
            ("Edit Secure Note", 6, lambda: f"Secure Note (note {rng.randrange(15)})"),
            ("Move to Shared Folder", 6, lambda: f"app{rng.randrange(400)}.example.net to {folder(rng)}"),
            ("Removed from Shared Folder", 3, lambda: f"'{folder(rng)}' '{anyone().address}'"),
            ("Master Password Changed", 4, lambda: ""),
            ("Form Filled", 12, lambda: f"app{rng.randrange(400)}.example.net"),
        ):
            for moment in times(mean):
                person = anyone()
                yield event_of(moment, person.address, person.ip(moment, rng), action, data())

    def _right(self, owner: Person, moment: datetime, name: str) -> dict:
        rng = self.rng
        right = f"'Read only:{rng.choice(('yes', 'no'))} Admin:{'yes' if rng.random() < 0.2 else 'no'} Hide PW:no'"
        data = f"'{name}' '{rng.choice(self.people).address}' {right}"
        return event_of(moment, owner.address, owner.ip(moment, rng), "Update Folder Permissions", data)

    def _leavers(self, day: datetime) -> Iterator[dict]:
        admin, moment = self.rng.choice(self.administrators), self._moment(day)
        for number in range(self._poisson(LEAVERS_OF_WEEK)):
            leaver = f"leaver{day:%y%m%d}{number}@{DOMAIN}"
            yield event_of(moment, admin.address, admin.office, "Employee Account Deleted", leaver)
            moment += timedelta(seconds=self.rng.randrange(30, 300))

    def _rare(self) -> Iterator[dict]:
        """What happens a few times a year."""
        rng = self.rng

        def by(people: list[Person], of_year: float) -> Iterator[tuple[Person, datetime, str]]:
            for _ in range(self._count(of_year)):
                person, moment = rng.choice(people), self._working_moment()
                yield person, moment, person.ip(moment, rng)

        for person, moment in self.vpn:
            yield from self._session(person, moment - timedelta(minutes=20))
            yield from self._session(person, moment + timedelta(minutes=5))
        for number, (admin, moment, ip) in enumerate(by(self.administrators, JOINERS)):
            joiner = f"joiner{self.start:%y%m%d}{number}@{DOMAIN}"
            yield event_of(moment, admin.address, ip, "Employee Invited", joiner)
            yield event_of(moment + timedelta(hours=2), joiner, ip, "Created LastPass Account", f"{joiner}-Shared-{folder(rng)}")
            yield event_of(moment + timedelta(hours=2, minutes=1), joiner, ip, "Multifactor Enabled", "LastPass Authenticator")
            yield event_of(moment + timedelta(hours=2, minutes=5), joiner, ip, "Log in", VIA[0])
            yield event_of(moment + timedelta(hours=3), admin.address, ip, "Adding User to Group", f"{joiner} - Support")
        for person, moment, ip in by(self.people, NEW_PHONES):
            yield event_of(moment, person.address, ip, "Disabled Multifactor Authentication", "")
            yield event_of(moment + timedelta(minutes=4), person.address, ip, "Multifactor Enabled", "LastPass Authenticator")
        policies = ("Require use of any multifactor option", "Prohibit export of vault", "Show the welcome page", "Default language")
        for admin, moment, ip in by(self.administrators, POLICY_CHANGES):
            yield event_of(moment, admin.address, ip, "Edit Policy", f"{rng.choice(policies)} New value: 1")
        for admin, moment, ip in by(self.administrators, NEW_ADMINISTRATORS):
            yield event_of(moment, admin.address, ip, "Make Admin", rng.choice(self.people).address)
            yield event_of(moment + timedelta(days=1), admin.address, ip, "Remove Admin", rng.choice(self.people).address)
        for person, moment, ip in by(self.people, OUTSIDE_SHARES):
            yield event_of(moment, person.address, ip, "Add to Shared Folder",
                           f"'{folder(rng)}' 'agent{rng.randrange(9)}@supplier.example'")
        for person, moment, ip in by(self.people, TEAM_REORGANIZATIONS):
            for minute in range(rng.randrange(3, 9)):
                yield self._right(person, moment + timedelta(minutes=minute), "Team")
        for person, moment, ip in by(self.people, FOLDER_DELETIONS):
            for minute in range(1 + (rng.random() < 0.15) + (rng.random() < 0.05)):
                yield event_of(moment + timedelta(minutes=minute), person.address, ip, "Deleted Shared Folder", folder(rng))
        for person, moment, ip in by(self.people, TIDY_DAYS):
            sites = ",".join(f"old{n}.example.net" for n in range(rng.randrange(8, 40)))
            yield event_of(moment, person.address, ip, "Deleted Sites", sites)
        for action, of_year, people in (
            ("Data export", EXPORTS, self.people), ("Enterprise API Secret regenerated", SECRET_ROTATIONS, self.administrators),
            ("SCIM Provisioning Hash Updated", PROVISIONING_CHANGES, self.administrators),
            ("Iterations Changed", RECOVERIES, self.people), ("Data import", 40, self.people), ("Create Group", 24, self.administrators),
            ("Account Lockout", 60, self.people), ("Renamed Shared Folder", 40, self.people),
            ("Restored Shared Folder", 12, self.people), ("Reactivated User", 12, self.administrators),
        ):
            for person, moment, ip in by(people, of_year):
                yield event_of(moment, person.address, ip, action, "")


def folder(rng: random.Random) -> str:
    return f"Team {rng.randrange(300)}"


def event_of(moment: datetime, username: str, ip: str, action: str, data: str) -> dict:
    """Returns an event in the simulator's form."""
    return {"instant": moment.strftime("%Y-%m-%dT%H:%M:%SZ"), "username": username, "ip": ip, "action": action, "data": data}
