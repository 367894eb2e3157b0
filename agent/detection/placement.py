"""Checks that boxes lie on objects: the content of a box, shown alone elsewhere, must be found again.

Boxes in another scale, shifted, mirrored, with width and height exchanged or halved are of a plausible size, and no
shape shows them. But what such a box holds is not the object, so the object is not found where the box moves to.
Needs no labels. On frames of three videos 62 to 92 % of the boxes of models that are read rightly are found again
(YOLO11n in two sizes and with colours exchanged, the demo model), of eight that are read wrongly 0 to 15 %.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.detection.layouts.layout import Candidates
from agent.detection.nms import overlap, suppress
from agent.detection.preprocess import PADDING

MARGIN = 1.2
"""What is shown of a box, in its width and height: detectors look at the edges, too."""

OVERLAP = 0.5
"""Of the box that is found and the one that is expected, from which on they are the same one (IoU)."""

_BEST = 2

LEAST_SIDE = 6
"""Pixels below which a box shows nothing."""

LARGEST_SHARE = 0.5
"""Of the input, above which a box could hardly lie elsewhere: that it is found again proves nothing."""

MOST_TRIED = 2
"""Boxes of the trial image that are shown: each takes up to three runs of the model."""

SHAPES = ((1.0, 1.0), (0.6, 1.0), (1.0, 0.6))
"""How wide and high they are shown there: an object that becomes narrower needs a box that does."""

LIVE_SHAPES = ((0.7, 1.0), (1.0, 0.7))
"""As those of live frames are by turns. Of their own shape 57 % of a wrong model's boxes were found again where right
ones had 71 %; so at most 36 %, and 64 to 100 % (three videos)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Transplant:
    """An input (H, W, 3) uint8 BGR that shows one object on grey, and the xyxy box that it is expected in."""

    image: NDArray[np.uint8]
    expected: NDArray[np.float32]

    def found_in(self, seen: Candidates) -> bool:
        """Whether one of its best boxes is the expected one: of many boxes in all places one always would be."""
        return bool((overlaps(best_boxes(seen, _BEST), self.expected) > OVERLAP).any())


def overlaps(boxes: NDArray[np.float32], box: NDArray[np.float32]) -> NDArray[np.float32]:
    """IoU, (n,), of (n, 4) xyxy boxes with one."""
    near = np.clip(boxes, -1e6, 1e6)  # a model may give 3e38
    return overlap(near, box[None])[:, 0]


def part_of(box: NDArray[np.float32], size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of what is shown of an xyxy box of an input (height, width).

    None where it is too small or too large to be shown elsewhere.
    """
    height, width = size
    box = np.clip(box, -4 * max(size), 4 * max(size))  # a model may give 3e38
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) * MARGIN / 2
    left, top = np.clip(np.rint(centre - half), 0, (width, height)).astype(int).tolist()
    right, bottom = np.clip(np.rint(centre + half), 0, (width, height)).astype(int).tolist()
    shown = (right - left, bottom - top)
    if min(shown) < LEAST_SIDE or shown[0] * shown[1] > LARGEST_SHARE * height * width:
        return None
    return left, top, right, bottom


def transplant(
    canvas: NDArray[np.uint8], box: NDArray[np.float32], wide: float = 1.0, high: float = 1.0
) -> Transplant | None:
    """What an xyxy box of an input holds, moved to the opposite side; None where it is too small or large for that."""
    height, width = canvas.shape[:2]
    box = np.clip(box, -4 * max(height, width), 4 * max(height, width))  # a model may give 3e38
    part = part_of(box, (height, width))
    if part is None:
        return None
    (left, top, right, bottom), centre = part, (box[:2] + box[2:]) / 2
    columns, rows = max(1, round((right - left) * wide)), max(1, round((bottom - top) * high))
    x = int(np.clip(width - centre[0] - columns / 2, 0, width - columns))
    y = int(np.clip(height - centre[1] - rows / 2, 0, height - rows))
    image = np.full_like(canvas, PADDING)
    image[y : y + rows, x : x + columns] = cv2.resize(
        canvas[top:bottom, left:right], (columns, rows), interpolation=cv2.INTER_AREA
    )
    across, down = columns / (right - left), rows / (bottom - top)
    moved = (box - np.array([left, top] * 2)) * np.array([across, down] * 2) + np.array([x, y] * 2)
    return Transplant(image=image, expected=moved.astype(np.float32))


def best_boxes(found: Candidates, most: int) -> NDArray[np.float32]:
    """(n, 4) boxes of objects that are not the same, the best score first."""
    return found.boxes[suppress(found.boxes, found.scores, found.class_ids, iou=OVERLAP, limit=most)]


def found_again(
    canvas: NDArray[np.uint8],
    found: Candidates,
    look: Callable[[NDArray[np.uint8]], Candidates],
    least: float,
) -> bool:
    """Whether at least the share `least` of what the best boxes of `canvas` hold is found again.

    `look` runs the model on such an input, no more often than it takes to know.
    """
    tried = ((box, shape) for box in best_boxes(found, MOST_TRIED) for shape in SHAPES)
    moved = [one for box, shape in tried if (one := transplant(canvas, box, *shape)) is not None]
    needed, again = least * len(moved), 0
    for left, one in zip(range(len(moved) - 1, -1, -1), moved, strict=True):
        again += one.found_in(look(one.image))
        if again >= needed or again + left < needed:
            break
    return bool(moved) and again >= needed
