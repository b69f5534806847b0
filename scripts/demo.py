"""The whole journey on the local stack: `make demo`.

Deploys template.yaml, copies the three streams of a simulated company into Elasticsearch, compares every document with
its record, repeats everything, and shows one document of each stream. Then plays an attack, and lists the detection
rules that find it. Exits with 0 only if everything is there exactly once and a rule found the attack, otherwise with 1.
Needs the environment of `scripts/stack.py` and the binaries of the dev profile.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from attacks import at, takeover
from cluster import Cluster, ClusterError
from company import Company, CompanyError, Record, Size, instant, rfc3339
from deployment import TARGET, Deployment, DeploymentError, FunctionError, credentials
from kibana import Engine, load_rules

SIZE = Size(events=60_000, days=30, twins=0.15, users=2_500, folders=300, users_of_a_folder=50)
SEED = 20_261_101
STACK_NAME = "lastpass-demo"
# Longest wait for the schedule: a minute, up to 10 s until the emulator checks, and its run. The rest is for slower
# machines.
SCHEDULE_SECONDS = 300
LOOK_EVERY_SECONDS = 2
SAY_EVERY_SECONDS = 10
# Most repetitions of a request until it is complete. A whole backfill needs one or two.
MAX_ATTEMPTS = 60
# A scheduled run may hold the stream for a moment.
BUSY_PAUSE_SECONDS = 3


class DemoFailed(Exception):
    """A result is wrong. The text is for the user."""


@dataclass(frozen=True)
class Stream:
    """The names of a stream: in requests, for people, and of its data stream."""

    name: str
    title: str
    records: Callable[[Company], list[Record]]

    @property
    def data_stream(self) -> str:
        return f"logs-lastpass.{self.name}-default"


EVENT_REPORT = Stream("event_report", "event report", Company.events)
USER = Stream("user", "users", Company.users)
FOLDER = Stream("detailed_shared_folder", "shared folders", Company.folders)
STREAMS = (EVENT_REPORT, USER, FOLDER)
# The data stream in which `collect` and `backfill` store permanently rejected documents.
DEAD_LETTERS = "logs-lastpass.dead_letter-default"
CHANGES = "logs-lastpass.change-"
# An address that nobody else in the company uses.
ATTACKER = "233.252.0.66"


def step(text: str) -> None:
    print(f"\n==> {text}", flush=True)


def tell(text: str) -> None:
    print(f"    {text}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs the main job on the local stack.")
    parser.add_argument("--end", type=instant, help="end of the company's history, RFC 3339 (default: the last whole minute)")
    options = parser.parse_args()
    # Exit normally, so that the simulator and the stack are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    end = options.end or datetime.now(UTC).replace(second=0, microsecond=0)
    try:
        return demo(end)
    except FunctionError as error:
        print(f"\nThe function answered with the error {error.error_type}: {error.message}", file=sys.stderr)
    except (DemoFailed, ClusterError, CompanyError, DeploymentError) as error:
        print(f"\n{error}", file=sys.stderr)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 1


def demo(end: datetime) -> int:
    started = time.monotonic()
    binaries = TARGET / "debug"
    cluster = Cluster()

    step("A company in LastPass: the simulator serves its Enterprise API")
    with Company.start(binaries / "lastpass-simulator", SIZE, SEED, end, reporting_events=True) as company:
        records = {stream: stream.records(company) for stream in STREAMS}
        describe(records, end)
        with deploy(cluster, company, binaries / "bootstrap") as deployment:
            set_up(deployment, company, cluster)
            requests = collect(deployment, end)
            records[EVENT_REPORT] = collect_own_requests(deployment, company)

            step("Is every record there exactly once?")
            right = compare(records, cluster)

            step("Repeating everything: the same snapshots, the same scheduled run, the same range")
            right &= repeat(deployment, requests, cluster)

            step("One document of each stream in Elasticsearch")
            for stream in STREAMS:
                show_sample(cluster, stream)

            found = attack(deployment, company, cluster)

            step("Removing the stack and stopping the simulator")
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    tell(f"done after {minutes} min {seconds} s")
    if not right:
        print("\nThe copy DIFFERS from LastPass: see the tables above.", file=sys.stderr)
        return 1
    if not found:
        print("\nThe detection rules did NOT find the attack.", file=sys.stderr)
        return 1
    print("\nEvery LastPass record is in Elasticsearch once, and the repetition added nothing."
          f" {found} detection rules found the attack.")
    return 0


def describe(records: dict[Stream, list[Record]], end: datetime) -> None:
    equals = Counter(records[EVENT_REPORT])
    twins = sum(count for count in equals.values() if count > 1)
    tell(f"{SIZE.events:,} events in the {SIZE.days} days before {rfc3339(end)}; {twins:,} of them have an equal one in the")
    tell("same second, and each is a separate event")
    tell(f"{SIZE.users:,} users; {SIZE.folders} shared folders with up to {SIZE.users_of_a_folder} users each, which makes"
         f" {len(records[FOLDER]):,} documents")


def deploy(cluster: Cluster, company: Company, bootstrap: Path) -> Deployment:
    step("Deploying template.yaml to the AWS emulator")
    parameters = {
        "ElasticsearchUrl": cluster.url,
        "LastPassUrl": company.url,
        "EventReportRate": "rate(1 minute)",
        "UserState": "DISABLED",
        "DetailedSharedFolderState": "DISABLED",
        # The documents keep their records, so that they can be compared.
        "PreserveOriginalEvent": "true",
    }
    for name, value in parameters.items():
        tell(f"{name} = {value}")
    deployment = Deployment.create(STACK_NAME, parameters, bootstrap)
    tell(f"created {len(deployment.resources)} resources, among them the function {deployment.outputs['FunctionName']}")
    return deployment


def set_up(deployment: Deployment, company: Company, cluster: Cluster) -> None:
    step(f"Two Elasticsearch {cluster.version} API keys with the privileges in assets/roles/, into the stack's secret")
    secret = credentials(company, cluster)
    deployment.put_secret({**secret, "elastic_setup_api_key": cluster.create_api_key("installer")})
    tell("writer: for normal operation; it can only add and read documents of these data streams")
    tell("installer: only for `setup`")

    answer = invoke(deployment, {"action": "setup"}, "Installing the index templates")
    for installed in answer["installed"]:
        tell(f"installed {installed if isinstance(installed, str) else json.dumps(installed)}")
    deployment.put_secret(secret)
    tell("removed the installer key from the secret")

    answer = invoke(deployment, {"action": "check"}, "Trying every system and every right that is needed")
    for check in answer["checks"]:
        tell(f"{check['status']:8} {check['name']}: {check['message']}")
    if answer["status"] != "ok":
        raise DemoFailed("`check` found a problem, see above")


def collect(deployment: Deployment, end: datetime) -> list[dict]:
    """Copies all three streams. Returns the requests, so that they can be repeated."""
    scheduled_time = rfc3339(datetime.now(UTC))
    snapshots = [
        {"action": "collect", "stream": stream.name, "scheduled_time": scheduled_time} for stream in (USER, FOLDER)
    ]
    for request, what in zip(snapshots, ("The users, started by hand", "The shared folders, started by hand")):
        until_complete(deployment, request, what)
    scheduled = {"action": "collect", "stream": EVENT_REPORT.name, "scheduled_time": wait_for_schedule(deployment)}
    start = end - timedelta(days=SIZE.days)
    backfill = {"action": "backfill", "stream": EVENT_REPORT.name, "from": rfc3339(start), "to": rfc3339(end)}
    until_complete(deployment, backfill, f"The event report of all {SIZE.days} days, by a backfill")
    return [*snapshots, scheduled, backfill]


def collect_own_requests(deployment: Deployment, company: Company) -> list[Record]:
    """Copies the events that LastPass wrote for the function's own requests. Returns all events of LastPass afterwards.
    """
    company.write_reporting_events(False)
    request = {"action": "collect", "stream": EVENT_REPORT.name}
    until_complete(deployment, request, "The events of the function's own requests, with the next live run")
    return company.events()


def wait_for_schedule(deployment: Deployment) -> str:
    """Waits for the first complete run of the event report's schedule. Returns its scheduled time."""
    step("The event report of the last day, started by its schedule")
    tell("its rate is one minute here, and the emulator checks every 10 s; waiting")
    began = said = time.monotonic()
    while True:
        stream = deployment.invoke({"action": "status"})["streams"][EVENT_REPORT.name]
        last_run, waited = stream["last_run"], time.monotonic() - began
        if last_run and last_run["status"] == "complete":
            break
        if waited > SCHEDULE_SECONDS:
            ended = f"; its last run ended {last_run['status']}" if last_run else ""
            raise DemoFailed(f"the schedule completed no run within {SCHEDULE_SECONDS} s{ended}."
                             f"\nThe function's last log lines:\n{last_log_lines(deployment)}")
        if time.monotonic() - said >= SAY_EVERY_SECONDS:
            said = time.monotonic()
            tell(f"{waited:3.0f} s: {'the run continues' if last_run or stream['lease_expires'] else 'not yet'}")
        time.sleep(LOOK_EVERY_SECONDS)
    tell(f"the schedule of {stream['watermark']} has run: {counted(last_run)}")
    return stream["watermark"]


def last_log_lines(deployment: Deployment, count: int = 10) -> str:
    return "\n".join(list(deployment.log_lines())[-count:])


def invoke(deployment: Deployment, request: dict, what: str) -> dict:
    step(what)
    tell(json.dumps(request))
    return deployment.invoke(request)


def until_complete(deployment: Deployment, request: dict, what: str) -> int:
    """Repeats a request until it is complete, as every caller must. Returns the number of new documents."""
    step(what)
    created = 0
    for _ in range(MAX_ATTEMPTS):
        tell(json.dumps(request))
        began = time.monotonic()
        answer = deployment.invoke(request)
        created += answer["created"]
        text = f"{answer['status']} after {time.monotonic() - began:.1f} s: {counted(answer)}"
        if answer["status"] == "skipped":
            text = f"skipped ({answer['reason']}): another run has this stream; retrying"
            time.sleep(BUSY_PAUSE_SECONDS)
        tell(text)
        if answer["status"] == "complete":
            return created
    raise DemoFailed(f"the request was not complete after {MAX_ATTEMPTS} attempts")


def counted(counters: dict) -> str:
    """Describes the counters of a response or of a last run."""
    words = [f"{counters['fetched']:,} read", f"{counters['created']:,} added", f"{counters['duplicates']:,} there already",
             f"{counters['dead_letters']:,} refused"]
    if "lastpass_requests" in counters:
        words.append(f"requests: {counters['lastpass_requests']:,} to LastPass, {counters['bulk_requests']:,} bulk")
    return ", ".join(words)


def repeat(deployment: Deployment, requests: list[dict], cluster: Cluster) -> bool:
    before = {stream: cluster.count(stream.data_stream) for stream in STREAMS}
    for request in requests:
        until_complete(deployment, request, f"Once more: {request['action']} {request['stream']}")
    print()
    rows = []
    for stream in STREAMS:
        after = cluster.count(stream.data_stream)
        rows.append((stream.title, before[stream], after, after - before[stream]))
    table(("", "documents before", "documents after", "added"), rows)
    return all(added == 0 for *_, added in rows)


def attack(deployment: Deployment, company: Company, cluster: Cluster) -> int:
    """Plays an attack, copies it, and runs the detection rules once, as Kibana does. Returns how many found it."""
    step("An attack: somebody guesses a password and copies the vault")
    victim = json.loads(company.users()[0].text)["username"]
    play = takeover(victim, ATTACKER)
    for action, count in Counter(event["action"] for event in play.events).items():
        tell(f"{count:2} {action}: {victim} from {ATTACKER}")
    company.add_events(at(datetime.now(UTC), play))
    until_complete(deployment, {"action": "collect", "stream": EVENT_REPORT.name}, "The attack's events, with the next live run")
    cluster.count(EVENT_REPORT.data_stream)
    step("The rules in detections/ that find it")
    now, rows = datetime.now(UTC), []
    for name, rule in load_rules().items():
        # The rules on changes need a second snapshot.
        if CHANGES in json.dumps(rule):
            continue
        alerts = [alert for alert in Engine(rule, cluster, "default").run(now) if alert.names(victim) or alert.names(ATTACKER)]
        if alerts:
            rows.append((name, rule["severity"], rule["name"].removeprefix("LastPass: ")))
    table(("rule", "severity", "what it says"), sorted(rows))
    return len(rows)


def compare(records: dict[Stream, list[Record]], cluster: Cluster) -> bool:
    rows = []
    for stream in STREAMS:
        documents = list(cluster.documents(stream.data_stream))
        rows.append((stream.title, len(records[stream]), len(documents), equal(records[stream], documents)))
    table(("", "held by LastPass", "documents in Elasticsearch", "equal"), rows)
    tell("equal: the document's event.original is the record, and an event's @timestamp is its instant")
    refused = Counter(letter["error"]["type"] for letter in cluster.documents(DEAD_LETTERS))
    for reason, count in refused.items():
        tell(f"{count:,} records were rejected ({reason}); they are in {DEAD_LETTERS}")
    return all(there == documents == same for _, there, documents, same in rows)


def equal(records: list[Record], documents: Iterable[dict]) -> int:
    """Returns how many records have a document.

    If an event's pass of a repeated hour is ambiguous, either instant is right, so only the record is compared.
    """
    certain, either = Counter(), Counter()
    is_timed = records[0].instant is not None
    for document in documents:
        moment = instant(document["@timestamp"]) if is_timed else None
        record = Record.of(json.loads(document["event"]["original"]), moment)
        if "ambiguous_time" in document.get("tags", []):
            either[record.text] += 1
        else:
            certain[record] += 1
    wanted = Counter(records)
    rest = Counter()
    for record, count in (wanted - certain).items():
        rest[record.text] += count
    return (wanted & certain).total() + (rest & either).total()


def show_sample(cluster: Cluster, stream: Stream) -> None:
    print(f"\n    {stream.data_stream}")
    document = cluster.document_with(stream.data_stream, "related.user")
    print("\n".join(f"    {line}" for line in json.dumps(document, indent=2, ensure_ascii=False).splitlines()))


def table(head: tuple[str, ...], rows: list[tuple]) -> None:
    cells = [head, *([f"{cell:,}" if isinstance(cell, int) else cell for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for index, row in enumerate(cells):
        first, *rest = (cell.ljust(width) if not column else cell.rjust(width)
                        for column, (cell, width) in enumerate(zip(row, widths)))
        tell("   ".join([first, *rest]))
        if not index:
            tell("   ".join("-" * width for width in widths))


if __name__ == "__main__":
    sys.exit(main())
