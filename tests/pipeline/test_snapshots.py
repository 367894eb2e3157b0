"""The last picture of a camera, for notices."""

import json

import cv2
import numpy as np
import pytest

from agent.app.control_socket import LARGEST_REPLY
from agent.core.errors import VedetteError
from agent.core.types import Detections, Frame, FrameResult, StageSeconds
from agent.pipeline.snapshots import (
    MOST_BOXES,
    WIDEST,
    DrawnBox,
    LastSnapshots,
    read_answer,
    trial_card,
    write_outlined,
)

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


def ask(snapshots, args):
    return snapshots.handlers()["snapshot"](args)


def test_boxes_are_drawn_on_a_copy():
    pictures, seen = LastSnapshots(), result(160)
    pictures.keep(seen)
    drawn = cv2.imdecode(np.frombuffer(pictures.jpeg("a"), np.uint8), cv2.IMREAD_COLOR)
    assert drawn.shape == (90, 160, 3)
    assert int(drawn[60, 30, 1]) > 180
    assert (seen.frame.image == 128).all()


def test_a_wide_picture_is_made_smaller():
    pictures = LastSnapshots()
    pictures.keep(result(4000))
    assert cv2.imdecode(np.frombuffer(pictures.jpeg("a"), np.uint8), cv2.IMREAD_COLOR).shape[1] == WIDEST


def test_boxes_bear_their_name_and_the_picture_its_time():
    named, nameless = LastSnapshots(lambda: ["a long name indeed"]), LastSnapshots()
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
    pictures = LastSnapshots()
    assert pictures.jpeg("a") is None
    pictures.keep(result(160))
    pictures.remove("a")
    assert pictures.jpeg("a") is None


def test_a_tall_picture_and_one_of_noise_stay_small_enough_to_hand_over():
    pictures = LastSnapshots()
    seen = result(160)
    noise = np.random.default_rng(1).integers(0, 255, (4000, 3000, 3), dtype=np.uint8)
    object.__setattr__(seen.frame, "image", noise)
    pictures.keep(seen)
    answer = ask(pictures, {"camera": "a"})
    assert len(json.dumps(answer)) < LARGEST_REPLY
    picture = read_answer(answer)
    assert cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (960, 720, 3)
    assert (picture.width, picture.height, picture.detections) == (3000, 4000, 1)


def test_the_boxes_handed_over_are_those_of_the_model_and_of_a_bounded_number():
    pictures, seen = LastSnapshots(lambda: ("car",)), result(160)
    many = Detections(
        boxes=np.tile(np.array([[10.4, 10.6, 60, 60]], np.float32), (1000, 1)),
        scores=np.full(1000, 0.875, np.float32),
        class_ids=np.arange(1000),
        threshold=0.25,
        candidates=1000,
    )
    object.__setattr__(seen, "detections", many)
    pictures.keep(seen)
    picture = pictures.snapshot("a")
    assert picture.detections == 1000
    assert len(picture.boxes) == MOST_BOXES
    assert picture.boxes[0] == DrawnBox(name="car", score=0.875, left=10, top=11, right=60, bottom=60)
    assert picture.boxes[7].name == "class7"
    assert read_answer(json.loads(json.dumps(ask(pictures, {"camera": "a"})))) == picture


def test_without_a_camera_it_is_said_of_which_there_are_pictures():
    pictures = LastSnapshots()
    assert ask(pictures, {}) == {"cameras": []}
    with pytest.raises(VedetteError, match="no camera gave a frame yet"):
        ask(pictures, {"camera": "front"})
    pictures.keep(result(160))
    assert ask(pictures, {}) == {"cameras": ["a"]}
    with pytest.raises(VedetteError, match="there are snapshots of a"):
        ask(pictures, {"camera": "\x1b]0;x"})
    with pytest.raises(VedetteError, match="`camera` is a number; expected a string"):
        ask(pictures, {"camera": 7})
    with pytest.raises(VedetteError, match="did you mean 'camera'"):
        ask(pictures, {"camra": "a"})


def test_the_edge_of_a_text_lies_around_it():
    image = np.full((40, 400, 3), 128, np.uint8)
    write_outlined(image, "person 0.77 2026-11-27 UTC", (6, 25))
    grey = image[..., 0]
    columns = [np.flatnonzero((part).any(axis=0)) for part in (grey > 200, grey < 60)]
    (white_left, white_right), (black_left, black_right) = ((one[0], one[-1]) for one in columns)
    assert abs(black_left - white_left) <= 3 and abs(black_right - white_right) <= 3
    near = cv2.dilate((grey < 60).astype(np.uint8), np.ones((5, 5), np.uint8))
    assert near[grey > 200].all()
