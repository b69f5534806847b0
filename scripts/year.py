"""Backfills a year of events in slices while the live stream continues: `make year`.

Deploys template.yaml twice to the local stack, for a company with 50,000 events in its year and for one with EVENTS.
`lastpass-elastic backfill --follow` backfills each year through the state machine, while the schedule of the live
stream fires every minute and new events happen, some of them twice in a second and some of them late. Exits with 0 only
if every event is there exactly once, LastPass received no unnecessary requests, no live run was late, and the
function's memory is the same for both. Needs the environment of `scripts/stack.py` and the release binaries.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cluster import Cluster, ClusterError
from company import Company, CompanyError, Size, instant, rfc3339
from demo import DEAD_LETTERS, EVENT_REPORT, DemoFailed, equal, set_up, step, table, tell
from deployment import TARGET, Deployment, DeploymentError, FunctionError

DAYS = 365
# The memory of the larger year is compared with that of this one.
FEW_EVENTS = 50_000
# Accepted difference of the memory.
MEMORY_TOLERANCE = 0.10
# A live run is due every minute, the emulator checks every 10 s, and a run takes a while on a busy machine.
LIVE_RATE = "rate(1 minute)"
MOST_SECONDS_BETWEEN_LIVE_RUNS = 120
# A LastPass page has 10,000 events. The seconds at both ends of each page are read twice.
EVENTS_OF_A_REQUEST = 9_000
REQUESTS_OF_A_SLICE = 2
# New events, two at once. Every third pair is shown this much later.
EVENT_EVERY_SECONDS = 1.0
LATE_SECONDS = 40
LOOK_EVERY_SECONDS = 0.5


@dataclass
class Year:
    """The measurements of one year."""

    events: int
    documents: int
    equal: int
    refused: int
    seconds: float
    slices: int
    requests: int
    most_requests: int
    live_runs: int
    most_seconds_between: float
    peak_mb: float

    def is_right(self) -> bool:
        is_there_once = self.events == self.documents == self.equal and self.refused == 0
        return is_there_once and self.requests <= self.most_requests and self.is_live()

    def is_live(self) -> bool:
        return self.live_runs > 0 and self.most_seconds_between <= MOST_SECONDS_BETWEEN_LIVE_RUNS


def main() -> int:
    parser = argparse.ArgumentParser(description="Backfills a year on the local stack.")
    parser.add_argument("--events", type=int, default=1_000_000, help="events in the larger year (default: 1,000,000)")
    options = parser.parse_args()
    # Exit normally, so that the simulator and the stack are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        few, many = (year(events, seed) for seed, events in ((1, FEW_EVENTS), (2, options.events)))
    except FunctionError as error:
        print(f"\nThe function answered with the error {error.error_type}: {error.message}", file=sys.stderr)
        return 1
    except (DemoFailed, ClusterError, CompanyError, DeploymentError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    step("Both years")
    rows = [(name, *(with_one_decimal(getattr(seen, field)) for seen in (few, many))) for field, name in FIELDS.items()]
    table(("", f"{FEW_EVENTS:,} events", f"{options.events:,} events"), rows)
    ratio = many.peak_mb / few.peak_mb
    tell(f"memory: {ratio:.2f} times that of the smaller year")
    if not (few.is_right() and many.is_right() and abs(ratio - 1) <= MEMORY_TOLERANCE):
        print("\nThe copy of a year is WRONG: see the table above.", file=sys.stderr)
        return 1
    print("\nEvery event of both years is in Elasticsearch once.")
    return 0


def with_one_decimal(number: float) -> int | str:
    return number if isinstance(number, int) else f"{number:,.1f}"


FIELDS = {
    "events": "events held by LastPass",
    "documents": "documents in Elasticsearch",
    "equal": "equal",
    "refused": "dead letters",
    "seconds": "seconds of the backfill",
    "slices": "slices",
    "requests": "requests to LastPass by the backfill",
    "most_requests": "  allowed",
    "live_runs": "live runs meanwhile",
    "most_seconds_between": "most seconds between two of them",
    "peak_mb": "peak memory of the function in MB",
}


def year(events: int, seed: int) -> Year:
    step(f"A company with {events:,} events in a year")
    binaries = TARGET / "release"
    cluster = Cluster()
    end = datetime.now(UTC).replace(second=0, microsecond=0)
    size = Size(events=events, days=DAYS, twins=0.1, users=50, folders=5, users_of_a_folder=5)
    name = f"lastpass-year-{seed}"
    parameters = {
        "ElasticsearchUrl": cluster.url,
        "Namespace": f"year_{seed}",
        "EventReportRate": LIVE_RATE,
        "UserState": "DISABLED",
        "DetailedSharedFolderState": "DISABLED",
        # The documents keep their records, so that they can be compared.
        "PreserveOriginalEvent": "true",
    }
    with Company.start(binaries / "lastpass-simulator", size, seed, end, reporting_events=True) as company:
        parameters["LastPassUrl"] = company.url
        with Deployment.create(name, parameters, binaries / "bootstrap") as deployment:
            set_up(deployment, company, cluster)
            wait_for_live_run(deployment, since=end)
            with new_events(company), watched(deployment) as memory:
                began = time.monotonic()
                answer = backfill(TARGET / "debug" / "lastpass-elastic", name, end)
                seconds = time.monotonic() - began
            # The last events are late, and the next run reads them. Its own requests must not become events.
            company.write_reporting_events(False)
            wait_for_live_run(deployment, since=datetime.now(UTC) + timedelta(seconds=LATE_SECONDS))
            gaps = seconds_between_live_runs(deployment)
            step("Is every event there exactly once?")
            held = company.events()
            data_stream = EVENT_REPORT.data_stream.replace("default", parameters["Namespace"])
            documents = list(cluster.documents(data_stream))
            return Year(
                events=len(held),
                documents=len(documents),
                equal=equal(held, documents),
                refused=cluster.count(DEAD_LETTERS.replace("default", parameters["Namespace"])),
                seconds=seconds,
                slices=answer["slices"],
                requests=answer["lastpass_requests"],
                most_requests=events // EVENTS_OF_A_REQUEST + REQUESTS_OF_A_SLICE * answer["slices"],
                live_runs=len(gaps) + 1,
                most_seconds_between=max(gaps, default=0.0),
                peak_mb=memory["peak_kb"] / 1024,
            )


def backfill(program: Path, stack_name: str, end: datetime) -> dict:
    """Starts the backfill as a user does and shows its progress. Returns the response."""
    words = ["--stack", stack_name, "backfill", "--from", f"{DAYS + 1}d", "--to", rfc3339(end), "--follow", "--output", "json"]
    step(" ".join(["lastpass-elastic", *words]))
    done = subprocess.run([program, *words], stdout=subprocess.PIPE, text=True)
    tell(done.stdout.strip())
    answer = json.loads(done.stdout or "{}")
    if done.returncode != 0 or answer.get("status") != "complete":
        raise DemoFailed(f"the backfill ended with {done.returncode}")
    return answer


@contextmanager
def new_events(company: Company) -> Iterator[None]:
    """Adds events, always two at once, until the context ends."""
    over = threading.Event()

    def add_events_until_over() -> None:
        number = 0
        while not over.wait(EVENT_EVERY_SECONDS):
            number += 1
            late_s = LATE_SECONDS if number % 3 == 0 else 0
            now = datetime.now(UTC).replace(microsecond=0)
            for _ in range(2):
                company.add_event(now, f"user{number % 7}@example.com", "Failed Login Attempt", late_s)

    with running(add_events_until_over, over):
        yield


@contextmanager
def watched(deployment: Deployment) -> Iterator[dict]:
    """Records the peak memory of the function's processes in `peak_kb`."""
    seen, over = {"peak_kb": 0}, threading.Event()
    marker = f"AWS_LAMBDA_FUNCTION_NAME={deployment.outputs['FunctionName']}\0".encode()

    def look() -> None:
        while not over.wait(LOOK_EVERY_SECONDS):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    is_function = os.readlink(process / "exe").endswith("/bootstrap")
                    if is_function and marker in (process / "environ").read_bytes():
                        seen["peak_kb"] = max(seen["peak_kb"], peak_kb(process))
                except (OSError, StopIteration):
                    continue  # it has ended

    with running(look, over):
        yield seen


def peak_kb(process: Path) -> int:
    lines = (process / "status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM:")))


@contextmanager
def running(work, over: threading.Event) -> Iterator[None]:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def wait_for_live_run(deployment: Deployment, since: datetime) -> None:
    """Waits for a complete live run that was due after `since`."""
    began = time.monotonic()
    while time.monotonic() - began < 300:
        stream = deployment.invoke({"action": "status"})["streams"][EVENT_REPORT.name]
        if stream["watermark"] and instant(stream["watermark"]) >= since:
            return
        time.sleep(2)
    raise DemoFailed("the schedule of the live stream completed no run within five minutes")


def seconds_between_live_runs(deployment: Deployment) -> list[float]:
    """Returns the seconds between the ends of successive complete live runs, from the function's log."""
    ends = []
    for line in deployment.log_lines():
        if '"invocation ended"' in line and '"action":"collect"' in line and '"status":"complete"' in line:
            ends.append(instant(json.loads(line)["timestamp"]))
    return [(later - earlier).total_seconds() for earlier, later in zip(sorted(ends), sorted(ends)[1:])]


if __name__ == "__main__":
    sys.exit(main())
