"""The Elasticsearch node of the local stack behaves as a secured cluster in everything on which this project depends.

Run with a stack: `scripts/stack.py run -- python -m pytest testing/elasticsearch`. The tests try different keys on the
node of the environment. The expected statuses are those of an ordinary Elasticsearch.
"""

import base64
import gzip
import json
import os
import urllib.error
import urllib.request
import uuid

import pytest

NDJSON = "application/x-ndjson"
MINE = uuid.uuid4().hex[:8]
STREAM = f"logs-lastpass.node_test-{MINE}"
PATTERN = "logs-lastpass.node_test-*"
TEMPLATE = f"node-test-{MINE}"


@pytest.fixture(scope="session")
def url():
    if "LOCAL_ELASTICSEARCH_URL" not in os.environ:
        if os.environ.get("CI"):
            pytest.fail("LOCAL_ELASTICSEARCH_URL is not set; run this under `scripts/stack.py run`")
        pytest.skip("no Elasticsearch node: run this under `scripts/stack.py run`")
    return os.environ["LOCAL_ELASTICSEARCH_URL"]


class Client:
    """A client with one identity."""

    def __init__(self, url, authorization=None):
        self.url = url
        self.authorization = authorization

    def call(self, method, path, body=None, content_type="application/json", **headers):
        """Returns the status and the decoded response."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        headers["Content-Type"] = content_type
        if self.authorization:
            headers["Authorization"] = self.authorization
        request = urllib.request.Request(self.url + path, data=body, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as refusal:
            return refusal.code, json.loads(refusal.read() or b"null")

    def status(self, *arguments, **keywords):
        return self.call(*arguments, **keywords)[0]

    def bulk(self, operation="create", stream=STREAM, **headers):
        body = b"".join(
            json.dumps(line).encode() + b"\n"
            for second in range(2)
            for line in ({operation: {"_index": stream}}, {"@timestamp": f"2026-01-01T00:00:0{second}Z", "message": "hello"})
        )
        if headers.get("Content-Encoding") == "gzip":
            body = gzip.compress(body)
        status, answer = self.call("POST", "/_bulk?refresh=true", body, NDJSON, **headers)
        return status, [next(iter(item.values())) for item in answer.get("items", [])]


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture(scope="session")
def owner(url):
    return Client(url, basic(os.environ["LOCAL_ELASTICSEARCH_USER"], os.environ["LOCAL_ELASTICSEARCH_PASSWORD"]))


@pytest.fixture(scope="session", autouse=True)
def template(owner):
    body = {
        "index_patterns": [PATTERN], "data_stream": {}, "priority": 350,
        "template": {
            "settings": {"number_of_replicas": 0},
            "mappings": {"properties": {
                "@timestamp": {"type": "date"},
                "message": {"type": "match_only_text"},
                "event": {"properties": {"module": {"type": "constant_keyword", "value": "lastpass"}}},
            }},
        },
    }
    status, answer = owner.call("PUT", f"/_index_template/{TEMPLATE}", body)
    assert status == 200, answer


def new_key(owner, indices, cluster=("monitor",)):
    role = {"cluster": list(cluster), "indices": [{"names": ["logs-lastpass.*-*"], "privileges": indices}]}
    status, key = owner.call("POST", "/_security/api_key", {"name": f"node-test-{MINE}", "role_descriptors": {"r": role}})
    assert status == 200, key
    return key


@pytest.fixture(scope="session")
def writer(owner, url):
    key = new_key(owner, ["auto_configure", "create_doc", "read", "view_index_metadata"])
    return Client(url, f"ApiKey {key['encoded']}")


@pytest.fixture(scope="session", autouse=True)
def documents(template, writer):
    """Two documents in a data stream that the first write creates."""
    status, items = writer.bulk()
    assert (status, [item["status"] for item in items]) == (200, [201, 201]), items
    assert items[0]["_index"].startswith(f".ds-{STREAM}-")


def test_requests_without_valid_credentials_are_refused(url):
    assert Client(url).status("GET", "/") == 401
    assert Client(url, basic("elastic", "wrong")).status("GET", "/") == 401
    unknown = Client(url, "ApiKey " + base64.b64encode(b"bad:bad").decode())
    assert unknown.bulk()[0] == 401


def test_the_superuser_sees_version_licence_and_its_own_name(owner):
    status, root = owner.call("GET", "/")
    assert (status, root["version"]["number"]) == (200, os.environ["LOCAL_ELASTICSEARCH_VERSION"])
    assert len(root["cluster_uuid"]) == 22
    assert owner.call("GET", "/_license")[1]["license"]["type"] == "basic"
    assert owner.call("GET", "/_security/_authenticate")[1]["username"] == "elastic"


def test_a_writer_creates_reads_and_monitors(writer):
    status, items = writer.bulk(**{"Content-Encoding": "gzip"})
    assert (status, [item["status"] for item in items]) == (200, [201, 201])
    status, found = writer.call("GET", f"/{STREAM}/_search?size=1")
    assert (status, len(found["hits"]["hits"])) == (200, 1)
    assert writer.status("GET", "/_cluster/health") == 200
    assert writer.status("GET", "/") == 200


def test_a_data_stream_accepts_only_the_operation_create(writer):
    status, items = writer.bulk(operation="index")
    assert (status, {item["status"] for item in items}) == (200, {400})


def test_a_writer_is_refused_everything_else(writer):
    status, items = writer.bulk(stream="logs-other-default")
    assert (status, [item["status"] for item in items]) == (200, [403, 403])
    assert writer.status("GET", "/other/_search") == 403
    assert writer.status("DELETE", f"/{STREAM}") == 403
    assert writer.status("PUT", "/_index_template/x", {"index_patterns": ["x"]}) == 403
    assert writer.status("POST", "/_security/api_key", {"name": "x"}) == 403


def test_a_key_can_ask_for_its_own_rights(writer):
    question = {
        "cluster": ["monitor", "manage"],
        "index": [{"names": [STREAM], "privileges": ["create_doc", "delete"]}],
    }
    status, rights = writer.call("POST", "/_security/user/_has_privileges", question)
    assert status == 200
    assert rights["cluster"] == {"monitor": True, "manage": False}
    assert rights["index"][STREAM] == {"create_doc": True, "delete": False}


def test_a_key_without_monitor_does_not_see_the_version(owner, url):
    key = new_key(owner, ["read"], cluster=())
    assert Client(url, f"ApiKey {key['encoded']}").status("GET", "/") == 403


def test_a_revoked_key_is_refused_at_once(owner, url):
    key = new_key(owner, ["read"])
    client = Client(url, f"ApiKey {key['encoded']}")
    assert client.status("GET", "/_cluster/health") == 200
    assert owner.status("DELETE", "/_security/api_key", {"ids": [key["id"]]}) == 200
    assert client.status("GET", "/_cluster/health") == 401


def test_users_with_roles_have_the_same_privileges_as_keys(owner, url):
    role = {"cluster": ["monitor"], "indices": [{"names": ["logs-lastpass.*-*"], "privileges": ["read"]}]}
    assert owner.status("PUT", f"/_security/role/reader-{MINE}", role) == 200
    user = {"password": "correct-horse", "roles": [f"reader-{MINE}"]}
    assert owner.status("PUT", f"/_security/user/reader-{MINE}", user) == 200
    reader = Client(url, basic(f"reader-{MINE}", "correct-horse"))
    assert reader.status("GET", f"/{STREAM}/_search?size=0") == 200
    assert reader.bulk()[0] == 403  # no right to write anywhere: the request as a whole is refused


def test_templates_keep_the_types_that_stand_ins_replace(owner):
    status, answer = owner.call("GET", f"/_index_template/{TEMPLATE}")
    fields = answer["index_templates"][0]["index_template"]["template"]["mappings"]["properties"]
    assert status == 200
    assert fields["message"]["type"] == "match_only_text"
    assert fields["event"]["properties"]["module"] == {"type": "constant_keyword", "value": "lastpass"}


@pytest.mark.parametrize("settings", [
    {"index.codec": "best_compression"},
    {"index.mode": "logsdb"},
    {"index.mode": "logsdb", "index.codec": "default"},
], ids=str)
def test_every_codec_writes_and_reads(owner, settings):
    """Without libzstd, two of these make the shard fail on Java 21."""
    index = f"codec-{uuid.uuid4().hex[:8]}"
    assert owner.status("PUT", f"/{index}", {"settings": {"number_of_replicas": 0, **settings}}) == 200
    document = {"@timestamp": "2026-01-01T00:00:00Z", "host.name": "h", "message": "hello"}
    assert owner.status("POST", f"/{index}/_create/1?refresh=true" if "index.mode" not in settings
                        else f"/{index}/_doc?refresh=true&op_type=create", document) == 201
    assert owner.call("GET", f"/{index}/_search")[1]["hits"]["total"]["value"] == 1


# The parts of ES|QL are published completely for Elasticsearch 8 only.
HAS_ESQL = os.environ.get("LOCAL_ELASTICSEARCH_VERSION", "8").startswith("8.")
needs_esql = pytest.mark.skipif(not HAS_ESQL, reason="ES|QL is not published for this version")


@needs_esql
def test_esql_answers_a_key_that_may_only_read(owner, url):
    reader = Client(url, f"ApiKey {new_key(owner, ['read', 'view_index_metadata'], cluster=())['encoded']}")
    query = f"FROM {STREAM} | STATS n = COUNT(*) BY message | WHERE message == \"hello\""
    status, answer = reader.call("POST", "/_query", {"query": query})
    assert status == 200, answer
    assert [column["name"] for column in answer["columns"]] == ["n", "message"]
    assert answer["values"][0][0] >= 2
    assert reader.status("POST", "/_query", {"query": "FROM other"}) == 400
    assert reader.status("POST", "/_query", {"query": f"FROM {STREAM} | WHERE"}) == 400


@needs_esql
def test_esql_applies_the_filter_of_the_request(owner):
    """A rule or a panel gives its time range there."""
    span = {"range": {"@timestamp": {"gte": "2026-01-01T00:00:01Z", "lt": "2026-01-01T00:00:02Z"}}}
    query = f"FROM {STREAM} METADATA _id | KEEP @timestamp, _id"
    status, answer = owner.call("POST", "/_query", {"query": query, "filter": span})
    assert status == 200, answer
    assert {row[0] for row in answer["values"]} == {"2026-01-01T00:00:01.000Z"}


@needs_esql
def test_kql_is_a_query(owner):
    for text, expected in (("message: hello and not message: bye", True), ("message: bye", False)):
        body = {"size": 0, "query": {"kql": {"query": text}}}
        status, answer = owner.call("POST", f"/{STREAM}/_search", body)
        assert status == 200, answer
        assert (answer["hits"]["total"]["value"] > 0) is expected
