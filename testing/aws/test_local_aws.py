"""Tests that each patch of local_aws.py has its effect, because a new version of the emulator may break one.

    .tools/venv/bin/python -m pytest testing/aws

One emulator serves the whole file. A one-time schedule calls a function that always fails, and the tests check all
consequences.
"""

import io
import json
import re
import sys
import time
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import stack as local_stack  # noqa: E402  (scripts/stack.py, which is a script and not a package)

# The emulator checks schedules every 10 s and evaluates alarms every 5 s.
PATIENCE_SECONDS = 40

# A custom runtime function that prints one metric, then fails. It runs until it is stopped.
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

STATE_MACHINE_IN_YAML = """
# A comment
QueryLanguage: JSONata
StartAt: Only
States:
  Only: {Type: Pass, Output: "{% $states.input.number + 1 %}", End: true}
"""
ANY_ROLE = "arn:aws:iam::000000000000:role/any"


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    """Returns a factory of clients for an emulator that runs during this file's tests."""
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
    """Polls until a result is not empty, and returns it."""
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
    """Returns the report in the failure queue of a failing function that a schedule has called."""
    queues, functions, alarms = aws("sqs"), aws("lambda"), aws("cloudwatch")
    queue = queues.create_queue(QueueName="failures")["QueueUrl"]
    queue_arn = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    function = functions.create_function(
        FunctionName="failing", Runtime="provided.al2023", Handler="bootstrap", Timeout=5,
        Role=ANY_ROLE, Code={"ZipFile": zipped(BOOTSTRAP)},
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
            "Arn": function["FunctionArn"], "RoleArn": ANY_ROLE,
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


def test_an_alarm_on_the_failure_queue_goes_to_alarm(aws, scheduled_failure):
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


def test_a_state_machine_may_be_written_in_yaml(aws):
    stacks = aws("cloudformation")
    machine = {"DefinitionString": STATE_MACHINE_IN_YAML, "RoleArn": ANY_ROLE, "StateMachineName": "yaml"}
    template = {
        "Resources": {"Machine": {"Type": "AWS::StepFunctions::StateMachine", "Properties": machine}},
        "Outputs": {"Machine": {"Value": {"Ref": "Machine"}}},
    }
    stacks.create_stack(StackName="yaml", TemplateBody=json.dumps(template))

    def outputs():
        return stacks.describe_stacks(StackName="yaml")["Stacks"][0].get("Outputs")

    arn = eventually(outputs)[0]["OutputValue"]
    assert ended(aws, started(aws, arn, {"number": 1}))["output"] == "2"


def test_a_task_starts_a_function_in_the_background(aws, background):
    """Lambda retries the function and reports its failure. The task itself succeeds."""
    task = invoking("background", InvocationType="Event", Payload={"some": "payload"})
    execution = ended(aws, started(aws, machine(aws, "background", {"Start": task | {"End": True}})))
    assert (execution["status"], json.loads(execution["output"])["StatusCode"]) == ("SUCCEEDED", 202)

    def called():
        return total(aws, "AWS/Lambda", "Errors", "FunctionName", "background")

    assert eventually(called)


def test_a_task_cannot_start_a_missing_function(aws):
    task = invoking("nowhere", InvocationType="Event", Payload={})
    execution = ended(aws, started(aws, machine(aws, "nowhere", {"Start": task | {"End": True}})))
    assert (execution["status"], execution["error"]) == ("FAILED", "Lambda.ResourceNotFoundException")


def test_a_distributed_map_may_be_written_in_jsonata(aws):
    """Variables that an item assigns are not visible outside."""
    item = {
        "Assign": {"Type": "Pass", "Assign": {"inner": "{% $states.input %}"}, "Next": "Return"},
        "Return": {"Type": "Pass", "Output": {"item": "{% $inner %}"}, "End": True},
    }
    states = {
        "Begin": {"Type": "Pass", "Assign": {"outer": "outer"}, "Next": "Map"},
        "Map": distributed(item) | {
            "Items": "{% [$states.input.numbers] %}",
            "ItemSelector": {"number": "{% $states.context.Map.Item.Value %}", "all": "{% $states.input.numbers %}"},
            "Assign": {"count": "{% $count($states.result) %}"},
            "Output": {"results": "{% $states.result %}", "input": "{% $states.input.numbers %}"},
            "Next": "End",
        },
        "End": {"Type": "Pass", "Output": {"map": "{% $states.input %}", "variables": "{% [$outer, $count, $exists($inner)] %}"},
                "End": True},
    }
    execution = ended(aws, started(aws, machine(aws, "distributed", states), {"numbers": [4, 5]}))
    assert execution["status"] == "SUCCEEDED", execution
    output = json.loads(execution["output"])
    results = [{"item": {"number": number, "all": [4, 5]}} for number in (4, 5)]
    assert output == {"map": {"results": results, "input": [4, 5]}, "variables": ["outer", 2, False]}


def test_a_stopped_execution_starts_no_further_states(aws, background):
    machines = aws("stepfunctions")
    # Each item waits for a second, then calls the function.
    item = {"Pause": {"Type": "Wait", "Seconds": 50, "Next": "Start"}, "Start": invoking("background", Payload={}) | {"End": True}}
    states = {"Map": distributed(item) | {"Items": [1, 2, 3], "MaxConcurrency": 1, "End": True}}
    before = total(aws, "AWS/Lambda", "Invocations", "FunctionName", "background")
    execution = started(aws, machine(aws, "stopped", states))

    def map_runs():
        return machines.list_map_runs(executionArn=execution)["mapRuns"]

    run = eventually(map_runs)[0]["mapRunArn"]
    machines.stop_execution(executionArn=execution)

    def over():
        return machines.describe_map_run(mapRunArn=run)["status"] != "RUNNING"

    assert eventually(over)
    assert ended(aws, execution)["status"] == "ABORTED"
    assert total(aws, "AWS/Lambda", "Invocations", "FunctionName", "background") == before


def test_a_stopped_item_does_not_affect_the_others(aws):
    machines = aws("stepfunctions")
    item = {"Pause": {"Type": "Wait", "Seconds": 50, "Next": "End"}, "End": {"Type": "Pass", "End": True}}
    states = {"Map": distributed(item) | {"Items": [1, 2], "ToleratedFailurePercentage": 100, "End": True}}
    execution = started(aws, machine(aws, "item", states))

    def items():
        runs = machines.list_map_runs(executionArn=execution)["mapRuns"]
        return runs and machines.list_executions(mapRunArn=runs[0]["mapRunArn"], statusFilter="RUNNING")["executions"]

    arns = [one["executionArn"] for one in eventually(items)]
    (first,) = [arn for arn in arns if machines.describe_execution(executionArn=arn)["input"] == "1"]
    machines.stop_execution(executionArn=first)
    described = ended(aws, execution)
    assert (described["status"], json.loads(described["output"])) == ("SUCCEEDED", [None, 2])


# A definition that assigns a name in two scopes, and one whose items read an outer variable.
SHADOWED = {
    "Begin": {"Type": "Pass", "Assign": {"waits": 0}, "Next": "Map"},
    "Map": {
        "Type": "Map", "Items": [1], "End": True,
        "ItemProcessor": {"StartAt": "In", "States": {"In": {"Type": "Pass", "Assign": {"waits": 1}, "End": True}}},
    },
}
READS_OUTSIDE = {
    "Begin": {"Type": "Pass", "Assign": {"outer": 0}, "Next": "Map"},
    "Map": {
        "Type": "Map", "Items": [1], "End": True,
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "In", "States": {"In": {"Type": "Pass", "Output": "{% $outer %}", "End": True}},
        },
    },
}
REFUSED = [(SHADOWED, "the variable waits is assigned in an outer scope"), (READS_OUTSIDE, "reads the variable outer from outside")]


@pytest.mark.parametrize(("states", "text"), REFUSED)
def test_a_definition_that_step_functions_refuses_creates_no_state_machine(aws, states, text):
    with pytest.raises(aws("stepfunctions").exceptions.InvalidDefinition, match=text):
        machine(aws, "refused", states)
    names = [made["name"] for made in aws("stepfunctions").list_state_machines()["stateMachines"]]
    assert "refused" not in names


@pytest.mark.parametrize(("states", "text"), REFUSED)
def test_a_definition_that_step_functions_refuses_changes_no_state_machine(aws, states, text):
    arn = machine(aws, f"changed-{states['Map']['ItemProcessor'].get('ProcessorConfig', {}).get('Mode', 'INLINE')}",
                  {"End": {"Type": "Pass", "End": True}})
    with pytest.raises(aws("stepfunctions").exceptions.InvalidDefinition, match=text):
        aws("stepfunctions").update_state_machine(stateMachineArn=arn, definition=definition_of(states))
    assert json.loads(aws("stepfunctions").describe_state_machine(stateMachineArn=arn)["definition"])["StartAt"] == "End"


@pytest.mark.parametrize(("states", "text"), REFUSED)
def test_a_definition_that_step_functions_refuses_rolls_the_stack_back(aws, states, text):
    """Only resources that are always retained remain of the stack."""
    stack_name = f"refused-{states['Map']['ItemProcessor'].get('ProcessorConfig', {}).get('Mode', 'INLINE').lower()}"
    properties = {"DefinitionString": definition_of(states), "RoleArn": ANY_ROLE, "StateMachineName": stack_name}
    queue = {"Type": "AWS::SQS::Queue", "DeletionPolicy": "RetainExceptOnCreate", "Properties": {"QueueName": stack_name}}
    template = {"Resources": {
        "Queue": queue,
        "Machine": {"Type": "AWS::StepFunctions::StateMachine", "DependsOn": "Queue", "Properties": properties},
    }}
    events, reasons = rolled_back(aws, stack_name, template)
    assert [reason for reason in reasons if text in reason]
    assert "Machine" in {event["LogicalResourceId"] for event in events}
    assert not [url for url in aws("sqs").list_queues().get("QueueUrls", []) if stack_name in url]


def test_a_resource_with_retain_except_on_create_outlives_a_created_stack(aws):
    stacks = aws("cloudformation")
    queue = {"Type": "AWS::SQS::Queue", "DeletionPolicy": "RetainExceptOnCreate", "Properties": {"QueueName": "retained"}}
    stacks.create_stack(StackName="retained", TemplateBody=json.dumps({"Resources": {"Queue": queue}}))
    stacks.get_waiter("stack_create_complete").wait(StackName="retained", WaiterConfig={"Delay": 1, "MaxAttempts": 40})
    stacks.delete_stack(StackName="retained")
    stacks.get_waiter("stack_delete_complete").wait(StackName="retained", WaiterConfig={"Delay": 1, "MaxAttempts": 40})
    assert [url for url in aws("sqs").list_queues()["QueueUrls"] if url.endswith("/retained")]


def test_a_role_from_a_template_has_its_permissions_boundary(aws):
    stacks, roles = aws("cloudformation"), aws("iam")
    trust = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}

    def template(**boundary):
        role = {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "bounded", "AssumeRolePolicyDocument": trust, **boundary}}
        return json.dumps({"Resources": {"Role": role}})

    def boundary():
        return roles.get_role(RoleName="bounded")["Role"].get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")

    first, second = "arn:aws:iam::000000000000:policy/first", "arn:aws:iam::000000000000:policy/second"
    named = {"StackName": "bounded", "Capabilities": ["CAPABILITY_NAMED_IAM"]}
    stacks.create_stack(**named, TemplateBody=template(PermissionsBoundary=first))
    stacks.get_waiter("stack_create_complete").wait(StackName="bounded", WaiterConfig={"Delay": 1, "MaxAttempts": 40})
    assert boundary() == first
    for body, expected in ((template(PermissionsBoundary=second), second), (template(), None)):
        stacks.update_stack(**named, TemplateBody=body)
        stacks.get_waiter("stack_update_complete").wait(StackName="bounded", WaiterConfig={"Delay": 1, "MaxAttempts": 40})
        assert boundary() == expected


def test_a_state_machine_logs_only_where_its_role_may_deliver_logs(aws):
    def template(actions):
        def policy(**statement):
            return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}

        role = {
            "RoleName": "logs",
            "AssumeRolePolicyDocument": policy(Principal={"Service": "states.amazonaws.com"}, Action="sts:AssumeRole"),
            "Policies": [{"PolicyName": "logs", "PolicyDocument": policy(Action=actions, Resource="*")}],
        }
        group = {"CloudWatchLogsLogGroup": {"LogGroupArn": {"Fn::GetAtt": ["Group", "Arn"]}}}
        machine = {
            "DefinitionString": definition_of({"End": {"Type": "Pass", "End": True}}),
            "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
            "LoggingConfiguration": {"Level": "ERROR", "IncludeExecutionData": False, "Destinations": [group]},
        }
        return {"Resources": {
            "Group": {"Type": "AWS::Logs::LogGroup"},
            "Role": {"Type": "AWS::IAM::Role", "Properties": role},
            "Machine": {"Type": "AWS::StepFunctions::StateMachine", "Properties": machine},
        }}

    all_eight = sorted(local_aws_delivers_logs())
    assert len(all_eight) == 8
    _, reasons = rolled_back(aws, "refused-logs", template(all_eight[1:]))
    assert [reason for reason in reasons if "not authorized to access the Log Destination" in reason and all_eight[0] in reason]
    stacks = aws("cloudformation")
    stacks.create_stack(StackName="logs", TemplateBody=json.dumps(template(all_eight)), Capabilities=["CAPABILITY_NAMED_IAM"])
    stacks.get_waiter("stack_create_complete").wait(StackName="logs", WaiterConfig={"Delay": 1, "MaxAttempts": 40})
    resources = stacks.describe_stack_resources(StackName="logs")["StackResources"]
    (arn,) = [made["PhysicalResourceId"] for made in resources if made["LogicalResourceId"] == "Machine"]
    logging = aws("stepfunctions").describe_state_machine(stateMachineArn=arn)["loggingConfiguration"]
    assert (logging["level"], logging["includeExecutionData"], len(logging["destinations"])) == ("ERROR", False, 1)


def local_aws_delivers_logs():
    """The actions in `local_aws.py`, which cannot be imported without patching the emulator."""
    source = (Path(__file__).with_name("local_aws.py")).read_text()
    return set(re.findall(r'"(logs:\w+)"', source.split("DELIVERS_LOGS = {")[1].split("}")[0]))


def rolled_back(aws, stack_name, template):
    """Returns the events of a stack that cannot be created, and the reasons in them."""
    stacks = aws("cloudformation")
    stacks.create_stack(StackName=stack_name, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_NAMED_IAM"])

    def over():
        return stacks.describe_stacks(StackName=stack_name)["Stacks"][0]["StackStatus"] == "ROLLBACK_COMPLETE"

    assert eventually(over)
    events = stacks.describe_stack_events(StackName=stack_name)["StackEvents"]
    return events, [event.get("ResourceStatusReason", "") for event in events]


@pytest.fixture(scope="module")
def background(aws):
    """Creates a function that always fails and is not retried."""
    functions = aws("lambda")
    functions.create_function(
        FunctionName="background", Runtime="provided.al2023", Handler="bootstrap", Timeout=5,
        Role=ANY_ROLE, Code={"ZipFile": zipped(BOOTSTRAP.replace('"Read"', '"Other"'))},
    )
    functions.put_function_event_invoke_config(FunctionName="background", MaximumRetryAttempts=0)


def invoking(function, **arguments):
    """Returns a task that invokes a function."""
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{function}"
    return {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": {"FunctionName": arn, **arguments}}


def distributed(states):
    """Returns a distributed Map of these states, starting with the first one."""
    processor = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": next(iter(states))}
    return {"Type": "Map", "ItemProcessor": processor | {"States": states}}


def machine(aws, name, states):
    """Creates a JSONata state machine that starts with the first of these states. Returns its ARN."""
    made = aws("stepfunctions").create_state_machine(name=name, definition=definition_of(states), roleArn=ANY_ROLE)
    return made["stateMachineArn"]


def definition_of(states):
    """Returns a JSONata definition that starts with the first of these states."""
    return json.dumps({"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states})


def started(aws, arn, given=None):
    """Starts an execution with this input. Returns its ARN."""
    return aws("stepfunctions").start_execution(stateMachineArn=arn, input=json.dumps(given or {}))["executionArn"]


def ended(aws, execution):
    """Returns the emulator's description of an execution after its end."""

    def over():
        described = aws("stepfunctions").describe_execution(executionArn=execution)
        return described if described["status"] != "RUNNING" else None

    return eventually(over)


def total(aws, namespace, metric, dimension, value):
    """Returns the sum of a metric over the last hour."""
    now = datetime.now(UTC)
    points = aws("cloudwatch").get_metric_statistics(
        Namespace=namespace, MetricName=metric, Dimensions=[{"Name": dimension, "Value": value}],
        StartTime=now - timedelta(hours=1), EndTime=now + timedelta(minutes=1), Period=3600, Statistics=["Sum"],
    )["Datapoints"]
    return sum(point["Sum"] for point in points)
