"""The recipes for data scientists: sketches read with DataSketches, and Evidently's report of an export."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from agent.drift.sketch import Window
from agent.features import FEATURE_VERSION, FEATURES

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "docs" / "recipes"


def sketch_message(device, camera, values):
    """A sketch message as the agent makes it, of frames whose features all have these values."""
    window = Window(camera, FEATURES, FEATURE_VERSION, interval=1.0)
    vectors = np.repeat(values[:, None], len(FEATURES), axis=1).astype(np.float32)
    window.extend(vectors, [0], at=np.arange(len(values)) + 100.0)
    return {"device": device, **window.close(100.0, 100.0 + len(values)).to_body()}


def test_the_reader_of_sketches_merges_windows_and_finds_their_quantiles(tmp_path):
    random = np.random.default_rng(1)
    pieces = [random.normal(50, 10, 3000) for _ in range(4)]
    messages = [sketch_message("box-1", "front", values) for values in pieces]
    messages.append(sketch_message("box-2", "front", pieces[0] + 1000))
    (tmp_path / "s.jsonl").write_text("".join(json.dumps(message) + "\n" for message in messages))
    command = [sys.executable, RECIPES / "read_sketches.py", tmp_path / "s.jsonl"]
    read = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found = {tuple(line.split()[:3]): [*map(float, line.split()[3:])] for line in read.stdout.splitlines()}
    assert len(found) == 2 * len(FEATURES)
    everything = np.sort(np.concatenate(pieces))
    ranks = np.searchsorted(everything, found["box-1", "front", "noise"]) / len(everything)
    assert ranks == pytest.approx([0.1, 0.5, 0.9], abs=0.03)
    assert min(found["box-2", "front", "noise"]) > 900


EVIDENTLY = os.environ.get("EVIDENTLY_PYTHON", sys.executable)
"""A Python that has Evidently: it needs an older pandas than others."""


def has_evidently():
    probe = [EVIDENTLY, "-c", "import evidently"]
    return subprocess.run(probe, capture_output=True, timeout=120).returncode == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_evidently_reads_what_is_exported_and_finds_a_large_change(tmp_path):
    if not has_evidently():
        pytest.skip("needs Evidently: EVIDENTLY_PYTHON=VENV/bin/python")
    before, shift = np.random.default_rng(5).normal(0, 1, (600, 3)), np.array([4.0, 4.0, 0.0])
    for folder, now in (("same", before), ("changed", before + shift)):
        (tmp_path / folder).mkdir()
        for name, rows in (("reference", before), ("current", now)):
            lines = ["time,camera,feature_a_mean,feature_b_mean,feature_c_mean"]
            lines += [f"2026-01-31T00:00:00Z,front,{a},{b},{c}" for a, b, c in rows]
            (tmp_path / folder / f"{name}.csv").write_text("\n".join(lines))
    command = [EVIDENTLY, RECIPES / "evidently_report.py", tmp_path / "same", tmp_path / "changed"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stderr
    assert "same, camera front: 0% of the features drifted, no dataset drift" in done.stdout
    assert "changed, camera front: 67% of the features drifted, dataset drift" in done.stdout
    assert "<html" in (tmp_path / "changed" / "front.html").read_text()[:2000].lower()
