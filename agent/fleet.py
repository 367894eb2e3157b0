"""The fleet: the cameras that are watched, how each stands, and what of them is added, changed and removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.board import FrameBoard
from agent.cameras import Camera
from agent.cameras.quarantine import camera_for
from agent.cameras.reader import Reader, ReaderCounts
from agent.config.schema import CameraSettings, DriftSettings, Settings
from agent.supervisor import Supervisor
from agent.types import CameraState, CameraStatus

_NOT_FLOWING = frozenset({CameraState.STARTING, CameraState.DOWN, CameraState.ENDED})


@dataclass(frozen=True, slots=True)
class _Watched:
    camera: Camera
    reader: Reader
    still_interval: float


class Fleet:
    """Each camera is read by a part of its own; `told` gets each change of a camera's state, in the reader's thread.

    `gone` is called with the name of each camera that was removed, once it is read no more.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        board: FrameBoard,
        state_directory: Path,
        *,
        told: Callable[[CameraStatus], None],
        gone: Callable[[str], None],
    ) -> None:
        self._supervisor, self._board, self._state_directory = supervisor, board, state_directory
        self._told, self._gone = told, gone
        self._watched: dict[str, _Watched] = {}
        self._statuses: dict[str, CameraStatus] = {}

    # -- what changes it ----------------------------------------------------------------------------------------

    def start(self, settings: Settings) -> None:
        """Watch every camera that is enabled."""
        for camera in settings.cameras:
            if camera.enabled:
                self._watch(camera, camera_for(camera, self._state_directory), settings.drift)

    def change(
        self, old: Settings, new: Settings, cameras: Sequence[tuple[CameraSettings, Camera]]
    ) -> list[str]:
        """Touch only what differs; `cameras` are the enabled ones that are new or differ. Says what was changed."""
        before = {camera.name: camera for camera in old.cameras}
        after = {camera.name: camera for camera in new.cameras}
        said = []
        for name, camera_before in before.items():
            if after.get(name) != camera_before:
                if name in self._watched:
                    self._remove(name)
                said.append(f"camera {name} {'changed' if name in after else 'removed'}")
        for settings, camera in cameras:
            self._watch(settings, camera, new.drift)
        return said + [f"camera {name} added" for name in after if name not in before]

    def stop(self, left: Callable[[], float]) -> list[str]:
        """Read no more, in `left()` seconds; the parts that did not end in time."""
        return [
            watched.reader.name
            for watched in self._watched.values()
            if not self._supervisor.remove(watched.reader.name, min(2.0, left()))
        ]

    def note(self, status: CameraStatus) -> bool:
        """Keep how a camera stands; False for one that is gone."""
        if status.camera not in self._watched:
            return False
        self._statuses[status.camera] = status
        return True

    def _watch(self, settings: CameraSettings, camera: Camera, drift: DriftSettings) -> None:
        reader = Reader(camera, settings, self._board, self._told)
        self._watched[settings.name] = _Watched(camera, reader, still_interval(settings, drift))
        self._supervisor.add(reader)

    def _remove(self, name: str) -> None:
        self._supervisor.remove(self._watched[name].reader.name)
        self._board.forget(name)
        self._watched.pop(name, None)
        self._statuses.pop(name, None)
        self._gone(name)

    # -- how it stands ------------------------------------------------------------------------------------------

    @property
    def names(self) -> list[str]:
        """The cameras that are watched."""
        return list(self._watched)

    @property
    def statuses(self) -> list[CameraStatus]:
        """How each stands of which something is known, by name."""
        return [status for _, status in sorted(self._statuses.items())]

    def camera(self, name: str) -> Any:
        """The camera object `name` (the demo switches disturbances on it)."""
        return self._watched[name].camera

    def flowing(self) -> int:
        """How many cameras give frames."""
        return sum(status.state not in _NOT_FLOWING for status in list(self._statuses.values()))

    def online(self) -> int:
        """How many cameras give good frames."""
        return sum(status.state is CameraState.ONLINE for status in list(self._statuses.values()))

    def take_counts(self, name: str) -> ReaderCounts | None:
        """What was counted of a camera since the last call; None for one that is gone."""
        return self._watched[name].reader.take_counts() if name in self._watched else None

    def still_interval(self, name: str) -> float:
        """How often, in seconds, a still scene of a camera goes through the model; 0: every frame does."""
        return self._watched[name].still_interval if name in self._watched else 0.0

    def ended(self) -> bool:
        """Whether every camera's source is finished for good: at its end, or a file that is damaged."""
        names = [watched.reader.name for watched in list(self._watched.values())]
        return bool(names) and self._supervisor.all_done(names)

    def damaged(self) -> list[str]:
        """Cameras whose source was finished before its regular end."""
        return [
            name
            for name, watched in self._watched.items()
            if (status := watched.reader.status) is not None and status.state is not CameraState.ENDED
        ]


def still_interval(camera: CameraSettings, drift: DriftSettings) -> float:
    """How often, in seconds, a still scene goes through the model: as features need it, at the least; 0: always."""
    return min(camera.motion_gate, 1 / drift.feature_fps) if drift.enabled else camera.motion_gate
