"""Suppression, against a slow one that is plainly right."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.detection.nms import BLOCK, overlap, suppress


def slow_iou(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union if union > 0 else 0.0


def slow_suppress(boxes, scores, class_ids, iou, limit):
    kept = []
    for index in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        rivals = [k for k in kept if class_ids[k] == class_ids[index]]
        if all(slow_iou(boxes[k], boxes[index]) <= iou for k in rivals):
            kept.append(index)
    return kept[:limit]


# Whole-numbered corners: every IoU is exact enough that both sides agree on each comparison.
corner = st.integers(0, 40)
box = st.tuples(corner, corner, st.integers(0, 30), st.integers(0, 30)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
detection = st.tuples(box, st.integers(0, 20).map(lambda n: n / 20), st.integers(0, 2))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(detection, max_size=60), st.sampled_from([0.0, 0.31, 0.5003, 0.7001, 1.0]), st.integers(1, 30)
)
def test_it_keeps_what_the_slow_one_keeps(found, iou, limit):
    boxes = np.array([b for b, _, _ in found], np.float32).reshape(-1, 4)
    scores = np.array([s for _, s, _ in found], np.float32)
    class_ids = np.array([c for _, _, c in found], np.int64)
    kept = suppress(boxes, scores, class_ids, iou=iou, limit=limit)
    assert kept.tolist() == slow_suppress(boxes.tolist(), scores.tolist(), class_ids.tolist(), iou, limit)


@pytest.mark.parametrize("count", [BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
def test_many_boxes_are_kept_as_the_slow_one_keeps_them_across_blocks(count):
    rng = np.random.default_rng(count)
    corners = rng.integers(0, 200, (count, 2))
    boxes = np.concatenate((corners, corners + rng.integers(20, 60, (count, 2))), axis=1).astype(np.float32)
    scores = rng.random(count).astype(np.float32)
    class_ids = rng.integers(0, 3, count)
    kept = suppress(boxes, scores, class_ids, iou=0.4501, limit=300)
    assert kept.tolist() == slow_suppress(boxes.tolist(), scores.tolist(), class_ids.tolist(), 0.4501, 300)


def test_boxes_of_other_classes_do_not_suppress_one_another():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10]], np.float32)
    kept = suppress(boxes, np.array([0.5, 0.9, 0.7], np.float32), np.array([0, 1, 0]), iou=0.5, limit=9)
    assert kept.tolist() == [1, 2]


def test_overlap_of_empty_boxes_is_zero_not_undefined():
    point = np.array([[5, 5, 5, 5]], np.float32)
    assert overlap(point, point).tolist() == [[0.0]]
