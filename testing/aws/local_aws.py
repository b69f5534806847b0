"""Runs the AWS emulator `ministack` with the additions that a scheduled Lambda function needs.

    GATEWAY_PORT=4566 BIND_HOST=127.0.0.1 python local_aws.py

ministack 1.5.33 behaves like AWS except in a few places on which this project depends. One function of `PATCHES` below
fixes each of them; its docstring states the behaviour of AWS and of the unpatched emulator. Nothing in this file is
deployed.

The patches use internal names of the emulator. Its version is therefore pinned, any other version is refused, and
`test_local_aws.py` fails if a patch no longer has an effect.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import yaml
from ministack.core.responses import new_uuid, set_request_account_id, set_request_region
from ministack.services import cloudwatch, dynamodb, eventbridge, iam, lambda_svc, scheduler, sqs, stepfunctions
from ministack.services.cloudformation import provisioners

# testing/aws/definitions.py, in the same folder.
import definitions

MINISTACK_VERSION = "1.5.33"

# Interval at which queue metrics are published and alarms are evaluated. AWS does both once a minute, which is too slow
# for tests.
SWEEP_SECONDS = 5

log = logging.getLogger("local_aws")


# --- EventBridge Scheduler -----------------------------------------------------------------------------------------


def deliver_schedules_as_scheduler_does() -> None:
    """Fills in the context attributes of scheduled calls, and retries and reports a failing function.

    AWS replaces `<aws.scheduler.scheduled-time>` and similar attributes in a target's input, and calls a function
    asynchronously, so that its `EventInvokeConfig` (attempts, failure queue) applies. The emulator passes the
    placeholders on unchanged and calls the function once, whatever the outcome.
    """
    stock_invoke = eventbridge._invoke_target

    def invoke(target: dict, event: dict, rule: dict, view: object = None) -> None:
        if event.get("Source") != "aws.scheduler":
            stock_invoke(target, event, rule, view)
            return
        target = {**target, "Input": with_context_attributes(target.get("Input") or "{}", rule, event["Time"])}
        if ":lambda:" in target.get("Arn", ""):
            if not call_function(target["Arn"], json.loads(target["Input"])):
                log.warning("schedule %s calls a function that does not exist: %s", rule.get("Name"), target["Arn"])
        else:
            stock_invoke(target, event, rule, view)

    eventbridge._invoke_target = invoke


def with_context_attributes(text: str, schedule: dict, fired_at: float) -> str:
    """Returns the input of one call with its placeholders replaced."""
    attributes = {
        "attempt-number": "1",
        "execution-id": new_uuid(),
        "schedule-arn": schedule.get("Arn", ""),
        "scheduled-time": due_time(schedule, fired_at).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    for name, value in attributes.items():
        text = text.replace(f"<aws.scheduler.{name}>", value)
    return text


def due_time(schedule: dict, fired_at: float) -> datetime:
    """Returns the time at which a call was due, which is a little before the call.

    A one-time schedule has its own time, a rate counts from the schedule's creation (whole seconds, not whole minutes),
    and a cron expression falls on whole minutes.
    """
    expression = schedule.get("ScheduleExpression", "")
    once = scheduler._at_time_epoch(expression)
    every = eventbridge._parse_rate_seconds(expression)
    if once:
        due = once
    elif every:
        created = schedule.get("CreationDate", fired_at)
        due = created + (fired_at - created) // every * every
    else:
        due = fired_at // 60 * 60
    return datetime.fromtimestamp(int(due), tz=UTC)


def call_function(arn: str, payload: object) -> bool:
    """Calls a function as an event: in the background, with its configured attempts and failure target.

    Returns False if the function does not exist.
    """
    function, config, _ = lambda_svc._get_func_record_for_ref(arn)
    if not function or not config:
        return False
    run = lambda_svc._execution_record_for_config(function, config)
    # A function looked up by its version lacks its settings for asynchronous calls.
    for setting in ("event_invoke_config", "event_invoke_configs"):
        if function.get(setting):
            run[setting] = function[setting]
    lambda_svc.invoke_async_with_retry(run, payload)
    return True


# --- Step Functions ------------------------------------------------------------------------------------------------


def take_definitions_in_yaml() -> None:
    """Accepts state machine definitions in YAML.

    The emulator accepts only JSON.
    """
    stock_definition = provisioners._sfn_definition
    provisioners._sfn_definition = lambda properties: json.dumps(yaml.safe_load(stock_definition(properties)))


def refuse_definitions_as_step_functions_does() -> None:
    """Rejects a definition that breaks one of the rules in `definitions.py`, on creation and update.

    The emulator checks only the syntax of JSONata, and nothing if CloudFormation creates the state machine.
    """
    stock_validate = stepfunctions._validate_definition_jsonata

    def faults_of(text: object, kind: str) -> list[str]:
        try:
            definition = json.loads(text)
        except (TypeError, ValueError):
            return []
        return definitions.faults(definition, kind) if isinstance(definition, dict) else []

    def refusing(stock, kind_of):
        def call(data: dict) -> tuple:
            if "definition" in data and (found := faults_of(data["definition"], kind_of(data))):
                text = f"Invalid State Machine Definition: '{'; '.join(found)}'"
                return stepfunctions.error_response_json("InvalidDefinition", text, 400)
            return stock(data)

        return call

    def kind_of_existing(data: dict) -> str:
        return (stepfunctions._state_machines.get(data.get("stateMachineArn")) or {}).get("type", "STANDARD")

    # The API looks these names up in the module for each request, so replacing them is enough.
    stepfunctions._create_state_machine = refusing(
        stepfunctions._create_state_machine, lambda data: data.get("type", "STANDARD")
    )
    stepfunctions._update_state_machine = refusing(stepfunctions._update_state_machine, kind_of_existing)

    # CloudFormation bypasses the API and writes the state machine into the emulator's store.
    stock_definition = provisioners._sfn_definition

    def definition(properties: dict) -> str:
        text = stock_definition(properties)
        found = faults_of(text, properties.get("StateMachineType", "STANDARD"))
        if fault := stock_validate(text) or "; ".join(found):
            raise provisioners._sfn_handler_error(f"Invalid State Machine Definition: '{fault}'")
        return text

    provisioners._sfn_definition = definition


# The permissions that the role of a state machine with logging needs on all resources.
# https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
DELIVERS_LOGS = {
    "logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups",
}


def set_up_logs_of_state_machines() -> None:
    """Applies the logging settings of a state machine from a template. Rejects them if its role may not deliver logs.

    The emulator stores the settings under the template's names, so they cannot be read, and checks no permission.
    """

    def checked(stock, properties_at: int):
        def call(*arguments: object, **rest: object) -> tuple:
            properties = arguments[properties_at]
            logging_of_machine = with_lower_case_initials(properties.get("LoggingConfiguration"))
            if logging_of_machine and logging_of_machine.get("level", "OFF") != "OFF":
                if missing := DELIVERS_LOGS - allowed_on_everything(properties.get("RoleArn", "")):
                    text = "The state machine IAM Role is not authorized to access the Log Destination"
                    raise provisioners._sfn_handler_error(f"{text}: {', '.join(sorted(missing))}")
            arn, attributes = stock(*arguments, **rest)
            if logging_of_machine:
                stepfunctions._state_machines[arn]["loggingConfiguration"] = logging_of_machine
            return arn, attributes

        return call

    replace_handlers("AWS::StepFunctions::StateMachine", "create", lambda stock: checked(stock, 1))
    replace_handlers("AWS::StepFunctions::StateMachine", "update", lambda stock: checked(stock, 2))


def with_lower_case_initials(value: object) -> object:
    """Converts a template property to the spelling of the API."""
    if isinstance(value, dict):
        return {name[:1].lower() + name[1:]: with_lower_case_initials(part) for name, part in value.items()}
    return [with_lower_case_initials(part) for part in value] if isinstance(value, list) else value


def allowed_on_everything(role_arn: str) -> set[str]:
    """Returns the actions that a role's policies allow on every resource."""
    role = iam._roles.get(role_arn.rpartition("/")[2]) or {}
    documents = [json.loads(document) for document in (role.get("InlinePolicies") or {}).values()]
    allowed = [s for document in documents for s in document["Statement"] if s["Effect"] == "Allow" and s["Resource"] == "*"]
    return {action for s in allowed for action in (s["Action"] if isinstance(s["Action"], list) else [s["Action"]])}


def start_functions_in_the_background() -> None:
    """Lets a task that invokes a function with the type `Event` continue without waiting.

    The emulator runs the function to its end, and takes the function's error for the task's.
    """
    stock_invoke = stepfunctions._invoke_resource

    def invoke(resource: str, arguments: dict) -> object:
        if "states:::lambda:invoke" not in resource or arguments.get("InvocationType") != "Event":
            return stock_invoke(resource, arguments)
        if not call_function(arguments["FunctionName"], arguments.get("Payload", {})):
            raise stepfunctions._ExecutionError("Lambda.ResourceNotFoundException", arguments["FunctionName"])
        return {"StatusCode": 202, "Payload": ""}

    stepfunctions._invoke_resource = invoke


def run_distributed_maps_in_jsonata() -> None:
    """Supports JSONata in `Items`, `ItemSelector`, `Output` and `Assign` of a distributed Map, and keeps variables out
    of its items.

    The emulator supports only JSONPath there, and passes the variables on to the items.
    """
    stock_run = stepfunctions._run_distributed_map

    def run(state: dict, raw_input: object, effective: object, processor: dict, execution: dict, context: dict) -> tuple:
        if stepfunctions._state_query_language(state, context) != "JSONata":
            return stock_run(state, raw_input, effective, processor, execution, context)
        items = stepfunctions._jsonata_state_field(state, "Items", "array", raw_input, context)
        if "ItemSelector" in state:
            contexts = ({**context, "Map": {"Item": {"Index": i, "Value": item}}} for i, item in enumerate(items))
            items = [stepfunctions._apply_jsonata_template(state["ItemSelector"], raw_input, one) for one in contexts]
        rest = {name: value for name, value in state.items() if name not in ("Items", "ItemSelector", "Output", "Assign")}
        results, following = stock_run(
            {**rest, "ItemsPath": "$"}, items, items, processor, execution, {**context, "variables": {}}
        )
        output = stepfunctions._apply_jsonata_output(state, raw_input, context, result=results, default=results)
        stepfunctions._apply_state_assign(state, raw_input, context, result=results)
        return output, following

    stepfunctions._run_distributed_map = run


def stop_items_with_their_execution() -> None:
    """Stops all states of a stopped execution and of its Map items. Its status remains `ABORTED`.

    An item of a distributed Map is a separate execution and can be stopped separately. The emulator continues in either
    case, and reports the execution as failed if one of its states then fails.
    """
    stock_run = stepfunctions._run_sub_machine

    def run(states: dict, start_at: str, given: object, execution: dict, context: dict) -> object:
        context["Execution"] = {**context["Execution"], "Id": execution["executionArn"]}
        return stock_run(states, start_at, given, execution, context)

    stepfunctions._run_sub_machine = run

    def is_stopped(arn: str) -> bool:
        execution = stepfunctions._executions.get(arn) or {}
        map_run = stepfunctions._map_runs.get(execution.get("mapRunArn")) or {}
        return execution.get("status") == "ABORTED" or ("executionArn" in map_run and is_stopped(map_run["executionArn"]))

    def stopping(stock):
        def wrapped(state: dict, raw_input: object, *rest: object) -> object:
            context = rest[-1]
            if is_stopped(context["Execution"]["Id"]):
                raise stepfunctions._ExecutionError("States.ExecutionAborted", "the execution was stopped")
            return stock(state, raw_input, *rest)

        return wrapped

    # Every state of these kinds, and every attempt of a task, calls one of these.
    for name in ("_execute_pass", "_execute_choice", "_execute_wait", "_apply_jsonata_arguments"):
        setattr(stepfunctions, name, stopping(getattr(stepfunctions, name)))

    stock_fail = stepfunctions._fail_execution

    def fail(execution: dict, error: str, cause: str) -> None:
        if execution["status"] != "ABORTED":
            stock_fail(execution, error, cause)

    stepfunctions._fail_execution = fail


# --- CloudWatch ----------------------------------------------------------------------------------------------------


def measure_every_run() -> None:
    """Counts every run once in the `AWS/Lambda` metrics, and publishes embedded metrics.

    AWS counts runs however they were started, and reads metrics from log lines in the embedded metric format. The
    emulator counts only calls of its Invoke API and ignores log lines.
    """
    stock_logs, stock_metrics = lambda_svc._emit_lambda_logs, lambda_svc._emit_lambda_metrics

    def metrics(name: str, duration_ms: float, error: bool, throttle: bool) -> None:
        # A throttled call never runs. All others are counted when their log is written.
        if throttle:
            stock_metrics(name, duration_ms, error, throttle)

    def logs(function: dict, request_id: str, text: str, error: bool, duration_ms: int, **rest: object) -> None:
        stock_logs(function, request_id, text, error, duration_ms, **rest)
        name = (function.get("config") or function).get("FunctionName", "")
        stock_metrics(name, duration_ms, error, False)
        for line in (text or "").splitlines():
            record_embedded_metrics(line)

    lambda_svc._emit_lambda_metrics = metrics
    lambda_svc._emit_lambda_logs = logs


def record_embedded_metrics(line: str) -> None:
    """Records the metrics of a log line in the embedded metric format."""
    if '"_aws"' not in line or "{" not in line:
        return
    try:
        document = json.loads(line[line.index("{"):])
        for namespace, name, unit, dimensions in embedded_metrics(document):
            values = document[name] if isinstance(document[name], list) else [document[name]]
            for value in values:
                cloudwatch.record_metric(namespace, name, value, unit, dimensions)
    except (ValueError, KeyError, TypeError) as fault:
        log.warning("a line that looks like embedded metrics could not be read: %s", fault)


def embedded_metrics(document: dict) -> Iterator[tuple[str, str, str, dict]]:
    """Yields namespace, name, unit and dimensions of each metric in a document, for each set of dimensions."""
    for directive in document["_aws"]["CloudWatchMetrics"]:
        for names in directive.get("Dimensions") or [[]]:
            dimensions = {name: str(document[name]) for name in names}
            for metric in directive["Metrics"]:
                yield directive["Namespace"], metric["Name"], metric.get("Unit", "None"), dimensions


def judge_alarms_as_cloudwatch_does() -> None:
    """Evaluates alarms regularly, by their dimensions, M of N periods and missing data.

    The emulator evaluates an alarm only when a metric is published, over all dimensions and periods together, and
    ignores missing data. It publishes no queue metrics, so an alarm on a failure queue would never go to ALARM.
    """
    cloudwatch._evaluate_alarm = judge_alarm

    def sweep_forever() -> None:
        while True:
            time.sleep(SWEEP_SECONDS)
            try:
                publish_queue_lengths()
                for scope, alarm in list(cloudwatch._alarms._data.items()):
                    use_scope_of(scope)
                    judge_alarm(alarm)
            except Exception:  # one bad alarm must not end the sweep of all others
                log.exception("the sweep of queues and alarms failed")

    threading.Thread(target=sweep_forever, name="alarm-sweep", daemon=True).start()


def use_scope_of(scope: tuple) -> None:
    """Sets this thread's account and region to those of a stored object."""
    account, region, _name = scope
    set_request_account_id(account)
    set_request_region(region)


def publish_queue_lengths() -> None:
    """Publishes the number of receivable messages of each queue."""
    for scope, queue in list(sqs._queues._data.items()):
        use_scope_of(scope)
        now = time.time()
        visible = sum(1 for message in queue.get("messages", []) if message.get("visible_at", 0) <= now)
        cloudwatch.record_metric(
            "AWS/SQS", "ApproximateNumberOfMessagesVisible", visible, "Count", {"QueueName": queue["name"]}
        )


def judge_alarm(alarm: dict) -> None:
    """Sets the state of one alarm from the data points of its last periods."""
    if not alarm.get("Namespace") or not alarm.get("MetricName"):
        return
    now = time.time()
    periods = int(alarm.get("EvaluationPeriods", 1))
    needed = int(alarm.get("DatapointsToAlarm") or periods)
    missing = alarm.get("TreatMissingData") or "missing"
    points = points_of(alarm)

    breaching = with_data = 0
    for index in range(periods):
        value = value_in_period(alarm, points, now, index)
        if value is not None:
            with_data += 1
            breaching += breaches(alarm, value)
        elif missing == "breaching":
            breaching += 1

    old = alarm["StateValue"]
    if breaching >= needed:
        new = "ALARM"
    elif with_data or missing in ("breaching", "notBreaching"):
        new = "OK"
    elif missing == "ignore":
        new = old
    else:
        new = "INSUFFICIENT_DATA"
    if new != old:
        change_state(alarm, old, new, f"{breaching} of {periods} periods breach, {with_data} have data", now)


def points_of(alarm: dict) -> list[dict]:
    """Returns all data points of an alarm's metric: the same namespace and name, and exactly its dimensions."""
    dimensions = {entry["Name"]: entry["Value"] for entry in alarm.get("Dimensions") or []}
    return [
        point
        for (namespace, name, _), points in list(cloudwatch._metrics.items())
        if namespace == alarm["Namespace"] and name == alarm["MetricName"]
        for point in points
        if (point.get("Dimensions") or {}) == dimensions
    ]


def value_in_period(alarm: dict, points: list[dict], now: float, index: int) -> float | None:
    """Returns the alarm's statistic in one period, counted backwards from now. None without data points."""
    length = int(alarm.get("Period", 60))
    inside = [point for point in points if now - length * (index + 1) < point["Timestamp"] <= now - length * index]
    if not inside:
        return None
    statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic", "Average")
    return cloudwatch._stat_value(cloudwatch._calc_stats(inside), statistic, inside)


def breaches(alarm: dict, value: float) -> bool:
    threshold = alarm.get("Threshold", 0)
    match alarm.get("ComparisonOperator"):
        case "GreaterThanThreshold":
            return value > threshold
        case "GreaterThanOrEqualToThreshold":
            return value >= threshold
        case "LessThanThreshold":
            return value < threshold
        case "LessThanOrEqualToThreshold":
            return value <= threshold
        case other:
            log.warning("alarm %s compares with %s, which is not known here", alarm.get("AlarmName"), other)
            return False


def change_state(alarm: dict, old: str, new: str, reason: str, now: float) -> None:
    alarm.update(StateValue=new, StateReason=reason, StateUpdatedTimestamp=int(now))
    cloudwatch._record_history(alarm["AlarmName"], old, new, reason)
    cloudwatch._dispatch_alarm_actions(alarm, old, new, reason)
    cloudwatch._evaluate_parent_alarms(alarm)


# --- CloudFormation ------------------------------------------------------------------------------------------------


def apply_table_settings() -> None:
    """Applies the time to live and the point-in-time recovery of a table in a template.

    The emulator creates the table without both.
    """
    stock_create = provisioners._ddb_create

    def create(logical_id: str, properties: dict, stack_name: str) -> tuple:
        name, attributes = stock_create(logical_id, properties, stack_name)
        if ttl := properties.get("TimeToLiveSpecification"):
            setting = {**ttl, "Enabled": is_true(ttl.get("Enabled"))}
            dynamodb._update_ttl({"TableName": name, "TimeToLiveSpecification": setting})
        if recovery := properties.get("PointInTimeRecoverySpecification"):
            setting = {"PointInTimeRecoveryEnabled": is_true(recovery.get("PointInTimeRecoveryEnabled"))}
            dynamodb._update_continuous_backups({"TableName": name, "PointInTimeRecoverySpecification": setting})
        return name, attributes

    replace_handlers("AWS::DynamoDB::Table", "create", lambda stock: create if stock is stock_create else stock)


def apply_permissions_boundaries() -> None:
    """Applies the permissions boundary of a role in a template, also on update.

    The emulator creates the role without it, so the role may do more than on AWS.
    """

    def keeping(stock, properties_at: int):
        def call(*arguments: object, **rest: object) -> tuple:
            name, attributes = stock(*arguments, **rest)
            iam._roles[name]["PermissionsBoundary"] = arguments[properties_at].get("PermissionsBoundary")
            return name, attributes

        return call

    replace_handlers("AWS::IAM::Role", "create", lambda stock: keeping(stock, 1))
    replace_handlers("AWS::IAM::Role", "update", lambda stock: keeping(stock, 2))


def replace_handlers(resource_type: str, operation: str, replaced) -> None:
    """Replaces the handler of the emulator's CloudFormation for an operation on a resource type.

    The handlers are in tables that were filled when the module was loaded.
    """
    for table in list(vars(provisioners).values()):
        handlers = table.get(resource_type) if isinstance(table, dict) else None
        if isinstance(handlers, dict) and callable(handlers.get(operation)):
            handlers[operation] = replaced(handlers[operation])


def is_true(value: object) -> bool:
    """Returns whether a template value is true: a boolean or a text."""
    return str(value).lower() == "true"


PATCHES = (
    deliver_schedules_as_scheduler_does,
    measure_every_run,
    judge_alarms_as_cloudwatch_does,
    apply_table_settings,
    apply_permissions_boundaries,
    take_definitions_in_yaml,
    refuse_definitions_as_step_functions_does,
    set_up_logs_of_state_machines,
    start_functions_in_the_background,
    run_distributed_maps_in_jsonata,
    stop_items_with_their_execution,
)


def main() -> None:
    installed = importlib.metadata.version("ministack")
    if installed != MINISTACK_VERSION:
        sys.exit(f"local_aws.py is made for ministack {MINISTACK_VERSION}, and {installed} is installed")
    for patch in PATCHES:
        patch()

    from ministack.app import main as serve

    serve()


if __name__ == "__main__":
    main()
