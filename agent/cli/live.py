"""The live lines of `vedette run` on a terminal: cameras, alerts and broker now, while the log scrolls above them.

The service passes frame results to `RecentFrames.add` and gives plain values; drawing is done here alone, without
rich, which would cost the daemon memory. Nothing of this is imported where stderr is no terminal.
"""

from __future__ import annotations

import os
import threading
import unicodedata
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from agent.core import clock
from agent.core.printable import printable

if TYPE_CHECKING:
    from agent.app.service import Service
    from agent.core.types import FrameResult

SPAN_SECONDS = 5.0
"""Rates and latencies are measured over so many seconds."""

MOST_FRAMES = 4000  # of one camera in that span
MOST_CAMERAS = 8
"""Cameras that have a line of their own."""

REDRAW_SECONDS = 0.5
NARROWEST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraActivity:
    """One camera in the last seconds: frames a second, latency in seconds (None: no frame), boxes of the last frame."""

    fps: float = 0.0
    p50: float | None = None
    p99: float | None = None
    boxes: Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveState:
    """What is drawn: name, state and activity of each camera; the rules that fire; the broker connection."""

    cameras: Sequence[tuple[str, str, CameraActivity]]
    firing: Sequence[str]
    broker: str
    class_name: Callable[[int], str]


class RecentFrames:
    """Results of the last seconds, by camera. `add` is called in the model's threads and costs one append."""

    def __init__(self) -> None:
        self._results: dict[str, deque[tuple[float, float, list[int]]]] = {}
        self._began: float | None = None

    def add(self, result: FrameResult) -> None:
        """Add the result of a frame."""
        now = clock.monotonic()
        self._began = now if self._began is None else self._began
        results = self._results.setdefault(result.frame.camera, deque(maxlen=MOST_FRAMES))
        results.append((now, result.stages.total, result.detections.class_ids.tolist()))

    def activity(self, camera: str, now: float) -> CameraActivity:
        """What `camera` did in the last seconds."""
        span = max(1.0, min(SPAN_SECONDS, now - (self._began or now)))
        recent = [one for one in list(self._results.get(camera, ())) if now - one[0] <= span]
        if not recent:
            return CameraActivity(boxes={})
        p50, p99 = np.quantile([latency for _, latency, _ in recent], [0.5, 0.99])
        return CameraActivity(
            fps=len(recent) / span, p50=float(p50), p99=float(p99), boxes=Counter(recent[-1][2])
        )


def live_state(service: Service, frames: RecentFrames) -> LiveState:
    """The state of `service` now, as plain values."""
    now = clock.monotonic()
    states = {status.camera: status.state.value for status in service.camera_set.statuses}
    return LiveState(
        cameras=[
            (name, states.get(name, "starting"), frames.activity(name, now))
            for name in service.camera_set.names
        ],
        firing=[
            " ".join(filter(None, (alert.rule, alert.labels.get("camera"))))
            for alert in service.alert_service.firing(clock.now())
        ],
        broker=service.publisher.connection.state,
        class_name=service.detector.info.class_name,
    )


def lines(live: LiveState, width: int) -> list[str]:
    """The live lines, none wider than `width` columns."""
    shown = live.cameras[:MOST_CAMERAS]
    longest = max((columns(printable(name, 24)) for name, _, _ in shown), default=0)
    drawn = [_camera_line(name, state, activity, live.class_name, longest) for name, state, activity in shown]
    if more := len(live.cameras) - len(shown):
        drawn.append(f"... and {more} more cameras")
    total = sum(activity.fps for _, _, activity in live.cameras)
    firing = f"{len(live.firing)} firing: {', '.join(live.firing)}" if live.firing else "no alert fires"
    broker = "broker connected" if live.broker == "connected" else "no broker: messages wait on disk"
    drawn.append(f"{total:.1f} frames/s | {firing} | {broker} | Ctrl-C stops")
    return [cut(printable(line), width) for line in drawn]


def _camera_line(
    name: str, state: str, activity: CameraActivity, class_name: Callable[[int], str], longest: int
) -> str:
    label = printable(name, 24)
    head = f"{label}{' ' * (longest - columns(label))}  {state:<8}"
    if activity.p50 is None or activity.p99 is None:
        return head
    counted = sorted(activity.boxes.items(), key=lambda one: -one[1])
    boxes = ", ".join(f"{count} {class_name(class_id)}" for class_id, count in counted) or "no boxes"
    latency = f"{activity.p50 * 1e3:.0f}/{activity.p99 * 1e3:.0f} ms (p50/p99)"
    return f"{head} {activity.fps:6.1f} frames/s  {latency:<20} {boxes}"


def columns(text: str) -> int:
    """The number of terminal columns that `text` takes."""
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, width: int) -> str:
    """`text` cut to `width` columns, with an ellipsis where it is longer."""
    if columns(text) <= width:
        return text
    kept, used = [], 1
    for character in text:
        used += _columns(character)
        if used > width:
            break
        kept.append(character)
    return "".join(kept) + "…"


class Screen:
    """A terminal whose last lines are redrawn in place, while what is written (the log) scrolls above them.

    Offers what a text stream does, `write` and `flush` by itself, the rest as the `terminal` beneath has it.
    """

    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal
        self._lock = threading.Lock()
        self._live: list[str] = []
        self._half = ""

    def write(self, text: str) -> int:
        """Write whole lines above the live ones; a line that is not ended yet waits for its end."""
        with self._lock:
            whole, newline, self._half = (self._half + text).rpartition("\n")
            if newline:
                self._terminal.write(f"{self._erased()}{whole}\n{self._drawn()}")
                self._terminal.flush()
        return len(text)

    def flush(self) -> None:
        """Everything is written at once."""

    def show(self, live: Sequence[str]) -> None:
        """Draw `live` in place of the live lines there were."""
        with self._lock:
            erased, self._live = self._erased(), list(live)
            self._terminal.write(f"{erased}{self._drawn()}")
            self._terminal.flush()

    def width(self) -> int:
        """Columns that a line may take without being broken."""
        try:
            return max(NARROWEST, os.get_terminal_size(self._terminal.fileno()).columns - 1)
        except OSError:
            return 79

    def _erased(self) -> str:
        return f"\r\x1b[{len(self._live)}A\x1b[J" if self._live else ""

    def _drawn(self) -> str:
        return "".join(f"{line}\n" for line in self._live)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._terminal, name)


class LiveLines:
    """The live lines, drawn twice a second by their own thread while the block lasts; `follow` sets the service."""

    def __init__(self, screen: Screen) -> None:
        self.screen, self.frames = screen, RecentFrames()
        self._service: Service | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live lines", daemon=True)

    def __enter__(self) -> LiveLines:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Remove the live lines; the log stays. A terminal that takes nothing (Ctrl-S) is left as it is."""
        self._over.set()
        self._thread.join(2.0)

    def follow(self, service: Service) -> None:
        """Draw the state of `service`, which has been started."""
        self._service = service

    def _run(self) -> None:
        with suppress(OSError, ValueError):  # the terminal was closed: the agent runs on
            while not self._over.is_set():
                self.screen.show(self._lines(self.screen.width()))
                self._over.wait(REDRAW_SECONDS)
            self.screen.show(())

    def _lines(self, width: int) -> list[str]:
        if self._service is None:
            return ["loading the model ..."]
        return lines(live_state(self._service, self.frames), width)
