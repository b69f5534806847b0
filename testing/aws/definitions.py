"""The rules that Step Functions applies when a state machine is created or updated.

The emulator accepts any definition. `local_aws.py` therefore makes it apply these rules, and `tests/template` applies
them to the definitions in `statemachines/`. Sources, all in the AWS Step Functions Developer Guide:

- "Passing data between states with variables": scopes, names, `$states`
- "Transforming data with JSONata": fields of each query language, functions that Step Functions leaves out
- "Map state in Distributed mode", "Choosing workflow type": distributed Maps, Express

and <https://states-language.net/spec.html>: states, transitions, Retry and Catch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import jsonata

# "Maximum length: 80", for variables; the names of states have the same limit.
NAME_MAX_CHARS = 80
# "Maximum request size" of CreateStateMachine.
DEFINITION_MAX_BYTES = 1024 * 1024
LABEL_MAX_CHARS = 40

# Fields of a state that only one query language has. A name that ends in `Path` is JSONPath too.
JSONPATH_ONLY = {"InputPath", "OutputPath", "Parameters", "ResultPath", "ResultSelector", "Result"}
JSONATA_ONLY = {"Arguments", "Output", "Items"}
DISTRIBUTED_ONLY = ("ItemReader", "ItemBatcher", "ResultWriter", "Label", "ToleratedFailureCount", "ToleratedFailurePercentage")
# The types that end the execution or choose the next state themselves.
WITHOUT_TRANSITION = {"Choice", "Succeed", "Fail"}
TYPES = {"Task", "Pass", "Wait", "Parallel", "Map", *WITHOUT_TRANSITION}
WITHOUT_ASSIGN = {"Succeed", "Fail"}
# The types whose `Output` and `Assign` may read `$states.result`.
WITH_RESULT = {"Task", "Parallel", "Map"}
# A variable in a JSONPath field: `$name`, but neither `$.path` nor `$$.context`.
JSONPATH_VARIABLE = re.compile(r"(?<![\w$])\$([^\W\d]\w*)")


@dataclass
class Scope:
    """The states of one `States` field, which share their variables."""

    path: str
    machine: dict
    language: str
    # The enclosing scopes, from the top level to the nearest.
    around: list[Scope] = field(default_factory=list)
    # A distributed Map runs each item as a separate execution.
    is_distributed: bool = False

    @property
    def states(self) -> dict[str, dict]:
        return {name: state for name, state in (self.machine.get("States") or {}).items() if isinstance(state, dict)}

    @property
    def assigned(self) -> set[str]:
        return {name for state in self.states.values() for name in assigned_by(state)}

    @property
    def readable(self) -> set[str]:
        """Returns the variables that the states of this scope may read."""
        names: set[str] = set()
        for scope in [self, *reversed(self.around)]:
            names |= scope.assigned
            if scope.is_distributed:
                break
        return names

    def language_of(self, state: dict) -> str:
        return state.get("QueryLanguage", self.language)


def faults(definition: dict, kind: str = "STANDARD") -> list[str]:
    """Returns every reason for which Step Functions rejects the definition, each with its place."""
    found = []
    if len(json.dumps(definition).encode()) > DEFINITION_MAX_BYTES:
        found.append("/: the definition is longer than 1 MB")
    scopes = list(all_scopes(definition))
    names = [name for scope in scopes for name in scope.states]
    found += [f"/: two states are named {name}" for name in sorted({name for name in names if names.count(name) > 1})]
    for scope in scopes:
        found += scope_faults(scope)
        for name, state in scope.states.items():
            place = f"{scope.path}/States/{name}"
            found += [f"{place}: {fault}" for fault in state_faults(scope, state, kind)]
    return found


def all_scopes(machine: dict, path: str = "", around: Iterator[Scope] = (), is_distributed: bool = False,
               language: str = "JSONPath") -> Iterator[Scope]:
    """Yields the scope of a machine, then those inside it."""
    scope = Scope(path, machine, machine.get("QueryLanguage", language), list(around), is_distributed)
    yield scope
    for name, state in scope.states.items():
        for inner_path, inner in machines_inside(state):
            mode = (inner.get("ProcessorConfig") or {}).get("Mode", "INLINE")
            yield from all_scopes(inner, f"{path}/States/{name}/{inner_path}", [*scope.around, scope],
                                  mode == "DISTRIBUTED", scope.language_of(state))


def machines_inside(state: dict) -> Iterator[tuple[str, dict]]:
    for field_name in ("ItemProcessor", "Iterator"):
        if isinstance(state.get(field_name), dict):
            yield field_name, state[field_name]
    for nth, branch in enumerate(state.get("Branches") or []):
        yield f"Branches/{nth}", branch


def entries(state: dict, field_name: str) -> list[dict]:
    """Returns the objects in a list such as `Catch`, each of which may have its own `Assign`."""
    listed = state.get(field_name)
    return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []


def assigned_by(state: dict) -> Iterator[str]:
    """Yields the variables that a state assigns: itself, in a rule of its `Choices`, or in a `Catch`."""
    for part in (state, *entries(state, "Choices"), *entries(state, "Catch")):
        if isinstance(part.get("Assign"), dict):
            yield from (name.removesuffix(".$") for name in part["Assign"])


def scope_faults(scope: Scope) -> Iterator[str]:
    states, start = scope.states, scope.machine.get("StartAt")
    outer = {name for around in scope.around for name in around.assigned}
    for name in sorted(scope.assigned):
        if name in outer:
            yield f"{scope.path or '/'}: the variable {name} is assigned in an outer scope as well"
        # Unicode's ID_Start has no underscore.
        if not name.isidentifier() or name.startswith("_") or len(name) > NAME_MAX_CHARS:
            yield f"{scope.path or '/'}: {name} can't be the name of a variable"
        if name == "states":
            yield f"{scope.path or '/'}: the variable states is reserved"
    if start not in states:
        yield f"{scope.path or '/'}: StartAt names {start}, which is no state here"
    reached, waiting = set(), [start]
    while waiting:
        name = waiting.pop()
        if name in states and name not in reached:
            reached.add(name)
            waiting += targets(states[name])
    for name in sorted(set(states) - reached):
        yield f"{scope.path}/States/{name}: no state leads here"


def targets(state: dict) -> list[str]:
    parts = (state, *entries(state, "Choices"), *entries(state, "Catch"))
    return [part[key] for part in parts for key in ("Next", "Default") if key in part]


def state_faults(scope: Scope, state: dict, kind: str) -> Iterator[str]:
    kind_of_state = state.get("Type")
    if kind_of_state not in TYPES:
        yield f"{kind_of_state} is no type of a state"
    for name in scope.states:
        if scope.states[name] is state and len(name) > NAME_MAX_CHARS:
            yield f"its name is longer than {NAME_MAX_CHARS} characters"
    for target in targets(state):
        if target not in scope.states:
            yield f"it leads to {target}, which is no state here"
    transitions = ("Next" in state) + ("End" in state)
    if transitions != (0 if kind_of_state in WITHOUT_TRANSITION else 1):
        yield "it has to have either Next or End, unless it is a Choice, Succeed or Fail, which have neither"
    if kind_of_state in WITHOUT_ASSIGN and "Assign" in state:
        yield f"a {kind_of_state} assigns nothing"
    yield from language_faults(scope, state)
    yield from read_faults(scope, state)
    yield from retry_faults(state)
    yield from map_faults(state)
    if kind == "EXPRESS":
        yield from express_faults(state)


def language_faults(scope: Scope, state: dict) -> Iterator[str]:
    language = scope.language_of(state)
    if scope.language == "JSONata" and language == "JSONPath":
        yield "a state of a machine in JSONata can't be in JSONPath"
    parts = [state, *entries(state, "Choices"), *entries(state, "Catch")]
    if language == "JSONata":
        wrong = {name for part in parts for name in part if name in JSONPATH_ONLY or name.endswith("Path")}
        wrong |= {"Variable" for rule in entries(state, "Choices") if "Variable" in rule}
    else:
        wrong = {name for part in parts for name in part if name in JSONATA_ONLY}
    yield from (f"{name} is not for {language}" for name in sorted(wrong))


def read_faults(scope: Scope, state: dict) -> Iterator[str]:
    own, readable = scope.assigned, scope.readable
    elsewhere = {name for around in scope.around for name in around.assigned} - readable - own
    reads: set[str] = set()
    if scope.language_of(state) == "JSONata":
        for path, expression in expressions(state):
            try:
                ast = jsonata.Jsonata.jsonata(expression).ast
            except Exception as fault:  # the parser raises its own type, and IndexError on some texts
                yield f"{path} is no JSONata: {fault}"
                continue
            reads |= free_variables(ast)
            yield from reserved_faults(state, path, ast, expression)
    else:
        reads = {name for text in jsonpath_texts(state) for name in JSONPATH_VARIABLE.findall(text)}
    for name in sorted(reads & elsewhere):
        yield f"it reads the variable {name} from outside of its distributed Map"


def expressions(node: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yields the JSONata of a state, without that of the states inside it."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name != "States":
                yield from expressions(value, f"{path}/{name}")
    elif isinstance(node, list):
        for nth, value in enumerate(node):
            yield from expressions(value, f"{path}/{nth}")
    elif isinstance(node, str) and node.startswith("{%") and node.endswith("%}"):
        yield path, node[2:-2].strip()


def jsonpath_texts(node: object, is_reference: bool = False) -> Iterator[str]:
    """Yields the JSONPath of a state, without that of the states inside it."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name != "States":
                yield from jsonpath_texts(value, name.endswith((".$", "Path")) or name == "Variable")
    elif isinstance(node, list):
        for value in node:
            yield from jsonpath_texts(value, is_reference)
    elif isinstance(node, str) and is_reference:
        yield node


def free_variables(node: object, bound: frozenset[str] = frozenset()) -> set[str]:
    """Returns the variables that an expression reads and does not bind itself, including functions."""
    if isinstance(node, list):
        found: set[str] = set()
        for each in node:
            found |= free_variables(each, bound)
            bound |= bindings(each)
        return found
    kind = getattr(node, "type", None)
    if kind == "variable":
        # `$` and `$$` have no name.
        found = {node.value} - bound - {"", "$"}
    elif kind == "bind":
        return free_variables(node.rhs, bound)
    elif kind == "lambda":
        return free_variables(node.body, bound | {argument.value for argument in node.arguments})
    else:
        found = set()
    for part in parts_of(node):
        found |= free_variables(part, bound | bindings(node))
    return found


def bindings(node: object) -> frozenset[str]:
    """Returns the variables that later nodes can use: bound by `:=`, and in a path by `@` and `#`."""
    if getattr(node, "type", None) == "bind":
        return frozenset({node.lhs.value}) | bindings(node.rhs)
    names = {name for key in ("focus", "index") if isinstance(name := getattr(node, key, None), str)}
    for stage in getattr(node, "stages", None) or []:
        if getattr(stage, "type", None) == "index":
            names.add(stage.value)
    return frozenset(names)


def parts_of(node: object) -> list:
    """Returns the child nodes of a parser node."""
    if not hasattr(node, "__dict__"):
        return []
    skipped = ("_outer_instance", "ancestor", "seeking_parent", "slot", "next_function")
    return [part for name, part in vars(node).items()
            if name not in skipped and (isinstance(part, list) or hasattr(part, "type"))]


def paths_of(node: object) -> Iterator[list[str]]:
    """Yields the first steps of every path: `$states.result.Payload` is ["states", "result", "Payload"]."""
    if isinstance(node, list):
        for each in node:
            yield from paths_of(each)
        return
    if getattr(node, "type", None) == "path":
        yield [step.value for step in node.steps if isinstance(getattr(step, "value", None), str)]
    for part in parts_of(node):
        yield from paths_of(part)


def reserved_faults(state: dict, path: str, ast: object, expression: str) -> Iterator[str]:
    """Yields uses of parts that `$states` lacks, and of functions that Step Functions does not have."""
    first = path.split("/")[1]
    is_catch = first == "Catch"
    has_result = state.get("Type") in WITH_RESULT and first in ("Output", "Assign")
    for steps in paths_of(ast):
        if steps[:2] == ["states", "result"] and not has_result:
            yield f"{path} has no $states.result"
        if steps[:2] == ["states", "errorOutput"] and not is_catch:
            yield f"{path} has no $states.errorOutput"
    if "eval" in free_variables(ast):
        yield f"{path} calls $eval"
    if re.search(r"(?<![\w$.])States\.\w+\(", expression):
        yield f"{path} calls an intrinsic function, which only JSONPath has"


def retry_faults(state: dict) -> Iterator[str]:
    for field_name in ("Retry", "Catch"):
        listed = entries(state, field_name)
        for nth, entry in enumerate(listed):
            errors = entry.get("ErrorEquals")
            if not errors:
                yield f"{field_name} {nth} has no ErrorEquals"
            elif "States.ALL" in errors and (len(errors) > 1 or nth + 1 < len(listed)):
                yield f"States.ALL has to be alone, and in the last {field_name}"
            if field_name == "Catch" and "Next" not in entry:
                yield f"Catch {nth} leads nowhere"
            interval, longest = entry.get("IntervalSeconds", 1), entry.get("MaxDelaySeconds")
            if interval < 1 or entry.get("BackoffRate", 2) < 1 or not 0 <= entry.get("MaxAttempts", 3) <= 99_999_999:
                yield f"{field_name} {nth} is out of bounds"
            if longest is not None and not interval < longest < 31_622_400:
                yield f"{field_name} {nth} has a MaxDelaySeconds that isn't above IntervalSeconds, or is above a year"


def map_faults(state: dict) -> Iterator[str]:
    if state.get("Type") != "Map":
        return
    processor = state.get("ItemProcessor") or state.get("Iterator")
    if not isinstance(processor, dict):
        yield "a Map needs an ItemProcessor"
        return
    config = processor.get("ProcessorConfig") or {}
    if config.get("Mode", "INLINE") == "DISTRIBUTED":
        if config.get("ExecutionType") not in ("STANDARD", "EXPRESS"):
            yield "a distributed Map needs an ExecutionType"
        percentage = state.get("ToleratedFailurePercentage", 0)
        if isinstance(percentage, (int, float)) and not 0 <= percentage <= 100:
            yield "ToleratedFailurePercentage is a number from 0 to 100"
        label = state.get("Label", "")
        if len(label) > LABEL_MAX_CHARS or re.search(r'[\s?*<>{}\[\]:;,\\|^~$#%&`"\x00-\x1f\x7f-\x9f]', label):
            yield f"{label!r} can't be a Label"
    else:
        yield from (f"{name} is for a distributed Map" for name in DISTRIBUTED_ONLY if name in state)
        if "ExecutionType" in config:
            yield "ExecutionType is for a distributed Map"


def express_faults(state: dict) -> Iterator[str]:
    resource = str(state.get("Resource", ""))
    if re.search(r"\.(sync(:\d)?|waitForTaskToken)$", resource) or ":activity:" in resource:
        yield "an Express state machine can't wait for a job, a token or an activity"
    processor = state.get("ItemProcessor") or {}
    if (processor.get("ProcessorConfig") or {}).get("Mode") == "DISTRIBUTED":
        yield "an Express state machine has no distributed Maps"


def unassigned(definition: dict) -> list[str]:
    """Returns variables that a JSONata state reads although no assignment reaches it.

    Step Functions accepts such a definition, and the execution fails.
    """
    builtin = set(jsonata.Jsonata.static_frame.bindings) | {"states", "partition", "range", "hash", "random", "uuid", "parse"}
    return [
        f"{scope.path}/States/{name}: {variable}"
        for scope in all_scopes(definition)
        for name, state in scope.states.items()
        if scope.language_of(state) == "JSONata"
        for _, expression in expressions(state)
        for variable in sorted(free_variables(jsonata.Jsonata.jsonata(expression).ast) - builtin - scope.readable)
    ]
