"""The reasons for which a frame is worth labelling; each is a file with one function and an entry here.

`interest(view)` is from 0 (not for this reason) to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agent.maintenance.samples.reasons import blink, drift, missed, near_threshold, novel, shadow
from agent.maintenance.samples.view import SampleView

REASONS: Mapping[str, Callable[[SampleView], float]] = {
    "near_threshold": near_threshold.interest,
    "blink": blink.interest,
    "missed": missed.interest,
    "novel": novel.interest,
    "drift": drift.interest,
    "shadow": shadow.interest,
}
