"""Each alarm goes to ALARM when its cause occurs, no other does, and it returns to OK when the cause is fixed.

A copy of the template that differs only in the alarms' periods deploys the real function, on a real Elasticsearch.
Three stacks run in parallel, each with its own cause:

- *silent*: nothing starts it any more.
- *failing*: LastPass has another provisioning hash than the secret, and its streams are far behind.
- *refusing*: Elasticsearch rejects its documents permanently, one stream after the other.

The tests form one sequence, in this order. The state changes are those that an alarm's SNS topic received.
"""

import json
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from cfnlint.decode import cfn_yaml
from company import Company, Size, rfc3339
from deployment import TEMPLATE, Deployment, FunctionError, client, set_up
from stacks import repair, name, queue_behind, spoil

# AWS evaluates alarms once a minute at most; the emulator every 5 s.
PERIOD_S = 10
# Three periods and a few evaluations take 45 s. The rest is for a busy machine.
PATIENCE_S = 180

STREAMS = ("event_report", "user", "detailed_shared_folder")


def alarm_of(stream: str, what: str) -> str:
    return f"{stream.replace('_', '-')}-{what}"


FRESHNESS = {alarm_of(stream, "freshness") for stream in STREAMS}
DEAD_LETTERS = {alarm_of(stream, "dead-letters") for stream in STREAMS}
ALARMS = FRESHNESS | DEAD_LETTERS | {"errors", "failure-queue", "no-run"}
# A text field of each stream, which a numeric mapping rejects.
TEXTS = {"event_report": "event.action", "user": "user.full_name", "detailed_shared_folder": "lastpass.detailed_shared_folder.name"}
# Fewer than 20 records of each stream, because a run stops if all of 20 or more are rejected.
SIZE = Size(events=2, days=1, twins=0, users=8, folders=2, users_of_a_folder=3)
SEED = 6


@dataclass
class Watched:
    """A stack and the state changes of its alarms: (alarm, state), oldest first."""

    stack: Deployment
    company: Company
    changes: list[tuple[str, str]] = field(default_factory=list)

    @property
    def namespace(self) -> str:
        return self.stack.parameters["Namespace"]

    def states(self) -> dict[str, str]:
        """Returns each alarm's state: ALARM, OK, or INSUFFICIENT_DATA before its first evaluation."""
        found = client("cloudwatch").describe_alarms(AlarmNamePrefix=f"{self.stack.stack_name}-")["MetricAlarms"]
        states = {a["AlarmName"].removeprefix(f"{self.stack.stack_name}-"): a["StateValue"] for a in found}
        assert set(states) == ALARMS
        return states

    def lag_s(self, stream: str) -> float:
        """Returns the largest `Freshness` of the last half minute, in seconds."""
        now = datetime.now(UTC)
        points = client("cloudwatch").get_metric_statistics(
            Namespace=f"LastPassElastic/{self.stack.stack_name}", MetricName="Freshness",
            Dimensions=[{"Name": "stream", "Value": stream}], StartTime=now - timedelta(seconds=3 * PERIOD_S), EndTime=now,
            Period=60, Statistics=["Maximum"],
        )["Datapoints"]
        return max(point["Maximum"] for point in points)

    def collect(self, stream: str) -> dict:
        """Collects a stream at a unique time, because runs in the same second would be one snapshot."""
        return self.stack.invoke({"action": "collect", "stream": stream, "scheduled_time": rfc3339(datetime.now(UTC))})

    def resume(self) -> None:
        assert self.stack.invoke({"action": "resume"})["status"] == "complete"


class Topic:
    """An SNS topic with a queue that receives its messages."""

    def __init__(self) -> None:
        self.arn = client("sns").create_topic(Name=name("alarms"))["TopicArn"]
        self.queue = queue_behind(self.arn)

    def hand_out(self, watched: list[Watched]) -> None:
        """Assigns the new state changes to their stacks."""
        sqs = client("sqs")
        while messages := sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
                change = json.loads(json.loads(message["Body"])["Message"])
                for one in watched:
                    if change["AlarmName"].startswith(f"{one.stack.stack_name}-"):
                        alarm = change["AlarmName"].removeprefix(f"{one.stack.stack_name}-")
                        one.changes.append((alarm, change["NewStateValue"]))


@dataclass
class Story:
    topic: Topic
    silent: Watched
    failing: Watched
    refusing: Watched

    @property
    def all(self) -> list[Watched]:
        return [self.silent, self.failing, self.refusing]

    def until(self, expected: dict[str, set[str]], work) -> None:
        """Calls `work` until exactly these alarms of each stack are in ALARM. A failure lists the actual states."""
        wanted = {
            stack: {alarm: "ALARM" if alarm in in_alarm else "OK" for alarm in ALARMS} for stack, in_alarm in expected.items()
        }
        deadline = time.monotonic() + PATIENCE_S
        missing = set(expected)
        while missing:
            work()
            seen = {stack: getattr(self, stack).states() for stack in missing}
            self.topic.hand_out(self.all)
            missing = {stack for stack in missing if seen[stack] != wanted[stack]}
            wrong = {stack: sorted(seen[stack].items() - wanted[stack].items()) for stack in missing}
            assert not missing or time.monotonic() < deadline, wrong
            time.sleep(1)


def with_short_periods(template: str) -> str:
    """Returns the template with shorter alarm periods. Nothing else is changed."""
    return re.sub(r"^      Period: 300$", f"      Period: {PERIOD_S}", template, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    path = tmp_path_factory.mktemp("template") / "template.yaml"
    path.write_text(with_short_periods(TEMPLATE.read_text()))
    return path


@pytest.fixture(scope="module")
def story(bootstrap, simulator, cluster, short):
    topic = Topic()
    watched = []
    contexts = []
    try:
        for what in ("silent", "failing", "refusing"):
            companies = Company.start(simulator, SIZE, SEED, datetime.now(UTC))
            company = companies.__enter__()
            contexts.append(companies)
            # All schedules are on, as by default, so that every alarm exists. Those of the streams fire after a day,
            # because on a slow machine their failed runs would add messages to the failure queue.
            parameters = {
                "ElasticsearchUrl": cluster.url,
                "LastPassUrl": company.url,
                "EventReportRate": "rate(1 day)",
                "Namespace": name(what).replace("-", "_"),
                "AlarmTopicArn": topic.arn,
            }
            stack = Deployment.create(name(what), parameters, bootstrap, short)
            contexts.append(stack)
            watched.append(Watched(stack, company))
        yield Story(topic, *watched)
    finally:
        for context in reversed(contexts):
            context.__exit__(None, None, None)


def test_the_copy_differs_only_in_the_periods(short):
    def plain(path) -> dict:
        return json.loads(json.dumps(cfn_yaml.load(str(path))))

    original, copy = plain(TEMPLATE), plain(short)
    alarms = [r for r in copy["Resources"].values() if r["Type"] == "AWS::CloudWatch::Alarm"]
    assert [alarm["Properties"]["Period"] for alarm in alarms] == [PERIOD_S] * len(ALARMS)
    for alarm in alarms:
        alarm["Properties"]["Period"] = 300
    assert copy == original


def test_the_freshness_alarm_is_in_alarm_before_a_stream_was_read(story):
    """Missing data counts as late."""
    story.until({"silent": FRESHNESS | {"no-run"}}, lambda: None)


def test_every_alarm_is_ok_once_every_stream_was_read(story, cluster):
    for one in story.all:
        set_up(one.stack, one.company, cluster)
        for stream in STREAMS:
            assert one.collect(stream)["status"] == "complete"

    def work():
        for one in story.all:
            one.resume()

    story.until({"silent": set(), "failing": set(), "refusing": set()}, work)


def test_each_cause_raises_its_alarm_and_no_other(story, cluster):
    failing, refusing = story.failing, story.refusing
    failing.company.accept("another one")
    for stream, hours in (("event_report", 5), ("user", 30), ("detailed_shared_folder", 30)):
        failing.stack.invoke({"action": "reset", "stream": stream, "to": rfc3339(datetime.now(UTC) - timedelta(hours=hours))})
    failing.stack.invoke_event({"action": "collect", "stream": "event_report"})

    def work():
        failing.resume()
        with pytest.raises(FunctionError) as error:
            failing.collect("event_report")
        assert error.value.error_type == "LastPass.Unauthorized"
        refusing.resume()

    for stream, text in TEXTS.items():
        spoil(cluster, stream, refusing.namespace, text)
        cluster.request("POST", f"logs-lastpass.{stream}-{refusing.namespace}/_rollover")
        alarm = alarm_of(stream, "dead-letters")

        def refuse(stream=stream, alarm=alarm):
            work()
            # While the alarm is OK, another event must be rejected. Each snapshot is new.
            if refusing.states()[alarm] == "OK":
                refusing.company.add_event(datetime.now(UTC), "ann@example.com", "Log in")
                assert refusing.collect(stream)["dead_letters"] > 0

        story.until({"refusing": {alarm}}, refuse)
        repair(cluster, stream, refusing.namespace)
    story.until({"silent": FRESHNESS | {"no-run"}, "failing": FRESHNESS | {"errors", "failure-queue"}, "refusing": set()}, work)
    # The lag caused the alarm, not missing data.
    for stream, threshold_s in (("event_report", 10_800), ("user", 93_600), ("detailed_shared_folder", 93_600)):
        assert failing.lag_s(stream) > threshold_s


def test_each_alarm_returns_to_ok_when_its_cause_is_fixed(story):
    failing, refusing = story.failing, story.refusing
    failing.company.accept(failing.company.provisioning_hash)
    # At least one message, and no other error.
    assert {message["responsePayload"]["errorType"] for message in failing.stack.failures()} == {"LastPass.Unauthorized"}

    def work():
        for one in story.all:
            one.resume()

    late = set(FRESHNESS)
    for stream in STREAMS:
        assert failing.collect(stream)["status"] == "complete"
        late.remove(alarm_of(stream, "freshness"))
        story.until({"failing": late, "silent": set()}, work)
        # The rejected documents are delivered, and the alarm stays OK.
        assert refusing.stack.invoke({"action": "redrive", "stream": stream})["dead_letters"] == 0
    story.until({"silent": set(), "failing": set(), "refusing": set()}, work)


@pytest.mark.parametrize("alarm", sorted(ALARMS))
def test_the_topic_was_notified_of_alarm_and_ok(story, alarm):
    """Of the stack in which the alarm's cause occurred."""
    where = story.refusing if alarm in DEAD_LETTERS else story.silent if alarm in FRESHNESS | {"no-run"} else story.failing
    states = [state for name, state in where.changes if name == alarm]
    # An alarm that treats missing data as breaching was also in ALARM before the first run.
    assert states.count("ALARM") >= (2 if where is story.silent else 1)
    assert states[-1] == "OK"


def test_no_other_alarm_notified_the_topic(story):
    """Except those that are in ALARM until a stream has been read."""
    first = FRESHNESS | {"no-run"}
    raised = {what: {name for name, state in getattr(story, what).changes if state == "ALARM"} - first
            for what in ("silent", "failing", "refusing")}
    assert raised == {"silent": set(), "failing": {"errors", "failure-queue"}, "refusing": DEAD_LETTERS}
