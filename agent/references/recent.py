"""What a camera showed lately: the last verdicts in words, the last windows for pictures. One thread's own."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from agent.core.untrusted import take_flag, take_list, take_number, take_object, take_text
from agent.drift.sketch import LATEST, WindowSketch, merge
from agent.drift.verdict import DriftVerdict

VERDICTS = 30
WINDOWS = 16
_ITEMS = 64  # values kept of each feature of a window


class Recent:
    """Keeps VERDICTS verdicts and WINDOWS windows."""

    def __init__(self) -> None:
        self._verdicts: deque[Mapping[str, Any]] = deque(maxlen=VERDICTS)
        self._windows: deque[WindowSketch] = deque(maxlen=WINDOWS)

    def see(self, window: WindowSketch) -> None:
        """Keep a window; one without frames is passed over."""
        if window.frames:
            self._windows.append(WindowSketch.from_body(window.to_body(_ITEMS)))

    def judged(self, verdict: DriftVerdict) -> None:
        """Keep a verdict; one that could not be given is passed over."""
        if verdict.judged:
            self._verdicts.append(
                {
                    "end": verdict.end,
                    "ratio": round(verdict.ratio, 3),
                    "alarm": verdict.alarm,
                    "words": verdict.words(),
                }
            )

    def history(self) -> list[Mapping[str, Any]]:
        """The verdicts as JSON values, oldest first."""
        return list(self._verdicts)

    def restore(self, history: object) -> None:
        """Go on from what `history` gave; BadInput, and nothing is changed, where it is something else."""
        self._verdicts.extend([_verdict(entry) for entry in take_list({"history": history}, "history")])

    def window_body(self) -> dict[str, Any] | None:
        """All windows kept as one, as `WindowSketch.to_body` tells it; None where there is none."""
        windows = list(self._windows)
        if not windows:
            return None
        total = windows[0]
        for window in windows[1:]:
            total = merge(total, window)
        return total.to_body(_ITEMS)


def _verdict(entry: Any) -> Mapping[str, Any]:
    told = take_object({"history": entry}, "history")
    return {
        "end": take_number(told, "end", minimum=0.0, maximum=LATEST),
        "ratio": take_number(told, "ratio"),
        "alarm": take_flag(told, "alarm"),
        "words": take_text(told, "words"),
    }
