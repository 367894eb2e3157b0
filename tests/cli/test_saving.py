"""`vedette run --save`: pictures as files, of each camera, few enough for any disk."""

import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from structlog.testing import capture_logs

from agent.cli import saving
from agent.cli.saving import Saver, file_name
from agent.core.errors import VedetteError
from agent.pipeline.snapshots import LastSnapshots
from tests.app.test_agent import vedette
from tests.cli.test_live import result


def keep(pictures, camera, at):
    seen = result(camera, 0.01)
    object.__setattr__(seen.frame, "captured_at", at)
    pictures.keep(seen)


def test_a_name_sorts_by_camera_and_time():
    assert file_name("front", 0.25) == "front-19700101T000000.250Z.jpg"
    assert file_name("front", 1.2) < file_name("front", 1.3)


def test_a_snapshot_is_written_once_and_the_oldest_make_room(tmp_path, monkeypatch):
    monkeypatch.setattr(saving, "MOST_FILES", 3)
    pictures = LastSnapshots()
    saver = Saver(tmp_path, pictures)
    (tmp_path / "mine.jpg").write_text("not the agent's")
    for second in range(5):
        keep(pictures, "front", float(second))
        saver.save()
        saver.save()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *(f"front-19700101T00000{second}.000Z.jpg" for second in (2, 3, 4)),
        "mine.jpg",
    ]


def test_a_full_disk_is_reported_once_and_ends_nothing(tmp_path):
    pictures = LastSnapshots()
    (tmp_path / "file").write_text("")
    saver = Saver(tmp_path / "file" / "below", pictures)
    with capture_logs() as lines:
        for second in range(3):
            keep(pictures, "front", float(second))
            saver.save()
    assert [line["log_level"] for line in lines] == ["warning"]
    with pytest.raises(VedetteError, match="--save"), saver:
        pass


def test_a_run_leaves_frames_with_boxes(tmp_path):
    done = vedette(
        "run",
        "--source",
        "synthetic",
        "--state",
        tmp_path / "state",
        "--seconds",
        "2",
        "--save",
        tmp_path / "pics",
    )
    assert done.returncode == 0, done.stderr
    files = sorted(Path(tmp_path / "pics").iterdir())
    assert 1 <= len(files) <= 6
    image = cv2.imread(str(files[-1]))
    assert image.shape == (360, 640, 3)
    green = (np.abs(image.astype(int) - (60, 220, 60)).max(axis=2) < 40).sum()
    assert green > 100, "boxes are drawn in"
    assert time.time() - files[-1].stat().st_mtime < 600
