"""Feature vectors of real videos, clean and corrupted, by the real model: made once and kept under build/.

Every clip is a loop of sampled frames (2 a second). A clean clip is made several times with mild real variation (the
light wanders by some per cent, the gain's noise comes and goes), a corrupted one once, varied in the same way first.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.progress import track

from agent.config.schema import ModelSettings
from agent.core.types import Frame
from agent.detection.session import Detector
from agent.features import FEATURE_VERSION
from agent.features.extract import extract
from agent.modeltools.prepare import PreparePlan, prepare
from benchmarks.drift.corruptions import CORRUPTIONS

SHARED = Path(__file__).resolve().parents[3] / "shared"
VIDEOS = {
    "traffic": ("car-detection.mp4", 30.0),
    "corridor": ("one-by-one-person-detection.mp4", 60.0),
    "table": ("bottle-detection.mp4", 40.0),
}
SAMPLED_FPS = 2.0
CLEAN_TAKES = 16
UNSEEN_TAKES = 4  # of these, kept out of references: what mild variation alone does
SEVERITIES = (1, 2, 3, 4, 5)
MOST_CLASSES = 80


def frames_of(video: str) -> list[np.ndarray]:
    """The sampled frames of a video's loop, (H, W, 3) BGR."""
    name, seconds = VIDEOS[video]
    source = cv2.VideoCapture(str(SHARED / "videos" / name))
    step = source.get(cv2.CAP_PROP_FPS) / SAMPLED_FPS
    frames: list[Any] = []
    number = 0
    while len(frames) < seconds * SAMPLED_FPS:
        good, image = source.read()
        if not good:
            break
        if number >= len(frames) * step:
            frames.append(image)
        number += 1
    return frames


def varied(image: np.ndarray, place: float, take: int) -> np.ndarray:
    """Mild real variation: light within 4 %, offset within 3 levels, noise of 0.5 to 2 levels.

    `place` 0..1 is where in the loop the frame is; each take wanders in its own way.
    """
    random = np.random.default_rng(1000 + take)
    phase, rate = random.uniform(0, 2 * np.pi, 3), random.uniform(0.4, 1.6, 3)
    wave = np.sin(2 * np.pi * rate * place + phase)
    noise = np.random.default_rng(int(1e6 * place) + take).normal(0, 1.25 + 0.75 * wave[2], image.shape)
    return np.clip(image * (1 + 0.04 * wave[0]) + 3 * wave[1] + noise, 0, 255).astype(np.uint8)


def measured(detector: Detector, pictures: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (n, F) float32 and boxes per class (n, 80) int16 of a loop's pictures."""
    vectors, classes, previous = [], [], None
    for number, image in enumerate([pictures[-1], *pictures]):
        frame = Frame(
            camera="video",
            index=number,
            image=image,
            captured_at=0.0,
            monotonic_ns=0,
            decode_seconds=0.0,
            media_seconds=0.0,
        )
        detections = detector.detect([frame]).detections[0]
        vector, previous = extract(image, detections, previous)
        vectors.append(vector)
        classes.append(np.bincount(detections.class_ids, minlength=MOST_CLASSES).astype(np.int16))
    return np.array(vectors[1:]), np.array(classes[1:])  # the first only stands before the loop's start


def clips() -> list[tuple[str, str, int]]:
    """Every clip to make: (video, corruption or "clean", severity or take)."""
    clean = [(video, "clean", take) for video in VIDEOS for take in range(CLEAN_TAKES)]
    return clean + [(video, name, s) for video in VIDEOS for name in CORRUPTIONS for s in SEVERITIES]


def pictures_of(frames: list[np.ndarray], kind: str, number: int) -> list[np.ndarray]:
    """A clip's pictures."""
    take = number if kind == "clean" else 100 + number
    pictures = [varied(image, place / len(frames), take) for place, image in enumerate(frames)]
    if kind == "clean":
        return pictures
    return [CORRUPTIONS[kind](image, number, seed) for seed, image in enumerate(pictures)]


def make(folder: Path) -> None:
    """Make what is missing of every clip's vectors in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [clip for clip in clips() if not path_of(folder, *clip).exists()]
    if not missing:
        return
    model = folder / "yolo11n.onnx"
    if not model.exists():
        prepare(PreparePlan(source=SHARED / "models" / "yolo11n.onnx", out=folder), [], now=time.time())
    cv2.setNumThreads(1)
    detector = Detector(ModelSettings(path=str(model), provider="cpu", threads=1))
    detector.open()
    frames = {video: frames_of(video) for video in VIDEOS}
    for video, kind, number in track(missing, description="model and features"):
        vectors, classes = measured(detector, pictures_of(frames[video], kind, number))
        np.savez(path_of(folder, video, kind, number), vectors=vectors, classes=classes)


def path_of(folder: Path, video: str, kind: str, number: int) -> Path:
    """Where a clip's vectors lie; another version of the features is another file."""
    return folder / f"{FEATURE_VERSION}-{video}-{kind}-{number}.npz"


if __name__ == "__main__":
    make(Path(__file__).resolve().parents[2] / "build" / "drift-video")
