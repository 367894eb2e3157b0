"""A real clip judged by itself: a reference of its first two thirds, its clean last third judged. No alarm is right.

    python -m benchmarks.drift.clips                 # three clips, the real model; two minutes of one core

Windows are of two seconds, as `docs/drift.md` shows an agent that looks at a short file; nothing is looped or added.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from agent.config.schema import ModelSettings
from agent.detection.session import Detector
from agent.drift.judge import DriftJudge
from agent.drift.recording import Recording
from agent.drift.reference import build
from agent.drift.sketch import Window, WindowSketch
from agent.drift.verdict import DriftVerdict
from agent.features import FEATURE_VERSION, FEATURES
from agent.modeltools.prepare import PreparePlan, prepare
from benchmarks.drift.video import START
from benchmarks.drift.video_features import SHARED, VIDEOS, measured

FOLDER = Path(__file__).resolve().parents[2] / "build" / "drift-video"
SAMPLED_FPS = 5.0
WINDOW = 2.0


@dataclass(frozen=True, slots=True)
class Clip:
    """Vectors (n, F) and boxes by class (n, 80) of a clip's sampled frames."""

    vectors: np.ndarray
    classes: np.ndarray

    def windows(self) -> list[WindowSketch]:
        """The clip as windows, whole ones alone."""
        size = round(WINDOW * SAMPLED_FPS)
        collector = Window("video", FEATURES, FEATURE_VERSION, interval=1 / SAMPLED_FPS)
        made = []
        for number in range(len(self.vectors) // size):
            part, begin = slice(number * size, (number + 1) * size), START + WINDOW * number
            seen = self.classes[part].sum(axis=0)
            at = begin + np.arange(size) / SAMPLED_FPS
            collector.extend(self.vectors[part], np.repeat(np.arange(seen.size), seen), at=at)
            made.append(collector.close(begin, begin + WINDOW))
        return made


def clip_of(detector: Detector, video: str) -> Clip:
    """A clip's vectors, made once and kept."""
    kept = FOLDER / f"{FEATURE_VERSION}-{video}-whole.npz"
    if not kept.exists():
        vectors, classes = measured(detector, sampled(video))
        np.savez(kept, vectors=vectors, classes=classes)
    found = np.load(kept)
    return Clip(found["vectors"], found["classes"])


def sampled(video: str) -> list[np.ndarray]:
    """All of a clip's frames at SAMPLED_FPS, (H, W, 3) BGR."""
    source = cv2.VideoCapture(str(SHARED / "videos" / VIDEOS[video][0]))
    step, number = source.get(cv2.CAP_PROP_FPS) / SAMPLED_FPS, 0
    frames: list[np.ndarray] = []
    while True:
        good, image = source.read()
        if not good:
            return frames
        if number >= len(frames) * step:
            frames.append(image)
        number += 1


def judged(windows: list[WindowSketch]) -> tuple[int, list[DriftVerdict]]:
    """How many windows the reference has, and the verdicts on the others."""
    known = len(windows) * 2 // 3
    recording = Recording(FEATURES)
    for window in windows[:known]:
        recording.add(window)
    now = windows[known].start
    reference = build(recording, camera="video", model_sha256="0", feature_version=FEATURE_VERSION, now=now)
    judge = DriftJudge(reference)
    return known, [judge.judge(window, window.end) for window in windows[known:]]


def main() -> None:
    """Judge each clip and print a line of Markdown."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    model = FOLDER / "yolo11n.onnx"
    if not model.exists():
        prepare(PreparePlan(source=SHARED / "models" / "yolo11n.onnx", out=FOLDER), [], now=time.time())
    detector = Detector(ModelSettings(path=str(model), provider="cpu", threads=1))
    detector.open()
    print("| clip | windows of the reference | judged | alarms | highest ratio |\n|---|---|---|---|---|")
    for video in VIDEOS:
        known, verdicts = judged(clip_of(detector, video).windows())
        alarms = len({each.alarm_since for each in verdicts} - {None})
        highest = max(each.ratio for each in verdicts)
        print(f"| {video} | {known} | {len(verdicts)} | {alarms} | {highest:.2f} |")


if __name__ == "__main__":
    main()
