"""The README says what template, code and payloads do."""

import json
import re
import textwrap
from pathlib import Path

import pytest
from cfnlint.decode import cfn_yaml

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
DEVELOPMENT = (ROOT / "docs" / "development.md").read_text()
PAGES = {"README.md": README, "docs/development.md": DEVELOPMENT}
# The order that a reader follows, from what it is to how it is made.
SECTIONS = ["What arrives", "What you need", "Credentials", "Deploy", "See that it works", "Settings", "Several accounts",
            "Operate", "Command line", "Errors", "Limits and cost", "Design and development"]


@pytest.fixture(scope="module")
def template() -> dict:
    # The decoder's nodes carry line numbers; a round through JSON leaves plain dicts, lists and strings.
    return json.loads(json.dumps(cfn_yaml.load(str(ROOT / "template.yaml"))))


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def table(text: str, first_heading: str) -> list[list[str]]:
    """The rows of the table whose first heading this is; a cell without its backticks."""
    lines = text[text.index(f"| {first_heading} |"):].splitlines()
    rows = [line for line in lines[: next((i for i, line in enumerate(lines) if not line.lstrip().startswith("|")), None)]]
    cells = [re.split(r"(?<!\\)\|", row.strip().strip("|")) for row in rows[2:]]
    return [[cell.strip().strip("`") for cell in row] for row in cells]


def test_sections_stand_in_the_readers_order():
    assert re.findall(r"^## (.+)$", README, re.MULTILINE) == SECTIONS


def test_settings_are_the_templates_parameters(template):
    rows = table(section("Settings"), "setting")
    variables = template["Resources"]["Function"]["Properties"]["Environment"]["Variables"]
    for setting, parameter, example, _, default, _ in rows:
        declared = template["Parameters"][parameter]
        assert default == str(declared["Default"]), parameter
        if setting:
            assert f'"{parameter}"' in json.dumps(variables[setting]), setting
        if "AllowedPattern" in declared and "…" not in example:
            assert re.fullmatch(declared["AllowedPattern"], example), f"{parameter}: {example}"
        elif "AllowedValues" in declared:
            assert example in declared["AllowedValues"], parameter
        elif "MinValue" in declared:
            assert declared["MinValue"] <= int(example) <= declared["MaxValue"], parameter
    assert {row[1] for row in rows} == set(template["Parameters"])
    assert {row[0] for row in rows} - {""} == set(variables) - {"CHECKPOINT_TABLE"}


def test_errors_are_those_of_the_code():
    told = [row[0] for row in table(section("Errors"), "`errorType`")]
    systems = "Request|Config|Secret|Checkpoint|LastPass|Elasticsearch"
    in_code = set()
    for file in (ROOT / "src").rglob("*.rs"):
        in_code |= set(re.findall(rf'"((?:{systems})\.[A-Z][A-Za-z]+)"', file.read_text()))
    assert sorted(told) == sorted(set(told))
    assert set(told) == in_code


def test_reasons_for_how_a_run_ended_are_those_of_the_code():
    told = {row[0] for row in table(section("Operate"), "reason")}
    source = (ROOT / "src" / "request.rs").read_text()
    variants = source[source.index("pub enum Reason"):].split("}")[0]
    in_code = {re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower() for name in re.findall(r"^    (\w+),$", variants, re.MULTILINE)}
    assert told == in_code


def test_metrics_are_those_of_the_code():
    told = [(row[0], row[1]) for row in table(section("Operate"), "metric")]
    source = (ROOT / "src" / "telemetry.rs").read_text()
    in_code = re.findall(r'Metric = Metric \{ name: "(\w+)", unit: "(\w+)" \};', source)
    assert told == [(name, unit.lower()) for name, unit in in_code] and len(told) == 5


def test_optional_fields_of_the_secret_are_those_of_the_code():
    told = {row[0] for row in table(section("Several accounts"), "optional field")}
    source = (ROOT / "src" / "secrets" / "mod.rs").read_text()
    in_code = set(re.findall(r'^const \w+: &str = "(\w+)";$', source, re.MULTILINE))
    in_credentials = set(re.findall(r'^  "(\w+)":', section("Credentials"), re.MULTILINE))
    assert told and told == in_code - in_credentials - {"REPLACE_ME"}


def test_errors_of_a_slice_are_those_of_the_state_machine():
    told = {row[0] for row in table(section("Operate"), "`error_type`")}
    source = (ROOT / "statemachines" / "backfill.asl.yaml").read_text()
    assert told == set(re.findall(r"(?:Error: |error_type: |'error_type': ')([A-Z]\w+)", source))


def test_exit_codes_are_those_of_the_command_line():
    told = [row[0] for row in table(section("Command line"), "exit code")]
    source = (ROOT / "cli" / "src" / "exit.rs").read_text()
    assert told and told == re.findall(r'\(Exit::\w+, (\d+), "', source)


def test_payloads_are_those_in_events():
    there = {f"events/{file.name}" for file in (ROOT / "events").glob("*.json")}
    assert set(re.findall(r"events/[\w-]+\.json", README)) == there


def test_roles_are_those_in_assets():
    blocks = [json.loads(textwrap.dedent(block)) for block in re.findall(r"^ *```json\n(.*?)^ *```$", README, re.M | re.S)]
    for role in ("writer", "installer"):
        rights = json.loads((ROOT / "assets" / "roles" / f"{role}.json").read_text())
        assert {f"lastpass-{role}": rights} in blocks


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", PAGES[page]):
        if target.startswith("https://"):
            continue
        file, _, heading = target.partition("#")
        path = (ROOT / page).parent / file if file else ROOT / page
        assert path.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", text).lower().replace(" ", "-") for text in headings}, target


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page):
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z][\w-]*)(?=`|\n)", PAGES[page])) <= targets


def test_every_target_of_the_makefile_is_listed_by_help():
    makefile = (ROOT / "Makefile").read_text()
    phony = set(re.search(r"^\.PHONY:(.*)$", makefile, re.MULTILINE).group(1).split())
    helped = set(re.findall(r"^([\w-]+):.*## ", makefile, re.MULTILINE))
    assert phony - helped == {"python-here"}
