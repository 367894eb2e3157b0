"""The reporter: turns what the parts made into drafts for the publisher, and says status and info when they change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from agent import __version__
from agent.core.types import Alert, CameraState, CameraStatus, Draft
from agent.delivery.messages import (
    alert_draft,
    camera_draft,
    gpu_draft,
    host_draft,
    info_draft,
    sketch_draft,
    status_draft,
)
from agent.pipeline.camera_window import CameraSummary

UNWELL = frozenset(CameraState) - {CameraState.STARTING, CameraState.ONLINE, CameraState.ENDED}


class EntitySummary(Protocol):
    """What telemetry tells of one entity (`host`, `gpu/0`) in a window."""

    @property
    def entity(self) -> str:
        """The entity's topic."""

    @property
    def values(self) -> Mapping[str, Any]:
        """Its numbers, flat."""


class Reporter:
    """Publishes through `publish`, which never blocks. Called in the analyst's thread."""

    def __init__(self, publish: Callable[[Draft], None], since: float) -> None:
        self._publish = publish
        self._since = since
        self._state = ""
        self._info: Mapping[str, Any] = {}
        self._rates: dict[str, float] = {}

    @property
    def fps(self) -> float:
        """Frames a second that went through the model in the last windows, over all cameras."""
        return sum(self._rates.values())

    def device(self, info: Mapping[str, Any], statuses: Iterable[CameraStatus], now: float) -> None:
        """Status and info, sent where they changed."""
        unwell = sorted(
            f"{status.camera} {status.state.value}" for status in statuses if status.state in UNWELL
        )
        state = "degraded" if unwell else "online"
        told = f"{state} {','.join(unwell)}"
        if told != self._state:
            self._state = told
            self._publish(
                status_draft(
                    state, since=now, version=__version__, reason=", ".join(unwell), started_at=self._since
                )
            )
        if dict(info) != self._info:
            self._info = dict(info)
            self._publish(info_draft(info))

    def summary(self, summary: CameraSummary) -> None:
        """A camera's window."""
        self._rates[summary.camera] = float(summary.body["fps_inferred"])
        self._publish(
            camera_draft(summary.camera, summary.body, summary.sketches, start=summary.start, end=summary.end)
        )

    def forget(self, camera: str) -> None:
        """A camera that was removed counts no more."""
        self._rates.pop(camera, None)

    def sketches(
        self, camera: str, sketches: Mapping[str, bytes], body: Mapping[str, Any], start: float, end: float
    ) -> None:
        """A window's feature sketches."""
        self._publish(sketch_draft(camera, sketches, body, start=start, end=end))

    def telemetry(
        self, summaries: Iterable[EntitySummary], start: float, end: float, more: Mapping[str, Any]
    ) -> None:
        """The box in one window; `more` joins the host's numbers (the outbox's, the analyst's)."""
        for summary in summaries:
            kind, _, index = summary.entity.partition("/")
            if kind == "gpu":
                self._publish(gpu_draft(int(index), summary.values, start=start, end=end))
            else:
                self._publish(host_draft({**summary.values, **more}, start=start, end=end))

    def alert(self, alert: Alert) -> None:
        """One state change of an alert."""
        self._publish(alert_draft(alert))
