"""Boxes that lie on objects are told from boxes beside them, by a detector of bright rectangles that is read rightly or
wrongly."""

import numpy as np
import pytest

from agent.detection.layouts.layout import Candidates
from agent.detection.placement import found_again, transplant

SIZE = (160, 240)


def scene(*rectangles):
    canvas = np.full((*SIZE, 3), 114, np.uint8)
    for left, top, right, bottom in rectangles:
        canvas[top:bottom, left:right] = 250
    return canvas


def finding(read, noise=0):
    """What finds each bright rectangle; `read` is how its box (x1, y1, x2, y2) is understood."""

    def look(canvas):
        bright, boxes = canvas[:, :, 0] > 200, []
        while bright.any():
            y, x = np.argwhere(bright)[0]
            right = x + int(np.argmin(np.append(bright[y, x:], [False])))
            bottom = y + int(np.argmin(np.append(bright[y:, x], [False])))
            bright[y:bottom, x:right] = False
            boxes.append(read(np.array([x, y, right, bottom], np.float32)))
        boxes += [np.array([8 * n, 8 * n, 8 * n + 60, 8 * n + 50], np.float32) for n in range(noise)]
        return Candidates(
            boxes=np.array(boxes, np.float32).reshape(-1, 4),
            scores=np.linspace(0.5, 0.9, len(boxes), dtype=np.float32),
            class_ids=np.zeros(len(boxes), np.int64),
        )

    return look


def centred(wide, high):
    def read(box):
        centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * (wide, high)
        return np.concatenate((centre - half, centre + half))

    return read


def exchanged_sides(box):
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2])[::-1] / 2
    return np.concatenate((centre - half, centre + half))


@pytest.mark.parametrize(
    ("read", "right"),
    [
        (lambda box: box, True),
        (centred(1.1, 1.1), True),
        (centred(0.5, 0.5), False),
        (exchanged_sides, False),
        (lambda box: box + 40, False),
        (lambda box: box * 1.4, False),
        (lambda box: np.array([240, 0, 240, 0]) + box[[2, 1, 0, 3]] * (-1, 1, -1, 1), False),
    ],
    ids=["right", "a little large", "half", "width is height", "shifted", "another size", "mirrored"],
)
def test_boxes_beside_their_objects_are_not_found_again(read, right):
    canvas = scene((30, 20, 60, 110), (150, 90, 220, 120))
    look = finding(read)
    assert found_again(canvas, look(canvas), look, 0.51) is right


def test_what_fires_everywhere_is_not_found_again_by_chance():
    canvas = scene((30, 20, 60, 110))
    look = finding(lambda box: box, noise=12)
    assert not found_again(canvas, look(canvas), look, 0.51)


@pytest.mark.parametrize(
    "box", [[10, 10, 12, 90], [0, 0, 240, 160], [-3e38, -3e38, 3e38, 3e38], [300, 10, 340, 40]]
)
def test_a_box_too_small_too_large_or_outside_shows_nothing(box):
    assert transplant(scene((10, 10, 12, 90)), np.array(box, np.float32)) is None
