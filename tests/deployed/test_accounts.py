"""Ten accounts in one deployment, one with an invalid provisioning hash and one throttled.

The template deploys the real function with `SecretPrefix` and `Accounts`, on a real Elasticsearch. Behind the one
`LastPassUrl`, each account is a separate company. The tests up to the backfill form one sequence, in this order.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from cluster import ROLES
from company import Company, Size, rfc3339
from demo import equal
from deployment import Deployment, FunctionError, client
from providers import Provider, companies, tell_times_in
from stacks import QUIET, name, until

# The names cover all allowed characters.
HEALTHY = ["acme", "globex.eu", "initech_2", "Umbrella", "hooli-1", "soylent", "0wonka", "stark"]
DEAD, THROTTLED = "cyberdyne", "tyrell"
NAMES = [*HEALTHY[:4], DEAD, *HEALTHY[4:], THROTTLED]
# An account whose API uses another time zone, and one whose secret names its organization.
FAR, NAMED = "soylent", "acme"
ZONE, ORGANIZATION = "Asia/Kolkata", {"id": "4711", "name": "Acme Ltd"}
DEFAULT_ZONE = "US/Eastern"

SIZE = Size(events=120, days=2, twins=0.15, users=5, folders=2, users_of_a_folder=2)
END = datetime.now(UTC).replace(microsecond=0)
# The range of the first run: more than the whole history.
LOOKBACK = "4d"
# The time of events that only a backfill finds.
LONG_AGO = END - timedelta(days=20)
DEAD_HASH = "00112233445566778899aabbccddeeff"
ALWAYS_429 = {"on": {"every": 1}, "fault": {"kind": "throttled"}}

# Timeout of a run. A throttled run gives up after half of it, twice; ten concurrent runs must finish by then.
TIMEOUT_S = 20


@dataclass
class Account:
    name: str
    company: Company
    namespace: str
    api_key: str
    # Optional fields of its secret.
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def data_stream(self) -> str:
        return f"logs-lastpass.event_report-{self.namespace}"

    def secret(self, **changed: str) -> dict[str, str]:
        credentials = {
            "account_number": self.company.account_number,
            "provisioning_hash": self.company.provisioning_hash,
            "elastic_api_key": self.api_key,
            "namespace": self.namespace,
        }
        return credentials | self.settings | changed


@dataclass
class Land:
    """The deployment, its accounts and their services."""

    stack: Deployment
    cluster: object
    provider: Provider
    accounts: dict[str, Account]
    # The time of the first scheduled run.
    due: datetime | None = None
    failures: list[dict] = field(default_factory=list)

    def status(self) -> dict[str, dict]:
        """Returns the `status` of each account's event report."""
        answer = self.stack.invoke({"action": "status"})
        assert (answer["unreadable"], answer["dead_letters"]) == ([], None), answer
        return {account: said["streams"]["event_report"] for account, said in answer["accounts"].items()}

    def last_runs(self) -> dict[str, dict]:
        """Returns the last run of each account that has had one."""
        return {account: stream["last_run"] for account, stream in self.status().items() if stream["last_run"]}

    def ended(self) -> dict[str, tuple[str, str | None]]:
        """Returns how the last run of each account ended."""
        return {account: (run["status"], run["error_type"]) for account, run in self.last_runs().items()}

    def documents(self, account: str) -> list[dict]:
        return list(self.cluster.documents(self.accounts[account].data_stream))

    def assert_exact(self, account: str) -> list[dict]:
        """Asserts that the account's data stream holds each event of its LastPass once and nothing else. Returns its
        documents.
        """
        held, documents = self.accounts[account].company.events(), self.documents(account)
        held = [event for event in held if event.instant > LONG_AGO]
        assert (len(documents), equal(held, documents)) == (len(held), len(held)), account
        return documents


def key_for(cluster, namespace: str) -> str:
    """Creates a key of the role *writer* for the data streams of one namespace only."""
    rights = json.loads((ROLES / "writer.json").read_text())
    for indices in rights["indices"]:
        indices["names"] = [f"logs-lastpass.*-{namespace}"]
    body = {"name": f"lastpass-{namespace}", "role_descriptors": {"writer": rights}}
    return cluster.request("POST", "_security/api_key", body)["encoded"]


def scheduled(stack: Deployment, stream: str) -> dict:
    """Returns the target of this stream's schedule and its input."""
    return client("scheduler").get_schedule(Name=f"{stack.stack_name}-{stream.replace('_', '-')}")["Target"]


def start_as_scheduled(stack: Deployment, stream: str) -> dict:
    """Starts the schedule's target and returns the request."""
    target, now = scheduled(stack, stream), rfc3339(datetime.now(UTC))
    request = target["Input"].replace("<aws.scheduler.scheduled-time>", now)
    client("stepfunctions").start_execution(stateMachineArn=target["Arn"], input=request)
    return json.loads(request)


def backfill(stack: Deployment, request: dict) -> dict:
    """Runs the backfill state machine of the stack and returns its result."""
    states = client("stepfunctions")
    machine = stack.outputs["BackfillStateMachineArn"]
    execution = states.start_execution(stateMachineArn=machine, input=json.dumps(request))["executionArn"]

    def end() -> dict | None:
        described = states.describe_execution(executionArn=execution)
        return None if described["status"] == "RUNNING" else described

    return until(end, "the end of a backfill")


@pytest.fixture(scope="module")
def land(bootstrap, simulator, cluster) -> Iterator[Land]:
    with companies(simulator, SIZE, len(NAMES), END) as there, Provider.start(there) as provider:
        # Elasticsearch allows neither capital letters nor hyphens there.
        prefix = name("accounts").replace("-", "_")
        accounts = {}
        for nth, (account, company) in enumerate(zip(NAMES, there)):
            namespace = f"{prefix}_{nth}"
            accounts[account] = Account(account, company, namespace, key_for(cluster, namespace))
        accounts[FAR].settings = {"time_zone": ZONE}
        accounts[NAMED].settings = {"organization_id": ORGANIZATION["id"], "organization_name": ORGANIZATION["name"]}
        tell_times_in(accounts[FAR].company, ZONE)
        accounts[THROTTLED].company.fail(ALWAYS_429)
        parameters = QUIET | {
            "ElasticsearchUrl": cluster.url,
            "LastPassUrl": provider.url,
            "SecretPrefix": f"{prefix}/lastpass",
            "Accounts": ",".join(NAMES),
            # No account uses it.
            "Namespace": prefix,
            "InitialLookback": LOOKBACK,
            "PreserveOriginalEvent": "true",
            "Timeout": TIMEOUT_S,
        }
        with Deployment.create(name("ten"), parameters, bootstrap) as stack:
            for account in accounts.values():
                changed = {"provisioning_hash": DEAD_HASH} if account.name == DEAD else {}
                stack.put_account_secret(account.name, account.secret(**changed))
            # `setup` runs once for all accounts.
            stack.put_account_secret(NAMED, accounts[NAMED].secret(elastic_setup_api_key=cluster.create_api_key("installer")))
            assert stack.invoke({"action": "setup", "account": NAMED})["status"] == "complete"
            stack.put_account_secret(NAMED, accounts[NAMED].secret())
            yield Land(stack, cluster, provider, accounts)


def test_the_schedule_starts_a_run_of_each_account(land):
    """Makes the template's schedule of the event report due immediately."""
    land.due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    client("scheduler").create_schedule(
        Name=f"{land.stack.stack_name}-due-at-once",
        ScheduleExpression=f"at({land.due:%Y-%m-%dT%H:%M:%S})",
        FlexibleTimeWindow={"Mode": "OFF"},
        ActionAfterCompletion="DELETE",
        Target=scheduled(land.stack, "event_report"),
    )
    until(lambda: set(land.last_runs()) == set(NAMES), "a run of each account")
    until(lambda: len(land.failures.extend(land.stack.failures()) or land.failures) >= 2, "two messages")


def test_status_says_how_each_account_is(land):
    ended = dict.fromkeys(HEALTHY, ("complete", None))
    ended |= {DEAD: ("failed", "LastPass.Unauthorized"), THROTTLED: ("failed", "LastPass.Throttled")}
    assert land.ended() == ended
    watermarks = dict.fromkeys(HEALTHY, rfc3339(land.due)) | dict.fromkeys((DEAD, THROTTLED))
    assert {account: stream["watermark"] for account, stream in land.status().items()} == watermarks


@pytest.mark.parametrize("account", HEALTHY)
def test_a_healthy_account_has_each_event_once_in_its_own_namespace(land, account):
    documents = land.assert_exact(account)
    organization = ORGANIZATION if account == NAMED else {"name": account}
    zone = ZONE if account == FAR else DEFAULT_ZONE
    namespace = land.accounts[account].namespace
    own = {(json.dumps(d["organization"]), d["event"]["timezone"], d["data_stream"]["namespace"]) for d in documents}
    assert own == {(json.dumps(organization), zone, namespace)}


def test_no_other_namespace_has_documents(land):
    """No other namespace has documents: neither those of the two failed accounts nor that of the setting."""
    everywhere = land.cluster.count(f"logs-lastpass.*-{land.stack.parameters['Namespace']}*")
    assert everywhere == sum(len(land.documents(account)) for account in HEALTHY) == SIZE.events * len(HEALTHY)


def test_the_failure_queue_has_the_two_requests_and_what_to_do(land):
    failures = {failure["requestPayload"].get("account"): failure for failure in land.failures}
    assert len(land.failures) == len(failures)
    expected_errors = {
        DEAD: ("LastPass.Unauthorized", f"account {DEAD}: LastPass refused the account number", "Advanced > Enterprise API"),
        THROTTLED: ("LastPass.Throttled", f"account {THROTTLED}: LastPass throttles `reporting`", "the next run continues"),
    }
    assert failures.keys() == expected_errors.keys()
    request = {"action": "collect", "stream": "event_report", "scheduled_time": rfc3339(land.due)}
    for account, (error_type, beginning, remedy) in expected_errors.items():
        assert failures[account]["requestPayload"] == {**request, "account": account}
        said = failures[account]["responsePayload"]
        assert said["errorType"] == error_type
        assert said["errorMessage"].startswith(beginning) and remedy in said["errorMessage"]


def test_log_lines_have_the_account(land):
    """The summary line of each run and the lines of its metrics."""
    def ends_and_metrics() -> tuple[dict, dict]:
        ends, metrics = {}, {}
        for line in land.stack.log_lines():
            if not line.startswith("{"):
                continue
            said = json.loads(line)
            if "_aws" in said:
                metrics.setdefault(said.get("account"), []).append(said)
            elif said.get("message") == "invocation ended" and said["span"].get("action") == "collect":
                ends.setdefault(said["span"].get("account"), []).append(said.get("error_type"))
        return ends, metrics

    ends, metrics = ends_and_metrics()
    # Lambda retries a failed run once.
    expected = {account: [None] for account in HEALTHY}
    assert ends == expected | {DEAD: ["LastPass.Unauthorized"] * 2, THROTTLED: ["LastPass.Throttled"] * 2}
    assert metrics.keys() == set(NAMES)


def test_check_uses_the_key_of_the_account(land):
    """Each key can write only to the data streams of its own namespace."""
    for account in (NAMED, FAR, NAMED):
        answer = land.stack.invoke({"action": "check", "account": account})
        assert (answer["account"], answer["status"]) == (account, "ok"), answer
        assert land.accounts[account].namespace in json.dumps(answer["checks"])


def test_the_next_run_brings_a_repaired_account_up_to_date(land):
    dead, throttled = land.accounts[DEAD], land.accounts[THROTTLED]
    land.stack.put_account_secret(DEAD, dead.secret())
    throttled.company.repair()
    before = {run["request_id"] for run in land.last_runs().values()}

    def is_up_to_date() -> bool:
        """Each account has had another run. A run whose secret was changed fails first, and is retried with the new
        secret.
        """
        runs = land.last_runs().values()
        return before.isdisjoint(run["request_id"] for run in runs) and {run["status"] for run in runs} == {"complete"}

    request = start_as_scheduled(land.stack, "event_report")
    until(is_up_to_date, "the next run of each account")
    for account in NAMES:
        land.assert_exact(account)
    assert {stream["watermark"] for stream in land.status().values()} == {request["scheduled_time"]}
    assert land.stack.failures() == []


def test_a_backfill_is_of_one_account(land):
    for account in (NAMED, FAR):
        land.accounts[account].company.add_event(LONG_AGO, "ann@example.com", "Log in")
    day = {"from": rfc3339(LONG_AGO - timedelta(days=1)), "to": rfc3339(LONG_AGO + timedelta(days=1))}
    end = backfill(land.stack, {"account": NAMED, **day})
    assert (end["status"], json.loads(end["output"])["created"]) == ("SUCCEEDED", 1), end
    assert [len(land.documents(account)) - SIZE.events for account in NAMES] == [int(account == NAMED) for account in NAMES]
    backfills = {a: said["backfills"] for a, said in land.stack.invoke({"action": "status"})["accounts"].items()}
    assert [account for account in NAMES if backfills[account]] == [NAMED]
    assert backfills[NAMED][0]["status"] == "complete"

    end = backfill(land.stack, day)
    assert (end["status"], end["error"]) == ("FAILED", "Request.Invalid") and "`account` is missing" in end["cause"], end


def test_each_request_has_the_credentials_of_its_account(land):
    """Also if the same process has served other accounts before. After a change, the new credentials are used."""
    own = {(account.company.account_number, account.company.provisioning_hash) for account in land.accounts.values()}
    assert land.provider.asked_with == own | {(land.accounts[DEAD].company.account_number, DEAD_HASH)}


@pytest.mark.parametrize("account", ["", "../other", "acme/", "a/b", "*", "acme\n", "arn:aws:secretsmanager", "a" * 65, 7])
def test_an_invalid_account_name_is_refused(land, account):
    """No request may read a secret outside the prefix."""
    with pytest.raises(FunctionError) as error:
        land.stack.invoke({"action": "collect", "stream": "event_report", "account": account})
    assert error.value.error_type == "Request.Invalid"


def test_the_error_of_an_account_without_a_secret_names_the_secret(land):
    with pytest.raises(FunctionError) as error:
        land.stack.invoke({"action": "collect", "stream": "user", "account": "nobody"})
    assert error.value.error_type == "Secret.Unreachable"
    assert error.value.message.startswith("account nobody: Secrets Manager has no secret ")
    assert f"{land.stack.parameters['SecretPrefix']}/nobody" in error.value.message


def test_with_several_accounts_one_has_to_be_named(land):
    with pytest.raises(FunctionError) as error:
        land.stack.invoke({"action": "collect", "stream": "event_report"})
    assert error.value.error_type == "Request.Invalid" and "`account` is missing" in error.value.message


def test_with_one_account_none_may_be_named(deployed):
    with pytest.raises(FunctionError) as error:
        deployed.invoke({"action": "collect", "stream": "event_report", "account": NAMED})
    assert error.value.error_type == "Request.Invalid" and "omit `account`" in error.value.message
    assert "AccountsStateMachine" not in deployed.resources
    assert scheduled(deployed, "event_report")["Arn"].endswith(f":function:{deployed.stack_name}")


@pytest.fixture(scope="module")
def probed_pair(probe) -> Iterator[Deployment]:
    """Yields a stack of two accounts with its schedules off and the probe as its function."""
    parameters = QUIET | {"SecretPrefix": name("pair"), "Accounts": f"{NAMED},{FAR}"}
    with Deployment.create(name("pair"), parameters, probe) as stack:
        yield stack


@pytest.mark.parametrize(
    ("suffix", "allowed"), [("/acme", True), ("/0wonka", True), ("", False), ("-other/acme", False), ("2/acme", False)]
)
def test_the_function_may_read_only_the_secrets_below_its_prefix(probed_pair, suffix, allowed):
    secrets = client("secretsmanager")
    arn = secrets.create_secret(Name=f"{probed_pair.parameters['SecretPrefix']}{suffix}", SecretString="{}")["ARN"]
    try:
        read = {"service": "secretsmanager", "operation": "get_secret_value", "arguments": {"SecretId": arn}}
        assert probed_pair.invoke(read)["allowed"] is allowed
        write = {**read, "operation": "put_secret_value", "arguments": {"SecretId": arn, "SecretString": "{}"}}
        assert probed_pair.invoke(write)["allowed"] is False
    finally:
        secrets.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)


def test_each_schedule_starts_the_state_machine_with_the_request(probed_pair):
    """The last test of this stack, because it removes the function."""
    machine = f":stateMachine:{probed_pair.stack_name}-accounts"
    client("lambda").delete_function(FunctionName=probed_pair.outputs["FunctionName"])
    for schedule in ("event_report", "user", "detailed_shared_folder", "resume"):
        assert scheduled(probed_pair, schedule)["Arn"].endswith(machine)
        request = start_as_scheduled(probed_pair, schedule)
        failures = []
        until(lambda: len(failures.extend(probed_pair.failures()) or failures) >= 2, "the requests that could not be started")
        kept = sorted((failure["requestPayload"] for failure in failures), key=lambda request: request["account"])
        assert kept == [{**request, "account": account} for account in (NAMED, FAR)]
        for failure in failures:
            assert failure["responsePayload"]["errorType"] == "Lambda.ResourceNotFoundException"
            assert failure["responsePayload"]["errorMessage"]
