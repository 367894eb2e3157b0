"""The live config: which tables and keys a reload puts in force while the agent runs, and what applies each.

`LIVE` is the only list of them: a new live key is one entry. All other keys wait for a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import structlog

from agent.app.camera_set import CameraSet
from agent.app.reload import Applied, PartlyInForce, ReloadProgress, ReloadResult, error_text
from agent.app.reload_plan import ReloadPlan, make_plan
from agent.app.reporting import Reporter
from agent.app.supervisor import Supervisor
from agent.app.validate import validate_classes
from agent.config.changes import live
from agent.config.schema import Settings
from agent.core.printable import printable
from agent.core.worker import Worker
from agent.delivery.commands import CommandWorker
from agent.detection import ModelInfo
from agent.exporter.about import About
from agent.logging.setup import set_level
from agent.maintenance.deploy.deployer import Deployer
from agent.notifiers.runner import NotifierWorker
from agent.pipeline.analyst import Analyst
from agent.references.frame_store import Hidden
from agent.references.monitors import DriftMonitors

SETTLE_SECONDS = 5.0
"""How long a reload waits until no frame is kept that was taken under other privacy masks."""

log = structlog.get_logger("vedette.service")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunningAgent:
    """The objects that a reload changes."""

    supervisor: Supervisor
    analyst: Analyst
    cameras: CameraSet
    reporter: Reporter
    notifiers: NotifierWorker
    commands: CommandWorker
    references: DriftMonitors
    deployer: Deployer
    model: Callable[[], ModelInfo]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConfigChange:
    """A new config to put in force, beside the one that is; `plan` holds what was made for it."""

    old: Settings
    new: Settings
    plan: ReloadPlan


def _apply_cameras(agent: RunningAgent, change: ConfigChange) -> Applied:
    """Change only the cameras that differ; one that cannot be started is tried again by the next reload."""
    old, new = change.old, change.new
    agent.references.set_hidden(hidden_by_camera(new))
    try:
        changed = agent.cameras.change(old, new, change.plan.cameras)
    except Exception as error:
        log.error("the changed cameras cannot be started", exc_info=error)
        kept = tuple(one for one in old.cameras if one in new.cameras)
        return Applied(failed=[f"cameras: {error_text(error)}"], in_force={"cameras": kept})
    if not agent.analyst.settle(SETTLE_SECONDS):
        log.warning("analysis is behind: the last frames of the old cameras are not discarded yet")
    for name, reason in changed.failed.items():
        log.error("camera cannot be started", camera=name, error=reason)
    return Applied(
        done=changed.done,
        failed=[f"camera {name}: {printable(reason, 300)}" for name, reason in changed.failed.items()],
        in_force={"cameras": tuple(one for one in new.cameras if one.name not in changed.failed)},
    )


def hidden_by_camera(settings: Settings) -> dict[str, Hidden | None]:
    """The areas left out of the frames that may be kept of each camera; None: none may."""
    return {
        camera.name: camera.scope.ignored if camera.keep_frames and settings.drift.enabled else None
        for camera in settings.cameras
    }


# What the analyst uses is exchanged in its thread, between two of its items.


def _apply_rules(agent: RunningAgent, change: ConfigChange) -> None:
    agent.analyst.submit(lambda: agent.reporter.set_rules(change.plan.rules))


def _apply_notifiers(agent: RunningAgent, change: ConfigChange) -> None:
    agent.notifiers.change(change.plan.notifiers)


def _apply_telemetry(agent: RunningAgent, change: ConfigChange) -> None:
    if (sampler := change.plan.sampler) is not None:
        agent.supervisor.remove(sampler.name)
        agent.supervisor.add(sampler)
        agent.analyst.submit(lambda: agent.reporter.set_sampler(sampler))


def _apply_prometheus(agent: RunningAgent, change: ConfigChange) -> None:
    if (exporter := change.plan.exporter) is not None:
        agent.supervisor.remove("exporter")
        if isinstance(exporter, Worker):
            agent.supervisor.add(exporter)
        agent.analyst.submit(lambda: agent.reporter.set_exporter(exporter))


def _apply_commands(agent: RunningAgent, change: ConfigChange) -> None:
    agent.commands.change(change.new.commands)


def _apply_drift(agent: RunningAgent, change: ConfigChange) -> None:
    agent.references.set_budget(change.new.drift)


def _apply_deploy(agent: RunningAgent, change: ConfigChange) -> None:
    agent.deployer.settings = change.new.deploy


def _apply_log(_agent: RunningAgent, change: ConfigChange) -> Applied:
    set_level(change.new.log.level)
    return Applied(done=[f"log level {change.new.log.level}"])


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveEntry:
    """Tables that `apply` puts in force together: whole, or only their `keys`; `name` is how it is reported."""

    name: str
    apply: Callable[[RunningAgent, ConfigChange], Applied | None]
    tables: tuple[str, ...]
    keys: tuple[str, ...] = ()


LIVE = (
    LiveEntry(name="cameras", tables=("cameras",), apply=_apply_cameras),
    LiveEntry(name="rules", tables=("rules", "alerts"), apply=_apply_rules),
    LiveEntry(name="notifiers", tables=("notifiers",), apply=_apply_notifiers),
    LiveEntry(name="telemetry", tables=("telemetry",), apply=_apply_telemetry),
    LiveEntry(name="prometheus", tables=("prometheus",), apply=_apply_prometheus),
    LiveEntry(
        name="commands",
        tables=("commands",),
        keys=("allow", "rate_per_minute", "max_age"),
        apply=_apply_commands,
    ),
    LiveEntry(name="drift budget", tables=("drift",), keys=("false_alarms_per_month",), apply=_apply_drift),
    LiveEntry(name="deploy", tables=("deploy",), apply=_apply_deploy),
    LiveEntry(name="log", tables=("log",), keys=("level",), apply=_apply_log),
)

LIVE_KEYS: Mapping[str, tuple[str, ...]] = {table: entry.keys for entry in LIVE for table in entry.tables}
"""The live keys of each live table; () where the whole table is live."""


class LiveConfig:
    """The config in force, as `settings`; `reload` reads a new one by `load` and puts it in force."""

    def __init__(
        self, settings: Settings, load: Callable[[], Settings] | None, agent: RunningAgent, about: About
    ) -> None:
        self.settings = settings
        self._load, self._agent, self._about = load, agent, about

    def reload(self) -> ReloadResult:
        """Validate all of the new config first, then put in force what differs; in the reloader's thread."""
        if self._load is None:
            return ReloadResult(text="this agent runs without a config file; nothing to reload")
        new, waiting = live(self.settings, self._load(), LIVE_KEYS)
        validate_classes(new, self._agent.model())
        change = ConfigChange(old=self.settings, new=new, plan=make_plan(self.settings, new, self._about))
        progress = self._apply(change)
        self.settings = progress.in_force
        if progress.failed:
            raise PartlyInForce(progress)
        text = f"changed: {', '.join(progress.done)}" if progress.done else "nothing changed"
        if waiting:
            text += f"; restart the agent for {', '.join(waiting)}"
        return ReloadResult(text=text, waiting=tuple(waiting))

    def _apply(self, change: ConfigChange) -> ReloadProgress:
        progress = ReloadProgress(change.old, change.new)
        for entry in LIVE:
            if any(getattr(change.old, table) != getattr(change.new, table) for table in entry.tables):
                progress.step(entry.name, entry.tables, partial(entry.apply, self._agent, change))
        return progress
