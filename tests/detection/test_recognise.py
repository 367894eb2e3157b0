"""A model is recognised by its output's shape and values together, or refused with what it seems to be."""

import numpy as np
import pytest

from agent.core.errors import ModelError
from agent.detection.layouts.layout import ModelFacts
from agent.detection.plausibility import BoxCheck, Verification, exchanged
from agent.detection.recognise import recognise, recognise_among
from tests.detection.layouts import outputs


def facts(classes=0, end_to_end=False):
    return ModelFacts(size=outputs.SIZE, classes=classes, end_to_end=end_to_end)


@pytest.mark.parametrize(
    ("output", "known", "name"),
    [
        (outputs.channels(80), 80, "channels"),
        (outputs.channels(2), 2, "channels"),
        (outputs.channels(80), 0, "channels"),
        (outputs.channels(1), 0, "channels"),
        (outputs.channels(3, strides=(8, 16, 32, 64)), 3, "channels"),
        (outputs.channels(3).astype(np.float16), 3, "channels"),
        (outputs.transposed(80), 80, "transposed"),
        (outputs.transposed(80), 0, "transposed"),
        (outputs.transposed(2), 0, "transposed"),
        (outputs.transposed(2), 2, "transposed"),
        (outputs.transposed(3, strides=(4, 8, 16, 32)), 0, "transposed"),
        (outputs.rows(80), 80, "rows"),
        (outputs.rows(80), 0, "rows"),
        (outputs.rows(1), 1, "rows"),
        (outputs.rows(1), 0, "rows"),
        (outputs.rows(1, class_score=0.99998).astype(np.float16), 0, "rows"),
        (outputs.rows(1, class_score=0.5), 0, "rows"),
        (outputs.rows(3, strides=(8, 16, 32, 64)), 0, "rows"),
        (outputs.yolov6(80), 80, "rows"),
        (outputs.yolov6(80), 0, "rows"),
        (outputs.end_to_end(), 3, "end2end"),
        (outputs.end_to_end(), 0, "end2end"),
        (outputs.end_to_end(padded=False), 0, "end2end"),
        (outputs.end_to_end(padded=False), 80, "end2end"),
        (outputs.end_to_end() * 0, 0, "end2end"),
        (outputs.end_to_end()[:, :0], 0, "end2end"),
        (outputs.end_to_end()[:, :0], 1, "end2end"),
        (outputs.end_to_end()[:, :0], 2, "end2end"),
        (outputs.rtdetr(2), 2, "rtdetr"),
        (outputs.rtdetr(2), 0, "rtdetr"),
        (outputs.rtdetr(80), 80, "rtdetr"),
        (outputs.rtdetr(80), 0, "rtdetr"),
        (outputs.rtdetr(1), 1, "rtdetr"),
        (outputs.queries(), 3, "queries"),
        (outputs.queries(), 0, "queries"),
    ],
)
def test_the_layout_is_found(output, known, name):
    layout, doubt = recognise([output], facts(known))
    assert (layout.name, doubt) == (name, "")
    found = layout.decode(output[0], 0.5, outputs.SIZE)
    centres = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    for x, y, *_ in outputs.OBJECTS if len(found) else ():
        assert np.abs(centres - (x, y)).sum(axis=1).min() < 2


@pytest.mark.parametrize(
    ("output", "known", "words"),
    [
        (outputs.rotated(), 0, "angles"),
        (outputs.rotated_upright(), 0, "not a class score"),
        (outputs.rotated(15), 0, "angles"),
        (outputs.pose(), 0, "keypoints"),
        (outputs.yolox(80), 80, "YOLOX"),
        (outputs.yolox_decoded(80), 80, "YOLOX"),
        (outputs.yolox_decoded(80), 0, "an objectness, as YOLOX"),
        (outputs.yolox(3), 0, "YOLOX"),
        (outputs.normalised(), 3, "not in pixels"),
        (outputs.normalised(), 0, "not in pixels"),
        (outputs.normalised(300), 0, "not in pixels"),
        (outputs.begun_at(corner=True), 3, "its boxes are corners"),
        (outputs.begun_at(corner=True).transpose(0, 2, 1), 0, "its boxes are corners"),
        (outputs.begun_at(corner=False), 3, "begin with their upper left corner"),
        (outputs.begun_at(corner=False, classes=80), 0, "begin with their upper left corner"),
        (outputs.exchanged(), 3, "x and y of its boxes are exchanged"),
        (outputs.exchanged().transpose(0, 2, 1), 0, "x and y of its boxes are exchanged"),
        (outputs.with_objectness(), 0, "an objectness"),
        (outputs.corner_queries(), 3, "corners (x1, y1, x2, y2) in 0..1"),
        (outputs.logits(), 3, "raw logits"),
        (outputs.corners(), 3, "not decoded"),
        (outputs.channels(80), 3, "3 class names"),
        (outputs.end_to_end(padded=False)[..., [5, 4, 0, 1, 2, 3]], 0, "no class number"),
        (np.zeros((1, 3, 3), np.float32), 0, "not a known kind of detector"),
        (np.zeros((1, 0, 85), np.float32), 80, "no boxes"),
        (np.zeros((1, 3, 80, 80, 85), np.float32), 80, "raw heads"),
        (outputs.channels(80)[..., None], 80, "an axis too many"),
        (outputs.transposed(80)[:, None], 80, "an axis too many"),
        (outputs.transposed(80)[0], 80, "without a batch"),
        (outputs.channels(80).astype(np.int32), 80, "as int32"),
        (outputs.channels(80).astype(object), 80, "as object"),
        (np.zeros((1, 300, 7), np.float32), 80, "number its images"),
        (np.zeros((1, 1000), np.float32), 1000, "classification model"),
        (np.zeros((300, 7), np.float32), 80, "end-to-end YOLOv7"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_it_seems_to_be(output, known, words):
    with pytest.raises(ModelError) as caught:
        recognise([output], facts(known))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ([(1, 100, 92), (1, 100, 4)], "separate outputs"),
        ([(1, 1), (1, 100, 4), (1, 100), (1, 100)], "separate outputs"),
        ([(1, 4, 2100), (1, 80, 2100)], "separate outputs"),
        ([(1, 116, 1575), (1, 32, 160, 160)], "segmentation model"),
        ([], "no output"),
    ],
)
def test_several_outputs_are_named(shapes, words):
    with pytest.raises(ModelError, match=words):
        recognise([np.zeros(shape, np.float32) for shape in shapes], facts(80))


@pytest.mark.parametrize(("task", "words"), [("pose", "pose model"), ("obb", "rotated boxes"), ("x", "'x'")])
def test_another_task_is_named(task, words):
    with pytest.raises(ModelError, match=words):
        recognise([outputs.channels()], facts(3), task=task)


def test_boxes_are_found_behind_other_outputs():
    """Exports of YOLOv7 and v9 put raw heads or a second head before them, others features."""
    boxes = outputs.channels(80)
    heads = [np.zeros((1, 144, boxes.shape[2]), np.float32), np.zeros((1, 255, 20, 20), np.float32)]
    at, layout, _doubt = recognise_among([heads[0], boxes], facts(80))
    assert (at, layout.name) == (1, "channels")
    with pytest.raises(ModelError, match=r"80 class names, but its output is \[1, 144"):
        recognise_among([heads[0], heads[0]], facts(80))


def test_centres_that_lie_left_of_their_anchors_by_a_bias_are_centres():
    """An untrained head gives each box the same small offset."""
    output = outputs.channels(80)
    output[0, :2] = outputs.grid()[:, :2].T - 0.01
    assert recognise([output], facts(80))[0].name == "channels"


def test_end2end_in_the_metadata_needs_its_shape():
    with pytest.raises(ModelError, match=r"says end2end.*expected \(batch, boxes, 6\)"):
        recognise([outputs.channels(80)], facts(80, end_to_end=True))


def test_a_layout_that_is_set_is_taken_and_what_speaks_against_it_is_kept():
    layout, doubt = recognise([outputs.yolox_decoded(80)], facts(80), wanted="rows")
    assert layout.name == "rows"
    assert "YOLOX" in doubt
    with pytest.raises(ModelError, match=r"model.layout is 'rtdetr': expected"):
        recognise([outputs.channels(80)], facts(80), wanted="rtdetr")


def found(boxes, classes=3):
    from agent.detection.layouts.layout import Candidates

    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Candidates(
        boxes=boxes, scores=np.full(len(boxes), 0.5, np.float32), class_ids=np.arange(len(boxes)) % classes
    )


@pytest.mark.parametrize(
    ("boxes", "told"),
    [
        ([[50, 10, 90, 40]], True),
        ([[10, 60, 40, 90]], False),
        (
            [[0, 0, 50, 50], [50, 0, 100, 50], [0, 50, 50, 100], [50, 50, 100, 100]],
            False,
        ),  # it fires on anything
        ([], False),
    ],
)
def test_boxes_of_an_image_in_one_corner_show_whether_x_and_y_are_exchanged(boxes, told):
    assert exchanged(found(boxes), (100, 100)) is told


@pytest.mark.parametrize(
    ("again", "outcome"),
    [
        (lambda n: n % 4 > 0, (Verification.VERIFIED, "6 of 8 found again")),
        (lambda n: n % 3 > 0, (Verification.VERIFIED, "16 of 24 found again")),
        (lambda n: n % 2 > 0, (Verification.UNVERIFIED, "only 12 of 24 boxes are found again")),
    ],
    ids=["on objects", "on most objects", "beside them"],
)
def test_a_model_is_verified_by_live_boxes_that_are_found_again_where_they_alone_are_shown(again, outcome):
    check = BoxCheck(3)
    assert not check.add(found([]), (100, 100))
    changes = 0
    for number in range(40):
        if check.undecided:
            changes += check.add(found([[10, 10, 40, 40]] * 5), (100, 100))
            changes += check.add_shown(again=again(number))
    assert (check.state, changes) == (outcome[0], 1)
    assert outcome[1] in check.reason
    assert not check.undecided


def test_boxes_of_which_some_are_odd_are_shown_alone_no_more_often():
    check, shown = BoxCheck(3), 0
    while check.undecided and shown < 100:
        check.add(found([[10, 10, 40, 40]] * 7 + [[300, 10, 340, 40]] * 3), (100, 100))
        check.add_shown(again=True)
        shown += 1
    assert (check.state, shown) == (Verification.UNVERIFIED, 24)
    assert "72 of 240 boxes on 24 frames cannot be objects" in check.reason


def test_what_refutes_a_model_is_not_outweighed_by_boxes():
    check = BoxCheck(3, refuted="it takes a person for a bicycle")
    check.add_trial(found([[10, 10, 40, 40]]), (100, 100), placed=True)
    assert not check.add(found([[10, 10, 40, 40]] * 50), (100, 100))
    assert (check.state, check.reason) == (Verification.UNVERIFIED, "it takes a person for a bicycle")


@pytest.mark.parametrize(
    "boxes",
    [
        [[10, 10, 10.5, 40]] * 5,
        [[10, 10, 10.5, 40]] * 4 + [[10, 10, 40, 40]],
        [[300, 10, 340, 40]] * 5,
        [[-500, -500, 900, 900]] * 5,
        [[40, 40, 10, 10]] * 5,
    ],
)
def test_boxes_that_cannot_be_objects_make_it_implausible(boxes):
    check = BoxCheck(3)
    assert any(check.add(found(boxes), (100, 100)) for _ in range(10))
    assert check.state is Verification.IMPLAUSIBLE
    assert "cannot be objects" in check.reason


def test_classes_that_the_model_does_not_have_make_it_implausible():
    check = BoxCheck(2)
    for _ in range(10):
        check.add(found([[10, 10, 40, 40]] * 6, classes=6), (100, 100))
    assert check.state is Verification.IMPLAUSIBLE
