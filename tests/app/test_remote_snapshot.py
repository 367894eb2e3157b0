"""Snapshots over the network: small enough for a message whatever the frame is, few, and only where they are named."""

import base64

import cv2
import numpy as np
import pytest
from structlog.testing import capture_logs

from agent.app.remote_snapshot import PER_MINUTE, RemoteSnapshot
from agent.app.service import BY_NAME
from agent.config.delivery_settings import CommandSettings
from agent.core.errors import VedetteError
from agent.core.types import Detections, Frame, FrameResult, StageSeconds
from agent.delivery.commands import CommandWorker
from agent.delivery.messages import Stamp, encode, reply_draft
from agent.pipeline.snapshots import LastSnapshots

ZERO = StageSeconds(decode=0, wait=0, preprocess=0, inference=0, postprocess=0, total=0)


def kept(image, boxes=300):
    corners = np.tile(np.array([[1.0, 1.0, 900.0, 700.0]], np.float32), (boxes, 1))
    found = Detections(
        boxes=corners, scores=np.ones(boxes, np.float32), class_ids=np.zeros(boxes, np.int64), threshold=0.25,
        candidates=boxes,
    )  # fmt: skip
    frame = Frame(camera="front", index=0, image=image, captured_at=0.0, monotonic_ns=0)
    snapshots = LastSnapshots(lambda: ["x" * 40])
    snapshots.keep(FrameResult(frame=frame, detections=found, stages=ZERO, batch=1))
    return RemoteSnapshot(snapshots)


@pytest.mark.parametrize("shape", [(1080, 1920, 3), (9, 16, 3), (1, 4000, 3), (3000, 300, 3)])
def test_a_frame_of_noise_fits_a_message_and_can_be_seen(shape):
    image = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    with capture_logs() as logs:
        answer = kept(image)({"camera": "front", "who": "ada"})
    stamp = Stamp(prefix="vedette/north/box", device="box", boot="b", seq=1, at=0.0)
    encode(
        reply_draft("c1", {"command": "snapshot", "id": "c1", "ok": True, **answer}), stamp
    )  # 64 kB at most
    seen = cv2.imdecode(np.frombuffer(base64.b64decode(answer["jpeg"]), np.uint8), cv2.IMREAD_COLOR)
    assert seen is not None and max(seen.shape) <= 640
    assert (answer["detections"], answer["width"]) == (300, shape[1])
    assert [(line["event"], line["who"]) for line in logs] == [("snapshot published", "ada")]


def test_only_a_few_a_minute_and_only_of_cameras_that_there_are():
    ask = kept(np.zeros((90, 160, 3), np.uint8), boxes=0)
    with pytest.raises(VedetteError, match="did you mean 'front'"):
        ask({"camera": "frnt"})
    with pytest.raises(VedetteError, match="`camera` is missing"):
        ask({})
    for _ in range(PER_MINUTE - 1):
        ask({"camera": "front"})
    with pytest.raises(VedetteError, match="more than 6 snapshots in a minute"):
        ask({"camera": "front"})


@pytest.mark.parametrize(
    ("allow", "enabled", "expected"),
    [
        (("*",), True, False), (("snapshot",), True, True), (("*", "snapshot"), True, True),
        (("snapshot",), False, False), ((), True, False),
    ],
)  # fmt: skip
def test_a_star_does_not_allow_it(allow, enabled, expected):
    worker = CommandWorker(CommandSettings(enabled=enabled, allow=allow), {}, by_name=BY_NAME)
    assert worker._allows("snapshot") is expected
    assert worker._allows("mute") is (enabled and "*" in allow)
