"""The active cameras: starts, changes and stops them, and knows the state of each.

Laws
----
1. The active cameras are one value that a start or a reload replaces as a whole, one at a time. Other threads read it
   once and get it before or after a change, never amid one.
2. A camera that is changed is another one from then on. Frames and states of the earlier one carry its time, and
   are ignored.
3. Only a source that came to its end by itself is finished; a camera that is stopped or replaced is not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import structlog

from agent.app.supervisor import Supervisor
from agent.cameras import Camera
from agent.cameras.isolation.quarantine import camera_for
from agent.cameras.reader import Reader, ReaderCounts
from agent.config.changes import reopened
from agent.config.schema import CameraSettings, DriftSettings, Settings
from agent.core import clock
from agent.core.camera_states import STATES
from agent.core.frame_slots import FrameSlots, SlotCounts
from agent.core.types import CameraState, CameraStatus, Frame
from agent.pipeline.analyst import ActiveCameras, CameraRun
from agent.pipeline.camera_window import FrameCounts

log = structlog.get_logger("vedette.cameras")

LEAVE_SECONDS = 4.0
"""How long all cameras that are stopped together may take; a reader needs two where its camera hangs."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ActiveCamera(CameraRun):
    """A camera's run with the camera object and its reader."""

    camera: Camera
    reader: Reader
    still_interval: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraChanges:
    """What was changed, as text, and why a camera could not be started, by name."""

    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


class CameraObserver(Protocol):
    """Is notified of the active cameras and their states; the analyst."""

    def status_changed(self, status: CameraStatus, since_ns: int, /) -> None:
        """A camera changed state; `since_ns` is the start of the run that it belongs to."""

    def set_cameras(self, active: ActiveCameras, /) -> None:
        """Replace the active cameras."""


class CameraSet:
    """Reads each camera by a worker of its own.

    `observer` is notified of each change of a camera's state, in the reader's thread, and of the active
    cameras whenever they change, before the new ones are read.
    """

    def __init__(
        self, supervisor: Supervisor, slots: FrameSlots, state_directory: Path, observer: CameraObserver
    ) -> None:
        self._supervisor, self._slots, self._state_directory = supervisor, slots, state_directory
        self._observer = observer
        self._active: Mapping[str, ActiveCamera] = {}

    # -- changes ------------------------------------------------------------------------------------------------

    def start(self, settings: Settings) -> None:
        """Start every camera that is enabled."""
        new = [(one, camera_for(one, self._state_directory)) for one in settings.cameras if one.enabled]
        self._put({one.name: self._made(one, camera, settings.drift) for one, camera in new})
        for one in self._active.values():
            self._supervisor.add(one.reader)

    def change(
        self, old: Settings, new: Settings, cameras: Sequence[tuple[CameraSettings, Camera]]
    ) -> CameraChanges:
        """Touch only what differs; `cameras` are the enabled ones that are new or have to be opened anew."""
        before = {camera.name: camera for camera in old.cameras}
        after = {camera.name: camera for camera in new.cameras}
        differing = [name for name in before if after.get(name) != before[name]]
        touched = [name for name in differing if name not in after or reopened(before[name], after[name])]
        for name in differing:
            if name in after and before[name].scope != after[name].scope:
                self._scope_differs(name, judged=new.drift.enabled)
                if (
                    name in self._active and name not in touched
                ):  # else its last frames lack the new privacy masks
                    self._active[name].reader.scope = after[name].scope
        self._stop([name for name in touched if name in self._active])
        fresh = {one.name: self._made(one, camera, new.drift) for one, camera in cameras}
        merged = {name: one for name, one in self._active.items() if name not in touched} | fresh
        self._put({name: merged[name] for name in after if name in merged})
        return CameraChanges(
            done=[
                *(f"camera {name} {'changed' if name in after else 'removed'}" for name in differing),
                *(f"camera {name} added" for name in after if name not in before),
            ],
            failed=self._start(fresh),
        )

    def stop(self, left: Callable[[], float]) -> list[str]:
        """Stop all cameras within `left()` seconds; the names of the workers that did not end in time."""
        names = [one.reader.name for one in self._active.values()]
        return self._supervisor.remove_all(names, min(LEAVE_SECONDS, left()))

    def _made(self, settings: CameraSettings, camera: Camera, drift: DriftSettings) -> ActiveCamera:
        since_ns = clock.monotonic_ns()
        name = settings.name
        reader = Reader(
            camera, settings, self._slots, lambda status: self._observer.status_changed(status, since_ns)
        )
        return ActiveCamera(
            name=name,
            since_ns=since_ns,
            status=lambda: reader.status,
            take_counts=lambda: _frame_counts(reader.take_counts(), self._slots.take_counts(name)),
            camera=camera,
            reader=reader,
            still_interval=still_interval(settings, drift),
        )

    def _scope_differs(self, name: str, *, judged: bool) -> None:
        if judged:
            log.warning(
                "masks and zones differ from those that the camera's reference was recorded with",
                camera=name,
                advice="record another: vedette reference record",
            )

    def _put(self, active: Mapping[str, ActiveCamera]) -> None:
        self._active = active
        self._observer.set_cameras(active)

    def _stop(self, names: Collection[str]) -> None:
        """Stop cameras, all at once; threads that hang are abandoned."""
        readers = [self._active[name].reader.name for name in names]
        if late := self._supervisor.remove_all(readers, LEAVE_SECONDS):
            log.warning("cameras did not stop in time and were abandoned", parts=",".join(late))
        for name in names:
            self._slots.remove(name)

    def _start(self, fresh: Mapping[str, ActiveCamera]) -> dict[str, str]:
        """Start new cameras; those that cannot be started are not active: why, by name."""
        failed: dict[str, str] = {}
        for name, one in fresh.items():
            try:
                self._supervisor.add(one.reader)
            except Exception as error:  # noqa: BLE001, PERF203  (a camera that cannot start stops no other)
                failed[name] = str(error) or type(error).__name__
        if failed:
            self._put({name: one for name, one in self._active.items() if name not in failed})
        return failed

    # -- state --------------------------------------------------------------------------------------------------

    @property
    def names(self) -> list[str]:
        """The active cameras."""
        return list(self._active)

    @property
    def statuses(self) -> list[CameraStatus]:
        """Last known status of each camera, sorted by name."""
        known = [one.reader.status for _, one in sorted(self._active.items())]
        return [status for status in known if status is not None]

    @property
    def proposals(self) -> dict[str, str]:
        """The lines that are proposed for the config, by camera."""
        return {name: line for name, one in sorted(self._active.items()) if (line := one.reader.proposal)}

    def camera(self, name: str) -> Any:
        """The camera object `name` (the demo switches disturbances on it)."""
        return self._active[name].camera

    def flowing(self) -> int:
        """How many cameras give frames."""
        statuses = [one.reader.status for one in self._active.values()]
        return sum(status is not None and STATES[status.state].flowing for status in statuses)

    def online(self) -> int:
        """How many cameras give good frames."""
        return sum(status.state is CameraState.ONLINE for status in self.statuses)

    def is_current(self, frame: Frame) -> bool:
        """Whether a frame is of an active camera, not of one that was removed or changed since."""
        active = self._active.get(frame.camera)
        return active is not None and frame.monotonic_ns >= active.since_ns

    def note(self, name: str, text: str) -> None:
        """Have the status of a camera say what is wrong with its frames, "" for nothing; from any thread."""
        if (active := self._active.get(name)) is not None:
            active.reader.note = text

    def still_interval(self, name: str) -> float:
        """How often, in seconds, a still scene of a camera goes through the model; 0: every frame does."""
        active = self._active.get(name)
        return 0.0 if active is None else active.still_interval

    def ended(self) -> bool:
        """Whether every camera's source is finished for good: at its end, or a file that is damaged."""
        active = self._active.values()
        return bool(active) and all(one.reader.finished for one in active)

    def damaged(self) -> list[str]:
        """Cameras whose source was finished before its regular end."""
        return [
            name
            for name, one in self._active.items()
            if (status := one.reader.status) is not None and status.state is not CameraState.ENDED
        ]


def _frame_counts(reader: ReaderCounts, slot: SlotCounts) -> FrameCounts:
    return FrameCounts(
        seen=reader.seen,
        skipped=reader.skipped,
        failed=reader.failed + slot.failed,
        reconnects=reader.reconnects,
        dropped=slot.dropped,
        still=slot.still,
    )


def still_interval(camera: CameraSettings, drift: DriftSettings) -> float:
    """How often, in seconds, a still scene goes through the model: as features need it, at the least; 0: always."""
    return min(camera.motion_gate, 1 / drift.feature_fps) if drift.enabled else camera.motion_gate
