"""The compiled dashboards are up to date, and have the form that Kibana 8.19 and later import."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import dashboards
import jsonschema
import panels
import pytest

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads(Path(__file__).with_name("saved_objects.schema.json").read_text())
OBJECTS = {entry["id"]: entry for entry in map(json.loads, dashboards.COMPILED.read_text().splitlines())}
# Versions that Kibana 8.19 knows, by type. Kibana refuses newer ones. 10.2.0 is the model version 2 of dashboards; its
# attributes are those of the schema. Source: elastic/kibana,
# `src/platform/plugins/shared/dashboard/server/dashboard_saved_object/dashboard_saved_object.ts`.
NEWEST = {"dashboard": (10, 2, 0), "index-pattern": (8, 0, 0)}
NEWEST_CORE = (8, 8, 0)
WIDTH = 48


def version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def panels_of(dashboard: dict) -> list[dict]:
    return json.loads(dashboard["attributes"]["panelsJSON"])


def queries_of(dashboard: dict) -> list[str]:
    layers = [layer for panel in panels_of(dashboard) if panel["type"] == "lens"
              for layer in panel["embeddableConfig"]["attributes"]["state"]["datasourceStates"]["textBased"]["layers"].values()]
    return [layer["query"]["esql"] for layer in layers]


def test_the_compiled_dashboards_are_those_of_the_sources():
    assert dashboards.is_current(), "run `make content`"


def test_a_changed_source_is_noticed(tmp_path, monkeypatch):
    for folder in (dashboards.SOURCES, ROOT / "scripts"):
        shutil.copytree(folder, tmp_path / folder.name, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(dashboards, "ROOT", tmp_path)
    monkeypatch.setattr(dashboards, "SOURCES", tmp_path / "dashboards")
    monkeypatch.setattr(dashboards, "INPUTS", (tmp_path / "dashboards" / "lint.yaml",
                                               tmp_path / "scripts" / "requirements-content.txt", tmp_path / "scripts" / "dashboards.py"))
    monkeypatch.setattr(dashboards, "COMPILED", tmp_path / "dashboards" / "compiled" / dashboards.COMPILED.name)
    monkeypatch.setattr(dashboards, "DIGEST", tmp_path / "dashboards" / "compiled" / dashboards.DIGEST.name)
    assert dashboards.is_current()
    for file in ("dashboards/access.yaml", "dashboards/lint.yaml", "scripts/requirements-content.txt", "scripts/dashboards.py",
                 f"dashboards/compiled/{dashboards.COMPILED.name}"):
        before = (tmp_path / file).read_text()
        (tmp_path / file).write_text(before + "\n")
        assert not dashboards.is_current(), file
        (tmp_path / file).write_text(before)
    (tmp_path / "dashboards" / "new.yaml").write_text("dashboards: []\n")
    assert not dashboards.is_current()


@pytest.mark.parametrize("source", panels.dashboards(), ids=lambda dashboard: dashboard.id)
def test_every_query_of_a_source_is_in_the_compiled_dashboard(source):
    compiled = OBJECTS[source.id]
    assert queries_of(compiled) == [panel.query for panel in source.panels if panel.query]
    assert compiled["attributes"]["title"] == source.title


@pytest.mark.parametrize("saved", OBJECTS.values(), ids=OBJECTS)
def test_a_saved_object_has_the_form_that_kibana_imports(saved):
    jsonschema.validate(saved, SCHEMA)
    assert version(saved["typeMigrationVersion"]) <= NEWEST[saved["type"]]
    assert version(saved["coreMigrationVersion"]) <= NEWEST_CORE


@pytest.mark.parametrize("saved", OBJECTS.values(), ids=OBJECTS)
def test_every_reference_leads_to_an_object_of_the_file(saved):
    for reference in saved["references"]:
        assert OBJECTS[reference["id"]]["type"] == reference["type"]
    names = [reference["name"] for reference in saved["references"]]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("saved", [o for o in OBJECTS.values() if o["type"] == "dashboard"], ids=lambda saved: saved["id"])
def test_panels_stay_inside_the_dashboard_and_do_not_overlap(saved):
    taken = set()
    for panel in panels_of(saved):
        grid = panel["gridData"]
        cells = {(x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])}
        assert grid["x"] + grid["w"] <= WIDTH and not cells & taken
        taken |= cells


@pytest.mark.parametrize("source", panels.dashboards(), ids=lambda dashboard: dashboard.id)
def test_every_dashboard_filters_by_organization_and_namespace(source):
    controls = json.loads(OBJECTS[source.id]["attributes"]["controlGroupInput"]["panelsJSON"])
    fields = {control["explicitInput"]["fieldName"] for control in controls.values()}
    assert {"organization.name", "data_stream.namespace"} <= fields
    assert {control["explicitInput"]["dataViewId"] for control in controls.values()} == {dashboards.DATA_VIEW["id"]}


def test_a_filter_of_a_dashboard_never_follows_to_another():
    """A drilldown passes the filters of its dashboard on to the target."""
    for source in panels.dashboards():
        assert "filters" not in source.source and "query" not in source.source


def test_drilldowns_by_user_and_folder_start_at_a_field_that_the_target_has():
    """A click filters by the column that was clicked. A column that the query computes is no field."""
    fields = {"user-": {"user.email", "related.user", "user.name"}, "folder-": {"lastpass.shared_folder_name"}}
    found = set()
    for source in panels.dashboards():
        for panel in source.panels:
            shown = {column.field for column in panel.columns}
            for drilldown in panel.source.get("drilldowns", []):
                kind = next(kind for kind in fields if drilldown["id"].startswith(kind))
                assert shown & fields[kind], panel.title
                assert drilldown["triggers"] == ["filter"]
                found.add((source.id, kind))
    assert {kind for _, kind in found} == set(fields) and len(found) >= 5
