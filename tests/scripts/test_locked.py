"""requirements/: one version of each library, within what pyproject.toml allows, and every file of it by its hash."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

packaging = pytest.importorskip("packaging")
from packaging.requirements import Requirement  # noqa: E402  (where it is installed)
from packaging.utils import canonicalize_name  # noqa: E402  (as above)

from agent.core.untrusted import parse_toml  # noqa: E402  (as above)

ROOT = Path(__file__).resolve().parents[2]
SETS = json.loads((ROOT / "requirements" / "sets.json").read_text())
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
LEFT_OUT = {"export"}
_PIN = re.compile(r"^(\S+)==(\S+) \\$", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")


def project():
    return parse_toml((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def module():
    specification = importlib.util.spec_from_file_location("locked", ROOT / "scripts" / "locked.py")
    made = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(made)
    return made


@pytest.fixture
def locked(module, capsys, monkeypatch):
    """What scripts/locked.py prints, by its words."""

    def printed(*words):
        monkeypatch.setattr(sys, "argv", ["locked.py", *words])
        module.main()
        return capsys.readouterr().out

    return printed


def needs(extra):
    """What an extra needs itself and by the extras that it names; the base for ""."""
    found = project()["dependencies"] if not extra else project()["optional-dependencies"][extra]
    for text in found:
        requirement = Requirement(text)
        if requirement.name == "vedette":
            for further in requirement.extras:
                yield from needs(further)
        else:
            yield requirement


@pytest.mark.parametrize("python", PYTHONS)
def test_what_pyproject_asks_for_is_locked_at_a_version_that_it_allows(locked, python):
    environment = {"python_version": python, "python_full_version": f"{python}.99"}
    for extra in ["", *project()["optional-dependencies"].keys() - LEFT_OUT]:
        pins = dict(_PIN.findall(locked("base", *([extra] if extra else []), "--python", python)))
        for need in needs(extra):
            if need.marker is None or need.marker.evaluate(environment):
                name = canonicalize_name(need.name)
                assert name in pins, f"{extra}: {need} is not locked: python scripts/lock.py"
                assert need.specifier.contains(pins[name]), f"{extra}: {need}, locked is {pins[name]}"


def test_every_version_has_its_hashes_and_all_of_them_are_printed(locked):
    whole = (ROOT / "requirements" / "locked.txt").read_text()
    printed = locked(*SETS)
    assert len(_HASH.findall(printed)) == len(_HASH.findall(whole)) > 2000
    assert printed.split() == whole.split()
    for block in re.split(r"\n(?=\S)", whole.strip()):
        assert _HASH.search(block), block


def test_for_another_machine_it_prints_what_that_needs(locked):
    box = locked("base", "cpu", "--python", "3.10", "--arch", "aarch64")
    assert " ; " not in box
    names = [name for name, _ in _PIN.findall(box)]
    assert len(names) == len(set(names)) and {"numpy", "onnxruntime", "tomli"} <= {*names}
    assert locked("base", "cpu") != box
    newer = dict(_PIN.findall(locked("base", "--python", "3.13")))
    assert newer["numpy"] > dict(_PIN.findall(box))["numpy"]


def test_a_set_that_there_is_not_is_refused():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "locked.py", "nothing"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2 and "nothing" in done.stderr
