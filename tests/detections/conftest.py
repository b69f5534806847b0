"""One company in which every attack is played, copied by the deployed function into the local node."""

import sys
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests" / "deployed")]

import os  # noqa: E402

from attacks import COUNTRIES, Play, plays_of_events  # noqa: E402
from cluster import Cluster  # noqa: E402
from company import Company, Size, rfc3339  # noqa: E402
from deployment import Deployment  # noqa: E402
from kibana import Alert, Engine, load_rules  # noqa: E402
from stacks import SCHEDULES_OFF, credentials, name  # noqa: E402

TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
NOBODY = Size(events=0, days=1, twins=0, users=1, folders=0, users_of_a_folder=1)
# Time between the beginnings of two plays. A rule runs until three intervals, of at most an hour, after its play.
APART = timedelta(hours=6)
# The schedule of a rule has no relation to the times of events.
FIRST_RUN = timedelta(minutes=3)
MAX_ATTEMPTS = 20


def missing(what: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


@dataclass
class Stage:
    """The plays in the local node, each with its beginning."""

    cluster: Cluster
    namespace: str
    plays: dict[str, tuple[Play, datetime]]
    rules: dict[str, dict]

    def alerts(self, rule: dict, play: Play, start: datetime) -> list[Alert]:
        """Runs a rule on its schedule from the beginning of a play until some time after its last event."""
        engine = Engine(rule, self.cluster, self.namespace)
        last = start + timedelta(minutes=max(event["minute"] for event in play.events))
        return engine.run_between(start + FIRST_RUN, last + 3 * engine.interval)


def until_complete(deployment: Deployment, request: dict) -> dict:
    for _ in range(MAX_ATTEMPTS):
        answer = deployment.invoke(request)
        if answer["status"] == "complete":
            return answer
    raise AssertionError(answer)


def add_countries(cluster: Cluster, namespace: str) -> None:
    """Gives the future data stream of events a pipeline that adds countries, as GeoIP does in a real cluster."""
    pipeline = f"countries-{namespace}"
    cluster.ask("PUT", f"_ingest/pipeline/{pipeline}", {"processors": [{"local_country": {"countries": COUNTRIES}}]})
    cluster.ask("PUT", f"_index_template/{pipeline}", {
        "index_patterns": [f"logs-lastpass.event_report-{namespace}"],
        # Above the product's own priority, 350.
        "priority": 400,
        "data_stream": {},
        "composed_of": ["lastpass-elastic.event_report"],
        "template": {"settings": {"index": {"final_pipeline": pipeline}}},
    })


def at(start: datetime, play: Play) -> list[dict]:
    """Returns the events of a play in the simulator's form."""
    return [{**{key: value for key, value in event.items() if key != "minute"},
             "instant": rfc3339(start + timedelta(minutes=event["minute"]))} for event in play.events]


@pytest.fixture(scope="session")
def stage():
    if not os.environ.get("AWS_ENDPOINT_URL"):
        missing("the local stack is not running: `make local-up`, then set the environment it prints")
    if not os.environ.get("LOCAL_ELASTICSEARCH_VERSION", "").startswith("8."):
        pytest.skip("ES|QL is not published for this version of Elasticsearch")
    bootstrap = Path(os.environ.get("BOOTSTRAP_DIR") or TARGET / "release") / "bootstrap"
    simulator = TARGET / "debug" / "lastpass-simulator"
    for program in (bootstrap, simulator):
        if not program.is_file():
            missing(f"there is no {program}")
    cluster, namespace = Cluster(), f"det_{uuid.uuid4().hex[:8]}"
    now = datetime.now(UTC).replace(microsecond=0)
    hour = now.replace(minute=0, second=0) - timedelta(hours=6)
    plays = {play.rule: (play, hour - number * APART) for number, play in enumerate(plays_of_events(), 1)}
    parameters = {"ElasticsearchUrl": cluster.url, "Namespace": namespace, **SCHEDULES_OFF}
    with Company.start(simulator, NOBODY, 1, now) as company:
        for play, start in plays.values():
            company.add_events(at(start, play))
        with Deployment.create(name("detections"), {**parameters, "LastPassUrl": company.url}, bootstrap) as deployment:
            secret = credentials(company, cluster)
            deployment.put_secret({**secret, "elastic_setup_api_key": cluster.create_api_key("installer")})
            deployment.invoke({"action": "setup"})
            deployment.put_secret(secret)
            add_countries(cluster, namespace)
            first = min(start + timedelta(minutes=event["minute"]) for play, start in plays.values() for event in play.events)
            span = {"from": rfc3339(first - timedelta(hours=1)), "to": rfc3339(now)}
            until_complete(deployment, {"action": "backfill", "stream": "event_report", **span})
            cluster.count(f"logs-lastpass.event_report-{namespace}")
            yield Stage(cluster, namespace, plays, load_rules())
