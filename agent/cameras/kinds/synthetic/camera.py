"""The synthetic camera: a drawn scene at its own frame rate, which can drift and fail on request."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass

import numpy as np

from agent.cameras.kinds.synthetic.drawing.backdrops import LAYOUTS
from agent.cameras.kinds.synthetic.drawing.disturbances import DISTURBANCES, apply
from agent.cameras.kinds.synthetic.drawing.scene import Scene
from agent.config.fields import setting
from agent.core import clock
from agent.core.errors import CameraError, CameraFailure, ConfigError
from agent.core.nearest import nearest
from agent.core.types import Frame, Image

_ENTRY = re.compile(r"\s*([a-z_]+)\s*@\s*([0-9.]+)\s*(?:-\s*([0-9.]+)\s*)?(?::\s*([0-9.]+)\s*)?")
_FORM = '"NAME@FROM-TO:STRENGTH" in seconds, such as "fog@60-120:0.5"; TO and STRENGTH may be left out'


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One disturbance from `start` to `end` (seconds since the camera started), `strength` 0..1."""

    name: str
    start: float
    end: float
    strength: float


def parse_episode(text: str) -> Episode:
    """An entry of the option `drift`; raises ConfigError."""
    match = _ENTRY.fullmatch(text)
    if not match:
        raise ConfigError(f"is {text!r}", key="drift", expected=_FORM)
    name, start, end = match[1], float(match[2]), float(match[3] or "inf")
    strength = float(match[4] or 1.0)
    _check_disturbance(name)
    if end <= start or not 0 < strength <= 1:
        raise ConfigError(
            f"is {text!r}", key="drift", expected="an end after the start, a strength above 0 and at most 1"
        )
    return Episode(name=name, start=start, end=end, strength=strength)


def _check_disturbance(name: str) -> None:
    if name not in DISTURBANCES:
        raise ConfigError(
            f"unknown disturbance {name!r}",
            key="drift",
            expected=f"one of {', '.join(DISTURBANCES)}",
            nearest=nearest(name, DISTURBANCES),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticOptions:
    """Settings of a synthetic camera."""

    layout: str = setting("street", choices=tuple(LAYOUTS), doc="The scene to draw.")
    seed: int = setting(
        1, minimum=0, doc="Seed of the drawing; another seed gives another scene of the same kind."
    )
    width: int = setting(640, minimum=64, maximum=4096, doc="Width in pixels.")
    height: int = setting(360, minimum=64, maximum=4096, doc="Height in pixels.")
    fps: float = setting(5.0, minimum=0.1, maximum=240, doc="Frames a second.")
    pace: str = setting(
        "real", choices=("real", "fast"), doc="real: at its fps; fast: as fast as the model can."
    )
    length: float = setting(
        0.0, kind="duration", minimum=0, doc="Time after which the camera ends; 0: never."
    )
    day_length: float = setting(86400.0, kind="duration", minimum=1, doc="Length of a drawn day.")
    start_hour: float = setting(12.0, minimum=0, maximum=24, doc="Hour of the drawn day at the start.")
    drift: tuple[str, ...] = setting((), doc=f"What happens to the frame and when: {_FORM}.")

    def __post_init__(self) -> None:
        for entry in self.drift:
            parse_episode(entry)


class SyntheticCamera:
    """Draws `options.layout`; `set_disturbance` may be called from any thread while it runs."""

    Options = SyntheticOptions

    def __init__(self, name: str, options: SyntheticOptions) -> None:
        self.name, self.options = name, options
        self.lossless = options.pace == "fast"
        self._episodes = [parse_episode(entry) for entry in options.drift]
        self._switched: dict[str, float] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._scene: Scene | None = None
        self._index = 0
        self._started = 0.0
        self._last: Image | None = None

    def open(self) -> None:
        """Paint the backdrop (some tenths of a second)."""
        options = self.options
        self._scene = Scene(options.layout, options.seed, options.width, options.height)
        self._closed.clear()
        self._index, self._last = 0, None
        self._started = clock.monotonic()

    def read(self) -> Frame | None:
        """The next frame, when it is due; None after `length`."""
        if self._scene is None:
            raise CameraError(f"camera {self.name!r} is not open", kind=CameraFailure.DEVICE_GONE)
        at = self._index / self.options.fps
        if self.options.length and at >= self.options.length:
            return None
        if not self.lossless:
            self._wait_until(self._started + at)
        began = clock.monotonic()
        image = self._picture(self._scene, at)
        image.setflags(write=False)
        frame = Frame(
            camera=self.name,
            index=self._index,
            image=image,
            captured_at=clock.unix_now(),
            monotonic_ns=clock.monotonic_ns(),
            decode_seconds=clock.monotonic() - began,
            media_seconds=at,
        )
        self._index += 1
        return frame

    def close(self) -> None:
        """End a waiting `read`; may be called twice."""
        self._closed.set()
        self._scene = None

    def set_disturbance(self, name: str, strength: float) -> None:
        """Switch a disturbance on (0..1) or off (0) from the next frame on."""
        _check_disturbance(name)
        with self._lock:
            self._switched[name] = min(1.0, max(0.0, strength))

    def _wait_until(self, due: float) -> None:
        late = clock.monotonic() - due
        if late > 1.0:  # the machine slept or is too slow: go on from now instead of hurrying after
            self._started += late
        elif late < 0 and self._closed.wait(-late):
            raise CameraError(f"camera {self.name!r} was closed", kind=CameraFailure.DEVICE_GONE)

    def _strengths(self, at: float) -> dict[str, float]:
        strengths = {e.name: e.strength for e in self._episodes if e.start <= at < e.end}
        with self._lock:
            return {**strengths, **{name: value for name, value in self._switched.items() if value > 0}}

    def _picture(self, scene: Scene, at: float) -> Image:
        strengths = self._strengths(at)
        if "frozen" in strengths and self._last is not None:
            return np.array(self._last)
        hour = self.options.start_hour + at / self.options.day_length * 24
        drawn = scene.draw(
            at,
            hour,
            self._index,
            strangers=strengths.get("other_objects", 0.0),
            noise=1 + 3 * strengths.get("noise", 0.0),
        )
        self._last = apply(drawn.image, strengths)
        return self._last
