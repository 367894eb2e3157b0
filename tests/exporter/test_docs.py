"""docs/metrics.md lists every metric as the exporter has it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent.app.kinds import KINDS
from agent.config.load import parse
from agent.exporter.catalogue import CATALOGUE

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "metrics.md"


def test_every_metric_is_documented_and_no_other():
    checked = subprocess.run([sys.executable, "scripts/metrics_page.py", "--check"], cwd=ROOT, timeout=60)
    assert checked.returncode == 0, "python scripts/metrics_page.py writes the table of docs/metrics.md anew"


def test_a_stale_page_is_found(tmp_path):
    page = tmp_path / "docs" / "metrics.md"
    for folder in ("scripts", "agent"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    page.parent.mkdir()
    page.write_text(DOCS.read_text().replace("| `vedette_ready` | gauge |", "| `vedette_ready` | counter |"))
    script = tmp_path / "scripts" / "metrics_page.py"
    run = [sys.executable, "-c", f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')"]
    assert subprocess.run([*run, "--check"], cwd=tmp_path, timeout=60).returncode == 1
    assert subprocess.run(run, cwd=tmp_path, timeout=60).returncode == 0
    assert page.read_text() == DOCS.read_text()


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
    assert names <= {entry.name for entry in CATALOGUE}


def test_the_config_shown_is_right():
    [block] = blocks("toml")
    assert parse(block, KINDS).prometheus.listen == "127.0.0.1:9477"
