"""A camera's scope: what of its frames is judged, and what counts as a detection in them. A pure value.

It travels with each frame, so that whoever looks at a frame knows what to leave out, and a reload that changes it needs
no camera opened anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.core.polygon import Polygon, inside


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Masks and zones of a camera.

    What is under `ignored` counts neither for health nor for features nor as motion. A detection counts if its class is
    one of `classes` (empty: any), its score at least `confidence` (0: the model's own limit) and the middle of its
    box's lower edge in an `included` zone (none: anywhere) and in no `excluded` one.
    """

    ignored: tuple[Polygon, ...] = ()
    included: tuple[Polygon, ...] = ()
    excluded: tuple[Polygon, ...] = ()
    classes: tuple[str, ...] = ()
    confidence: float = 0.0

    @property
    def zoned(self) -> bool:
        """Whether it matters where a detection is."""
        return bool(self.included or self.excluded)

    def counted(self, boxes: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.bool_]:
        """Which `boxes` (n, 4), xyxy in pixels of a frame of `size` (width, height), count by their place; (n,).

        A point on a zone's outline is in the zone; one beyond the frame is taken to its edge.
        """
        feet = np.stack(((boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]), axis=1).astype(np.float64)
        feet = np.clip(feet / size, 0.0, 1.0)
        counts = np.full(len(boxes), not self.included)
        for zone in self.included:
            counts |= inside(zone, feet)
        for zone in self.excluded:
            counts &= ~inside(zone, feet)
        return counts


WHOLE = Scope()
"""All of a frame counts, and every detection in it."""
