"""Limits that follow the outcome of alarms: each that ended by itself raises them, quiet time lowers them.

A reference tells how often chance exceeds a limit while the world scatters as it did then. Where it scatters in another
way, alarms come and go more often than the budget allows. So each that ended by itself, and was never LARGE times its
limit, raises all limits by STEP, and time lowers them by STEP for each alarm that the budget allows: in the long run
as many come and go as are allowed, whatever the world does (Gibbs and Candès, "Adaptive Conformal Inference Under
Distribution Shift", NeurIPS 2021). Where none comes and goes, nothing is raised.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.core.untrusted import take_number

STEP = math.log(1.15)
"""Most alarms by chance exceed their limit by less than this."""

MOST = math.log(2.0)
"""So much less is seen at most."""

LARGE = 2.0
"""Times the limit: what was as large was no chance, and no limit within MOST would have kept it quiet."""

MONTH_SECONDS = 30 * 86400.0


@dataclass(slots=True)
class Patience:
    """The state: by what logarithm limits are `raised`, and the `peak` of the alarm that is on, in limits."""

    raised: float = 0.0
    peak: float = 0.0

    @property
    def factor(self) -> float:
        """What limits are multiplied by, 1 to 2."""
        return math.exp(self.raised)

    def after(self, factor: float) -> float:
        """What limits are multiplied by once the alarm that is on has ended by itself, if it was `factor` before."""
        if self.peak >= LARGE * self.factor:
            return factor
        return max(factor, min(factor * math.exp(STEP), math.exp(MOST)))

    def rest(self, seconds: float, budget: float) -> None:
        """So much time has passed, with a `budget` of false alarms a month."""
        self.raised = max(self.raised - STEP * budget * max(seconds, 0.0) / MONTH_SECONDS, 0.0)

    def during(self, ratio: float) -> None:
        """An alarm is on, at so many times its limit as the reference has it."""
        self.peak = max(self.peak, ratio)

    def ended(self, quiet_at: float = 1.0) -> None:
        """The alarm that was on has ended by itself, as by limits multiplied by `quiet_at` it would not be on."""
        self.raised, self.peak = min(math.log(max(self.after(self.factor), quiet_at)), MOST), 0.0

    def state(self) -> dict[str, Any]:
        """As JSON values."""
        return {"raised": self.raised, "peak": self.peak}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Patience:
        """What `state` gave; BadInput for anything else."""
        return cls(
            take_number(state, "raised", minimum=0.0, maximum=MOST), take_number(state, "peak", minimum=0.0)
        )
