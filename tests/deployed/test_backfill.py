"""The state machine that backfills a range in slices, as the template deploys it: `statemachines/backfill.asl.yaml`.

First with the real function, a real Elasticsearch and a company whose history is dense in some parts and sparse in
others. Then with a scripted function, for rare outcomes of the real one. The emulator shortens the pauses of state
machines to a fiftieth.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from zoneinfo import ZoneInfo

import pytest
import yaml
from company import Company, Size, instant, rfc3339
from demo import equal
from deployment import ROOT, Deployment, client, set_up
from stacks import QUIET, name, repair, spoil, until

SEED = 8
END = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
RANGE = {"from": rfc3339(END - timedelta(days=365)), "to": rfc3339(END)}
# Events in the slices, newest first. A page of the first covers less than an hour, one of the second most of a day, one
# of the third a week. Only the events of the third have an IP address, so a mapping can reject only that slice.
HELD = (11_000, 11_000, 12_000, 60)
SIZE = Size(events=HELD[2], days=1, twins=0.1, users=20, folders=1, users_of_a_folder=1)
REFUSED_BY_ITS_MAPPING = "source.ip"

DEFINITION = yaml.safe_load((ROOT / "statemachines" / "backfill.asl.yaml").read_text())
COUNTERS = ("fetched", "created", "duplicates", "dead_letters", "lastpass_requests")


# --- Executions ----------------------------------------------------------------------------------------------------


def start(stack: Deployment, given: dict) -> str:
    machine = stack.outputs["BackfillStateMachineArn"]
    return client("stepfunctions").start_execution(stateMachineArn=machine, input=json.dumps(given))["executionArn"]


def describe(execution: str) -> dict:
    return client("stepfunctions").describe_execution(executionArn=execution)


def end_of(execution: str) -> dict:
    return until(lambda: described if (described := describe(execution))["status"] != "RUNNING" else None, "the end of an execution")


def answer_of(execution: str) -> dict:
    described = end_of(execution)
    assert described["status"] == "SUCCEEDED", described
    return json.loads(described["output"])


def failure_of(execution: str) -> tuple[str, str]:
    described = end_of(execution)
    assert described["status"] == "FAILED", described
    return described["error"], described["cause"]


def counters(answer: dict) -> tuple:
    return tuple(answer[counter] for counter in COUNTERS)


# --- The company ---------------------------------------------------------------------------------------------------


def happened(company: Company, count: int, before: datetime, within: timedelta) -> None:
    """Adds evenly spaced events before a time, each of them twice."""
    at = (before - within * ((index // 2 * 2 + 1) / count) for index in range(count))
    fields = {"username": "ann@example.com", "action": "Log in"}
    events = [{"instant": shown, "appears_at": shown, **fields} for shown in map(rfc3339, at)]
    company.add_events(events)


@pytest.fixture(scope="module")
def company(simulator) -> Iterator[Company]:
    with Company.start(simulator, SIZE, SEED, END - timedelta(days=10)) as company:
        happened(company, HELD[0], END, timedelta(hours=1))
        happened(company, HELD[1], END - timedelta(days=1), timedelta(hours=2))
        happened(company, HELD[3], END - timedelta(days=60), timedelta(days=240))
        yield company


@contextmanager
def made(purpose: str, bootstrap, cluster, company, **parameters: object) -> Iterator[Deployment]:
    """Yields a stack with its own namespace, before `setup`."""
    own = {"ElasticsearchUrl": cluster.url, "LastPassUrl": company.url, "Namespace": name(purpose).replace("-", "_")}
    # The documents keep their records, so that they can be compared.
    with Deployment.create(name(purpose), QUIET | own | parameters | {"PreserveOriginalEvent": "true"}, bootstrap) as stack:
        yield stack


def assert_copied(stack: Deployment, cluster, company) -> None:
    """Asserts that every event is there exactly once."""
    held = company.events()
    documents = list(cluster.documents(f"logs-lastpass.event_report-{stack.parameters['Namespace']}"))
    assert (len(held), equal(held, documents), len(documents)) == (sum(HELD), sum(HELD), sum(HELD))


def status(stack: Deployment) -> dict:
    """Returns the `status` of the range."""
    (backfill,) = stack.invoke({"action": "status"})["backfills"]
    return backfill


def run_ends(stack: Deployment) -> Counter:
    """Returns how often a run of the function ended with each status."""
    lines = [json.loads(line) for line in stack.log_lines() if '"invocation ended"' in line]
    return Counter(line.get("status") for line in lines)


def slices_of(stack: Deployment) -> list[dict]:
    """Returns the planned slices, newest first. A stored plan is returned without a request to LastPass."""
    return stack.invoke({"action": "plan", **RANGE})["slices"]


def requests(company: Company, slices: list[dict]) -> list[int]:
    """Returns the number of LastPass requests for each slice so far. Requests that measure the range begin at its
    start.

    Each request covers one more second, so that each second is read completely.
    """
    asked = Counter(request["data"]["from"] for request in company.requests())

    def local(moment: str) -> str:
        second_before = instant(moment) - timedelta(seconds=1)
        return second_before.astimezone(ZoneInfo("US/Eastern")).strftime("%Y-%m-%d %H:%M:%S")

    return [asked[local(piece["from"])] for piece in slices]


# --- The function itself -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(bootstrap, cluster, company) -> Iterator[Deployment]:
    with made("whole", bootstrap, cluster, company) as stack:
        yield stack


def test_without_setup_it_fails_and_says_what_to_do(whole):
    error, cause = failure_of(start(whole, RANGE))
    assert error == "SetupRequired" and "setup has to run" in cause and "check" in cause


def test_a_wrong_input_is_refused_by_name(whole):
    error, cause = failure_of(start(whole, RANGE | {"until": "now"}))
    assert error == "Request.Invalid" and '"until"' in cause and "accepts action" in cause
    error, cause = failure_of(start(whole, {"from": RANGE["from"]}))
    assert error == "Request.Invalid" and "`to`" in cause


def test_a_refused_credential_is_named_with_its_remedy(whole, cluster, company):
    set_up(whole, company, cluster)
    company.accept("another one")
    try:
        error, cause = failure_of(start(whole, RANGE))
    finally:
        company.accept(company.provisioning_hash)
    assert error == "LastPass.Unauthorized" and "provisioning_hash" in cause and "Admin Console" in cause


def test_a_range_is_split_by_what_it_holds_and_every_event_is_there_once(whole, cluster, company):
    before = len(company.requests())
    answer = answer_of(start(whole, RANGE))
    asked = len(company.requests()) - before
    events, slices = sum(HELD), slices_of(whole)
    assert answer == {
        "action": "backfill", "stream": "event_report", **RANGE, "status": "complete", "slices": len(HELD),
        "fetched": events, "created": events, "duplicates": 0, "dead_letters": 0, "lastpass_requests": asked, "failed": [],
    }
    assert asked <= events / 9_000 + 2 * len(HELD)
    instants = [event.instant for event in company.events()]
    held = tuple(sum(instant(s["from"]) <= at < instant(s["to"]) for at in instants) for s in slices)
    assert held == HELD
    assert_copied(whole, cluster, company)
    progress = status(whole)
    assert (progress["status"], progress["slices"]["total"], progress["slices"]["complete"]) == ("complete", len(HELD), len(HELD))


def test_a_repetition_sends_lastpass_no_request(whole, company):
    before = len(company.requests())
    answer = answer_of(start(whole, RANGE))
    assert (answer["status"], answer["slices"], counters(answer)) == ("complete", len(HELD), (0,) * len(COUNTERS))
    assert len(company.requests()) == before


@pytest.fixture(scope="module")
def interrupted(bootstrap, cluster, company) -> Iterator[Deployment]:
    """Yields a stack whose slices are read one after the other, in runs of ten seconds. Elasticsearch rejects the third
    slice.
    """
    with made("interrupted", bootstrap, cluster, company, BackfillConcurrency=1, Timeout=10) as stack:
        set_up(stack, company, cluster)
        spoil(cluster, "event_report", stack.parameters["Namespace"], REFUSED_BY_ITS_MAPPING)
        yield stack


def delay(company: Company, nth: int) -> None:
    """Delays the n-th request from now on for longer than a run may take."""
    company.fail({"command": "reporting", "on": {"nth": nth}, "fault": {"kind": "delay", "milliseconds": 10_000}})


@pytest.fixture(scope="module")
def continued(interrupted, company) -> dict:
    """Stops a backfill in its second slice, restarts it immediately and returns its result.

    The run of the second slice continues: it waits for its second page until its deadline, and holds its lease
    meanwhile.
    """
    # One request to measure each slice, two for the first slice, and one for the second.
    delay(company, nth=len(HELD) + 2 + 1 + 1)
    first = start(interrupted, RANGE)
    progress = until(
        lambda: (found := planned(interrupted)) and found["complete"] == 1 and found["unfinished"] and found, "a complete slice")
    client("stepfunctions").stop_execution(executionArn=first)
    slices = slices_of(interrupted)
    before = requests(company, slices)
    answer = answer_of(start(interrupted, RANGE))
    asked = [after - earlier for after, earlier in zip(requests(company, slices), before)]
    return {"first": first, "unfinished": progress["unfinished"], "slices": slices, "answer": answer, "asked": asked}


def planned(stack: Deployment) -> dict | None:
    """Returns the `status` of the slices, once there are some."""
    return next((backfill["slices"] for backfill in stack.invoke({"action": "status"})["backfills"]), None)


def test_stopped_and_started_again_it_reads_only_what_is_missing(continued):
    assert describe(continued["first"])["status"] == "ABORTED"
    assert [s["from"] for s in continued["unfinished"]] == [continued["slices"][1]["from"]]
    # No event of the first slice, the unacknowledged page of the second, and all events of the last one.
    answer = continued["answer"]
    assert (continued["asked"][0], answer["lastpass_requests"]) == (0, 1 + 1)
    assert HELD[1] - 10_000 <= answer["created"] - HELD[3] < HELD[1] / 2
    assert answer["duplicates"] == 0


def test_a_slice_waits_for_another_run_of_it(continued, interrupted):
    """A run responded `skipped` at least once, and the slice was read nevertheless."""
    assert run_ends(interrupted)["skipped"] >= 1
    assert continued["slices"][1]["from"] not in {failed["from"] for failed in continued["answer"]["failed"]}


def test_a_slice_that_fails_permanently_is_named_and_stops_no_other(continued, interrupted):
    answer = continued["answer"]
    (failed,) = answer["failed"]
    assert answer["status"] == "incomplete" and answer["slices"] == len(HELD)
    assert {key: failed[key] for key in ("from", "to")} == continued["slices"][2]
    assert failed["error_type"] == "Elasticsearch.Refused" and "@custom component templates" in failed["message"]
    progress = status(interrupted)["slices"]
    assert progress["complete"] == 3 and [s["from"] for s in progress["unfinished"]] == [failed["from"]]


def test_after_the_fix_the_next_start_reads_only_that_slice(continued, interrupted, cluster, company):
    """LastPass throttles one run completely, and gives the next one at most a page."""
    repair(cluster, "event_report", interrupted.parameters["Namespace"])
    # The run retries before its deadline, then it fails.
    for _ in range(2):
        company.fail({"command": "reporting", "fault": {"kind": "throttled", "retry_after": "600"}})
    delay(company, nth=4)
    partial_before = run_ends(interrupted)["partial"]
    before, earlier_requests = requests(company, continued["slices"]), len(company.requests())
    answer = answer_of(start(interrupted, RANGE))
    asked = [after - earlier for after, earlier in zip(requests(company, continued["slices"]), before)]
    assert (answer["status"], answer["failed"], answer["dead_letters"]) == ("complete", [], 0)
    # The few events without an IP address were already there.
    assert 0.9 * HELD[2] < answer["created"] < HELD[2]
    assert asked[:2] + asked[3:] == [0, 0, 0]
    answered = [request["answered"] for request in company.requests()[earlier_requests:]]
    assert sum("fault" in a and a["fault"]["kind"] == "throttled" for a in answered) == 2
    assert run_ends(interrupted)["partial"] > partial_before
    assert_copied(interrupted, cluster, company)


# --- A scripted function ---------------------------------------------------------------------------------------------

# It forwards each payload to the test, at the URL that the template has for Elasticsearch.
SCRIPTED = f"""#!{sys.executable}
import json, os
from urllib.request import Request, urlopen

api = f"http://{{os.environ['AWS_LAMBDA_RUNTIME_API']}}/2018-06-01/runtime/invocation/"
while True:
    with urlopen(api + "next") as call:
        request_id, payload = call.headers["Lambda-Runtime-Aws-Request-Id"], call.read()
    with urlopen(Request(os.environ["ELASTICSEARCH_URL"], payload, method="POST")) as answer:
        what, body = json.load(answer)
    if what == "exit":
        os._exit(1)
    urlopen(Request(api + request_id + "/" + what, json.dumps(body).encode(), method="POST")).read()
"""
SLICES = [{"from": f"2026-{month:02}-01T00:00:00Z", "to": f"2026-{month + 1:02}-01T00:00:00Z"} for month in range(11, 0, -1)]
YEAR = {"from": SLICES[-1]["from"], "to": SLICES[0]["to"]}
READ = dict.fromkeys(COUNTERS, 0) | {"fetched": 10, "created": 7, "duplicates": 2, "dead_letters": 1, "lastpass_requests": 3}
NOTHING_READ = dict.fromkeys(COUNTERS, 0)
LONG = "a long text " * 100


def answered(status: str = "complete", **fields: object) -> tuple[str, dict]:
    return "response", {"status": status, "reason": None, "checkpoint": None, **READ, **fields}


def failed(error_type: str, message: str = "made up") -> tuple[str, dict]:
    return "error", {"errorType": error_type, "errorMessage": message}


EXIT = ("exit", None)


class Script:
    """The script of the function: the results for the plan and for each slice by its number, one after the other, then
    `complete`.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self.play({})

    def play(self, slices: dict[int, list], plan: list | None = None) -> None:
        self.payloads: list[dict] = []
        self._plan, self._slices = list(plan or []), {SLICES[number]["from"]: list(results) for number, results in slices.items()}
        self._planned = [SLICES[number] for number in slices]

    def next(self, payload: dict) -> tuple[str, object]:
        with self._lock:
            self.payloads.append(payload)
            if payload["action"] == "plan":
                window = {"from": payload["from"], "to": payload["to"]}
                given = {"window": window, "slices": self._planned, "lastpass_requests": 2}
                what, body = self._plan.pop(0) if self._plan else answered()
                return what, body | given if what == "response" else body
            results = self._slices[payload["from"]]
            return results.pop(0) if results else answered()

    def runs(self, number: int) -> int:
        """Returns how often the function was invoked for a slice."""
        return sum(p["action"] == "backfill" and p["from"] == SLICES[number]["from"] for p in self.payloads)

    def plans(self) -> int:
        return sum(payload["action"] == "plan" for payload in self.payloads)


@pytest.fixture(scope="module")
def script_server() -> Iterator[tuple[Script, str]]:
    script = Script()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(script.next(payload)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield script, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def scripted(script_server, tmp_path_factory) -> Iterator[Deployment]:
    """Yields a stack with the scripted function that backfills all slices at once."""
    path = tmp_path_factory.mktemp("scripted") / "bootstrap"
    path.write_text(SCRIPTED)
    path.chmod(0o755)
    parameters = QUIET | {"ElasticsearchUrl": script_server[1], "BackfillConcurrency": 10}
    with Deployment.create(name("scripted"), parameters, path) as stack:
        yield stack


@pytest.fixture
def script(script_server) -> Script:
    return script_server[0]


TEMPORARY_ERRORS = (
    "LastPass.Throttled", "LastPass.Unreachable", "LastPass.BadAnswer", "Elasticsearch.Throttled", "Elasticsearch.Unreachable",
    "Checkpoint.Unreachable", "Secret.Unreachable", "Lambda.TooManyRequestsException", "Sandbox.Timedout", "Lambda.Unknown",
)


def test_temporary_errors_are_retried(scripted, script):
    lost_runs = {len(TEMPORARY_ERRORS): [EXIT, EXIT]}
    script.play({number: [failed(error_type)] for number, error_type in enumerate(TEMPORARY_ERRORS)} | lost_runs)
    answer = answer_of(start(scripted, YEAR))
    assert (answer["status"], answer["failed"]) == ("complete", [])
    assert [script.runs(number) for number in range(len(SLICES))] == [2] * len(TEMPORARY_ERRORS) + [3]


def test_a_permanent_error_is_named_and_stops_no_other_slice(scripted, script):
    script.play({
        0: [],
        1: [failed("LastPass.Refused", "what to do")],
        2: [failed("Elasticsearch.Refused", LONG)],
        3: [answered("skipped", reason="setup_required", **NOTHING_READ)],
        4: [("response", {"no": "answer"})],
        # Records that were read before the error count.
        5: [answered("partial", checkpoint="2026-06-20T00:00:00Z"), failed("Secret.Invalid")],
        6: [failed("LastPass.Unauthorized")],
    })
    answer = answer_of(start(scripted, YEAR))
    found = {piece["from"]: (piece["to"], piece["error_type"], piece["message"]) for piece in answer["failed"]}
    expected = {
        1: ("LastPass.Refused", "what to do"),
        2: ("Elasticsearch.Refused", LONG[:500]),
        3: ("SetupRequired", found[SLICES[3]["from"]][2]),
        4: ("States.QueryEvaluationError", found[SLICES[4]["from"]][2]),
        5: ("Secret.Invalid", "made up"),
        6: ("LastPass.Unauthorized", "made up"),
    }
    assert found == {SLICES[number]["from"]: (SLICES[number]["to"], *why) for number, why in expected.items()}
    assert "check" in expected[3][1]
    assert [script.runs(number) for number in range(7)] == [1, 1, 1, 1, 1, 2, 1]
    # Two slices were read once, and the plan took two requests.
    read = {counter: 2 * count for counter, count in READ.items()}
    assert (answer["status"], answer["slices"]) == ("incomplete", 7)
    assert counters(answer) == counters(read | {"lastpass_requests": 2 * READ["lastpass_requests"] + 2})


def test_a_slice_is_requested_until_it_is_complete(scripted, script):
    partial = [answered("partial", checkpoint=f"2026-11-{day}T00:00:00Z") for day in (20, 10)]
    busy, complete = (answered("skipped", reason=reason, **NOTHING_READ) for reason in ("lease_held", "already_complete"))
    script.play({
        0: [*partial, busy, partial[1], failed("LastPass.Throttled"), complete],
        1: [busy, busy],
    })
    answer = answer_of(start(scripted, YEAR | {"account": "north", "alert": True}))
    assert (answer["status"], answer["account"], script.runs(0), script.runs(1)) == ("complete", "north", 6, 3)
    assert answer["created"] == 4 * READ["created"]
    common = {"stream": "event_report", "account": "north"}
    sent = {json.dumps(payload, sort_keys=True) for payload in script.payloads}
    backfill = common | {"action": "backfill", "skip_completed": True, "alert": True}
    expected = [common | {"action": "plan", **YEAR}, backfill | SLICES[0], backfill | SLICES[1]]
    assert sent == {json.dumps(payload, sort_keys=True) for payload in expected}


def test_a_plan_is_requested_until_it_is_complete(scripted, script):
    script.play({0: []}, [EXIT, answered("partial"), answered("skipped", reason="lease_held"), failed("LastPass.Throttled")])
    answer = answer_of(start(scripted, YEAR))
    assert (answer["status"], answer["slices"], script.plans()) == ("complete", 1, 5)
    assert answer["lastpass_requests"] == 3 * 2 + READ["lastpass_requests"]


def test_a_plan_that_cannot_be_made_fails_at_once_with_its_text(scripted, script):
    script.play({0: []}, [failed("Checkpoint.Forbidden", LONG)])
    assert failure_of(start(scripted, YEAR)) == ("Checkpoint.Forbidden", LONG)
    assert len(script.payloads) == 1


def test_a_slice_that_is_stopped_is_lost_and_stops_no_other(scripted, script):
    busy = answered("skipped", reason="lease_held", **NOTHING_READ)
    script.play({0: [busy] * 5, 1: [busy] * 50, 2: []})
    execution, machines = start(scripted, YEAR), client("stepfunctions")
    until(lambda: script.runs(0) and script.runs(1), "a run of both slices")
    (run,) = machines.list_map_runs(executionArn=execution)["mapRuns"]
    items = machines.list_executions(mapRunArn=run["mapRunArn"], statusFilter="RUNNING")["executions"]
    given = {item["executionArn"]: json.loads(describe(item["executionArn"])["input"]) for item in items}
    (stopped,) = [arn for arn, its in given.items() if its["read"]["from"] == SLICES[1]["from"]]
    machines.stop_execution(executionArn=stopped)
    answer = answer_of(execution)
    (lost,) = answer["failed"]
    assert (lost["from"], lost["to"], lost["error_type"]) == (SLICES[1]["from"], SLICES[1]["to"], "Lost")
    assert "its history says why" in lost["message"]
    assert (answer["status"], answer["slices"], answer["created"]) == ("incomplete", 3, 2 * READ["created"])


# --- Single states ---------------------------------------------------------------------------------------------------


def state_of_a_slice(state: str) -> dict:
    return DEFINITION["States"]["Slices"]["ItemProcessor"]["States"][state]


def tried(state: dict, given: object, **variables: object) -> dict:
    """Returns the result of AWS's TestState for one state of the state machine."""
    definition = json.dumps({"QueryLanguage": "JSONata", **state})
    values = {"variables": json.dumps(variables), "context": json.dumps({"variables": variables})}
    return client("stepfunctions").test_state(definition=definition, input=json.dumps(given), **values)


@pytest.mark.parametrize(("waits", "following"), [(119, "WaitForSlice"), (120, "SliceMadeNoProgress")])
def test_an_hour_without_progress_ends_a_slice(waits, following):
    stuck = {"status": "partial", "reason": None, "checkpoint": "2026-11-20T00:00:00Z"}
    busy = {"status": "skipped", "reason": "lease_held", "checkpoint": None}
    for given in (stuck, busy):
        assert tried(state_of_a_slice("IsRead"), given, waits=waits, checkpoint=stuck["checkpoint"])["nextState"] == following


def test_a_slice_that_makes_progress_is_never_given_up():
    given = {"status": "partial", "reason": None, "checkpoint": "2026-11-20T00:00:00Z"}
    assert tried(state_of_a_slice("IsRead"), given, waits=120, checkpoint="2026-11-21T00:00:00Z")["nextState"] == "Read"


@pytest.mark.parametrize(("waits", "following"), [(119, "WaitForPlan"), (120, "PlanMadeNoProgress")])
def test_an_hour_without_a_plan_ends_it(waits, following):
    given = {"status": "skipped", "reason": "lease_held"}
    assert tried(DEFINITION["States"]["IsPlanned"], given, plan_waits=waits)["nextState"] == following


# Lambda's errors for a function that timed out: as JSON, and as text that contains JSON.
TIMED_OUT = "Task timed out after 300.00 seconds"
QUOTING = (
    "The cause could not be determined because Lambda did not return an error type. Returned payload: "
    f'{{"errorMessage":"2026-11-01T00:00:00.000Z 0b3f {TIMED_OUT}"}}'
)
CAUSES = [
    (json.dumps({"errorType": "Sandbox.Timedout", "errorMessage": TIMED_OUT}), TIMED_OUT),
    (QUOTING, QUOTING),
    ("Rate Exceeded.", "Rate Exceeded."),
]


@pytest.mark.parametrize(("cause", "message"), CAUSES)
def test_every_cause_becomes_a_message(cause, message):
    given = {"Error": "Lambda.Unknown", "Cause": cause}
    slice_failed = tried(state_of_a_slice("SliceFailed"), given)
    assert slice_failed["status"] == "SUCCEEDED", slice_failed
    assert json.loads(slice_failed["output"]) == {"error_type": "Lambda.Unknown", "message": message}
    plan_failed = tried(DEFINITION["States"]["PlanFailed"], given)
    assert (plan_failed["error"], plan_failed["cause"]) == ("Lambda.Unknown", message)


@pytest.mark.parametrize("character", ['"', "é"])
def test_the_answers_of_200_failed_slices_fit_in_one_state(character):
    """Step Functions limits the input of a state to 256 KiB of UTF-8."""
    given = {"Error": "Elasticsearch.Unreachable", "Cause": character * 5_000}
    message = json.loads(tried(state_of_a_slice("SliceFailed"), given)["output"])
    read = {"read": SLICES[0], "done": dict.fromkeys(COUNTERS, 1_000_000)}
    answer = json.loads(tried(state_of_a_slice("SliceFailedBy"), message, **read)["output"])
    assert answer["message"] == character * 500
    window = {"from": SLICES[-1]["from"], "to": SLICES[0]["to"]}
    plan = answered()[1] | {"action": "plan", "stream": "event_report", "window": window, "slices": [SLICES[0]] * 200}
    state = json.dumps({"plan": plan, "answers": [answer] * 200}, ensure_ascii=False, separators=(",", ":"))
    assert len(state.encode()) <= 262_144, len(state.encode())


def test_a_slice_without_an_answer_is_lost():
    """A Map leaves an unusable result for a failed or stopped execution."""
    plan = {"window": YEAR, "slices": SLICES[:3]}
    there = SLICES[1] | {"status": "complete", **READ}
    for nothing in ([there], [None, there, None], [{"Error": "States.TaskFailed", "Cause": "x"}, there], ["", there]):
        tested = tried(DEFINITION["States"]["Answer"], {"plan": plan, "answers": nothing}, plan_requests=2, read={})
        answer = json.loads(tested["output"])
        assert [(f["from"], f["to"], f["error_type"]) for f in answer["failed"]] == [
            (SLICES[number]["from"], SLICES[number]["to"], "Lost") for number in (0, 2)
        ]
        assert counters(answer) == counters(READ | {"lastpass_requests": READ["lastpass_requests"] + 2})
