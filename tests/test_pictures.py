"""The last picture of a camera, for notices."""

import cv2
import numpy as np

from agent.pictures import WIDEST, LastPictures, trial_card
from agent.types import Detections, Frame, FrameResult, StageSeconds

ZERO = StageSeconds(decode=0, wait=0, preprocess=0, inference=0, postprocess=0, total=0)


def result(width):
    image = np.full((90, width, 3), 128, np.uint8)
    image.setflags(write=False)
    detections = Detections(
        boxes=np.array([[10, 10, 60, 60]], np.float32), scores=np.ones(1, np.float32),
        class_ids=np.zeros(1, np.int64), threshold=0.25, candidates=1,
    )  # fmt: skip
    return FrameResult(
        frame=Frame(camera="a", index=0, image=image, captured_at=0.0, monotonic_ns=0),
        detections=detections, stages=ZERO, batch=1,
    )  # fmt: skip


def test_boxes_are_drawn_on_a_copy():
    pictures, seen = LastPictures(), result(160)
    pictures.keep(seen)
    drawn = cv2.imdecode(np.frombuffer(pictures.jpeg("a"), np.uint8), cv2.IMREAD_COLOR)
    assert drawn.shape == (90, 160, 3)
    assert int(drawn[60, 30, 1]) > 180
    assert (seen.frame.image == 128).all()


def test_a_wide_picture_is_made_smaller():
    pictures = LastPictures()
    pictures.keep(result(4000))
    assert cv2.imdecode(np.frombuffer(pictures.jpeg("a"), np.uint8), cv2.IMREAD_COLOR).shape[1] == WIDEST


def test_boxes_bear_their_name_and_the_picture_its_time():
    named, nameless = LastPictures(lambda: ["a long name indeed"]), LastPictures()
    for pictures in (named, nameless):
        pictures.keep(result(400))
    one, other = (
        cv2.imdecode(np.frombuffer(pictures.jpeg("a"), np.uint8), cv2.IMREAD_COLOR)
        for pictures in (named, nameless)
    )
    assert np.abs(one.astype(int) - other).max() > 50
    assert one[76:].max() > 200, "the caption at the bottom is white"


def test_a_trial_card_is_a_picture():
    card = cv2.imdecode(np.frombuffer(trial_card("box-7"), np.uint8), cv2.IMREAD_COLOR)
    assert card.shape == (180, 320, 3)


def test_a_camera_that_saw_nothing_or_is_gone_has_no_picture():
    pictures = LastPictures()
    assert pictures.jpeg("a") is None
    pictures.keep(result(160))
    pictures.forget("a")
    assert pictures.jpeg("a") is None
