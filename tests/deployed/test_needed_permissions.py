"""The function needs each permission for its own calls, and no other, under the emulator's IAM.

The real function runs on a real Elasticsearch, once with the template's role and once without each of the role's
permissions. The emulator checks no role for what its own services do (measured: the failure queue is filled, logs are
written and schedules start the function without permissions). For these, `tests/template/test_permissions.py` has the
list.
"""

from datetime import UTC, datetime, timedelta

import pytest
import yaml
from company import Company, Size, rfc3339
from deployment import TEMPLATE, Deployment, FunctionError, credentials, set_up
from stacks import QUIET, repair, name, spoil

STREAMS = ("event_report", "user", "detailed_shared_folder")
# Fewer than 20 records of each stream, because a run stops if all of 20 or more are rejected.
SIZE = Size(events=15, days=1, twins=0, users=12, folders=3, users_of_a_folder=3)
SEED = 5
END = datetime.now(UTC).replace(microsecond=0)
# Permission -> (a request that needs it, the system that the error names)
NEEDED = {
    "secretsmanager:GetSecretValue": ({"action": "collect", "stream": "event_report"}, "Secret"),
    "dynamodb:GetItem": ({"action": "reset", "stream": "event_report", "to": "2025-01-01T00:00:00Z"}, "Checkpoint"),
    "dynamodb:UpdateItem": ({"action": "collect", "stream": "event_report"}, "Checkpoint"),
    "dynamodb:BatchGetItem": ({"action": "resume"}, "Checkpoint"),
    "dynamodb:Scan": ({"action": "status"}, "Checkpoint"),
}
# The services that the function calls itself.
OWN_SERVICES = ("secretsmanager", "dynamodb")


@pytest.fixture(scope="module")
def company(simulator):
    with Company.start(simulator, SIZE, SEED, END) as company:
        yield company


@pytest.fixture(scope="module")
def parameters(cluster, company):
    return QUIET | {"ElasticsearchUrl": cluster.url, "LastPassUrl": company.url, "Namespace": name("rights").replace("-", "_")}


@pytest.fixture(scope="module")
def stack(bootstrap, cluster, company, parameters):
    """Yields a stack with all permissions. Its `setup` also serves the stacks without one, because templates belong to
    the cluster.
    """
    with Deployment.create(name("allowed"), parameters, bootstrap) as stack:
        set_up(stack, company, cluster)
        yield stack


def without(permission: str, text: str) -> str:
    """Returns the template without one permission of the function's role. Nothing else is changed."""
    service, action = permission.split(":")
    lines = text.splitlines(keepends=True)
    start = lines.index("  FunctionRole:\n")
    end = lines.index("  Function:\n", start)
    (index,) = [i for i in range(start, end) if permission in lines[i]]
    written = lines[index].split("Action: ")[1].strip()
    left = [name for name in yaml.safe_load(f"[{written.strip('[]')}]") if name != permission]
    # A statement must have an action. If none remains, use one that does not exist.
    lines[index] = lines[index].replace(written, f"[{', '.join(left) or f'{service}:None'}]")
    return "".join(lines)


def own_permissions(text: str) -> set[str]:
    """Returns the permissions of the template for the function's own calls."""
    loader = type("Loader", (yaml.SafeLoader,), {})
    loader.add_multi_constructor("!", lambda *_: None)
    policies = yaml.load(text, loader)["Resources"]["FunctionRole"]["Properties"]["Policies"]
    statements = [s for policy in policies for s in policy["PolicyDocument"]["Statement"] if s]
    actions = [a for s in statements for a in (s["Action"] if isinstance(s["Action"], list) else [s["Action"]])]
    return {action for action in actions if action.split(":")[0] in OWN_SERVICES}


def test_there_is_a_test_of_each_permission():
    assert own_permissions(TEMPLATE.read_text()) == set(NEEDED)


def test_with_all_of_them_every_action_succeeds(stack, cluster):
    namespace = stack.parameters["Namespace"]
    spoil(cluster, "user", namespace, "user.full_name")
    answers = {stream: stack.invoke({"action": "collect", "stream": stream}) for stream in STREAMS}
    assert {stream: answer["status"] for stream, answer in answers.items()} == dict.fromkeys(STREAMS, "complete"), answers
    assert answers["user"]["dead_letters"] == SIZE.users
    repair(cluster, "user", namespace)

    range_of_a_day = {"from": rfc3339(END - timedelta(days=1)), "to": rfc3339(END)}
    for request, status in (
        ({"action": "redrive", "stream": "user"}, "complete"),
        ({"action": "backfill", "stream": "event_report", **range_of_a_day}, "complete"),
        ({"action": "resume"}, "complete"),
        ({"action": "check"}, "ok"),
    ):
        answer = stack.invoke(request)
        assert answer["status"] == status, answer
    assert all(stream["watermark"] for stream in stack.invoke({"action": "status"})["streams"].values())
    to = rfc3339(END - timedelta(hours=5))
    assert stack.invoke({"action": "reset", "stream": "event_report", "to": to})["after"] == to
    assert stack.invoke({"action": "collect", "stream": "event_report"})["status"] == "complete"


@pytest.mark.parametrize("permission", NEEDED)
def test_without_it_the_function_fails_and_names_the_system(stack, bootstrap, cluster, company, tmp_path, permission):
    request, system = NEEDED[permission]
    template = tmp_path / "template.yaml"
    template.write_text(without(permission, TEMPLATE.read_text()))
    assert own_permissions(template.read_text()) & set(NEEDED) == set(NEEDED) - {permission}
    with Deployment.create(name("forbidden"), stack.parameters, bootstrap, template) as forbidden:
        forbidden.put_secret(credentials(company, cluster))
        with pytest.raises(FunctionError) as error:
            forbidden.invoke(request)
        assert error.value.error_type == f"{system}.Forbidden"
        assert permission in error.value.message
        # With all permissions the same request succeeds.
        forbidden.update({}, bootstrap)
        # The answer to `status` has no status of its own.
        assert forbidden.invoke(request).get("status", "complete") == "complete"
