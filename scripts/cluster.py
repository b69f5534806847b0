"""An administrator's client for the local Elasticsearch node, for the demo and the tests. The product does not use it.

The node's URL and password come from the environment, as the stack's launcher sets them.
"""

from __future__ import annotations

import base64
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from stack import LOOPBACK

ROLES = Path(__file__).resolve().parents[1] / "assets" / "roles"
# Documents per response. Elasticsearch returns at most 10,000.
PAGE_DOCUMENTS = 5_000
TIMEOUT_SECONDS = 60


class ClusterError(Exception):
    """Elasticsearch is unavailable or has refused a request. The text is for the user."""


class Cluster:
    """The local node."""

    def __init__(self) -> None:
        url = os.environ.get("LOCAL_ELASTICSEARCH_URL", "")
        if urlsplit(url).hostname not in ("127.0.0.1", "localhost", "::1"):
            raise ClusterError("there is no local Elasticsearch: start the stack with `make local-up` and source its environment")
        login = f"{os.environ['LOCAL_ELASTICSEARCH_USER']}:{os.environ['LOCAL_ELASTICSEARCH_PASSWORD']}"
        self.url = url
        self.version = os.environ["LOCAL_ELASTICSEARCH_VERSION"]
        self._login = base64.b64encode(login.encode()).decode()

    def request(self, method: str, path: str, body: object = None) -> dict:
        headers = {"Authorization": f"Basic {self._login}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/{path}", data, headers, method=method)
        try:
            with LOOPBACK.open(request, timeout=TIMEOUT_SECONDS) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refused:
            reason = refused.read().decode(errors="replace")[:500]
            raise ClusterError(f"Elasticsearch refused {method} {path} with {refused.code}: {reason}") from refused

    def create_api_key(self, role: str) -> str:
        """Creates a key with the privileges of `assets/roles/<role>.json`. Returns its encoded form, as Kibana shows
        it.
        """
        rights = json.loads((ROLES / f"{role}.json").read_text())
        body = {"name": f"lastpass-{role}", "role_descriptors": {f"lastpass-{role}": rights}}
        return self.request("POST", "_security/api_key", body)["encoded"]

    def count(self, data_stream: str) -> int:
        """Returns the current number of documents; 0 if the data stream does not exist."""
        self.request("POST", f"{data_stream}/_refresh?ignore_unavailable=true")
        return self.request("GET", f"{data_stream}/_count?ignore_unavailable=true")["count"]

    def document_with(self, data_stream: str, field: str) -> dict | None:
        """Returns the newest document that has this field."""
        body = {"size": 1, "sort": [{"@timestamp": "desc"}], "query": {"exists": {"field": field}}}
        hits = self.request("POST", f"{data_stream}/_search?ignore_unavailable=true", body)["hits"]["hits"]
        return hits[0]["_source"] if hits else None

    def add_countries(self, namespace: str, countries: dict[str, str]) -> None:
        """Gives the future data stream of events a pipeline that adds countries, as GeoIP does in a real cluster.

        `countries` maps the beginnings of addresses to ISO codes.
        """
        pipeline = f"countries-{namespace}"
        self.request("PUT", f"_ingest/pipeline/{pipeline}", {"processors": [{"local_country": {"countries": countries}}]})
        self.request("PUT", f"_index_template/{pipeline}", {
            "index_patterns": [f"logs-lastpass.event_report-{namespace}"],
            # Above the product's own priority, 350.
            "priority": 400,
            "data_stream": {},
            "composed_of": ["lastpass-elastic.event_report"],
            "template": {"settings": {"index": {"final_pipeline": pipeline}}},
        })

    def bulk(self, data_stream: str, documents: list[dict]) -> None:
        """Adds documents."""
        lines = [json.dumps(line) for document in documents for line in ({"create": {"_index": data_stream}}, document)]
        headers = {"Authorization": f"Basic {self._login}", "Content-Type": "application/x-ndjson"}
        request = urllib.request.Request(f"{self.url}/_bulk", ("\n".join(lines) + "\n").encode(), headers, method="POST")
        with LOOPBACK.open(request, timeout=TIMEOUT_SECONDS) as answer:
            if json.load(answer)["errors"]:
                raise ClusterError(f"Elasticsearch refused documents for {data_stream}")

    def documents(self, data_stream: str) -> Iterator[dict]:
        """Yields all current documents."""
        self.request("POST", f"{data_stream}/_refresh?ignore_unavailable=true")
        body = {"size": PAGE_DOCUMENTS, "sort": ["_doc"]}
        answer = self.request("POST", f"{data_stream}/_search?scroll=2m&ignore_unavailable=true", body)
        while hits := answer["hits"]["hits"]:
            for hit in hits:
                yield hit["_source"]
            answer = self.request("POST", "_search/scroll", {"scroll": "2m", "scroll_id": answer["_scroll_id"]})
