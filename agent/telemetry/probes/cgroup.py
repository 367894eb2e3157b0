"""The limits that the agent runs under (a unit's MemoryMax, a container's), and the pressure on what is short."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from agent.config.schema import TelemetrySettings
from agent.core.cgroup import ROOT, CgroupLimits, ControlGroups
from agent.core.errors import ProbeUnavailable
from agent.core.types import Scalar
from agent.telemetry import Reading, Values

RESOURCES = ("cpu", "memory", "io")


class CgroupProbe:
    """Limits, pressure and kills, as the kernel counts them for this process."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root

    @classmethod
    def of(cls, _settings: TelemetrySettings, _state_directory: Path) -> CgroupProbe:
        """The probe; it has no settings."""
        return cls()

    def open(self) -> None:
        """Raise ProbeUnavailable where the kernel counts none of it."""
        self.read()

    def read(self) -> list[Reading]:
        """What holds now; a limit can be changed while the agent runs."""
        groups = ControlGroups(self._root)
        values = limit_values(groups.limits()) | pressure_values(groups)
        if not values:
            raise ProbeUnavailable(
                "no control group limits memory or processor, and the kernel counts no pressure"
            )
        return [Reading(entity="host", values=values)]

    def facts(self) -> Mapping[str, Scalar]:
        """None: limits may change."""
        return {}

    def close(self) -> None:
        """Nothing is held."""


def limit_values(limits: CgroupLimits) -> Values:
    """The published numbers; what has no limit is left out."""
    named = {
        "memory_limit_bytes": limits.memory_bytes,
        "memory_limit_used_ratio": limits.memory_used_ratio,
        "cpu_limit_ratio": limits.cpus,
        "oom_kills_total": limits.oom_kills,
    }
    return {name: value for name, value in named.items() if value is not None}


def pressure_values(groups: ControlGroups) -> Values:
    """The published shares of time in which tasks waited; what the kernel does not count is left out."""
    return {
        f"pressure_{resource}_{share}_ratio": ratio
        for resource in RESOURCES
        for share, ratio in groups.pressure(resource).items()
    }
