"""What a cause is: its words, what to do about it, and what it does to an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.core.types import Image

MODEL_VARIANTS = 2
"""Of each cause at most: on the others the model is not run, for it takes long."""


SEVERITIES = (0.2, 0.5, 1.0)
"""At which a cause is applied; between them a signature is interpolated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """A known cause: `words` name it ("fog or haze"), `advice` says what to do, `runbook` is the page to read.

    `apply` takes an image (H, W, 3) uint8 BGR, a severity over 0 up to 1 and the number of one of `variants`
    (directions, places), and returns a new image of that shape; equal arguments give equal images.
    """

    name: str
    words: str
    advice: str
    apply: Callable[[Image, float, int], Image]
    variants: int = 1
    runbook: str = "drift"

    @property
    def model_variants(self) -> int:
        """On how many of the variants the model is run."""
        return min(self.variants, MODEL_VARIANTS)


def limited(values: NDArray[np.floating]) -> Image:
    """Grey levels as an image's: rounded, within 0..255."""
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)
