"""The fleet: the cameras that are watched, how each stands, and what of them is added, changed and removed.

Laws
----
1. What is watched is one value, replaced as a whole by whoever changes it: a start, a reload, one at a time. All
   others read it once and see it before or after a change, never amid one.
2. A camera that is changed is another one from then on. Frames and states of the earlier one carry its time, and
   count for nothing.
3. Only a source that came to its end by itself is finished; a camera that is stopped or replaced is not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from agent.app.supervisor import Supervisor
from agent.cameras import Camera
from agent.cameras.isolation.quarantine import camera_for
from agent.cameras.reader import Reader, ReaderCounts
from agent.config.schema import CameraSettings, DriftSettings, Settings
from agent.core import clock
from agent.core.frame_slots import FrameSlots
from agent.core.types import CameraState, CameraStatus, Frame
from agent.pipeline.analyst import ActiveCameras, CameraRun
from agent.pipeline.camera_window import FrameCounts

log = structlog.get_logger("vedette.cameras")

LEAVE_SECONDS = 4.0
"""How long all cameras that are stopped together may take; a reader needs two where its camera hangs."""

_NOT_FLOWING = frozenset({CameraState.STARTING, CameraState.DOWN, CameraState.ENDED})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ActiveCamera(CameraRun):
    """An incarnation with what reads it."""

    camera: Camera
    reader: Reader
    still_interval: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraChanges:
    """What a change did, in words, and why a camera could not be started, by name."""

    said: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


class CameraSet:
    """Each camera is read by a part of its own.

    `told` gets each change of a camera's state, with its incarnation's `since_ns`, in the reader's thread; `cast` gets
    what is watched whenever that changed, before the new cameras are read.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        slots: FrameSlots,
        state_directory: Path,
        *,
        told: Callable[[CameraStatus, int], None],
        cast: Callable[[ActiveCameras], None],
    ) -> None:
        self._supervisor, self._slots, self._state_directory = supervisor, slots, state_directory
        self._told, self._cast = told, cast
        self._watched: Mapping[str, ActiveCamera] = {}

    # -- what changes it ----------------------------------------------------------------------------------------

    def start(self, settings: Settings) -> None:
        """Watch every camera that is enabled."""
        new = [(one, camera_for(one, self._state_directory)) for one in settings.cameras if one.enabled]
        self._put({one.name: self._made(one, camera, settings.drift) for one, camera in new})
        for one in self._watched.values():
            self._supervisor.add(one.reader)

    def change(
        self, old: Settings, new: Settings, cameras: Sequence[tuple[CameraSettings, Camera]]
    ) -> CameraChanges:
        """Touch only what differs; `cameras` are the enabled ones that are new or differ."""
        before = {camera.name: camera for camera in old.cameras}
        after = {camera.name: camera for camera in new.cameras}
        touched = [name for name in before if after.get(name) != before[name]]
        self._stop([name for name in touched if name in self._watched])
        fresh = {one.name: self._made(one, camera, new.drift) for one, camera in cameras}
        merged = {name: one for name, one in self._watched.items() if name not in touched} | fresh
        self._put({name: merged[name] for name in after if name in merged})
        return CameraChanges(
            said=[
                *(f"camera {name} {'changed' if name in after else 'removed'}" for name in touched),
                *(f"camera {name} added" for name in after if name not in before),
            ],
            failed=self._begin(fresh),
        )

    def stop(self, left: Callable[[], float]) -> list[str]:
        """Read no more, in `left()` seconds; the parts that did not end in time."""
        names = [one.reader.name for one in self._watched.values()]
        return self._supervisor.remove_all(names, min(LEAVE_SECONDS, left()))

    def _made(self, settings: CameraSettings, camera: Camera, drift: DriftSettings) -> ActiveCamera:
        since_ns = clock.monotonic_ns()
        reader = Reader(camera, settings, self._slots, partial(self._tell, since_ns))
        return ActiveCamera(
            name=settings.name,
            since_ns=since_ns,
            status=lambda: reader.status,
            take_counts=lambda: _frame_counts(reader.take_counts()),
            camera=camera,
            reader=reader,
            still_interval=still_interval(settings, drift),
        )

    def _tell(self, since_ns: int, status: CameraStatus) -> None:
        self._told(status, since_ns)

    def _put(self, watched: Mapping[str, ActiveCamera]) -> None:
        self._watched = watched
        self._cast(watched)

    def _stop(self, names: Collection[str]) -> None:
        """Have cameras read no more, all at once; those that hang are left alone."""
        readers = [self._watched[name].reader.name for name in names]
        if late := self._supervisor.remove_all(readers, LEAVE_SECONDS):
            log.warning("cameras did not end in time, left alone", parts=",".join(late))
        for name in names:
            self._slots.forget(name)

    def _begin(self, fresh: Mapping[str, ActiveCamera]) -> dict[str, str]:
        """Have new cameras read; those for which that cannot be are not watched."""
        failed: dict[str, str] = {}
        for name, one in fresh.items():
            try:
                self._supervisor.add(one.reader)
            except Exception as error:  # noqa: BLE001, PERF203  (a camera that cannot start stops no other)
                failed[name] = str(error) or type(error).__name__
        if failed:
            self._put({name: one for name, one in self._watched.items() if name not in failed})
        return failed

    # -- how it stands ------------------------------------------------------------------------------------------

    @property
    def names(self) -> list[str]:
        """The cameras that are watched."""
        return list(self._watched)

    @property
    def statuses(self) -> list[CameraStatus]:
        """Last known status of each camera, sorted by name."""
        known = [one.reader.status for _, one in sorted(self._watched.items())]
        return [status for status in known if status is not None]

    def camera(self, name: str) -> Any:
        """The camera object `name` (the demo switches disturbances on it)."""
        return self._watched[name].camera

    def flowing(self) -> int:
        """How many cameras give frames."""
        statuses = [one.reader.status for one in self._watched.values()]
        return sum(status is not None and status.state not in _NOT_FLOWING for status in statuses)

    def online(self) -> int:
        """How many cameras give good frames."""
        return sum(status.state is CameraState.ONLINE for status in self.statuses)

    def watches(self, frame: Frame) -> bool:
        """Whether a frame is of a camera as it is watched now, not of one that was removed or changed since."""
        watched = self._watched.get(frame.camera)
        return watched is not None and frame.monotonic_ns >= watched.since_ns

    def still_interval(self, name: str) -> float:
        """How often, in seconds, a still scene of a camera goes through the model; 0: every frame does."""
        watched = self._watched.get(name)
        return 0.0 if watched is None else watched.still_interval

    def ended(self) -> bool:
        """Whether every camera's source is finished for good: at its end, or a file that is damaged."""
        watched = self._watched.values()
        return bool(watched) and all(one.reader.finished for one in watched)

    def damaged(self) -> list[str]:
        """Cameras whose source was finished before its regular end."""
        return [
            name
            for name, one in self._watched.items()
            if (status := one.reader.status) is not None and status.state is not CameraState.ENDED
        ]


def _frame_counts(counts: ReaderCounts) -> FrameCounts:
    return FrameCounts(
        seen=counts.seen, failed=counts.failed, reconnects=counts.reconnects, skipped=counts.skipped
    )


def still_interval(camera: CameraSettings, drift: DriftSettings) -> float:
    """How often, in seconds, a still scene goes through the model: as features need it, at the least; 0: always."""
    return min(camera.motion_gate, 1 / drift.feature_fps) if drift.enabled else camera.motion_gate
