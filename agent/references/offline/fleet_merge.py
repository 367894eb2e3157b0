"""A fleet's sketches as one: the messages of many devices and windows, merged where they compare. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core.kll import Sketch
from agent.core.printable import printable
from agent.core.untrusted import BadInput, parse_object, take_integer, take_number, take_text
from agent.drift.reference import Reference
from agent.drift.sketch import WindowSketch, merge
from agent.references.offline.compare import distances

MOST_GROUPS = 64
MOST_SOURCES = 5000
MOST_SEEN = 200_000  # messages that are remembered, to know again what comes twice
MOST_FEATURES = 512
LONGEST_SKETCH = 64 * 1024  # characters: some 12,000 values
NAME = 80  # characters of a name that are kept
LATEST = 253402300799.0  # the end of the year 9999
RANKS = (0.01, 0.1, 0.5, 0.9, 0.99)


@dataclass(slots=True, eq=False)
class Group:
    """What was merged of one model and one version of the features; `sources` are device/camera."""

    model_sha256: str
    feature_version: str
    window: WindowSketch | None = None
    windows: int = 0
    sources: set[str] = field(default_factory=set)


class Merger:
    """Takes messages in one by one; what is no sketch message is counted, a message that comes twice is taken once.

    No message raises, and memory is bounded: so many groups, sources and messages; what is beyond is `left_out`.
    """

    def __init__(self) -> None:
        self.groups: dict[tuple[str, str], Group] = {}
        self.others = self.damaged = self.twice = self.left_out = 0
        self._seen: dict[tuple[str, str, int], None] = {}

    def process(self, payload: bytes | str) -> None:
        """Take one payload in."""
        try:
            body = parse_object(payload)
            if not take_text(body, "schema", "").startswith("sketch/"):
                self.others += 1
                return
            key, model = _identity(body)
            window = _window(body)
        except ValueError:  # BadInput is one
            self.damaged += 1
            return
        if key in self._seen:  # delivered at least once means sometimes twice
            self.twice += 1
            return
        self._seen[key] = None
        if len(self._seen) > MOST_SEEN:
            del self._seen[next(iter(self._seen))]
        self._add(window, model, f"{key[0]}/{window.camera}", take_merged(body))

    def _add(self, window: WindowSketch, model: str, source: str, merged: int) -> None:
        group = self.groups.get((model, window.feature_version))
        if group is None:
            if len(self.groups) >= MOST_GROUPS:
                self.left_out += 1
                return
            group = Group(model, window.feature_version)
        try:
            together = window if group.window is None else _merged(group.window, window)
        except (ValueError, OverflowError):
            self.damaged += 1
            return
        if len(together.features) > MOST_FEATURES:
            self.damaged += 1
            return
        group.window = together
        self.groups[model, window.feature_version] = group
        group.windows += merged
        if len(group.sources) < MOST_SOURCES:
            group.sources.add(source)

    def hear_lines(self, lines: Iterable[bytes | str]) -> None:
        """Take a recording in: a payload a line, as `mosquitto_sub` prints them, with or without the topic before."""
        for line in lines:
            text = line.decode(errors="replace") if isinstance(line, bytes) else line
            begin = text.find("{")
            if begin >= 0:
                self.process(text[begin:])


def _identity(body: Mapping[str, Any]) -> tuple[tuple[str, str, int], str]:
    """(device, boot, seq) and the model's sha256, printable; raises BadInput."""
    take_merged(body)
    device, boot, model = (
        printable(take_text(body, name), NAME) for name in ("device", "boot", "model_sha256")
    )
    return (device, boot, take_integer(body, "seq", minimum=0)), model


def take_merged(body: Mapping[str, Any]) -> int:
    """How many windows are in the message; raises BadInput."""
    found: int = take_integer(body, "merged", 1, minimum=1, maximum=10**6)
    return found


def _window(body: Mapping[str, Any]) -> WindowSketch:
    """The window in `body`, its names printable and its numbers such that many can be added; raises ValueError."""
    take_integer(body, "frames_sampled", minimum=0, maximum=10**9)
    for name in body:
        if name.endswith("_count"):
            take_integer(body, name, minimum=0, maximum=10**12)
        elif name.endswith("_step_mean"):
            take_number(body, name, None, minimum=0, maximum=1e30)
        elif name.endswith("_kll"):
            take_text(body, name, longest=LONGEST_SKETCH)
    if sum(name.endswith("_kll") for name in body) > MOST_FEATURES or len(body) > 10 * MOST_FEATURES:
        raise BadInput(f"more than {MOST_FEATURES} features")
    for name in ("start", "end"):
        if not isinstance(body.get(name), str):
            take_number(body, name, minimum=0, maximum=LATEST)
    window = WindowSketch.from_body(body)
    return replace(
        window,
        camera=printable(take_text(body, "camera"), NAME),
        feature_version=printable(take_text(body, "feature_version"), NAME),
        features=tuple(printable(name, NAME) for name in window.features),
    )


def _merged(first: WindowSketch, second: WindowSketch) -> WindowSketch:
    """Both in one; a feature that only one of them saw (a camera without any box) is taken from that one."""
    names = tuple(dict.fromkeys((*first.features, *second.features)))
    return merge(_with(first, names), _with(second, names))


def _with(window: WindowSketch, names: tuple[str, ...]) -> WindowSketch:
    if window.features == names:
        return window
    place = {name: number for number, name in enumerate(window.features)}
    steps = [window.steps[place[name]] if name in place else np.nan for name in names]
    pairs = [window.pairs[place[name]] if name in place else 0 for name in names]
    return WindowSketch(
        camera=window.camera,
        start=window.start,
        end=window.end,
        features=names,
        feature_version=window.feature_version,
        frames=window.frames,
        sketches=tuple(window.sketches[place[name]] if name in place else Sketch() for name in names),
        steps=np.array(steps, dtype=np.float32),
        pairs=np.array(pairs, dtype=np.int32),
        classes=window.classes,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FleetRow:
    """One feature of a group: quantiles (5,) at RANKS, how many values; KS and PSI, NaN without a reference."""

    feature: str
    count: int
    quantiles: NDArray[np.float64]
    normal: NDArray[np.float64] | None
    ks: float
    psi: float


def rows(group: Group, reference: Reference | None = None) -> list[FleetRow]:
    """The features of a group, against `reference` those that differ most first.

    ReferenceMismatch where the reference belongs to another model or other features.
    """
    window = group.window
    if window is None:
        return []
    if reference is not None:
        reference.check(
            model_sha256=group.model_sha256,
            feature_version=group.feature_version,
            features=reference.origin.features,
        )
    made = []
    for name, sketch in zip(window.features, window.sketches, strict=True):
        known = reference is not None and name in reference.origin.features
        normal = reference.whole(name) if reference is not None and known else None
        ks, psi = distances(normal, sketch) if normal is not None else (float("nan"), float("nan"))
        made.append(
            FleetRow(
                feature=name,
                count=sketch.count,
                quantiles=sketch.quantiles(RANKS),
                normal=None if normal is None else normal.quantiles(RANKS),
                ks=ks,
                psi=psi,
            )
        )
    return sorted(made, key=lambda row: -np.nan_to_num(row.ks)) if reference is not None else made
