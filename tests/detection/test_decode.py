"""Decoding: each layout against a loop that is plainly right, and every non-detector named for what it is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from agent.core.errors import ModelError
from agent.detection.decode import BoxLayout, count_classes, decode, recognise

unit = st.floats(0, 1, width=16)


def plain(rows, threshold):
    """Rows (cx, cy, w, h, class scores...) to (box, score, class) above the threshold, one by one."""
    found = []
    for cx, cy, w, h, *scores in rows.astype(np.float32).tolist():
        if max(scores) > threshold:
            box = (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
            found.append((*box, max(scores), scores.index(max(scores))))
    return np.array(found, np.float32).reshape(-1, 6)


def flat(found):
    return np.concatenate((found.boxes, found.scores[:, None], found.class_ids[:, None]), axis=1)


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float32, st.tuples(st.just(7), st.integers(0, 30)), elements=unit), unit)
def test_channels(output, threshold):
    found = decode(output, BoxLayout.CHANNELS, threshold)
    assert np.allclose(flat(found), plain(output.T, threshold))


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float16, st.tuples(st.just(7), st.integers(0, 30)), elements=unit), unit)
def test_channels_in_half_precision(output, threshold):
    found = decode(output, BoxLayout.CHANNELS, threshold)
    assert np.allclose(flat(found), plain(output.T, threshold))
    assert found.boxes.dtype == found.scores.dtype == np.float32
    assert found.class_ids.dtype == np.int64


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float32, st.tuples(st.integers(0, 30), st.just(8)), elements=unit), unit)
def test_rows_score_objectness_times_class(output, threshold):
    rows = np.concatenate((output[:, :4], output[:, 4:5] * output[:, 5:]), axis=1)
    assert np.allclose(flat(decode(output, BoxLayout.ROWS, threshold)), plain(rows, threshold))


def test_end_to_end_is_taken_as_it_is():
    output = np.array([[1, 2, 3, 4, 0.9, 5], [1, 2, 3, 4, 0.25, 7], [0, 0, 0, 0, 0, 0]], np.float32)
    assert np.allclose(flat(decode(output, BoxLayout.END_TO_END, 0.25)), output[:1])


@pytest.mark.parametrize("layout", BoxLayout)
def test_not_a_number_is_no_detection_and_an_infinite_box_is_none_either(layout):
    output = np.full((7, 8) if layout is BoxLayout.CHANNELS else (7, 6), np.nan, np.float32)
    assert len(decode(output, layout, 0.25)) == 0
    output = np.ones_like(output)
    assert len(decode(output, layout, 0.25)) == len(output if layout is not BoxLayout.CHANNELS else output.T)
    output[(slice(None), 0) if layout is not BoxLayout.CHANNELS else 0] = np.inf
    assert len(decode(output, layout, 0.25)) == 0


@pytest.mark.parametrize(
    ("shape", "facts", "layout"),
    [
        ((1, 84, 8400), {"classes": 80, "task": "detect"}, BoxLayout.CHANNELS),
        ((1, 6, 8400), {"classes": 2, "task": "detect"}, BoxLayout.CHANNELS),
        ((1, 84, 8400), {"classes": 0}, BoxLayout.CHANNELS),
        ((1, 25200, 85), {"classes": 80}, BoxLayout.ROWS),
        ((1, 25200, 85), {"classes": 0}, BoxLayout.ROWS),
        ((1, 25200, 6), {"classes": 1, "rows_anchors": 25200}, BoxLayout.ROWS),
        ((1, 300, 6), {"classes": 1, "rows_anchors": 25200}, BoxLayout.END_TO_END),
        ((1, 300, 6), {"classes": 80, "task": "detect", "end_to_end": True}, BoxLayout.END_TO_END),
        ((1, 300, 6), {"classes": 80}, BoxLayout.END_TO_END),
        ((4, 84, 21), {"classes": 80}, BoxLayout.CHANNELS),
    ],
)
def test_the_layout_is_found(shape, facts, layout):
    assert recognise([shape], **{"task": "", **facts}) is layout


@pytest.mark.parametrize(
    ("shapes", "facts", "words"),
    [
        ([(1, 1000)], {"classes": 1000}, "classification model"),
        ([(1, 1000)], {"classes": 1000, "task": "classify"}, "classification model"),
        ([(1, 116, 8400), (1, 32, 160, 160)], {"classes": 80, "task": "segment"}, "segmentation model"),
        ([(1, 116, 8400), (1, 32, 160, 160)], {"classes": 80}, "segmentation model"),
        ([(1, 56, 8400)], {"classes": 1, "task": "pose"}, "pose model"),
        ([(1, 20, 8400)], {"classes": 15, "task": "obb"}, "rotated boxes"),
        ([(1, 84, 8400)], {"classes": 3}, "3 class names"),
        ([(1, 300, 38)], {"classes": 80, "end_to_end": True}, "expected (batch, boxes, 6)"),
        ([(1, 3, 80, 80, 85)], {"classes": 80}, "no detector that is known"),
        ([(1, 3, 3)], {"classes": 0}, "no detector that is known"),
        ([], {"classes": 0}, "no output"),
    ],
)
def test_what_is_no_detector_is_refused_and_named(shapes, facts, words):
    with pytest.raises(ModelError) as caught:
        recognise(shapes, **facts)
    assert words in str(caught.value)


def test_classes_are_counted_where_the_shape_says_them():
    assert count_classes((1, 84, 8400), BoxLayout.CHANNELS) == 80
    assert count_classes((1, 25200, 85), BoxLayout.ROWS) == 80
    assert count_classes((1, 300, 6), BoxLayout.END_TO_END) == 0
