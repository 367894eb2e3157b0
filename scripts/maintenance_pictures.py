"""Draws the pictures of docs/maintenance.md from a folder in which the story ran.

python -m tests.maintenance.story FOLDER PYTHON    # PYTHON has ultralytics; some twenty minutes
python scripts/maintenance_pictures.py FOLDER docs/images
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from agent.config.schema import ModelSettings
from agent.core.types import Frame
from agent.detection.opening import DEMO_MODEL
from agent.detection.session import Detector
from agent.references.canvas import BLUE, GREY, RED, Canvas
from tests.maintenance.story.run import BALLOONS
from tests.maintenance.story.world import View

QUALITY = 82
SHOWN = (40_100, 40_700)
"""Numbers of frames, long after those that anybody trained on."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("story", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    story = json.loads((args.story / "story.json").read_text())
    pictures = {
        "samples": cv2.imread(str(args.story / "sheet.png")),
        "before-after": before_and_after(args.story / "better" / "now-trained.onnx"),
        "timeline": timeline(story),
    }
    for name, image in pictures.items():
        path = args.out / f"maintenance-{name}.webp"
        cv2.imwrite(str(path), image, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
    for number, (at, text) in enumerate(story["marks"], 1):
        print(f"{number:3} {at:6.0f} s  {text}")
    return 0


def before_and_after(better: Path) -> np.ndarray:
    """The same frames, above with the boxes of the old model, below with those of the new one."""
    view = View(1)
    images = [view.drawn(number, BALLOONS)[0] for number in SHOWN]
    rows = []
    for path in (DEMO_MODEL, better):
        detector = Detector(ModelSettings(path=str(path), provider="cpu", lanes=1, threads=1))
        detector.open()
        rows.append(np.hstack([boxed(detector, image) for image in images]))
        detector.close()
    return np.vstack(rows)


def boxed(detector: Detector, image: np.ndarray) -> np.ndarray:
    frame = Frame(camera="crossing", index=0, image=image, captured_at=0.0, monotonic_ns=0)
    found = detector.detect([frame]).detections[0]
    shown = image.copy()
    for (left, top, right, bottom), score, number in zip(
        found.boxes.round().astype(int).tolist(), found.scores, found.class_ids.tolist(), strict=True
    ):
        cv2.rectangle(shown, (left, top), (right, bottom), (60, 220, 60), 1)
        text, place = f"{detector.info.class_name(number)} {score:.2f}", (left, max(10, top - 3))
        for colour, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(shown, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.36, colour, width, cv2.LINE_AA)
    return cv2.copyMakeBorder(shown, 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=(255, 255, 255))


def timeline(story: dict[str, Any]) -> np.ndarray:
    """The drift ratio of both cameras over the minutes of the story, and its events by number."""
    windows = story["windows"]
    end = max(at for rows in windows.values() for at, *_ in rows) / 60
    canvas = Canvas(
        "Drift of two cameras: the largest score over its limit", "an alarm goes on at 1; numbers: what happened then",
        (0.0, end), (0.0, 2.0),
    )  # fmt: skip
    canvas.line(np.array([0.0, end]), np.array([1.0, 1.0]), GREY, width=1)
    for number, (at, _) in enumerate(story["marks"], 1):
        across = np.array([at / 60, at / 60])
        canvas.line(across, np.array([0.0, 1.78 - 0.1 * (number % 3)]), GREY, width=1)
        left, top = canvas._place(at / 60, 1.86 - 0.1 * (number % 3))
        cv2.putText(
            canvas.image,
            str(number),
            (left - 6, top),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.42,
            (60, 60, 60),
            1,
            cv2.LINE_AA,
        )
    for rows, colour in zip(windows.values(), (RED, BLUE), strict=True):
        times = np.array([at / 60 for at, *_ in rows])
        ratios = np.array(
            [np.nan if ratio is None else min(ratio, 2.0) for _, ratio, *_ in rows], dtype=float
        )
        canvas.line(times, ratios, colour)
    canvas.legend(
        [(name, colour) for name, colour in zip(windows, (RED, BLUE), strict=True)] + [("minutes", GREY)]
    )
    return canvas.image


if __name__ == "__main__":
    sys.exit(main())
