"""Names and parameters of the test stacks."""

import json
import time
import uuid
from collections.abc import Callable

from deployment import SCHEDULES_OFF, client

# Nothing listens there. These tests do not need Elasticsearch.
NO_ELASTICSEARCH = "http://127.0.0.1:9"
# Parameters of a stack that does nothing by itself (`resume` finds no work).
QUIET = {"ElasticsearchUrl": NO_ELASTICSEARCH, **SCHEDULES_OFF}
# Longest wait of `until`, and its pause between two looks. The emulator checks every 10 s which schedules are due, two
# throttled attempts take 20 s, and an execution of a state machine a few seconds. The rest is for a busy machine.
PATIENCE_S = 120
PAUSE_S = 0.1


def name(purpose: str) -> str:
    """Returns a unique stack name, so that tests can run in parallel."""
    return f"{purpose}-{uuid.uuid4().hex[:8]}"


def spoil(cluster, stream: str, namespace: str, field: str) -> None:
    """Gives the future data stream of a stream a mapping in which the text field `field` is a number, so that it
    rejects all records.
    """
    data_stream = f"logs-lastpass.{stream}-{namespace}"
    properties: dict = {"type": "long"}
    for part in reversed(field.split(".")):
        properties = {"properties": {part: properties}}
    template = {
        "index_patterns": [data_stream],
        # Above the product's own priority, 350.
        "priority": 400,
        "data_stream": {},
        "composed_of": [f"lastpass-elastic.{stream}", "logs@custom"],
        "ignore_missing_component_templates": ["logs@custom"],
        "template": {"mappings": properties},
    }
    cluster.request("PUT", f"_index_template/{data_stream}", template)


def repair(cluster, stream: str, namespace: str) -> None:
    """Undoes `spoil`: a new backing index with the product's own mapping."""
    data_stream = f"logs-lastpass.{stream}-{namespace}"
    cluster.request("DELETE", f"_index_template/{data_stream}")
    cluster.request("POST", f"{data_stream}/_rollover")


def until(look: Callable[[], object], what: str):
    """Polls until the result is true, and returns it."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE_S} s"
        time.sleep(PAUSE_S)
    return found


def queue_behind(topic: str) -> str:
    """Returns the URL of a new queue that receives the messages of an SNS topic."""
    sqs = client("sqs")
    queue = sqs.create_queue(QueueName=name("bell"))["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    may_write = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [may_write]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn)
    return queue
