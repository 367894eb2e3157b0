"""The last verdicts of a camera in words, and its last windows for charts. One thread's own."""

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


class VerdictHistory:
    """Keeps VERDICTS verdicts and WINDOWS windows."""

    def __init__(self) -> None:
        self._verdicts: deque[Mapping[str, Any]] = deque(maxlen=VERDICTS)
        self._windows: deque[WindowSketch] = deque(maxlen=WINDOWS)

    def add(self, window: WindowSketch, verdict: DriftVerdict, words: str) -> None:
        """Keep a window if it has frames, and the verdict on it, in `words`, if it was judged."""
        if window.frames:
            self._windows.append(WindowSketch.from_body(window.to_body(_ITEMS)))
        if verdict.judged:
            ratio = round(verdict.ratio, 3)
            self._verdicts.append(
                {"end": verdict.end, "ratio": ratio, "alarm": verdict.alarm, "words": words}
            )

    def verdicts(self) -> list[Mapping[str, Any]]:
        """The verdicts as JSON values, oldest first."""
        return list(self._verdicts)

    def restore(self, verdicts: object) -> None:
        """Go on from what `verdicts` gave; BadInput, and nothing is changed, where it is something else."""
        self._verdicts.extend([_verdict(entry) for entry in take_list({"history": verdicts}, "history")])

    def window_body(self) -> dict[str, Any] | None:
        """All windows merged, as `WindowSketch.to_body` gives them; None where there is none."""
        windows = list(self._windows)
        if not windows:
            return None
        total = windows[0]
        for window in windows[1:]:
            total = merge(total, window)
        return total.to_body(_ITEMS)


def _verdict(entry: Any) -> Mapping[str, Any]:
    kept = take_object({"history": entry}, "history")
    return {
        "end": take_number(kept, "end", minimum=0.0, maximum=LATEST),
        "ratio": take_number(kept, "ratio"),
        "alarm": take_flag(kept, "alarm"),
        "words": take_text(kept, "words"),
    }
