"""One way to run a model and to read what it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.detection.engines import ModelRunner
from agent.detection.layouts.layout import Candidates, Layout
from agent.detection.trial import Trial


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OutputReading:
    """A model with the layout of its output number `boxes_output`, and with `trial` for the inputs it takes."""

    runner: ModelRunner
    layout: Layout
    boxes_output: int
    trial: Trial
    confidence: float

    def look(self, canvas: NDArray[np.uint8]) -> Candidates:
        """What it finds on an input (height, width, 3) uint8 BGR. Raises InferenceError."""
        return self.decoded(self.output(self.trial.of(canvas)))

    def output(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Its boxes as it writes them, of the first image of `batch`. Raises InferenceError."""
        boxes: NDArray[Any] = self.runner.run(batch)[self.boxes_output][0]
        return boxes

    def decoded(self, output: NDArray[Any]) -> Candidates:
        """Candidates of such an output."""
        return self.layout.decode(output, self.confidence, self.trial.size)
