"""The exporter: the agent's numbers as Prometheus reads them, and whether it is healthy and ready, over HTTP.

`catalogue` says what is exported, `ledger` keeps the numbers, `about` asks the agent for the rest, `exposition` writes
them, `server` serves them. A new metric is one entry in `agent.core.metrics`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from agent.core.types import FrameResult, Observation

if TYPE_CHECKING:
    from agent.exporter.about import About


class Exporter(Protocol):
    """Receives what the agent's threads observe; no method blocks."""

    def frame(self, result: FrameResult, /) -> None:
        """A frame went through the model."""

    def observe(self, observations: Iterable[Observation], /) -> None:
        """Everything that was observed in the last second."""

    def remove(self, camera: str, /) -> None:
        """A camera was removed."""


class NoExporter:
    """Where `[prometheus] listen` is empty: nothing is kept and nothing is served."""

    def frame(self, _result: FrameResult, /) -> None:
        """Pass the frame over."""

    def observe(self, _observations: Iterable[Observation], /) -> None:
        """Pass the observations over."""

    def remove(self, _camera: str, /) -> None:
        """Nothing is remembered."""


def make_exporter(listen: str, about: About) -> Exporter:
    """The exporter for `listen`; raises MissingExtra where the client library is not installed."""
    if not listen:
        return NoExporter()
    from agent.exporter.server import ExporterWorker

    return ExporterWorker(listen, about)
