"""Features of the pooled embedding: fixed projections, and how far one frame is from all that are known.

Projection k of an embedding e of size d is `sum_i s_ki e_i / |e|` with fixed signs s_ki = ±1 (Achlioptas,
2003, "Database-friendly random projections"): about standard normal over all directions, and the same on
every device.
"""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from agent.features.definition import Family, Feature
from agent.features.view import View

PROJECTIONS = 4
"""How many projections are features of their own."""


def prepare(view: View) -> list[float]:
    """All projections of the frame's embedding; NaN where there is none."""
    embedding = view.detections.embedding
    projected = None if embedding is None else project(embedding, PROJECTIONS)
    return [math.nan] * PROJECTIONS if projected is None else projected.tolist()


def project(embedding: NDArray[np.float32], count: int) -> NDArray[np.float64] | None:
    """The first `count` projections of `embedding` (d,), normalised to length 1: float64 (count,).

    None where the embedding has no direction: empty, zero or not finite.
    """
    vector = embedding.astype(np.float64).ravel()
    length = float(np.sqrt(vector @ vector))
    if not math.isfinite(length) or length == 0:
        return None
    return signs(count, vector.size) @ vector / length


@lru_cache(maxsize=8)
def signs(count: int, size: int) -> NDArray[np.float64]:
    """The fixed signs ±1, (count, size): bits of SHAKE-256, which no library version can change."""
    rows = []
    for row in range(count):
        digest = hashlib.shake_256(f"vedette embedding {row}".encode()).digest((size + 7) // 8)
        rows.append(np.unpackbits(np.frombuffer(digest, dtype=np.uint8), count=size))
    matrix = np.array(rows, dtype=np.float64).reshape(count, size) * 2 - 1
    matrix.flags.writeable = False
    return matrix


FAMILY = Family(
    "embedding",
    prepare,
    tuple(
        Feature(
            f"embedding_{number}",
            "",
            f"Random projection {number} of the embedding. NaN without one.",
            itemgetter(number),
        )
        for number in range(PROJECTIONS)
    ),
)
