"""kill -9 while samples are written: what can be read afterwards is whole, and what is left over goes at the next start."""

import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.config.schema import SampleSettings
from agent.maintenance.samples.collector import SampleCollector
from agent.maintenance.samples.store import SampleStore
from tests.maintenance.samples.conftest import found, info, result


def collect(state, first):
    """Collect in this process, for ever; a line for each sample that is kept."""
    made = SampleCollector(SampleSettings(enabled=True, per_day=100_000), Path(state), info)
    chance, number, kept = np.random.default_rng(first), first, 0
    made._store.clean()
    while True:
        number += 1
        image = chance.integers(0, 255, (240, 320, 3), dtype=np.uint8)
        made.add(result(5.0 * number, found((10, 10, 40, 40, 0.26, 1)), image))
        if (now := sum(made.handlers()["samples"]({})["since_start"].values())) != kept:
            kept = now
            print(kept, flush=True)


@pytest.mark.slow
def test_a_kill_leaves_whole_samples_alone(tmp_path):
    store = SampleStore(tmp_path)
    for round in range(6):
        command = f"from {__name__} import collect; collect({str(tmp_path)!r}, {1000 * round})"
        with subprocess.Popen(
            [sys.executable, "-c", command], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]
        ) as process:
            for _ in range(3):
                assert process.stdout.readline()
            threading.Event().wait(0.003 * round)  # into the next one
            process.kill()
        samples = list(store.samples())
        assert len(samples) >= 3 * (round + 1)
        for one in samples:
            assert cv2.imread(str(one.image)).shape == (240, 320, 3)
    store.clean()
    left = [
        path
        for path in (tmp_path / "samples").rglob("*")
        if path.is_file() and path.suffix not in (".json", ".jpg")
    ]
    assert not left
    images, files = (
        sorted(path.stem for path in (tmp_path / "samples").rglob(f"*/*/*{end}")) for end in (".jpg", ".json")
    )
    assert images == files
    assert store.classes()
