"""Alarms and dashboard: the complete table of alarms, and only metrics that exist."""

import json
import re

import pytest

# The metrics that the two AWS services publish themselves.
METRICS_OF_AWS = {
    "AWS/Lambda": ("FunctionName", {"Invocations", "Errors", "Throttles", "Duration"}),
    "AWS/SQS": ("QueueName", {"ApproximateNumberOfMessagesVisible"}),
}
# The end of a resource's name -> the stream as a dimension, and in names.
STREAMS = {
    "EventReport": ("event_report", "event-report"),
    "User": ("user", "user"),
    "DetailedSharedFolder": ("detailed_shared_folder", "detailed-shared-folder"),
}
OURS = {"Fn::Sub": "LastPassElastic/${AWS::StackName}"}
FUNCTION = {"FunctionName": {"Ref": "Function"}}
QUEUE = {"QueueName": {"Fn::GetAtt": ["FailureQueue", "QueueName"]}}
# Alarm -> (end of the name, namespace, metric, dimension, statistic, comparison, threshold, number of breaching periods
# of 300 s, out of how many, missing data, condition)
ALARMS = {
    **{
        f"{resource}FreshnessAlarm": (
            f"{label}-freshness", OURS, "Freshness", {"stream": stream}, "Maximum", "GreaterThanThreshold",
            {"Ref": f"{resource}Freshness"}, 3, 3, "breaching", f"Reads{resource}",
        )
        for resource, (stream, label) in STREAMS.items()
    },
    **{
        f"{resource}DeadLettersAlarm": (
            f"{label}-dead-letters", OURS, "DeadLetters", {"stream": stream}, "Sum", "GreaterThanThreshold", 0, 1, 1,
            "notBreaching", None,
        )
        for resource, (stream, label) in STREAMS.items()
    },
    "ErrorsAlarm": (
        "errors", "AWS/Lambda", "Errors", FUNCTION, "Sum", "GreaterThanThreshold", 0, 3, 3, "notBreaching", None,
    ),
    "FailureQueueAlarm": (
        "failure-queue", "AWS/SQS", "ApproximateNumberOfMessagesVisible", QUEUE, "Maximum", "GreaterThanThreshold", 0, 1, 1,
        "notBreaching", None,
    ),
    "NoRunAlarm": (
        "no-run", "AWS/Lambda", "Invocations", FUNCTION, "Sum", "LessThanThreshold", 1, 3, 3, "breaching", None,
    ),
}
# CloudWatch's limit.
DESCRIPTION_MAX_CHARS = 1024
# In the repeated hour of a clock change the watermark waits at its beginning until the hour has passed twice.
# tests/integration/telemetry.rs runs every 5 minutes through that hour.
REPEATED_HOUR_S = 2 * 60 * 60
# The longest stack name, and longer than any other value in a description.
LONGEST_NAME = "s" * 41


@pytest.fixture(scope="module")
def alarms(resources) -> dict:
    return {name: r for name, r in resources.items() if r["Type"] == "AWS::CloudWatch::Alarm"}


@pytest.fixture(scope="module")
def widgets(template, resources) -> list[dict]:
    """Returns the widgets of the dashboard, with placeholders replaced by their names and parameters by their defaults.
    """
    text, variables = resources["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    assert set(variables) == {"Alarms", "Metrics"}
    assert variables["Metrics"] == OURS
    defaults = {name: str(parameter["Default"]) for name, parameter in template["Parameters"].items()}
    defaults["Metrics"] = "LastPassElastic/AWS::StackName"
    body = re.sub(r"\$\{([\w:.]+)}", lambda found: defaults.get(found[1], found[1]), text)
    return json.loads(body)["widgets"]


@pytest.fixture(scope="module")
def metrics_of_the_function(root) -> set[str]:
    """Returns the names of all metrics in src/telemetry.rs."""
    source = (root / "src" / "telemetry.rs").read_text()
    names = set(re.findall(r'Metric = Metric \{ name: "(\w+)", unit: "\w+" }', source))
    assert len(names) == 6, names
    return names


def row(alarm: dict) -> tuple:
    p = alarm["Properties"]
    prefix = "${AWS::StackName}-"
    assert p["AlarmName"]["Fn::Sub"].startswith(prefix)
    assert p["Period"] == 300
    return (
        p["AlarmName"]["Fn::Sub"].removeprefix(prefix), p["Namespace"], p["MetricName"],
        {d["Name"]: d["Value"] for d in p["Dimensions"]}, p["Statistic"], p["ComparisonOperator"], p["Threshold"],
        p["DatapointsToAlarm"], p["EvaluationPeriods"], p["TreatMissingData"], alarm.get("Condition"),
    )


def test_alarms_are_the_listed_ones(alarms):
    assert {name: row(alarm) for name, alarm in alarms.items()} == ALARMS


def test_only_a_stream_that_is_read_can_be_late(template):
    for resource in STREAMS:
        condition = {"Fn::Equals": [{"Ref": f"{resource}State"}, "ENABLED"]}
        assert template["Conditions"][f"Reads{resource}"] == condition


def given(parameter: str) -> dict:
    return {"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, ""]}]}


def test_each_alarm_notifies_the_address_and_the_topic_of_alarm_and_ok(template, alarms):
    """Notifies both if both are given, and nobody if neither is."""
    assert template["Conditions"]["NotifiesEmail"] == given("AlarmEmail")
    assert template["Conditions"]["NotifiesTopic"] == given("AlarmTopicArn")
    topics = [
        {"Fn::If": [condition, topic, {"Ref": "AWS::NoValue"}]}
        for condition, topic in (("NotifiesEmail", {"Ref": "AlarmTopic"}), ("NotifiesTopic", {"Ref": "AlarmTopicArn"}))
    ]
    for name, alarm in alarms.items():
        assert (alarm["Properties"]["AlarmActions"], alarm["Properties"]["OKActions"]) == (topics, topics), name
        assert "ActionsEnabled" not in alarm["Properties"], name


def test_the_topic_of_the_stack_notifies_the_address(resources):
    """CloudWatch cannot publish to a topic that is encrypted with an AWS managed key."""
    topic, subscription = resources["AlarmTopic"], resources["AlarmSubscription"]
    assert topic["Condition"] == subscription["Condition"] == "NotifiesEmail"
    assert topic["Properties"] == {"TopicName": {"Fn::Sub": "${AWS::StackName}-alarms"}}
    assert subscription["Properties"] == {
        "TopicArn": {"Ref": "AlarmTopic"}, "Protocol": "email", "Endpoint": {"Ref": "AlarmEmail"},
    }


def test_each_alarm_says_what_it_means_and_what_to_do_first(root, alarms, samples):
    headings = set(re.findall(r"^#+ (.+)$", (root / "docs" / "operate.md").read_text(), re.MULTILINE))
    streams = {stream for stream, _ in STREAMS.values()}
    fields = {sample["action"]: sample.keys() for sample in samples.values()}
    for name, alarm in alarms.items():
        text = alarm["Properties"]["AlarmDescription"]["Fn::Sub"]
        assert len(re.sub(r"\$\{[\w:.]+}", LONGEST_NAME, text)) <= DESCRIPTION_MAX_CHARS, name
        assert "First: " in text, name
        sections = re.findall(r'docs/operate.md: "([^"]+)"', text)
        assert (sections or "docs/errors.md" in text) and set(sections) <= headings, name
        # The operator has no checkout, so the text contains the payloads.
        assert "events/" not in text, name
        for payload in map(json.loads, re.findall(r"(?<!\$)\{[^}]*}", text)):
            payload = {"action": "collect", **payload}
            assert payload.keys() == fields[payload["action"]], name
            assert payload.get("stream", "user") in streams, name


@pytest.mark.parametrize("resource", STREAMS)
def test_a_freshness_alarm_says_that_it_is_in_alarm_until_the_stream_was_read_once(alarms, resource):
    text = alarms[f"{resource}FreshnessAlarm"]["Properties"]["AlarmDescription"]["Fn::Sub"]
    assert "until the credentials are in the secret, setup has run and the stream was read once" in text
    assert f"""--cli-binary-format raw-in-base64-out --payload '{{"stream":"{STREAMS[resource][0]}"}}' /dev/stdout""" in text


@pytest.mark.parametrize("resource", STREAMS)
def test_refused_records_are_delivered_again_by_the_streams_own_payload(alarms, resource):
    text = alarms[f"{resource}DeadLettersAlarm"]["Properties"]["AlarmDescription"]["Fn::Sub"]
    assert f"""invoke the function with {{"action":"redrive","stream":"{STREAMS[resource][0]}"}}""" in text


def test_the_repeated_hour_of_daylight_saving_time_raises_no_alarm(template):
    """The largest lag: the hour twice, the pause until the next run, and the longest duration of that run."""
    parameters = template["Parameters"]
    minutes = int(re.fullmatch(r"rate\((\d+) minutes\)", parameters["EventReportRate"]["Default"])[1])
    largest_lag_s = REPEATED_HOUR_S + minutes * 60 + parameters["Timeout"]["Default"]
    assert largest_lag_s < parameters["EventReportFreshness"]["Default"]


def test_a_snapshot_has_more_time_than_its_schedule(template):
    for resource in ("User", "DetailedSharedFolder"):
        hours = int(re.fullmatch(r"rate\((\d+) hours\)", template["Parameters"][f"{resource}Rate"]["Default"])[1])
        assert template["Parameters"][f"{resource}Freshness"]["Default"] > hours * 60 * 60


def lines(widget: dict) -> list[tuple]:
    """Returns namespace, metric, dimension and its value of each line. "." repeats the value of the line before, "..."
    as many as are missing.
    """
    whole = []
    for line in widget["properties"]["metrics"]:
        names = [part for part in line if isinstance(part, str)]
        if "..." in names:
            at = names.index("...")
            names[at : at + 1] = ["."] * (5 - len(names))
        whole.append(tuple(whole[-1][at] if name == "." else name for at, name in enumerate(names)))
    return whole


def graphs(widgets: list[dict]) -> list[tuple]:
    return [line for widget in widgets if widget["type"] == "metric" for line in lines(widget)]


def test_alarms_and_dashboard_show_metrics_that_exist(alarms, widgets, metrics_of_the_function):
    streams = {stream for stream, _ in STREAMS.values()}
    watched = [
        (str(p["Namespace"]), p["MetricName"], d["Name"], d["Value"])
        for p in (alarm["Properties"] for alarm in alarms.values())
        for d in p["Dimensions"]
    ]
    for namespace, metric, dimension, value in [*graphs(widgets), *watched]:
        if "LastPassElastic/" in namespace:
            assert (dimension, metric in metrics_of_the_function, value in streams) == ("stream", True, True), metric
        else:
            assert (dimension, True) == (METRICS_OF_AWS[namespace][0], metric in METRICS_OF_AWS[namespace][1]), metric


def test_the_dashboard_shows_every_metric_of_every_stream(widgets, metrics_of_the_function):
    """A metric that is not shown costs money without use."""
    shown = {line[1:] for line in graphs(widgets) if line[0] == "LastPassElastic/AWS::StackName"}
    assert shown == {(m, "stream", stream) for m in metrics_of_the_function for stream, _ in STREAMS.values()}


def test_the_dashboard_shows_the_threshold_beside_each_freshness(template, widgets):
    shown = {}
    for widget in (widget for widget in widgets if widget["type"] == "metric"):
        for _, _, _, stream in (line for line in lines(widget) if line[1] == "Freshness"):
            shown[stream] = [line["value"] for line in widget["properties"]["annotations"]["horizontal"]]
    assert shown == {
        stream: [template["Parameters"][f"{resource}Freshness"]["Default"]] for resource, (stream, _) in STREAMS.items()
    }


def test_the_dashboard_shows_every_alarm(resources, alarms):
    _, variables = resources["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    _, shown = variables["Alarms"]["Fn::Join"]
    nothing = {"Ref": "AWS::NoValue"}
    arns = {name: {"Fn::GetAtt": [name, "Arn"]} for name in alarms}
    assert shown == [
        {"Fn::If": [alarm["Condition"], arns[name], nothing]} if "Condition" in alarm else arns[name]
        for name, alarm in alarms.items()
    ]


def test_widgets_fill_the_grid_without_overlap(widgets):
    """CloudWatch's dashboards are 24 units wide. Overlapping widgets would be moved."""
    taken = [
        (x, y) for w in widgets for x in range(w["x"], w["x"] + w["width"]) for y in range(w["y"], w["y"] + w["height"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) == 23
