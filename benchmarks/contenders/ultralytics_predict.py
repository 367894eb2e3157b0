"""Ultralytics' `predict(stream=True)`, or with `supervised` also Roboflow's supervision on its results: MODEL VIDEO SECONDS KIND."""

import os
import sys
from collections.abc import Iterator
from typing import Any

os.environ.update(YOLO_VERBOSE="false", YOLO_AUTOINSTALL="false")
from measure import measure
from ultralytics import YOLO

model_path, video, seconds, kind = sys.argv[1:]
model = YOLO(model_path, task="detect")


def results() -> Iterator[Any]:
    while True:
        yield from model.predict(video, stream=True, verbose=False)


stream = results()
if kind == "supervised":
    import supervision

    def step() -> None:
        supervision.Detections.from_ultralytics(next(stream))
else:

    def step() -> None:
        next(stream)


measure(step, float(seconds))
