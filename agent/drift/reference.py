"""References: what a camera's features look like when all is well, and the limits that follow.

A reference is a value: sketches by hour of day, what windows usually hold, and the calibration. It is bound to the
model, the feature code's version, the features' names and the windows' length, and refuses to judge others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agent.core.errors import ReferenceMismatch
from agent.core.kll import Sketch
from agent.drift.calibrate import LEAST_BLOCKS, Calibration, HeldOut, assumed, calibrate
from agent.drift.contexts import HOURS, Context, Contexts, overall_spread
from agent.drift.day_kinds import hours_between, kinds_seen
from agent.drift.evidence import UsualWindow
from agent.drift.recording import KEPT_ITEMS, Recording, contexts_of, gather, hold_out, kept

FULL_DAY = 86400.0
_NEARLY = 0.97  # of a day: a recording of 24 h misses a window here and there
_LENGTHS_ALIKE = 0.1  # windows may differ from the reference's by this part of its length


KEPT_FRAMES = "kept frames"
"""How a reference was made that another model has of the old one's (carry.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a reference comes from and what it may judge.

    `made_how` is "recording", "images" or KEPT_FRAMES. Times are Unix times; `covered` is the seconds of windows it
    rests on; `utc_offset` the seconds that local time was ahead of UTC (it is no part of a reference's id).
    """

    camera: str
    model_sha256: str
    feature_version: str
    features: tuple[str, ...]
    made_how: str
    made_at: float
    start: float
    end: float
    covered: float
    window_seconds: float
    utc_offset: float = field(default=0.0, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HourNormal:
    """One hour of the day: a sketch per feature, mean log steps (F,), boxes per class of the reference (C,)."""

    sketches: tuple[Sketch, ...]
    log_steps: NDArray[np.float64]
    classes: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """What is normal for one camera and model; `hours` by hour of day (UTC), at least one.

    `any_hour` says that it has no time of day (made from images) and serves for all. `seen` are the hours since 1970
    that it rests on, empty where only its start and end are known. `provisional` is true where it covers less than a
    day, or its limits are assumed instead of learnt.
    """

    origin: Origin
    hours: Mapping[int, HourNormal]
    class_ids: tuple[int, ...]
    usual: UsualWindow
    usual_boxes: float
    calibration: Calibration
    any_hour: bool
    seen: tuple[int, ...] = ()

    @property
    def provisional(self) -> bool:
        """Whether verdicts by it are to be taken with reserve."""
        return self.any_hour or self.origin.covered < _NEARLY * FULL_DAY or not self.calibration.blocks

    @property
    def carried(self) -> bool:
        """Whether it was made of another model's reference and the frames that were kept of that."""
        return self.origin.made_how == KEPT_FRAMES

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits that change with the content."""
        content = [repr(self.origin).encode(), self.calibration.noise.tobytes()]
        # In the order in which they are stored: a recording begins at any hour.
        content += [sketch.to_bytes() for hour in sorted(self.hours) for sketch in self.hours[hour].sketches]
        return hashlib.sha256(b"".join(content)).hexdigest()[:12]

    @property
    def why_provisional(self) -> str:
        """Why its verdicts are provisional, in words; empty if they are not."""
        if not self.provisional:
            return ""
        if self.any_hour:
            return "the reference was made from images"
        hours = self.origin.covered / 3600.0
        return f"the reference covers {f'{hours:.1f} h' if hours >= 1 else f'{60 * hours:.0f} min'}"

    def kinds_seen(self) -> NDArray[np.bool_]:
        """Which hours of the day it saw enough of on weekdays and on weekends, (24, 2); all where it has no hours."""
        if self.any_hour:
            return np.ones((HOURS, 2), dtype=np.bool_)
        hours = self.seen or hours_between(self.origin.start, self.origin.end)
        return kinds_seen(hours, self.origin.utc_offset)

    def contexts(self) -> Contexts:
        """What judging needs of `hours`."""
        hours = {
            hour: Context(
                samples=[kept(sketch) for sketch in normal.sketches],
                log_steps=normal.log_steps,
                classes=normal.classes,
            )
            for hour, normal in self.hours.items()
        }
        return Contexts(hours=hours, spread=overall_spread(hours, len(self.origin.features)))

    def whole(self, feature: str) -> Sketch:
        """One sketch of a feature over all hours."""
        number = self.origin.features.index(feature)
        total = Sketch()
        for normal in self.hours.values():
            total.merge(normal.sketches[number])
        return total

    def hours_around(self, moment: float) -> list[int]:
        """The hours of day (UTC) that a moment (Unix time) is compared with: its own and the nearer one beside it."""
        hour = (moment % 86400.0) / 3600.0
        return sorted(self.hours, key=lambda each: abs((each + 0.5 - hour + 12) % 24 - 12))[:2]

    def around(self, number: int, moment: float) -> Sketch:
        """One sketch of the feature at place `number`, of the hours around a moment (Unix time)."""
        total = Sketch()
        for hour in self.hours_around(moment):
            total.merge(self.hours[hour].sketches[number])
        return total

    def check(
        self,
        *,
        model_sha256: str,
        feature_version: str,
        features: Sequence[str],
        window_seconds: float | None = None,
    ) -> None:
        """Raise ReferenceMismatch where this reference cannot judge what that model and code produce."""
        origin = self.origin
        pairs = [
            ("model", origin.model_sha256[:12], model_sha256[:12]),
            ("version of the features", origin.feature_version, feature_version),
            ("list of features", ", ".join(origin.features), ", ".join(features)),
        ]
        for what, mine, other in pairs:
            if mine != other:
                raise ReferenceMismatch(
                    f"the reference of camera {origin.camera!r} was made with another {what} "
                    f"({mine}, now {other}): record a new one"
                )
        length = origin.window_seconds
        if window_seconds is not None and abs(window_seconds - length) > _LENGTHS_ALIKE * length:
            raise ReferenceMismatch(
                f"the reference of camera {origin.camera!r} was made with windows of {length:g} s, "
                f"now they are {window_seconds:g} s: record a new one"
            )


def build(
    recording: Recording, *, camera: str, model_sha256: str, feature_version: str, now: float
) -> Reference:
    """The reference that a recording makes; ReferenceMismatch where nothing at all was recorded.

    Seven days of a minute's windows of 20 features take about five seconds and 200 MB; a day a tenth of it.
    """
    if not recording.looks:
        raise ReferenceMismatch(
            f"nothing was recorded of camera {camera!r}: there is no window with frames in it"
        )
    gathered = gather(recording)
    blocks = sorted(recording.blocks)
    contexts = contexts_of(gathered, blocks)
    held = hold_out(gathered, contexts.spread, everything=len(blocks) < LEAST_BLOCKS)
    origin = Origin(
        camera=camera,
        model_sha256=model_sha256,
        feature_version=feature_version,
        features=recording.features,
        made_how="recording",
        made_at=now,
        start=recording.starts[0],
        end=recording.starts[-1] + recording.seconds[-1],
        covered=recording.covered,
        window_seconds=gathered.window_seconds,
    )
    hours = {
        hour: HourNormal(
            sketches=tuple(_sketch_of(*samples) for samples in context.samples),
            log_steps=context.log_steps,
            classes=context.classes,
        )
        for hour, context in contexts.hours.items()
    }
    return Reference(
        origin=origin,
        hours=hours,
        class_ids=gathered.class_ids,
        usual=gathered.usual,
        usual_boxes=gathered.usual_boxes,
        calibration=_calibration(held, len(blocks)),
        any_hour=False,
        seen=tuple(blocks),
    )


def _calibration(held: HeldOut, blocks: int) -> Calibration:
    if blocks >= LEAST_BLOCKS:
        return calibrate(held)
    return assumed(held.aspects)


def _sketch_of(values: NDArray[np.float32], weights: NDArray[np.int64]) -> Sketch:
    """A sketch of a context's samples, whose ends have no weight."""
    if not values.size:
        return Sketch()
    return Sketch.evenly(values[weights > 0], float(values[0]), float(values[-1]))


def from_images(
    vectors: NDArray[np.float32],
    class_counts: Mapping[int, int],
    *,
    camera: str,
    features: Sequence[str],
    model_sha256: str,
    feature_version: str,
    window_seconds: float,
    window_frames: float,
    now: float,
) -> Reference:
    """A provisional reference from the features (N, F) of single images, with boxes counted by class.

    Images have no order in time: nothing is known of how features wander, so the limits are wide, steps from
    frame to frame are not judged, and every hour is compared with the same context. `window_frames` is how many
    sampled frames a live window will hold. ReferenceMismatch where there are no images.
    """
    if not len(vectors):
        raise ReferenceMismatch("there are no images to make a reference from")
    sketches = []
    for column in np.asarray(vectors, dtype=np.float32).T:
        sketch = Sketch()
        sketch.update(column)
        sketches.append(sketch)
    counts = np.array([sketch.count for sketch in sketches])
    width = len(sketches)
    class_ids = tuple(sorted(class_counts))
    normal = HourNormal(
        sketches=tuple(sketch.compact(4 * KEPT_ITEMS) for sketch in sketches),
        log_steps=np.full(width, np.nan),
        classes=np.array([class_counts[number] for number in class_ids], dtype=np.float64),
    )
    return Reference(
        origin=Origin(
            camera=camera,
            model_sha256=model_sha256,
            feature_version=feature_version,
            features=tuple(features),
            made_how="images",
            made_at=now,
            start=now,
            end=now,
            covered=0.0,
            window_seconds=window_seconds,
        ),
        hours={12: normal},
        class_ids=class_ids,
        usual=UsualWindow(
            counts=window_frames * counts / len(vectors), frames=float(window_frames), steps=np.zeros(width)
        ),
        usual_boxes=window_frames * sum(class_counts.values()) / len(vectors),
        calibration=assumed(np.empty((0, 3, width))),
        any_hour=True,
    )
