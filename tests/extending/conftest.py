"""A copy of the package with every example of CONTRIBUTING.md added, as a contributor would add it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_EXAMPLE = re.compile(
    r"### (?P<title>[^\n]+)\n\n"
    r"(?:```python\n# (?P<file>\S+)\n(?P<text>.*?)```\n\n)?"
    r"```diff\n # (?P<registry>\S+)\n (?P<before>[^\n]+)\n\+(?P<line>[^\n]+)\n```",
    re.DOTALL,
)


@dataclass(frozen=True)
class Example:
    """One file and one line, registered after the line `before`."""

    title: str
    file: str | None
    text: str | None
    registry: str
    before: str
    line: str

    def add_to(self, folder):
        if self.file:  # a metric is a line alone
            (folder / self.file).write_text(self.text)
        registry = folder / self.registry
        text = registry.read_text()
        assert text.count(f"{self.before}\n") == 1, f"{self.registry} has no single line {self.before!r}"
        registry.write_text(text.replace(f"{self.before}\n", f"{self.before}\n{self.line}\n"))


def examples():
    text = (ROOT / "CONTRIBUTING.md").read_text().partition("\n## Extending\n")[2]
    found = [Example(**match.groupdict()) for match in _EXAMPLE.finditer(text)]
    assert len(found) == text.count("\n### "), "an example is not one file and one line"
    return found


class Extended:
    """The extended package, and its commands."""

    def __init__(self, folder):
        self.folder = folder
        self.environment = {**os.environ, "PYTHONPATH": str(folder)}

    def start(self, *words, **more):
        return subprocess.Popen(
            [sys.executable, "-m", *map(str, words)], cwd=self.folder, env=self.environment, text=True, **more
        )

    def run(self, *words):
        """What `vedette WORDS` prints."""
        process = self.start("agent", *words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output
        return output


@pytest.fixture(scope="session")
def extended(tmp_path_factory):
    folder = tmp_path_factory.mktemp("extended")
    shutil.copytree(ROOT / "agent", folder / "agent", ignore=shutil.ignore_patterns("__pycache__"))
    for example in examples():
        example.add_to(folder)
    return Extended(folder)
