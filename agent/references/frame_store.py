"""Small frames on disk that show what a camera's reference was recorded of: bounded, as PNG.

They are images of people: privacy masks are black in them, for the camera draws them before anything else gets a frame;
only the agent's user may read them (mode 0600). A file's name holds its time and the mark of the areas that were left
out: when those change, it is deleted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path

import cv2
import numpy as np
import structlog
from numpy.typing import NDArray

from agent.core.image_file import read_image
from agent.core.polygon import Polygon
from agent.core.state_dir import write_atomic
from agent.core.untrusted import BadInput
from agent.references.store import SIGNATURES, ReferenceStore

log = structlog.get_logger("vedette.drift")

FOLDER = "frames"
MOST_FRAMES = 24
"""Of the reference in force; as many again of one that is being recorded."""

LARGEST_BYTES = 8 * 1024 * 1024
"""Of MOST_FRAMES; noise alone makes a frame of 640 x 360 larger than a third of a megabyte."""

Hidden = tuple[Polygon, ...]
"""Areas that are left out of a frame: its privacy and ignore masks."""

_NAME = re.compile(r"(\d{1,16})-([0-9a-f]{8})\.png")  # a box without a clock begins in 1970: few digits


@dataclass(frozen=True, slots=True)
class NormalSpan:
    """From when to when (Unix times) frames show what is normal."""

    start: float
    end: float

    def holds(self, at: float) -> bool:
        """Whether a moment lies in it."""
        return self.start <= at <= self.end

    def meets(self, other: NormalSpan) -> bool:
        """Whether a moment lies in both."""
        return self.start <= other.end and other.start <= self.end


ALWAYS = NormalSpan(0.0, inf)


class FrameStore:
    """The frames of all cameras, below their references. Stateless: every call reads the disk."""

    def __init__(self, store: ReferenceStore) -> None:
        self._store = store

    def put(
        self,
        camera: str,
        mark: str,
        at: float,
        image: NDArray[np.uint8],
        *,
        kept: NormalSpan | None,
        since: float,
    ) -> None:
        """Keep a frame (H, W, 3) of Unix time `at`; OSError.

        Frames since `since` belong to the recording under way: of more than MOST_FRAMES or LARGEST_BYTES those
        are deleted that lie closest. Of older ones those in `kept` stay, the span of the reference in force.
        """
        folder = self._folder(camera)
        encoded = cv2.imencode(".png", image)[1]
        write_atomic(folder / f"{round(1000 * at)}-{mark}.png", encoded.tobytes())
        times = self._times(folder)
        new = [(path, time) for path, time in times if time >= since]
        old = [(path, time) for path, time in times if time < since and kept is not None and kept.holds(time)]
        stay = {*_bounded(new), *_bounded(old)}
        for path, _ in times:
            if path not in stay:
                path.unlink(missing_ok=True)

    def names(self, camera: str, span: NormalSpan, most: int) -> list[str]:
        """At most `most` frames of a span, evenly chosen, in the order of time."""
        found = [path.name for path, time in self._times(self._folder(camera)) if span.holds(time)]
        if len(found) <= most:
            return found
        return [found[round(place)] for place in np.linspace(0, len(found) - 1, most)]

    def read(self, camera: str, names: list[str]) -> list[NDArray[np.uint8]]:
        """The frames of these names that can be read, of the commonest size alone.

        Those that cannot are deleted: they would keep others from their place for good.
        """
        found = [_read(self._folder(camera) / name) for name in names]
        images = [each for each in found if not isinstance(each, str)]
        unreadable = [each for each in found if isinstance(each, str)]
        if unreadable:
            log.warning(
                "kept frames could not be read: they are deleted, and others are kept in time",
                camera=camera,
                frames=len(unreadable),
                first=unreadable[0],
            )
        shapes = [each.shape for each in images]
        return [each for each in images if each.shape == max(shapes, key=shapes.count)]

    def keep_only(self, hidden: Mapping[str, Hidden | None]) -> None:
        """Delete the frames of all other cameras, and those in which other areas are hidden; OSError."""
        for camera in self._store.cameras():
            areas = hidden.get(camera)
            if areas is None:
                self.clear(camera)
            else:
                self._delete_others(camera, mark_of(areas))

    def _delete_others(self, camera: str, mark: str) -> None:
        """Delete the frames of a camera with another mark, and what was learnt of them."""
        self._delete(
            camera, [path for path, _ in self._times(self._folder(camera)) if not path.stem.endswith(mark)]
        )

    def clear(self, camera: str) -> None:
        """Delete all frames of a camera, and what was learnt of them; OSError."""
        self._delete(camera, [path for path, _ in self._times(self._folder(camera))])
        self._store.delete(camera, SIGNATURES)

    def _delete(self, camera: str, paths: list[Path]) -> None:
        if paths:
            self._store.delete(camera, SIGNATURES)
        for path in paths:
            path.unlink(missing_ok=True)

    def _folder(self, camera: str) -> Path:
        return self._store.folder(camera) / FOLDER

    def _times(self, folder: Path) -> list[tuple[Path, float]]:
        if not folder.is_dir() or folder.is_symlink():
            return []
        found = [(path, _NAME.fullmatch(path.name)) for path in folder.iterdir()]
        times = [(path, int(match[1]) / 1000) for path, match in found if match]
        return sorted(times, key=lambda each: each[1])


def mark_of(hidden: Hidden) -> str:
    """Eight hexadecimal digits that change with the areas that are left out of a frame."""
    return hashlib.sha256(repr(hidden).encode()).hexdigest()[:8]


def mark_in(name: str) -> str:
    """The mark in a frame's name."""
    return name[-12:-4]


def _read(path: Path) -> NDArray[np.uint8] | str:
    """The frame in a file; where it cannot be read it is deleted, and this says why."""
    try:
        return read_image(path)
    except BadInput as error:
        with suppress(OSError):
            path.unlink()
        return f"{path.name} {error}"


def _bounded(frames: list[tuple[Path, float]]) -> list[Path]:
    """At most MOST_FRAMES and LARGEST_BYTES of frames in the order of time: the first, the last, and even steps."""
    sizes = {path: path.stat().st_size for path, _ in frames}
    while len(frames) > MOST_FRAMES or sum(sizes[path] for path, _ in frames) > LARGEST_BYTES:
        times = np.array([time for _, time in frames])
        del frames[1 + int(np.argmin(times[2:] - times[:-2]))]
    return [path for path, _ in frames]
