"""docs/cameras.md: its configs are accepted as they stand, and no kind, key, state or failure is left out."""

import dataclasses
import re
from pathlib import Path

import pytest

from agent.alerts.defaults import default_settings
from agent.app.kinds import KINDS
from agent.cameras import CAMERAS
from agent.cameras.backoff import WAITS
from agent.cameras.health.judge import FAULTS
from agent.config.load import parse
from agent.config.schema import CameraSettings
from agent.core.errors import CameraFailure
from agent.core.types import CameraState

DOCS = (Path(__file__).resolve().parents[2] / "docs" / "cameras.md").read_text()
CONFIGS = re.findall(r"```toml\n(.*?)```", DOCS, re.DOTALL)


@pytest.mark.parametrize("config", CONFIGS)
def test_each_config_is_accepted(config):
    for camera in parse(config, KINDS).cameras:
        CAMERAS.load(camera.kind)(camera.name, camera.options)


def test_every_kind_has_an_example():
    shown = {camera.kind for config in CONFIGS for camera in parse(config, KINDS).cameras}
    assert shown == set(CAMERAS)


def test_every_common_key_state_and_failure_is_explained():
    fields = {field.name for field in dataclasses.fields(CameraSettings)} - {"options"}
    for name in fields | {state.value for state in CameraState} | {kind.value for kind in CameraFailure}:
        assert f"| `{name}` |" in DOCS, name


def test_states_are_listed_in_their_order_of_precedence():
    places = [DOCS.index(f"| `{fault.state.value}` |") for fault in FAULTS]
    # frozen stands between covered and resized in the text as in the code
    assert [
        fault.state.value for _, fault in sorted(zip(places, FAULTS, strict=True), key=lambda p: p[0])
    ] == [fault.state.value for fault in FAULTS]


def test_every_state_by_content_has_an_alert_rule():
    conditions = [rule.when.split()[0] for rule in default_settings()]
    for fault in FAULTS:
        assert f"camera.{fault.state.value}" in conditions


def test_waits_are_as_the_table_says():
    for kind, wait in WAITS.items():
        row = re.search(rf"\| `{kind.value}` \|[^|]*\| (\d+) s \| (\d+) (s|min) \|", DOCS)
        assert row, kind
        assert float(row[1]) == wait.first
        assert float(row[2]) * (60 if row[3] == "min" else 1) == wait.longest
