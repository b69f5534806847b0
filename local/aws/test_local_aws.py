"""Each patch of local_aws.py still has its effect: fails when a new version of the emulator has moved something.

    .tools/venv/bin/python -m pytest local/aws

One emulator is started for the whole file. A function that always fails is called once by a one-time schedule, and the
tests look at everything that should follow from that.
"""

import io
import json
import sys
import time
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import stack as local_stack  # noqa: E402  (local/stack.py, which is a script and not a package)

# The emulator looks for due schedules every 10 s; alarms are judged every 5 s.
PATIENCE_SECONDS = 40

# A function in the form of a custom runtime: it prints one metric, then fails. It is called until it is ended.
BOOTSTRAP = f"""#!{sys.executable}
import json, os, urllib.request

api = f"http://{{os.environ['AWS_LAMBDA_RUNTIME_API']}}/2018-06-01/runtime/invocation/"
while True:
    with urllib.request.urlopen(api + "next") as call:
        request_id = call.headers["Lambda-Runtime-Aws-Request-Id"]
    print(json.dumps({{
        "_aws": {{"Timestamp": 0, "CloudWatchMetrics": [
            {{"Namespace": "Test", "Dimensions": [["stream"]], "Metrics": [{{"Name": "Read", "Unit": "Count"}}]}}]}},
        "stream": "user", "Read": 7}}), flush=True)
    failure = json.dumps({{"errorType": "Test.Failed", "errorMessage": "as it should"}}).encode()
    urllib.request.urlopen(urllib.request.Request(api + request_id + "/error", data=failure, method="POST")).read()
"""

TEMPLATE = {
    "Resources": {
        "Table": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
                "TimeToLiveSpecification": {"AttributeName": "expires_at", "Enabled": True},
            },
        }
    },
    "Outputs": {"Table": {"Value": {"Ref": "Table"}}},
}


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    """Makes clients of an emulator that lives as long as this file's tests."""
    stack = local_stack.Stack(tmp_path_factory.mktemp("stack"), ends_with_us=True)
    try:
        local_stack.start_aws(stack, with_iam=False)
        environment = stack.environment

        def client(service):
            return boto3.client(
                service, endpoint_url=environment["AWS_ENDPOINT_URL"], region_name=environment["AWS_REGION"],
                aws_access_key_id="test", aws_secret_access_key="test",
            )

        yield client
    finally:
        stack.stop()


def eventually(look):
    """The first answer that is not empty."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if answer := look():
            return answer
        time.sleep(0.25)
    pytest.fail(f"{look.__name__}: nothing after {PATIENCE_SECONDS} s")


def zipped(text):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        file.writestr(entry, text)
    return archive.getvalue()


@pytest.fixture(scope="module")
def scheduled_failure(aws):
    """The report that a failing function, called by a schedule, leaves in its failure queue."""
    queues, functions, alarms = aws("sqs"), aws("lambda"), aws("cloudwatch")
    queue = queues.create_queue(QueueName="failures")["QueueUrl"]
    queue_arn = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    function = functions.create_function(
        FunctionName="failing", Runtime="provided.al2023", Handler="bootstrap", Timeout=5,
        Role="arn:aws:iam::000000000000:role/any", Code={"ZipFile": zipped(BOOTSTRAP)},
    )
    functions.put_function_event_invoke_config(
        FunctionName="failing", MaximumRetryAttempts=1, DestinationConfig={"OnFailure": {"Destination": queue_arn}}
    )
    alarms.put_metric_alarm(
        AlarmName="failures", Namespace="AWS/SQS", MetricName="ApproximateNumberOfMessagesVisible",
        Dimensions=[{"Name": "QueueName", "Value": "failures"}], Statistic="Maximum", Period=60, EvaluationPeriods=1,
        Threshold=1, ComparisonOperator="GreaterThanOrEqualToThreshold", TreatMissingData="notBreaching",
    )
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    aws("scheduler").create_schedule(
        Name="once", ScheduleExpression=f"at({due:%Y-%m-%dT%H:%M:%S})", FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": function["FunctionArn"], "RoleArn": "arn:aws:iam::000000000000:role/any",
            "Input": json.dumps({"scheduled_time": "<aws.scheduler.scheduled-time>",
                                 "attempt": "<aws.scheduler.attempt-number>", "other": "<stays>"}),
        },
    )

    def failure_report():
        return queues.receive_message(QueueUrl=queue, VisibilityTimeout=0).get("Messages")

    report = json.loads(eventually(failure_report)[0]["Body"])
    return {"due": f"{due:%Y-%m-%dT%H:%M:%SZ}", "report": report}


def test_a_schedule_fills_in_its_context_attributes(scheduled_failure):
    payload = scheduled_failure["report"]["requestPayload"]
    assert payload == {"scheduled_time": scheduled_failure["due"], "attempt": "1", "other": "<stays>"}


def test_a_scheduled_function_is_retried_and_its_failure_reported(aws, scheduled_failure):
    assert scheduled_failure["report"]["responsePayload"]["errorType"] == "Test.Failed"
    assert total(aws, "AWS/Lambda", "Invocations", "FunctionName", "failing") == 2
    assert total(aws, "AWS/Lambda", "Errors", "FunctionName", "failing") == 2


def test_a_log_line_in_the_embedded_metric_format_becomes_a_metric(aws, scheduled_failure):
    assert total(aws, "Test", "Read", "stream", "user") == 14


def test_an_alarm_on_the_failure_queue_rings_by_itself(aws, scheduled_failure):
    def alarm_in_state_alarm():
        alarms = aws("cloudwatch").describe_alarms(AlarmNames=["failures"])["MetricAlarms"]
        return [alarm for alarm in alarms if alarm["StateValue"] == "ALARM"]

    assert eventually(alarm_in_state_alarm)


def test_a_table_from_a_template_expires_items_and_can_be_recovered(aws):
    stacks, tables = aws("cloudformation"), aws("dynamodb")
    stacks.create_stack(StackName="table", TemplateBody=json.dumps(TEMPLATE))

    def outputs():
        return stacks.describe_stacks(StackName="table")["Stacks"][0].get("Outputs")

    name = eventually(outputs)[0]["OutputValue"]
    ttl = tables.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    assert (ttl["TimeToLiveStatus"], ttl["AttributeName"]) == ("ENABLED", "expires_at")
    backups = tables.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"


def total(aws, namespace, metric, dimension, value):
    """The sum of a metric over the last hour."""
    now = datetime.now(UTC)
    points = aws("cloudwatch").get_metric_statistics(
        Namespace=namespace, MetricName=metric, Dimensions=[{"Name": dimension, "Value": value}],
        StartTime=now - timedelta(hours=1), EndTime=now + timedelta(minutes=1), Period=3600, Statistics=["Sum"],
    )["Datapoints"]
    return sum(point["Sum"] for point in points)
