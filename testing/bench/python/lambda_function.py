"""Copies LastPass's event report into Elasticsearch in Python, as such a Lambda is usually written.

Clients are created once, when the module is loaded. Responses are read page by page, documents are written with
`streaming_bulk`, and the position is saved after each page that Elasticsearch has accepted. It lacks the other features
of the Rust function: whole seconds, a lease, a lookup in the backing indices and dead letters.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import boto3
import requests
from elasticsearch import Elasticsearch
from elasticsearch.helpers import streaming_bulk

import mapping

CHECKPOINT_TABLE = os.environ["CHECKPOINT_TABLE"]
DATA_STREAM = f"logs-lastpass.event_report-{os.environ.get('NAMESPACE', 'default')}"
LASTPASS_URL = os.environ["LASTPASS_URL"]
ZONE = ZoneInfo("US/Eastern")
KEY = {"pk": {"S": "event_report"}}

# Documents and bytes per bulk request. Source: the Rust function.
CHUNK_DOCUMENTS = 2_000
CHUNK_BYTES = 4 << 20

dynamodb = boto3.client("dynamodb")
secrets_manager = boto3.client("secretsmanager")
lastpass = requests.Session()
_credentials: dict | None = None
_elasticsearch: Elasticsearch | None = None


def credentials() -> dict:
    global _credentials
    if _credentials is None:
        answer = secrets_manager.get_secret_value(SecretId=os.environ["SECRET_ARN"])
        _credentials = json.loads(answer["SecretString"])
    return _credentials


def elasticsearch() -> Elasticsearch:
    global _elasticsearch
    if _elasticsearch is None:
        _elasticsearch = Elasticsearch(
            os.environ["ELASTICSEARCH_URL"],
            api_key=credentials()["elastic_api_key"],
            http_compress=os.environ.get("HTTP_COMPRESS") == "true",
            request_timeout=30,
            max_retries=3,
            retry_on_timeout=True,
        )
    return _elasticsearch


def pages(begin: datetime, end: datetime) -> Iterator[dict]:
    """Yields the responses of LastPass, page by page."""
    data = {"from": wall_time(begin), "to": wall_time(end), "user": "allusers"}
    while True:
        answer = lastpass.post(
            LASTPASS_URL,
            json={
                "cid": credentials()["account_number"],
                "provhash": credentials()["provisioning_hash"],
                "cmd": "reporting",
                "data": data,
            },
            timeout=60,
        )
        answer.raise_for_status()
        page = answer.json()
        if page.get("status") != "OK":
            raise RuntimeError("LastPass refused")
        yield page
        if not page.get("next"):
            return
        data["next"] = page["next"]


def wall_time(instant: datetime) -> str:
    return instant.astimezone(ZONE).strftime("%Y-%m-%d %H:%M:%S")


def actions(page: dict, ordinals: Counter, reading: mapping.Reading) -> Iterator[dict]:
    records = page["data"]
    for record in records.values() if isinstance(records, dict) else records:
        yield {
            "_op_type": "create",
            "_index": DATA_STREAM,
            "_id": mapping.document_id(record, ordinals),
            "_source": mapping.document(record, reading),
        }


def window(event: dict, now: datetime) -> tuple[datetime, datetime]:
    if "from" in event:
        return datetime.fromisoformat(event["from"]), datetime.fromisoformat(event["to"])
    item = dynamodb.get_item(TableName=CHECKPOINT_TABLE, Key=KEY, ConsistentRead=True).get("Item")
    begin = datetime.fromisoformat(item["watermark"]["S"]) if item else now - timedelta(hours=24)
    return begin, now


def save(name: str, value: str) -> None:
    dynamodb.update_item(
        TableName=CHECKPOINT_TABLE,
        Key=KEY,
        UpdateExpression="SET #name = :value",
        ExpressionAttributeNames={"#name": name},
        ExpressionAttributeValues={":value": {"S": value}},
    )


def handler(event: dict, _context: object) -> dict:
    now = datetime.now(UTC)
    begin, end = window(event, now)
    reading = mapping.Reading(created=now, ingested=None if "from" in event else now)
    fetched = created = 0
    ordinals: Counter = Counter()
    for page in pages(begin, end):
        results = streaming_bulk(
            elasticsearch(),
            actions(page, ordinals, reading),
            chunk_size=CHUNK_DOCUMENTS,
            max_chunk_bytes=CHUNK_BYTES,
            raise_on_error=False,
            max_retries=3,
            require_data_stream=True,
        )
        for ok, result in results:
            fetched += 1
            created += ok
            if not ok and result["create"]["status"] != 409:
                raise RuntimeError(f"Elasticsearch refused a document: {result['create']['error']['type']}")
        save("position", str(page.get("next") or begin.isoformat()))
    save("watermark", end.isoformat())
    return {"status": "complete", "fetched": fetched, "created": created}
