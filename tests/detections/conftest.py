"""One company in which every attack takes place, copied by the deployed function into the local node."""

import os
import sys
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "deployed"))

import attacks  # noqa: E402
import release as releases  # noqa: E402
from cluster import Cluster  # noqa: E402
from collected import until_complete  # noqa: E402
from company import Company, Size, rfc3339  # noqa: E402
from deployment import SCHEDULES_OFF, Deployment, set_up  # noqa: E402
from kibana import Alert, Engine, load_rules  # noqa: E402
from prerequisites import built, missing  # noqa: E402
from stacks import name  # noqa: E402

NOBODY = Size(events=0, days=1, twins=0, users=1, folders=0, users_of_a_folder=1)
# Time between the beginnings of two plays. A rule runs until three intervals, of at most an hour, after its play.
APART = timedelta(hours=6)
# The schedule of a rule has no relation to the times of events.
FIRST_RUN = timedelta(minutes=3)
# How late an event arrives.
LATE = timedelta(hours=3)


@dataclass
class Stage:
    """The plays in the local node, each with its beginning."""

    cluster: Cluster
    namespace: str
    plays: dict[str, tuple[attacks.Play, datetime]]
    rules: dict[str, dict]

    def alerts(self, rule: dict, play: attacks.Play, start: datetime) -> list[Alert]:
        """Runs a rule on its schedule from the beginning of a play until some time after its last event.

        Runs long after an event and before the next one are left out.
        """
        engine = Engine(rule, self.cluster, self.namespace)
        events = [start, *(start + timedelta(minutes=event["minute"]) for event in play.events if event["minute"] > 0)]
        now, alerts = start + FIRST_RUN, []
        while now < max(events) + 4 * engine.interval:
            if any(timedelta() <= now - event <= 4 * engine.interval for event in events):
                alerts += engine.run(now)
            now += engine.interval
        return alerts


@pytest.fixture(scope="session")
def stage():
    if not os.environ.get("AWS_ENDPOINT_URL"):
        missing("the local stack is not running: `make local-up`, then set the environment it prints")
    if not os.environ.get("LOCAL_ELASTICSEARCH_VERSION", "").startswith("8."):
        pytest.skip("ES|QL is not published for this version of Elasticsearch")
    folder = os.environ.get("BOOTSTRAP_DIR")
    function = Path(folder) / "bootstrap" if folder else releases.function_binary("x86_64")
    bootstrap = built(function, "make release ARCHITECTURES=x86_64")
    simulator = built(releases.TARGET / "debug" / "lastpass-simulator", "cargo build --workspace --bins")
    cluster, namespace = Cluster(), f"det_{uuid.uuid4().hex[:8]}"
    now = datetime.now(UTC).replace(microsecond=0)
    hour = now.replace(minute=0, second=0) - timedelta(hours=6)
    plays = {play.rule: (play, hour - number * APART) for number, play in enumerate(attacks.plays_of_events(), 1)}
    plays |= {play.rule: (play, now) for play in attacks.plays_of_snapshots()}
    parameters = {"ElasticsearchUrl": cluster.url, "Namespace": namespace, **SCHEDULES_OFF}
    with Company.start(simulator, NOBODY, 1, now) as company:
        for play, start in plays.values():
            company.add_events(attacks.at(start, play))
        company.add_events([{"instant": rfc3339(now - timedelta(minutes=5)), "raw": {"Time": "{time}", "Action": 7}}])
        with Deployment.create(name("detections"), {**parameters, "LastPassUrl": company.url}, bootstrap) as deployment:
            set_up(deployment, company, cluster)
            cluster.add_countries(namespace, attacks.COUNTRIES)
            first = min(start + timedelta(minutes=event["minute"]) for play, start in plays.values() for event in play.events)
            span = {"from": rfc3339(first - timedelta(hours=1)), "to": rfc3339(now)}
            until_complete(deployment, {"action": "backfill", "stream": "event_report", **span})
            company.add_events([{"instant": rfc3339(now - LATE), "username": "latecomer@example.com", "action": "Data export"}])
            until_complete(deployment, {"action": "collect", "stream": "event_report"})
            take_snapshots(company, deployment, now)
            cluster.count(f"logs-lastpass.*-{namespace}")
            yield Stage(cluster, namespace, plays, load_rules())


def take_snapshots(company: Company, deployment: Deployment, now: datetime) -> None:
    """Takes three snapshots of users and two of folders, a minute apart."""
    company.change_users(attacks.users(now))
    company.change_folders(attacks.folders())
    # Elasticsearch rejects one of the users. The rules count the users of the last two days, including deleted ones.
    folders = [attacks.changes_of_folders(len(company.users()) - 1), None]
    for number, (users, changed) in enumerate(zip([None, *attacks.changes_of_users()], [None, *folders])):
        moment = rfc3339(now - timedelta(minutes=3 - number))
        if users:
            company.change_users(users)
        if changed:
            company.change_folders(changed)
        for stream in ("user", "detailed_shared_folder"):
            until_complete(deployment, {"action": "collect", "stream": stream, "scheduled_time": moment})
