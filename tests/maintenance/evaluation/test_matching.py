"""A box is right where it takes a label of its class; by size others count neither way."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.detection.nms import overlap
from agent.maintenance.evaluation.matching import SIZES, THRESHOLDS, Boxes, Matching


def boxes(rows, classes=None):
    array = np.array(rows, np.float32).reshape(-1, 4)
    numbers = np.zeros(len(array), np.int64) if classes is None else np.array(classes, np.int64)
    return Boxes(
        boxes=array, classes=numbers, areas=(array[:, 2] - array[:, 0]) * (array[:, 3] - array[:, 1])
    )


def plainly(found, labels, threshold):
    """The same by a loop: each box, best first, takes the free label that it overlaps most."""
    free, right = set(range(len(labels.classes))), []
    for box, kind in zip(found.boxes, found.classes, strict=True):
        best, taken = 0.0, None
        for label in sorted(free):
            iou = float(overlap(box[None], labels.boxes[label : label + 1])[0, 0])
            if labels.classes[label] == kind and iou > best:
                best, taken = iou, label
        right.append(taken is not None and best >= threshold)
        free -= {taken} if right[-1] else set()
    return right


corner, side = st.integers(0, 12), st.integers(1, 8)
some = st.lists(st.tuples(corner, corner, side, side, st.integers(0, 1)), max_size=8)


@given(some, some)
def test_it_is_what_a_loop_says(found, labels):
    found, labels = (
        boxes([(x, y, x + w, y + h) for x, y, w, h, _ in rows], [row[4] for row in rows])
        for rows in (found, labels)
    )
    right = Matching(found, labels).right()
    for column, threshold in enumerate(THRESHOLDS):
        assert right[:, column].tolist() == plainly(found, labels, threshold)


def test_a_label_is_taken_once_by_the_better_box():
    right = Matching(boxes([(0, 0, 10, 10), (0, 0, 10, 10)]), boxes([(0, 0, 10, 10)])).right()
    assert right[:, 0].tolist() == [True, False]


def test_another_class_is_no_match():
    assert not Matching(boxes([(0, 0, 10, 10)], [1]), boxes([(0, 0, 10, 10)], [0])).right().any()


def test_of_small_labels_large_boxes_count_neither_way():
    small, large, stray = (0, 0, 20, 20), (100, 100, 300, 300), (500, 500, 700, 700)
    _, right, counts = Matching(boxes([small, large, stray]), boxes([small, large])).of_size("small")
    assert right[:, 0].tolist() == [True, False, False]
    assert counts[:, 0].tolist() == [True, False, False]
    _, right, counts = Matching(boxes([small, large, stray]), boxes([small, large])).of_size("large")
    assert right[:, 0].tolist() == [False, True, False]
    assert counts[:, 0].tolist() == [False, True, True]


@given(some, some)
def test_each_right_box_is_right_in_one_size(found, labels):
    found, labels = (
        boxes([(9 * x, 9 * y, 9 * (x + w), 9 * (y + h)) for x, y, w, h, _ in rows], [row[4] for row in rows])
        for rows in (found, labels)
    )
    for size in SIZES:
        _, right, counts = Matching(found, labels).of_size(size)
        assert (counts | ~right).all()
        low, high = SIZES[size]
        assert right[:, 0].sum() <= ((labels.areas >= low) & (labels.areas < high)).sum()
