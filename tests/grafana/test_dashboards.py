"""The dashboards as Grafana reads them: its own schema, its own layout rules, and fields that are published."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent.core.metrics.definition import MetricKind
from agent.delivery.verify.schemas import schema
from agent.exporter.catalogue import CATALOGUE

ROOT = Path(__file__).parents[2]
BOARDS = {path.stem: json.loads(path.read_text()) for path in (ROOT / "agent/grafana").glob("*.json")}
every_board = pytest.mark.parametrize("name", BOARDS)


BEYOND_THE_SCHEMA = {"definition", "expr", "step", "titleFormat", "textFormat", "useValueForTime"}
"""What Grafana saves although its schema of dashboards leaves it to the data source: how Prometheus' query variables
are shown, and Prometheus' annotations."""


def panels(name):
    return [panel for panel in BOARDS[name]["panels"] if panel["type"] != "row"]


def queries(name):
    return [(panel, target) for panel in panels(name) for target in panel["targets"]]


def paths(value, path=()):
    """Every (path, leaf) of a JSON value; empty objects and lists are leaves."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from paths(item, (*path, key))
    elif isinstance(value, list) and value:
        for number, item in enumerate(value):
            yield from paths(item, (*path, number))
    else:
        yield path, value


def test_there_are_four_of_each_source():
    assert set(BOARDS) == {
        f"{s}-{n}" for s in ("prometheus", "mqtt") for n in ("fleet", "device", "camera", "drift")
    }
    assert len({board["uid"] for board in BOARDS.values()}) == 8
    assert len({board["title"] for board in BOARDS.values()}) == 8


def test_the_files_are_what_the_builder_writes():
    pytest.importorskip("grafana_foundation_sdk")
    words = [sys.executable, "scripts/grafana/build.py", "--check"]
    built = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert built.returncode == 0, (
        f"{built.stdout}{built.stderr}\npython scripts/grafana/build.py writes them anew"
    )


@every_board
def test_grafana_s_own_schema_keeps_every_word_of_it(name):
    """Read by Grafana's generated types and written again: what they do not know would be missing."""
    pytest.importorskip("grafana_foundation_sdk")
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()
    read = Dashboard.from_json(BOARDS[name])
    written = json.loads(JSONEncoder(sort_keys=True).encode(read))
    kept = dict(paths(written))
    lost = {path for path, value in paths(BOARDS[name]) if value not in ({}, []) and path not in kept}
    assert {str(path[-1]) for path in lost} <= BEYOND_THE_SCHEMA
    changed = [path for path, value in paths(BOARDS[name]) if path in kept and kept[path] != value]
    assert changed == []


@every_board
def test_panels_lie_beside_one_another(name):
    taken = set()
    for panel in BOARDS[name]["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    numbers = [panel["id"] for panel in BOARDS[name]["panels"]]
    assert len(set(numbers)) == len(numbers)


@every_board
def test_every_variable_used_is_there(name):
    board = BOARDS[name]
    known = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]+)\b", json.dumps(board)))
    assert used <= known
    assert known - used <= {"job"}


@every_board
def test_letters_identify_the_queries_of_a_panel(name):
    for panel in panels(name):
        letters = [target["refId"] for target in panel["targets"]]
        assert letters, panel["title"]
        assert len(set(letters)) == len(letters)


def exposed():
    names = set()
    for entry in CATALOGUE:
        suffixes = {MetricKind.INFO: ("_info",), MetricKind.HISTOGRAM: ("_bucket", "_sum", "_count")}.get(
            entry.kind, ("",)
        )
        names |= {entry.name + suffix for suffix in suffixes}
    return names


@every_board
def test_metrics_asked_for_are_exported(name):
    asked = {
        metric
        for _, target in queries(name)
        for metric in re.findall(r"\bvedette_[a-z0-9_]+", target.get("expr", ""))
    }
    assert asked <= exposed()
    assert asked or name.startswith("mqtt-")


@pytest.mark.parametrize("name", [name for name in BOARDS if name.startswith("mqtt-")])
def test_fields_asked_for_are_published(name):
    for panel, target in queries(name):
        family = re.search(
            r"/(status|info|host|gpu|camera|alert)\b", target["topic"].replace("${camera}", "x")
        )[1]
        for wanted in asked_fields(panel):
            rules = schema(family)
            known = wanted in rules["properties"] or any(
                re.search(pattern, wanted) for pattern in rules.get("patternProperties", {})
            )
            assert known, (panel["title"], wanted)


def asked_fields(panel):
    for step in panel["transformations"]:
        if step["id"] == "filterFieldsByName":
            yield from step["options"]["include"]["names"][1:]
        if step["id"] == "groupBy":
            yield from step["options"]["fields"]


def test_export_writes_what_can_be_imported(tmp_path):
    words = [
        sys.executable,
        "-m",
        "agent",
        "grafana",
        "export",
        str(tmp_path / "new"),
        "--source",
        "prometheus",
    ]
    output = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    files = sorted((tmp_path / "new").iterdir())
    assert [path.stem for path in files] == sorted(name for name in BOARDS if name.startswith("prometheus"))
    assert all(str(path) in output.stdout for path in files)
    assert json.loads(files[0].read_text()) == BOARDS[files[0].stem]
