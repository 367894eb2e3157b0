"""Non-maximum suppression per class: of boxes that overlap too much only the best stays.

Exact greedy suppression, as `torchvision.ops.nms` on boxes kept apart by class: best score first, a box falls
if its IoU with a box already kept *of its class* is above the limit. Done in blocks, so that few boxes cost
one small matrix and many boxes no large one, and it ends as soon as enough are kept.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLOCK = 128  # boxes whose overlaps are computed at once: a 64 kB matrix


def suppress(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    class_ids: NDArray[np.int64],
    *,
    iou: float,
    limit: int,
) -> NDArray[np.int64]:
    """Indices of the boxes that stay, best score first (the earlier of equals), at most `limit`.

    boxes (n, 4) float32 xyxy, scores (n,) float32, class_ids (n,) int64.
    """
    order = np.argsort(-scores, kind="stable").astype(np.int64, copy=False)
    if len(order) <= 1:
        return order[:limit]  # the usual frame of a quiet camera
    kept = np.empty(0, dtype=np.int64)
    for start in range(0, len(order), BLOCK):
        block = order[start : start + BLOCK]
        if len(kept):
            block = block[~_conflicts(boxes, class_ids, block, kept, iou).any(axis=1)]
        kept = np.concatenate((kept, block[_greedy(_conflicts(boxes, class_ids, block, block, iou))]))
        if len(kept) >= limit:
            break
    return kept[:limit]


def _greedy(conflicts: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of n boxes, best first, stay, given which pairs (n, n) cannot both."""
    stays = np.ones(len(conflicts), dtype=np.bool_)
    later = np.triu(conflicts, 1)
    for index in np.flatnonzero(later.any(axis=1)):
        if stays[index]:
            stays &= ~later[index]
    return stays


def _conflicts(
    boxes: NDArray[np.float32],
    class_ids: NDArray[np.int64],
    these: NDArray[np.int64],
    those: NDArray[np.int64],
    iou: float,
) -> NDArray[np.bool_]:
    """Which pairs (len(these), len(those)) are of one class and overlap by more than `iou`."""
    same = class_ids[these][:, None] == class_ids[those][None, :]
    conflicts: NDArray[np.bool_] = same & (overlap(boxes[these], boxes[those]) > iou)
    return conflicts


def overlap(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of each pair: (n, 4) and (m, 4) xyxy to (n, m); 0 where both are empty."""
    (x1, y1, x2, y2), (u1, v1, u2, v2) = first.T[:, :, None], second.T[:, None, :]
    shared = np.maximum(np.minimum(x2, u2) - np.maximum(x1, u1), 0)
    shared *= np.maximum(np.minimum(y2, v2) - np.maximum(y1, v1), 0)
    union = (x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - shared
    ratio: NDArray[np.float32] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return ratio
