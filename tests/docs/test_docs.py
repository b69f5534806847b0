"""The README and the pages in docs/ agree with the template, the code and the payloads."""

import json
import posixpath
import re
import textwrap
import tomllib
from pathlib import Path

import pytest
from cfnlint.decode import cfn_yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    str(file.relative_to(ROOT)): file.read_text()
    for file in [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
}
README_MAX_LINES = 250
# The order for a newcomer, from what the product is to its other features.
SECTIONS = ["One document", "Try it here", "Deploy", "See that it works", "What else it does"]


@pytest.fixture(scope="module")
def template() -> dict:
    # The decoder's nodes have line numbers. A round trip through JSON leaves plain dicts, lists and strings.
    return json.loads(json.dumps(cfn_yaml.load(str(ROOT / "template.yaml"))))


def section(page: str, title: str) -> str:
    return PAGES[page].split(f"\n## {title}\n")[1].split("\n## ")[0]


def table(text: str, first_heading: str) -> list[list[str]]:
    """Returns the rows of the table with this first heading, without the backticks of its cells."""
    lines = text[text.index(f"| {first_heading} |"):].splitlines()
    rows = [line for line in lines[: next((i for i, line in enumerate(lines) if not line.lstrip().startswith("|")), None)]]
    cells = [re.split(r"(?<!\\)\|", row.strip().strip("|")) for row in rows[2:]]
    return [[cell.strip().strip("`") for cell in row] for row in cells]


def test_the_readme_is_short_and_in_the_readers_order():
    assert PAGES["README.md"].count("\n") <= README_MAX_LINES
    assert re.findall(r"^## (.+)$", PAGES["README.md"], re.MULTILINE) == SECTIONS


def test_every_page_is_linked_from_the_readme():
    linked = set(re.findall(r"\]\((docs/[\w-]+\.md)", PAGES["README.md"]))
    # Facts about the vendor and its integration, for developers.
    for_developers = {"docs/LASTPASS_API.md", "docs/ECS_MAPPING.md"}
    assert linked == {page for page in PAGES if page.startswith("docs/")} - for_developers


def test_settings_are_the_templates_parameters(template):
    rows = table(PAGES["docs/settings.md"], "setting")
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


def test_the_permissions_boundary_lists_all_that_the_roles_need(template):
    listed = re.findall(r"`(\w+:\w+)`", section("docs/deploy.md", "A permissions boundary"))
    roles = [r["Properties"] for r in template["Resources"].values() if r["Type"] == "AWS::IAM::Role"]
    needed = set()
    for statement in (s for role in roles for s in role["Policies"][0]["PolicyDocument"]["Statement"]):
        branches = statement["Fn::If"][1:] if "Fn::If" in statement else [statement]
        for allowed in (branch for branch in branches if branch.get("Effect") == "Allow"):
            needed |= {allowed["Action"]} if isinstance(allowed["Action"], str) else set(allowed["Action"])
    assert set(listed) == needed and len(listed) == len(needed)


def test_the_key_policy_names_every_log_group(template):
    groups = [r["Properties"]["LogGroupName"]["Fn::Sub"] for r in template["Resources"].values() if r["Type"] == "AWS::Logs::LogGroup"]
    text = section("docs/deploy.md", "A KMS key of your own")
    assert re.findall(r"log-group:([\w/-]+)", text) == [group.replace("${AWS::StackName}", "lastpass") for group in groups]


def test_the_deploy_section_says_that_nobody_is_notified_by_default(template):
    text = " ".join(section("README.md", "Deploy").split())
    assert "Without *AlarmEmail* or *AlarmTopicArn* nobody is notified" in text
    assert {"AlarmEmail", "AlarmTopicArn"} <= set(template["Parameters"])


def commands(text: str) -> list[str]:
    """Returns the commands in the shell blocks of a page, each in one line."""
    blocks = (textwrap.dedent(block) for block in re.findall(r"^ *```sh\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL))
    return [line for block in blocks for line in re.sub(r"\s*\\\n\s*", " ", block).splitlines()]


def test_the_readme_deploys_with_six_commands():
    deploy, look = (commands(section("README.md", title)) for title in ("Deploy", "See that it works"))
    assert [command.split()[0] for command in deploy] == ["tar", "cd", "sam", "./lastpass-elastic"]
    assert len(deploy) + len(look) <= 6
    assert all(command.startswith("./lastpass-elastic ") for command in look)
    # Whatever the archive needs is built before.
    assert not re.search(r"\b(cargo|pip|python3?|make|sam build|--guided)\b", " ".join(deploy + look))


def test_the_readme_unpacks_the_archive_of_this_version():
    version = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE).group(1)
    folder = f"lastpass-elastic-{version}-x86_64"
    assert commands(section("README.md", "Deploy"))[:2] == [f"tar -xzf {folder}.tar.gz", f"cd {folder}"]


def test_both_pages_deploy_with_the_same_line(template):
    (line,) = (command for command in commands(section("README.md", "Deploy")) if command.startswith("sam "))
    assert commands(section("docs/deploy.md", "The command")) == [line]
    assert set(re.findall(r"(\w+)=…", line)) <= set(template["Parameters"])


def test_the_samconfig_of_a_release_has_the_options_of_the_line():
    (line,) = (command for command in commands(section("README.md", "Deploy")) if command.startswith("sam "))
    options = tomllib.loads((ROOT / "assets" / "release" / "samconfig.toml").read_text())["default"]["deploy"]["parameters"]
    overrides = options.pop("parameter_overrides")
    assert options == {"stack_name": "lastpass", "resolve_s3": True, "capabilities": "CAPABILITY_IAM"}
    assert [override.split("=")[0] for override in overrides] == re.findall(r"(\w+)=…", line)
    assert all(f"--{option.replace('_', '-')}" in line for option in options)


def test_the_table_of_the_archive_names_its_files():
    import release

    listed = {name for row in table(PAGES["docs/deploy.md"], "file") for name in re.findall(r"[\w./-]+", row[0].replace("`", ""))}
    made = {"template.yaml", release.FUNCTION_ARCHIVE, release.COMMAND_LINE, "sbom.cdx.json", "licences/", release.SUMS}
    assert listed == made | {folder or pattern.rpartition("/")[2] for pattern, folder in release.COPIED.items()}


def archived() -> dict[str, str]:
    """Returns the files of the project that a release archive contains, with their names in it."""
    import release

    files = ((file, folder) for pattern, folder in release.COPIED.items() for file in ROOT.glob(pattern))
    return {str(file.relative_to(ROOT)): folder + file.name for file, folder in files}


def test_links_of_a_release_lead_to_its_files_or_to_the_folders_that_it_names():
    """The folders of the sources are named in the description of the archive, so that nobody looks for them in it."""
    files = archived()
    outside = set()
    for page in files.keys() & PAGES.keys():
        for target in re.findall(r"\]\((?!https://|#)([^)#]+)", PAGES[page]):
            linked = posixpath.normpath(posixpath.join(posixpath.dirname(files[page]), target))
            if linked not in files.values():
                outside.add(linked.split("/")[0] + "/")
    sentence = r"^Links in these pages to (.+?) lead to files of this repository"
    (named,) = re.findall(sentence, section("docs/deploy.md", "The release"), re.M | re.S)
    assert files.keys() >= PAGES.keys() and outside == set(re.findall(r"`([^`]+)`", named))


def test_checks_are_those_of_the_code():
    listed = re.findall(r'"name": "(\w+)"', section("docs/deploy.md", "Check"))
    source = (ROOT / "src" / "answer" / "check.rs").read_text()
    variants = source[source.index("enum Name {"):].split("}")[0]
    named = re.findall(r'(?:#\[serde\(rename = "(\w+)"\)\]\s+)?^    (\w+),$', variants, re.MULTILINE)
    assert listed == [rename or re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower() for rename, name in named]


def test_the_record_of_the_readme_is_that_of_its_document():
    """The test of the document maps this record."""
    record = re.findall(r"^```json\n(.*?)^```$", PAGES["README.md"], re.M | re.S)[0]
    mapped = re.search(r'const EVENT: &str = r#"(.*?)"#;', (ROOT / "tests" / "integration" / "readme.rs").read_text(), re.S).group(1)
    assert list(json.loads(record).items()) == list(json.loads(mapped).items())


def test_errors_are_those_of_the_code():
    listed = [row[0] for row in table(PAGES["docs/errors.md"], "`errorType`")]
    systems = "Request|Config|Secret|Checkpoint|LastPass|Elasticsearch"
    in_code = set()
    for file in (ROOT / "src").rglob("*.rs"):
        in_code |= set(re.findall(rf'"((?:{systems})\.[A-Z][A-Za-z]+)"', file.read_text()))
    assert sorted(listed) == sorted(set(listed))
    assert set(listed) == in_code


def test_reasons_for_how_a_run_ended_are_those_of_the_code():
    listed = {row[0] for row in table(PAGES["docs/operate.md"], "reason")}
    source = (ROOT / "src" / "answer" / "run.rs").read_text()
    variants = source[source.index("pub enum Reason"):].split("}")[0]
    in_code = {re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower() for name in re.findall(r"^    (\w+),$", variants, re.MULTILINE)}
    assert listed == in_code


def test_metrics_are_those_of_the_code():
    listed = [(row[0], row[1]) for row in table(PAGES["docs/operate.md"], "metric")]
    source = (ROOT / "src" / "telemetry.rs").read_text()
    in_code = re.findall(r'Metric = Metric \{ name: "(\w+)", unit: "(\w+)" \};', source)
    assert listed == [(name, unit.lower()) for name, unit in in_code] and len(listed) == 6


def test_optional_fields_of_the_secret_are_those_of_the_code():
    listed = {row[0] for row in table(PAGES["docs/accounts.md"], "optional field")}
    source = (ROOT / "src" / "secrets" / "fields.rs").read_text()
    in_code = set(re.findall(r'^pub(?:\(super\))? const \w+: &str = "(\w+)";$', source, re.MULTILINE))
    in_credentials = set(re.findall(r'^ +"(\w+)":', section("docs/deploy.md", "Credentials by hand"), re.MULTILINE))
    assert listed and listed == in_code - in_credentials - {"REPLACE_ME"}


def test_errors_of_a_slice_are_those_of_the_state_machine():
    listed = {row[0] for row in table(PAGES["docs/operate.md"], "`error_type`")}
    source = (ROOT / "statemachines" / "backfill.asl.yaml").read_text()
    assert listed == set(re.findall(r"(?:Error: |error_type: |'error_type': ')([A-Z]\w+)", source))


def test_exit_codes_are_those_of_the_command_line():
    listed = [row[0] for row in table(PAGES["docs/command-line.md"], "exit code")]
    source = (ROOT / "cli" / "src" / "exit.rs").read_text()
    assert listed and listed == re.findall(r'Self::\w+ => \((\d+), "', source)


def test_payloads_are_those_in_events():
    there = {f"events/{file.name}" for file in (ROOT / "events").glob("*.json")}
    assert set(re.findall(r"events/[\w-]+\.json", PAGES["docs/operate.md"])) >= there
    assert all(set(re.findall(r"events/[\w-]+\.json", page)) <= there for page in PAGES.values())


def test_roles_are_those_in_assets():
    page = PAGES["docs/deploy.md"]
    blocks = [json.loads(textwrap.dedent(block)) for block in re.findall(r"^ *```json\n(.*?)^ *```$", page, re.M | re.S)]
    for role in ("writer", "installer"):
        rights = json.loads((ROOT / "assets" / "roles" / f"{role}.json").read_text())
        assert {f"lastpass-{role}": rights} in blocks


def test_the_role_for_kibana_is_that_in_assets():
    block = re.search(r"^```json\n(.*?)^```$", PAGES["docs/dashboards.md"], re.M | re.S).group(1)
    assert json.loads(block) == {"lastpass-content": json.loads((ROOT / "assets" / "roles" / "content.json").read_text())}


def test_errors_of_kibana_are_those_of_the_command_line():
    listed = {row[0] for row in table(section("docs/dashboards.md", "Install"), "error")}
    source = (ROOT / "cli" / "src" / "content" / "error.rs").read_text().split("fn error_type")[1]
    assert listed == set(re.findall(r'"([A-Z][a-zA-Z]+\.[A-Z][a-zA-Z]+)"', source))


def test_every_dashboard_has_its_picture():
    there = {file.stem for file in (ROOT / "dashboards").glob("*.yaml")} - {"lint"}
    assert set(re.findall(r"\(dashboard-(\w+)\.svg\)", PAGES["docs/dashboards.md"])) == there
    for name in there:
        picture = ROOT / "docs" / f"dashboard-{name}.svg"
        assert picture.stat().st_size < 200_000 and "Not a screenshot of Kibana" in picture.read_text()


def test_the_table_of_fields_is_that_of_the_templates():
    import field_table

    page = PAGES["docs/documents.md"]
    assert field_table.page_with_table(page) == page, "run: python3 scripts/field_table.py --write"


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


# `make admin` in the mapping is a LastPass action.
@pytest.mark.parametrize("page", sorted(PAGES.keys() - {"docs/ECS_MAPPING.md"}))
def test_make_targets_exist(page):
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z][\w-]*)", PAGES[page], re.MULTILINE)) <= targets


def test_every_target_of_the_makefile_is_listed_by_help():
    makefile = (ROOT / "Makefile").read_text()
    phony = set(re.search(r"^\.PHONY:(.*)$", makefile, re.MULTILINE).group(1).split())
    helped = set(re.findall(r"^([\w-]+):.*## ", makefile, re.MULTILINE))
    assert phony - helped == {"python-here"}
