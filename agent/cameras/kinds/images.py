"""A folder of images, played as a camera.

The folder may change: it is listed again after the last image. New images are then played, removed ones passed over.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

from agent.cameras.stamping import stamped
from agent.config.fields import setting
from agent.core import clock
from agent.core.errors import CameraError, CameraFailure
from agent.core.image_file import read_image
from agent.core.types import Frame
from agent.core.untrusted import BadInput

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".avif", ".tif", ".tiff", ".ppm", ".pgm"}
)
_NAMED = frozenset(
    {".heic", ".heif"}
)  # which cannot be read: they are failures with their mend, and not passed over

# Seconds after its last change in which an image that cannot be read may still be being written, as cameras do by FTP.
WRITTEN_SECONDS, LOOK_SECONDS = 5.0, 0.5
_INDEX_FOLDER = "@eaDir"  # in which a Synology keeps its thumbnails

log = structlog.get_logger("vedette.cameras")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesOptions:
    """Which images, and how they are played."""

    path: str = setting(kind="path", doc="Folder of images (or one image).", example='"pictures/"')
    glob: str = setting("*", doc='Which files of the folder, e.g. "*.jpg" or "**/*.png"; sorted by path.')
    fps: float = setting(1.0, minimum=0.001, maximum=1000, doc="Images a second.")
    loop: bool = setting(False, doc="Begin again after the last image, including images added meanwhile.")
    pace: str = setting(
        "real",
        choices=("real", "fast"),
        doc="real: fps images a second; fast: as fast as the model can, without dropping one.",
    )


class ImagesCamera:
    """A folder of images in the order of their paths."""

    Options = ImagesOptions

    def __init__(self, name: str, options: ImagesOptions) -> None:
        self.name, self.options = name, options
        self.lossless = options.pace == "fast"
        self.finite = not options.loop
        self.period = 1.0 / options.fps
        self._closing = threading.Event()
        self._paths: list[Path] = []
        self._next = self._index = self._failed = self._good = self._gone = 0
        self._due: float | None = None
        self._reason = ""

    def open(self) -> None:
        """List the images; raises CameraError where there are none."""
        self._paths = list_images(Path(self.options.path), self.options.glob)
        self._next = self._index = self._good = self._gone = 0
        self._due = None
        self._closing.clear()

    def read(self) -> Frame | None:
        """The next image; None after the last."""
        image = self._image()
        if image is None:
            return None
        index, self._index = self._index, self._index + 1
        started = clock.monotonic()
        self._wait(started)
        return stamped(self.name, index, image, media_seconds=index / self.options.fps)

    def close(self) -> None:
        """Stop playing; ends a wait in another thread."""
        self._closing.set()
        self._paths = []

    def take_failed(self) -> int:
        """How many images could not be read since the last call."""
        count, self._failed = self._failed, 0
        return count

    def _image(self) -> NDArray[np.uint8] | None:
        while True:
            paths = self._paths
            if self._closing.is_set() or not paths:
                raise CameraError(f"camera '{self.name}' is not open", kind=CameraFailure.OTHER)
            if self._next >= len(paths):
                if not self._go_on():
                    return None
                continue
            path, self._next = paths[self._next], self._next + 1
            try:
                image = read_image(path)
            except BadInput as error:
                if not path.exists():  # removed since the folder was listed
                    self._gone += 1
                    continue
                if _is_being_written(path):
                    self._put_off(path)
                    continue
                self._failed += 1
                self._reason = self._reason or f"{path.name} {error}"
                log.warning(
                    "image cannot be read, skipped", camera=self.name, file=str(path), reason=str(error)
                )
            else:
                self._good += 1
                return image

    def _put_off(self, path: Path) -> None:
        """Play `path` after the others; wait a moment where there are none."""
        if self._next >= len(self._paths) and self._closing.wait(LOOK_SECONDS):
            raise CameraError(f"camera '{self.name}' was closed", kind=CameraFailure.OTHER)
        self._paths = [*self._paths[: self._next - 1], *self._paths[self._next :], path]
        self._next -= 1

    def _go_on(self) -> bool:
        """List the folder anew: images that were added come next, else the first again, if that is wished.

        Raises CameraError where none was readable, or none is left.
        """
        added = sorted(set(self._listed()) - set(self._paths))
        if added:
            self._paths = [*self._paths, *added]
            return True
        return self._rewind()

    def _listed(self) -> list[Path]:
        """The images there are now; none where the folder is not there."""
        try:
            return list_images(Path(self.options.path), self.options.glob)
        except CameraError:
            return []

    def _rewind(self) -> bool:
        if self._good == 0 and self._gone < len(self._paths):
            raise CameraError(
                f"none of the {len(self._paths)} images in {self.options.path} can be read; the first: {self._reason}",
                kind=CameraFailure.CODEC,
            )
        if self.options.loop:
            self._paths = list_images(Path(self.options.path), self.options.glob)
            self._next = self._good = self._gone = 0
        return self.options.loop

    def _wait(self, now: float) -> None:
        if self.lossless:
            return
        if self._due is None or now - self._due > self.period:  # the first, or too late to catch up
            self._due = now
        if self._due > now and self._closing.wait(self._due - now):
            raise CameraError(f"camera '{self.name}' was closed", kind=CameraFailure.OTHER)
        self._due += self.period


def list_images(folder: Path, glob: str) -> list[Path]:
    """The images of `folder`, sorted by path; raises CameraError where there are none."""
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise CameraError(f"there is no folder {folder}; check the path", kind=CameraFailure.NOT_FOUND)
    try:
        found = [path for path in folder.glob(glob) if _is_image(path, folder)]
    except (OSError, ValueError, NotImplementedError) as error:
        raise CameraError(
            f"cannot list {glob!r} in {folder}: {error}", kind=CameraFailure.NOT_FOUND
        ) from None
    if not found:
        raise CameraError(
            f"no image matches {glob!r} in {folder}; images end in {', '.join(sorted(SUFFIXES))}",
            kind=CameraFailure.NOT_FOUND,
        )
    return sorted(found)


def _is_image(path: Path, folder: Path) -> bool:
    """Whether `path` is a file to play: none that is hidden (as a Mac's `._NAME` is), nor in a hidden folder."""
    if path.suffix.lower() not in SUFFIXES | _NAMED:
        return False
    below = path.parts[len(folder.parts) :]
    hidden = any((part.startswith(".") and part != "..") or part == _INDEX_FOLDER for part in below)
    return not hidden and path.is_file()


def _is_being_written(path: Path) -> bool:
    try:
        return 0.0 <= clock.unix_now() - path.stat().st_mtime < WRITTEN_SECONDS
    except OSError:
        return False
