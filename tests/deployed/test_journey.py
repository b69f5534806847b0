"""The deployed function with the template's own permissions and the documented roles."""

from datetime import UTC, datetime, timedelta

import pytest
from company import Company, Size, rfc3339
from deployment import Deployment, client, set_up
from stacks import QUIET, name

SIZE = Size(events=3_000, days=5, twins=0.15, users=60, folders=12, users_of_a_folder=8)
SEED = 7
END = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
# The number of documents in a stream's data stream, as the simulator counts them.
HELD = {"event_report": Company.events, "user": Company.users, "detailed_shared_folder": Company.folders}
# The emulator checks every 10 s which schedules are due. The rest is for a busy machine.
SCHEDULE_SECONDS = 90


@pytest.fixture(scope="module")
def company(simulator):
    with Company.start(simulator, SIZE, SEED, END) as company:
        yield company


@pytest.fixture(scope="module")
def stack(bootstrap, cluster, company):
    """Yields a stack with its own namespace and schedules off, set up with the two documented roles."""
    namespace = name("deployed").replace("-", "_")
    parameters = QUIET | {"ElasticsearchUrl": cluster.url, "LastPassUrl": company.url, "Namespace": namespace}
    with Deployment.create(name("journey"), parameters, bootstrap) as stack:
        set_up(stack, company, cluster)
        yield stack


def count(cluster, stack, stream):
    return cluster.count(f"logs-lastpass.{stream}-{stack.parameters['Namespace']}")


def test_every_system_and_right_is_there(stack):
    answer = stack.invoke({"action": "check"})
    assert answer["status"] == "ok", answer


@pytest.mark.parametrize("stream", ["user", "detailed_shared_folder"])
def test_a_snapshot_is_whole_and_its_repetition_adds_nothing(stack, cluster, company, stream):
    request = {"action": "collect", "stream": stream, "scheduled_time": rfc3339(END)}
    answer = stack.invoke(request)
    held = len(HELD[stream](company))
    assert (answer["status"], answer["created"], count(cluster, stack, stream)) == ("complete", held, held)
    assert stack.invoke(request)["created"] == 0
    assert count(cluster, stack, stream) == held


def test_live_run_and_backfill_hold_every_event_once(stack, cluster, company):
    live = stack.invoke({"stream": "event_report"})
    assert live["status"] == "complete", live
    backfill = {
        "action": "backfill",
        "stream": "event_report",
        "from": rfc3339(END - timedelta(days=SIZE.days)),
        "to": rfc3339(END),
    }
    answer = stack.invoke(backfill)
    held = len(company.events())
    assert answer["status"] == "complete"
    assert answer["fetched"] == answer["created"] + answer["duplicates"] + answer["dead_letters"] == held
    assert live["created"] + answer["created"] == held
    assert count(cluster, stack, "event_report") == held
    assert stack.invoke(backfill)["created"] == 0
    assert count(cluster, stack, "event_report") == held


def test_nothing_is_left_to_resume_and_status_tells_how_far_it_is(stack):
    assert stack.invoke({"action": "resume"}) == {"action": "resume", "status": "complete", "resumed": []}
    answer = stack.invoke({"action": "status"})
    assert answer["dead_letters"] == 0
    assert [backfill["status"] for backfill in answer["backfills"]] == ["complete"]
    assert all(stream["watermark"] and not stream["unfinished"] for stream in answer["streams"].values())


def test_the_schedule_starts_the_function_with_its_own_time(stack, cluster):
    """Makes the template's schedule of the event report due immediately."""
    scheduler = client("scheduler")
    schedule = scheduler.get_schedule(Name=f"{stack.stack_name}-event-report")
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    before = stack.invoke({"action": "status"})["streams"]["event_report"]["watermark"]
    scheduler.create_schedule(
        Name=f"{stack.stack_name}-due-at-once",
        ScheduleExpression=f"at({due:%Y-%m-%dT%H:%M:%S})",
        FlexibleTimeWindow={"Mode": "OFF"},
        ActionAfterCompletion="DELETE",
        Target=schedule["Target"],
    )
    deadline = datetime.now(UTC) + timedelta(seconds=SCHEDULE_SECONDS)
    while (watermark := stack.invoke({"action": "status"})["streams"]["event_report"]["watermark"]) == before:
        assert datetime.now(UTC) < deadline, "the schedule did not start the function"
    assert watermark == rfc3339(due)
    assert stack.failures() == []
