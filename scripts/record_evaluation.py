"""Record what Ultralytics' own `val` says of labelled frames, padded to a square, for tests/maintenance/evaluation/test_agreement.py.

The labels are what the model itself finds, with seeded edits: boxes are moved, dropped, added and given other classes.
Both sides get the same labels, so it matters only that the figures are far from 0 and 1. Run it with a Python that
has ultralytics (it is no part of the daemon):

    python scripts/record_evaluation.py MODEL.onnx FOLDER_OF_VIDEOS tests/maintenance/evaluation/expectations.json
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import tempfile
from pathlib import Path
from typing import Any

import cv2
from record_agreement import FRAMES, sample

CLASSES = 80
FIGURES = {
    "precision": "metrics/precision(B)",
    "recall": "metrics/recall(B)",
    "map50": "metrics/mAP50(B)",
    "map50_95": "metrics/mAP50-95(B)",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("videos", type=Path, help="folder of .mp4 files")
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()

    import ultralytics
    from ultralytics import YOLO

    model = YOLO(arguments.model, task="detect")
    chance = random.Random(7)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        images = [one for video in sorted(arguments.videos.glob("*.mp4")) for one in frames(video, root)]
        labels = {name: edited(found(model, image), chance) for name, image in images}
        sets = {
            "all": labels,
            # a detector that finds little: the curve ends at a low recall
            "few": {name: rows + strewn(chance, 12) for name, rows in labels.items()},
        }
        recorded = {
            name: {"labels": rows, "figures": validate(model, rows, root)} for name, rows in sets.items()
        }
    content = {
        "model_sha256": hashlib.sha256(arguments.model.read_bytes()).hexdigest(),
        "ultralytics": ultralytics.__version__,
        "frames": FRAMES,
        "sets": recorded,
    }
    arguments.out.write_text(json.dumps(content, separators=(",", ":")) + "\n")
    print(arguments.out)


def frames(video: Path, root: Path) -> list[tuple[str, Any]]:
    """FRAMES frames of a video, evenly spread, also written below `root`."""
    (root / "images").mkdir(exist_ok=True)
    kept = []
    for index, image in sample(video):
        name = f"{video.stem}-{index}"
        cv2.imwrite(str(root / "images" / f"{name}.png"), image)
        kept.append((name, image))
    return kept


def found(model: Any, image: Any) -> list[list[float]]:
    boxes = model.predict(image, conf=0.05, iou=0.7, device="cpu", verbose=False)[0].boxes
    return [[int(kind), *map(float, box)] for kind, box in zip(boxes.cls, boxes.xywhn, strict=True)]


def edited(rows: list[list[float]], chance: random.Random) -> list[list[float]]:
    """Labels: some boxes moved, some dropped, some of another class, some added."""
    labels = []
    for found_class, x, y, width, height in rows:
        if chance.random() < 0.25:
            continue
        kind = chance.choice([0, 2, 7, 39]) if chance.random() < 0.1 else found_class
        shift = chance.choice([0.0, 0.05, 0.1, 0.2])
        right, down, grown = (chance.uniform(-shift, shift) for _ in range(3))
        sides = width * (1 + grown), height * (1 + grown)
        labels.append(inside(kind, x + right * width, y + down * height, *sides))
    return labels + strewn(chance, chance.choice([0, 0, 1]))


def strewn(chance: random.Random, count: int) -> list[list[float]]:
    """Boxes where there is nothing."""
    return [
        inside(chance.choice([0, 2, 39]), *(chance.uniform(0.1, 0.9) for _ in range(2)), *(chance.uniform(0.03, 0.3) for _ in range(2)))
        for _ in range(count)
    ]  # fmt: skip


def inside(kind: float, x: float, y: float, width: float, height: float) -> list[float]:
    left, right = max(0.0, x - width / 2), min(1.0, x + width / 2)
    top, bottom = max(0.0, y - height / 2), min(1.0, y + height / 2)
    sides = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
    return [int(kind), *(round(side, 6) for side in sides)]


def validate(model: Any, labels: dict[str, list[list[float]]], root: Path) -> dict[str, Any]:
    (root / "labels").mkdir(exist_ok=True)
    for name, rows in labels.items():
        text = "".join(" ".join(str(value) for value in row) + "\n" for row in rows)
        (root / "labels" / f"{name}.txt").write_text(text)
    names = {number: str(name) for number, name in model.names.items()}
    (root / "data.yaml").write_text(
        json.dumps({"path": str(root), "train": "images", "val": "images", "names": names})
    )
    for cache in root.glob("*.cache"):
        cache.unlink()
    result = model.val(
        data=str(root / "data.yaml"), device="cpu", plots=False, verbose=False, rect=False, project=str(root)
    )
    figures: dict[str, Any] = {
        name: round(float(result.results_dict[key]), 5) for name, key in FIGURES.items()
    }
    figures["f1"] = round(float(result.box.f1.mean()), 5)
    figures["classes"] = {
        int(kind): [
            round(float(value), 5)
            for value in (
                result.box.p[row],
                result.box.r[row],
                result.box.f1[row],
                result.box.ap50[row],
                result.box.ap[row],
            )
        ]
        for row, kind in enumerate(result.box.ap_class_index)
    }
    return figures


if __name__ == "__main__":
    main()
