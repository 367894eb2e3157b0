"""Record what Ultralytics' own `predict` says of real pictures, for tests/detection/test_agreement.py.

Run it with a Python that has ultralytics (it is no part of the daemon):

    python scripts/record_agreement.py MODEL.onnx FOLDER_OF_VIDEOS tests/detection/expectations
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2

CONFIDENCE, IOU, FRAMES = 0.25, 0.7, 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("videos", type=Path, help="folder of .mp4 files")
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()

    import ultralytics
    from ultralytics import YOLO
    from ultralytics.utils import ASSETS

    model = YOLO(arguments.model, task="detect")
    head = {
        "model_sha256": hashlib.sha256(arguments.model.read_bytes()).hexdigest(),
        "ultralytics": ultralytics.__version__,
        "confidence": CONFIDENCE,
        "iou": IOU,
    }
    for video in sorted(arguments.videos.glob("*.mp4")):
        pictures = [predict(model, image, frame=index) for index, image in sample(video)]
        write(arguments.out / f"{video.stem}.json", {**head, "video": video.name, "pictures": pictures})
    photographs = [
        predict(model, cv2.imread(str(path)), file=path.name) for path in sorted(ASSETS.glob("*.jpg"))
    ]
    write(arguments.out / "photographs.json", {**head, "pictures": photographs})


def sample(video: Path) -> Iterator[tuple[int, Any]]:
    """FRAMES frames of a video, evenly spread, with their indices."""
    capture = cv2.VideoCapture(str(video))
    total = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    wanted = {round((slot + 0.5) * total / FRAMES) for slot in range(FRAMES)}
    for index in range(total):
        found, image = capture.read()
        if found and index in wanted:
            yield index, image


def predict(model: Any, image: Any, **which: Any) -> dict[str, Any]:
    result = model.predict(image, conf=CONFIDENCE, iou=IOU, device="cpu", verbose=False)[0]
    rows = [[round(float(value), 4) for value in row] for row in result.boxes.data.tolist()]
    return {**which, "shape": list(image.shape[:2]), "boxes": rows}


def write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = ",\n  ".join(json.dumps(picture) for picture in content.pop("pictures"))
    path.write_text(f'{json.dumps(content)[:-1]}, "pictures": [\n  {pictures}\n]}}\n')
    print(path)


if __name__ == "__main__":
    main()
