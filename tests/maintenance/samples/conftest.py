import numpy as np
import pytest

from agent.core.types import Detections, Frame, FrameResult, StageSeconds
from agent.detection import ModelInfo
from agent.maintenance.samples.sample import Box, Sample, id_of

STAGES = StageSeconds(decode=0, wait=0, preprocess=0, inference=0, postprocess=0, total=0)
NOON = 1_800_000_000.0
MODEL = "ab" * 32


def found(*boxes, threshold=0.25, embedding=None, model=MODEL):
    """Detections of (left, top, right, bottom, score, class) rows."""
    rows = sorted(boxes, key=lambda row: -row[4])
    return Detections(
        boxes=np.array([row[:4] for row in rows], np.float32).reshape(-1, 4),
        scores=np.array([row[4] for row in rows], np.float32),
        class_ids=np.array([row[5] for row in rows], np.int64),
        threshold=threshold,
        candidates=len(rows),
        embedding=embedding,
        model=model,
    )


def result(second, detections, image=None, camera="front", usable=True):
    if image is None:
        image = np.full((60, 80, 3), 90, np.uint8)
    frame = Frame(
        camera=camera,
        index=0,
        image=image,
        captured_at=NOON + second,
        monotonic_ns=int((100 + second) * 1e9),
        usable=usable,
    )
    return FrameResult(frame=frame, detections=detections, stages=STAGES, batch=1)


def info(classes=("person", "car")):
    return ModelInfo(
        path="m.onnx", sha256=MODEL, name="m", classes=classes, input_size=(64, 64), stride=32, input_type="float",
        dynamic_batch=False, dynamic_size=False, max_batch=1, layout="channels", embedding_size=0, provider="cpu", precision="fp32",
        threads=1, lanes=1, runtime="", source="",
    )  # fmt: skip


def sample(second=0.0, reason="audit", camera="front", boxes=(), labels=None):
    at = NOON + second
    return Sample(
        id=id_of(camera, at, reason),
        camera=camera,
        captured_at=at,
        reason=reason,
        width=80,
        height=60,
        model=MODEL,
        threshold=0.25,
        found=tuple(boxes),
        labels=labels,
    )


def box(x=0.5, y=0.5, width=0.2, height=0.2, class_id=0, score=0.9):
    return Box(class_id=class_id, x=x, y=y, width=width, height=height, score=score)


@pytest.fixture
def jpeg():
    import cv2

    return cv2.imencode(".jpg", np.full((60, 80, 3), 90, np.uint8))[1].tobytes()
