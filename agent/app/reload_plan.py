"""The plan of a reload: everything of a new config that can fail is made before anything is changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from agent.alerts.rules import Rule
from agent.app.validate import rules_of
from agent.cameras import Camera
from agent.cameras.isolation.quarantine import camera_for
from agent.config.changes import reopened
from agent.config.schema import CameraSettings, Settings
from agent.core.errors import ConfigError, ConfigErrors, VedetteError
from agent.core.state_dir import directory
from agent.exporter import Exporter, make_exporter
from agent.exporter.about import About
from agent.notifiers.runner import Notifiers, make_notifiers
from agent.telemetry.sampler import Sampler

log = structlog.get_logger("vedette.service")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadPlan:
    """What a reload puts in force; `cameras` are the enabled ones that are new or have to be opened anew.

    `exporter` and `sampler` are there where they differ.
    """

    rules: tuple[Rule, ...]
    notifiers: Notifiers
    cameras: Sequence[tuple[CameraSettings, Camera]]
    exporter: Exporter | None = None
    sampler: Sampler | None = None


def make_plan(old: Settings, new: Settings, about: About) -> ReloadPlan:
    """The plan to go from `old` to `new`; raises VedetteError where that cannot be."""
    before = {camera.name: camera for camera in old.cameras}
    return ReloadPlan(
        rules=rules_of(new),
        notifiers=make_notifiers(new.notifiers),
        cameras=[
            (settings, camera_for(settings, directory(new.state_directory)))
            for settings in new.cameras
            if settings.enabled and (settings.name not in before or reopened(before[settings.name], settings))
        ],
        exporter=None if old.prometheus == new.prometheus else make_exporter(new.prometheus.listen, about),
        sampler=None
        if old.telemetry == new.telemetry
        else Sampler(new.telemetry, directory(new.state_directory)),
    )


def log_refused(error: VedetteError) -> None:
    """Log why a config was refused: a line for each mistake, with its place as fields of the journal."""
    for mistake in error.errors if isinstance(error, ConfigErrors) else [error]:
        where = {}
        if isinstance(mistake, ConfigError):
            where = {"config_file": mistake.file, "config_line": mistake.line, "config_key": mistake.key}
        log.error("config not reloaded, the old one stays in force", error=str(mistake), journal=where)
