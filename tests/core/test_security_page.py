"""SECURITY.md: each file that it names is there, and what it says of defaults and the unit is so."""

import re
from pathlib import Path

import pytest

from agent import __version__
from agent.config.delivery_settings import BrokerSettings, CommandSettings
from agent.config.schema import PrometheusSettings

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "SECURITY.md").read_text()
PATHS = sorted(
    set(re.findall(r"`((?:agent|tests|scripts|systemd|docs)/[\w./-]+|[\w-]+\.(?:md|toml))[^`]*`", PAGE))
)
UNIT = (ROOT / "systemd" / "vedette.service").read_text()


def test_it_names_the_boundaries():
    assert len(PATHS) > 20


@pytest.mark.parametrize("path", PATHS)
def test_each_file_that_it_names_is_there(path):
    assert (ROOT / path).is_file()


def test_every_module_that_guards_a_boundary_is_named():
    guards = {
        *("core/untrusted", "core/printable", "core/secret", "core/masking", "core/terminal"),
        "cameras/kinds/nested",
    }
    assert {f"agent/{name}.py" for name in guards} <= set(PATHS)


def test_each_function_that_it_names_is_in_its_file():
    named = re.findall(r"`(\w+)` in `([\w/]+\.py)`", PAGE)
    assert named
    for function, path in named:
        assert f"def {function}(" in (ROOT / path).read_text()


def test_what_it_says_is_off_is_off():
    assert not CommandSettings().enabled
    assert CommandSettings().allow == ()
    assert PrometheusSettings().listen == ""
    assert BrokerSettings().url.reveal().startswith("mqtt://127.0.0.1")
    assert "ORT_DISABLE_TELEMETRY" in (ROOT / "agent/detection/providers.py").read_text()


def test_what_it_says_of_the_unit_is_in_it():
    for line in ("User=vedette", "CapabilityBoundingSet=", "ProtectSystem=strict", "ProtectHome=yes"):
        assert f"\n{line}\n" in UNIT
    assert "SystemCallFilter=" in UNIT


def test_the_supported_version_is_this_one():
    assert f"newest release ({__version__.rpartition('.')[0]})" in PAGE


def test_it_ships_and_is_linked():
    assert '"/SECURITY.md"' in (ROOT / "pyproject.toml").read_text()
    for page in ("README.md", "docs/install.md", "docs/operations.md"):
        assert "SECURITY.md" in (ROOT / page).read_text(), page
