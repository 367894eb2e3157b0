"""A golden record says whether results are still those of then, and survives the disk."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.untrusted import BadInput
from agent.detection.layouts.layout import Candidates
from agent.maintenance.golden.record import Circumstances, difference, from_json, make_record, to_json

CPU = Circumstances(provider="cpu", runtime="onnxruntime 1.20", cpu="some", agent="1.0")


def found(*rows):
    table = np.array(rows, np.float64).reshape(-1, 6)
    return Candidates(
        boxes=table[:, :4].astype(np.float32),
        scores=table[:, 4].astype(np.float32),
        class_ids=table[:, 5].astype(np.int64),
    )


THEN = found((10, 10, 110, 60, 0.9, 1), (200, 50, 260, 90, 0.4, 0), (5, 5, 300, 300, 0.01, 3))


def differs(now, by=CPU):
    return difference(make_record("m", [THEN], CPU, 0.0), 0, now, by)


def test_the_same_results_agree_and_so_do_those_that_rounding_moves():
    assert differs(THEN) == ""
    moved = found((10.2, 10, 110, 60.1, 0.905, 1), (200, 50.1, 260, 90, 0.395, 0), (5, 5, 300, 301, 0.012, 3))
    assert differs(moved) == ""


@pytest.mark.parametrize(
    "now",
    [
        found(),
        found((10, 10, 110, 60, 0.9, 1)),
        found((10, 10, 110, 60, 0.8, 1), (200, 50, 260, 90, 0.4, 0), (5, 5, 300, 300, 0.01, 3)),
        found((14, 10, 114, 60, 0.9, 1), (200, 50, 260, 90, 0.4, 0), (5, 5, 300, 300, 0.01, 3)),
        found((10, 10, 110, 60, 0.9, 2), (200, 50, 260, 90, 0.4, 0), (5, 5, 300, 300, 0.01, 3)),
    ],
)
def test_a_lost_moved_or_renamed_box_differs(now):
    assert differs(now).startswith("image 1: a box of score 0.")


def test_another_precision_may_move_more():
    moved = found((11, 10, 111, 60, 0.86, 1), (200, 50, 261, 90, 0.45, 0), (5, 5, 300, 303, 0.01, 3))
    assert differs(moved)
    half = Circumstances(provider="tensorrt", precision="fp16", runtime="onnxruntime 1.20", gpu="Orin 540")
    assert differs(moved, half) == ""
    assert differs(found((10, 10, 110, 60, 0.7, 1)), half)


def test_what_changed_is_named():
    now = Circumstances(provider="cpu", runtime="onnxruntime 1.32", cpu="some", agent="1.1")
    assert CPU.changes(now) == "runtime onnxruntime 1.20 -> onnxruntime 1.32, vedette 1.0 -> 1.1"
    assert CPU.changes(CPU) == ""


side = st.floats(-50, 700, width=32)
row = st.tuples(side, side, side, side, st.floats(0, 1, width=32), st.integers(0, 79))


@given(st.lists(st.lists(row, max_size=8), min_size=2, max_size=2))
def test_what_is_stored_is_read(images):
    record = make_record("m", [found(*rows) for rows in images], CPU, 12.5)
    read = from_json(json.loads(json.dumps(to_json(record))), 2)
    assert (read.model, read.made_at, read.by, read.boxes) == ("m", 12.5, CPU, record.boxes)
    for before, after in zip(record.images, read.images, strict=True):
        assert np.allclose(before.boxes, after.boxes, atol=0.01)
        assert before.class_ids.tolist() == after.class_ids.tolist()


@pytest.mark.parametrize(
    "change",
    [
        {"images": []},
        {"images": [[], [[1, 2, 3]]]},
        {"images": [[], [["a"] * 6]]},
        {"images": [[], [[1, 2, 3, 4, 1e30, 0]]]},
        {"images": [[], [[0] * 6] * 51]},
        {"images": "x"},
        {"by": []},
        {"by": {"provider": 3}},
        {"made_at": "today"},
        {"model": None},
    ],
)
def test_what_is_no_record_is_refused(change):
    entry = to_json(make_record("m", [THEN, THEN], CPU, 0.0)) | change
    with pytest.raises(BadInput):
        from_json(entry, 2)
