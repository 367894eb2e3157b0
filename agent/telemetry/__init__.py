"""Telemetry: measurements of the box. Probes measure; the sampler reads and summarises them.

A probe gives `Reading`s: an entity (`host`, `gpu/0`) and its numbers, flat, named as they are published.
What a box does not have is left out; that is no failure. A new probe is one file and one line in PROBES.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.config.schema import TelemetrySettings
from agent.core.registry import Registry
from agent.core.types import Scalar

Values = dict[str, float | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a probe read of one entity, now."""

    entity: str
    values: Mapping[str, float | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class EntitySummary:
    """One entity in one window: means under the plain names, `_max` before the unit where that matters."""

    entity: str
    values: Mapping[str, float | str]


class Probe(Protocol):
    """One source of measurements, used by one thread (but for `facts`)."""

    @classmethod
    def of(cls, settings: TelemetrySettings, state_directory: Path) -> Probe:
        """The probe as configured; only stores."""

    def open(self) -> None:
        """Find what can be measured. Raises ProbeUnavailable where there is nothing (now)."""

    def read(self) -> list[Reading]:
        """Measure once. Raises ProbeUnavailable if what was there is gone."""

    def facts(self) -> Mapping[str, Scalar]:
        """What does not change (models, sizes, versions); {} until known. Cheap, from any thread."""

    def close(self) -> None:
        """Let go of everything; may be called twice."""


PROBES = Registry(
    "probe",
    {
        # Where two probes know the same number of one entity, the later one is believed.
        "host": "agent.telemetry.probes.host:HostProbe",
        "cgroup": "agent.telemetry.probes.cgroup:CgroupProbe",
        "tegra": "agent.telemetry.probes.tegra:TegraProbe",
        "nvml": "agent.telemetry.probes.nvml:NvmlProbe",
    },
)
