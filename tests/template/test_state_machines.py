"""Every definition in `statemachines/`: Step Functions must accept it, or the whole stack rolls back.

The rules are those of `testing/aws/definitions.py`, which the emulator applies too. cfn-lint's schema is a second,
independent check. Neither is Step Functions itself: docs/development.md has the command that asks it.
"""

import copy
import json
import sys
from pathlib import Path

import pytest
import yaml
from cfnlint.api import lint_all

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "testing" / "aws"))

from definitions import all_scopes, faults, unassigned  # noqa: E402

FILES = sorted((ROOT / "statemachines").glob("*.asl.yaml"))
# The values that CloudFormation fills in from the template's parameters and resources.
FILLED_IN = {
    "Accounts": "acme,globex",
    "Concurrency": "2",
    "FailureQueueUrl": "https://sqs.eu-west-1.amazonaws.com/123456789012/failures",
    "FunctionArn": "arn:aws:lambda:eu-west-1:123456789012:function:lastpass",
    "Partition": "aws",
}


def definition(path: Path) -> dict:
    text = path.read_text()
    for name, value in FILLED_IN.items():
        text = text.replace("${" + name + "}", value)
    assert "${" not in text.replace("${FunctionArn}, ${FailureQueueUrl}", ""), path
    return yaml.safe_load(text)


def kind(resources: dict, path: Path) -> str:
    machines = (r["Properties"] for r in resources.values() if r["Type"] == "AWS::Serverless::StateMachine")
    (machine,) = [m for m in machines if m["DefinitionUri"] == f"statemachines/{path.name}"]
    return machine.get("Type", "STANDARD")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_step_functions_has_no_reason_to_refuse_it(resources, path):
    assert faults(definition(path), kind(resources, path)) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_variable_that_is_read_was_assigned(path):
    assert unassigned(definition(path)) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_cfn_lint_accepts_it_as_well(path):
    properties = {"RoleArn": "arn:aws:iam::123456789012:role/any", "Definition": definition(path)}
    template = {"Resources": {"Machine": {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}}}
    assert [match.message for match in lint_all(json.dumps(template))] == []


def test_the_rules_look_into_every_definition_and_every_scope():
    assert [path.name for path in FILES] == ["accounts.asl.yaml", "backfill.asl.yaml"]
    paths = {path.name: [scope.path for scope in all_scopes(definition(path))] for path in FILES}
    assert paths == {
        "accounts.asl.yaml": ["", "/States/Accounts/ItemProcessor"],
        "backfill.asl.yaml": ["", "/States/Slices/ItemProcessor"],
    }


# Definitions that Step Functions rejects, and the reasons.

END = {"Type": "Pass", "End": True}


def machine(states: dict, **rest) -> dict:
    return {"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states, **rest}


def inline(states: dict, **rest) -> dict:
    return {"Type": "Map", "ItemProcessor": {"StartAt": next(iter(states)), "States": states}, "End": True, **rest}


def distributed(states: dict, **rest) -> dict:
    made = inline(states, **rest)
    made["ItemProcessor"]["ProcessorConfig"] = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    return made


def parallel(*branches: dict, **rest) -> dict:
    return {"Type": "Parallel", "Branches": [{"StartAt": next(iter(b)), "States": b} for b in branches], "End": True, **rest}


def assigns(**names) -> dict:
    return {**END, "Assign": names}


def after(state: dict, **rest) -> dict:
    """Returns a machine that assigns `x` and `y` before the state."""
    return machine({"First": {"Type": "Pass", "Assign": {"x": 1, "y": 2}, "Next": "Second"}, "Second": state}, **rest)


CATCH = [{"ErrorEquals": ["States.ALL"], "Assign": {"x": 1}, "Next": "Caught"}]
TASK = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke"}
CHOICE = {"Type": "Choice", "Choices": [{"Condition": "{% true %}", "Assign": {"x": 1}, "Next": "End"}], "Default": "End"}
SAME = "the variable x is assigned in an outer scope as well"
OUTSIDE = "it reads the variable x from outside of its distributed Map"
REFUSED = {
    "an inline Map assigns what is assigned around it": (after(inline({"In": assigns(x=1)})), SAME),
    "a distributed Map as well": (after(distributed({"In": assigns(x=1)})), SAME),
    "a branch as well": (after(parallel({"A": END}, {"B": assigns(x=1)})), SAME),
    "by a Catch inside": (after(inline({"In": {**TASK, "Catch": CATCH, "End": True}, "Caught": END})), SAME),
    "by a rule of a Choice inside": (after(parallel({"In": CHOICE, "End": END})), SAME),
    "two scopes further in": (after(parallel({"A": inline({"B": parallel({"C": assigns(x=1)})})})), SAME),
    "between two inner scopes": (
        machine({"A": parallel({"B": {"Type": "Pass", "Assign": {"x": 1}, "Next": "C"}, "C": inline({"D": assigns(x=1)})})}), SAME,
    ),
    "after the Map, not before it": (
        machine({"A": {**inline({"In": assigns(x=1)}), "Assign": {"x": 2}}}), SAME,
    ),
    "by the Catch of the Map itself": (
        machine({"A": {**inline({"In": assigns(x=1)}), "Catch": CATCH}, "Caught": END}), SAME,
    ),
    "in JSONPath": (
        {"StartAt": "A", "States": {"A": {**inline({"In": assigns(**{"x.$": "$.a"})}), "Assign": {"x.$": "$.b"}}}}, SAME,
    ),
    "in an old Iterator": (
        after({"Type": "Map", "Iterator": {"StartAt": "In", "States": {"In": assigns(x=1)}}, "End": True}), SAME,
    ),
    "a distributed Map reads a variable from around it": (after(distributed({"In": {**END, "Output": "{% $x %}"}})), OUTSIDE),
    "within a longer expression": (
        after(distributed({"In": {**END, "Output": {"a": ["{% $map([1], function($v) { $v + $x.b }) %}"]}}})), OUTSIDE,
    ),
    "in the condition of a Choice": (
        after(distributed({"In": {"Type": "Choice", "Choices": [{"Condition": "{% $x > 1 %}", "Next": "End"}], "Default": "End"},
                           "End": END})), OUTSIDE,
    ),
    "in an Assign": (after(distributed({"In": assigns(z="{% $x %}")})), OUTSIDE),
    "in a branch inside it": (after(distributed({"In": parallel({"Deep": {**END, "Output": "{% $x %}"}})})), OUTSIDE),
    "from a Map within it": (after(distributed({"In": inline({"Deep": END}, Items="{% $x %}")})), OUTSIDE),
    "though a function has a parameter of that name": (
        after(distributed({"In": {**END, "Output": "{% ($f := function($x) { $x }; $f($x)) %}"}})), OUTSIDE,
    ),
    "in JSONPath, from a distributed Map": (
        {"StartAt": "A", "States": {"A": {"Type": "Pass", "Assign": {"x": 1}, "Next": "B"}, "B": distributed(
            {"In": {**END, "Parameters": {"a.$": "$x.b"}}})}}, OUTSIDE,
    ),
    "a name that begins with an underscore": (machine({"A": assigns(_x=1)}), "_x can't be the name of a variable"),
    "a name with a hyphen": (machine({"A": assigns(**{"a-b": 1})}), "a-b can't be the name of a variable"),
    "a name that is too long": (machine({"A": assigns(**{"x" * 81: 1})}), "can't be the name of a variable"),
    "the reserved name": (machine({"A": assigns(states=1)}), "the variable states is reserved"),
    "a beginning that isn't there": (machine({"A": END}) | {"StartAt": "B"}, "StartAt names B"),
    "a next state that isn't there": (machine({"A": {"Type": "Pass", "Next": "B"}}), "it leads to B"),
    "a next state of another scope": (
        machine({"A": parallel({"In": {"Type": "Pass", "Next": "B"}}), "B": END}) | {"StartAt": "B"}, "it leads to B",
    ),
    "a Catch that leads nowhere": (
        machine({"A": {**TASK, "Catch": CATCH, "End": True}}), "it leads to Caught",
    ),
    "a state that nothing leads to": (machine({"A": END, "B": END}), "/States/B: no state leads here"),
    "neither Next nor End": (machine({"A": {"Type": "Pass"}}), "either Next or End"),
    "both Next and End": (machine({"A": {**END, "Next": "B"}, "B": END}), "either Next or End"),
    "two states of one name": (machine({"A": parallel({"B": END}, {"B": END})}), "two states are named B"),
    "a type that isn't": (machine({"A": {"Type": "Loop", "End": True}}), "Loop is no type"),
    "JSONPath's field in JSONata": (machine({"A": {**END, "ResultPath": "$.a"}}), "ResultPath is not for JSONata"),
    "JSONPath's parameters in JSONata": (machine({"A": {**END, "Parameters": {}}}), "Parameters is not for JSONata"),
    "JSONPath's path in JSONata": (machine({"A": {**inline({"B": END}), "ItemsPath": "$"}}), "ItemsPath is not for JSONata"),
    "JSONata's field in JSONPath": ({"StartAt": "A", "States": {"A": {**END, "Output": {}}}}, "Output is not for JSONPath"),
    "a state in JSONPath in a machine in JSONata": (
        machine({"A": {**END, "QueryLanguage": "JSONPath"}}), "can't be in JSONPath",
    ),
    "an expression that is none": (machine({"A": {**END, "Output": "{% $a + %}"}}), "/Output is no JSONata"),
    "an intrinsic function": (machine({"A": {**END, "Output": "{% States.UUID() %}"}}), "calls an intrinsic function"),
    "a function that is left out": (machine({"A": {**END, "Output": "{% $eval('1') %}"}}), "calls $eval"),
    "a result where there is none": (machine({"A": {**END, "Output": "{% $states.result %}"}}), "/Output has no $states.result"),
    "a result before there is one": (
        machine({"A": {**TASK, "Arguments": "{% $states.result.a %}", "End": True}}), "/Arguments has no $states.result",
    ),
    "an error outside of a Catch": (
        machine({"A": {**TASK, "Output": "{% $states.errorOutput %}", "End": True}}), "has no $states.errorOutput",
    ),
    "States.ALL beside another error": (
        machine({"A": {**TASK, "Retry": [{"ErrorEquals": ["States.ALL", "A"]}], "End": True}}), "States.ALL has to be alone",
    ),
    "a longest pause below the first": (
        machine({"A": {**TASK, "Retry": [{"ErrorEquals": ["A"], "IntervalSeconds": 9, "MaxDelaySeconds": 9}], "End": True}}),
        "MaxDelaySeconds that isn't above",
    ),
    "a field of distributed Maps in another": (
        machine({"A": inline({"B": END}, ToleratedFailurePercentage=1)}), "ToleratedFailurePercentage is for a distributed Map",
    ),
    "a percentage above 100": (
        machine({"A": distributed({"B": END}, ToleratedFailurePercentage=101)}), "ToleratedFailurePercentage is a number",
    ),
    "a label with a blank": (machine({"A": distributed({"B": END}, Label="a b")}), "can't be a Label"),
}


@pytest.mark.parametrize("form", REFUSED)
def test_a_definition_that_step_functions_refuses_is_recognised(form):
    broken, text = REFUSED[form]
    found = faults(broken)
    assert [fault for fault in found if text in fault], found


def test_the_names_of_side_by_side_scopes_may_be_alike():
    both = machine({
        "A": {**parallel({"B": assigns(x=1)}, {"C": assigns(x=2)}, Output="{% $states.result %}"), "End": False, "Next": "D"},
        "D": inline({"E": assigns(x="{% $states.input %}")}),
    })
    del both["States"]["A"]["End"]
    assert faults(both) == []


def test_what_is_around_a_distributed_map_may_be_read_where_its_items_are_chosen():
    selected = distributed(
        {"In": assigns(z="{% $states.input.x %}", w="{% $map([1], function($x) { $x }) %}")},
        Items="{% $y %}", ItemSelector={"x": "{% $x %}"}, Output="{% [$states.result, $x] %}", MaxConcurrency="{% $y %}",
    )
    assert faults(after(selected)) == []
    assert faults(after(inline({"In": {**END, "Output": "{% $x %}"}}))) == []
    assert faults(after(parallel({"In": {**END, "Output": "{% $x %}"}}))) == []


@pytest.mark.parametrize(
    "state",
    [
        {**TASK, "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "End": True},
        {**TASK, "Resource": "arn:aws:states:::states:startExecution.sync:2", "End": True},
        {**TASK, "Resource": "arn:aws:states:eu-west-1:123456789012:activity:any", "End": True},
        distributed({"In": END}),
    ],
)
def test_an_express_state_machine_can_do_less(state):
    assert faults(machine({"A": state})) == []
    assert len(faults(machine({"A": state}), "EXPRESS")) == 1


def test_a_variable_that_nothing_assigns_is_noticed():
    (path,) = [path for path in FILES if path.name == "backfill.asl.yaml"]
    misspelt = copy.deepcopy(definition(path))
    misspelt["States"]["WaitForPlan"]["Assign"] = {"waits": "{% $wait + 1 %}"}
    assert [variable for variable in unassigned(misspelt) if variable.endswith(": wait")] == ["/States/WaitForPlan: wait"]
