"""A fleet's sketches as one: the messages of many devices and windows, merged where they compare. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agent.drift.reference import Reference
from agent.drift.sketch import WindowSketch, merge
from agent.references.compare import distances
from agent.sketch import Sketch
from agent.untrusted import BadInput, parse_json

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
    """Takes messages in one by one; what is no sketch message is counted, a message that comes twice is taken once."""

    def __init__(self) -> None:
        self.groups: dict[tuple[str, str], Group] = {}
        self.others = self.damaged = self.twice = 0
        self._seen: set[tuple[str, str, int]] = set()

    def hear(self, payload: bytes | str) -> None:
        """Take one payload in."""
        try:
            body = parse_json(payload)
        except BadInput:
            self.damaged += 1
            return
        if not isinstance(body, dict) or not str(body.get("schema", "")).startswith("sketch/"):
            self.others += 1
            return
        try:
            window = WindowSketch.from_body(body)
            key = str(body["device"]), str(body["boot"]), int(body["seq"])
            model = str(body["model_sha256"])
        except (ValueError, KeyError, TypeError):
            self.damaged += 1
            return
        if key in self._seen:  # delivered at least once means sometimes twice
            self.twice += 1
            return
        self._seen.add(key)
        group = self.groups.setdefault((model, window.feature_version), Group(model, window.feature_version))
        group.windows += int(body.get("merged", 1))
        group.sources.add(f"{key[0]}/{window.camera}")
        group.window = window if group.window is None else _merged(group.window, window)

    def hear_lines(self, lines: Iterable[bytes | str]) -> None:
        """Take a recording in: a payload a line, as `mosquitto_sub` prints them, with or without the topic before."""
        for line in lines:
            text = line.decode(errors="replace") if isinstance(line, bytes) else line
            begin = text.find("{")
            if begin >= 0:
                self.hear(text[begin:])


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
