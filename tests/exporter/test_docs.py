"""docs/metrics.md lists every metric as the exporter has it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from agent.app.kinds import KINDS
from agent.config.load import parse
from agent.core.metrics.definition import MetricKind
from agent.exporter.catalogue import CATALOGUE

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"


def row(entry):
    name = f"{entry.name}_info" if entry.kind is MetricKind.INFO else entry.name
    return f"| `{name}` | {entry.kind.value} | {', '.join(entry.labels) or '-'} | {entry.help} |"


def test_every_metric_is_documented_and_no_other():
    found = [line for line in DOCS.read_text().splitlines() if line.startswith("| `vedette_")]
    wanted = [row(entry) for entry in CATALOGUE]
    assert found == wanted, "the table in docs/metrics.md should be:\n" + "\n".join(wanted)


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(), re.S)


@pytest.mark.parametrize(("kind", "words"), [("scrape_configs", "check config"), ("groups", "check rules")])
def test_promtool_takes_what_is_shown(tmp_path, kind, words):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool (Debian package prometheus)")
    [block] = [block for block in blocks("yaml") if block.startswith(kind)]
    (tmp_path / "x.yml").write_text(block)
    told = subprocess.run(
        [promtool, *words.split(), tmp_path / "x.yml"], capture_output=True, text=True, timeout=30
    )
    assert told.returncode == 0, told.stdout + told.stderr
    names = set(re.findall(r"vedette_\w+", block))
    assert names <= {row(entry).split("`")[1] for entry in CATALOGUE}


def test_the_config_shown_is_right():
    [block] = blocks("toml")
    assert parse(block, KINDS).prometheus.listen == "127.0.0.1:9477"
