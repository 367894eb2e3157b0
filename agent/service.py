"""The service: builds the parts from the settings, owns their threads, and is the first file to read.

Frames go camera → board → scheduler → analyst; what the analyst makes of them goes to the publisher. Each
arrow is a plain value of `agent.types`; no part knows another.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import cv2
import structlog

from agent import __version__, heap
from agent.alert_desk import AlertDesk
from agent.alert_store import AlertStore
from agent.alerts.engine import AlertEngine
from agent.alerts.slo import share_observations, targets
from agent.analysis import Analyst, CameraWatch, Hooks
from agent.board import FrameBoard
from agent.config.changes import live
from agent.config.schema import Settings
from agent.control import ControlServer, Handler
from agent.delivery.commands import CommandDesk
from agent.delivery.home_assistant import Place, discovery
from agent.delivery.publisher import Publisher
from agent.detection.governor import Governor
from agent.detection.scheduler import Scheduler
from agent.detection.session import Detector
from agent.errors import VedetteError
from agent.exporter import Exporter, make_exporter
from agent.exporter.about import About, missing
from agent.feature_watch import watch_maker
from agent.fleet import Fleet
from agent.identity import identify
from agent.log import set_level
from agent.notifiers.runner import NotifierPart, make_notifiers
from agent.observation_log import ObservationLog
from agent.parts import Part
from agent.pictures import LastPictures
from agent.plan import Notifiers, Plan, make_plan, say_refused
from agent.preflight import rules_of
from agent.reference_desk import LOCAL_ONLY, ReferenceDesk
from agent.reporting import Reporter
from agent.state import claim, directory
from agent.summary import CameraSummary, FrameCounts
from agent.supervisor import Supervisor
from agent.telemetry.sampler import Sampler
from agent.types import CameraStatus, FrameResult, Observation

log = structlog.get_logger("vedette.service")

AT_THE_BOX = LOCAL_ONLY | {"snapshot"}
"""Commands that never come from the network: pictures of the scene stay at the box."""

STOP_SECONDS = 10.0
NOTIFIER_STOP_SECONDS = 15.0  # longer than a notifier waits for its receiver


class Service:
    """The agent in one process: `open`, `start`, then `stop`; `reload` in between changes only what differs.

    `on_frame` gets each frame that went through the model, in the model's threads, and must not block.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        load: Callable[[], Settings] | None = None,
        on_frame: Callable[[FrameResult], None] | None = None,
    ) -> None:
        self.settings = settings
        self._load, self._on_frame = load, on_frame
        self.state_directory = directory(settings.state_directory)
        self.supervisor = Supervisor()
        self.board = FrameBoard()
        self.detector = Detector(settings.model, cache=self.state_directory / "engines")
        self.pictures = LastPictures(lambda: self.detector.info.classes)
        self._closing = ExitStack()
        self._reloading = threading.Lock()
        self._config_error = ""
        self._waiting: tuple[str, ...] = ()
        self.started_at = time.time()  # noqa: TID251  (the service is an edge)

    def open(self) -> None:
        """Load the model and what is kept on disk; raises VedetteError where the agent cannot start."""
        settings = self.settings
        rules = rules_of(settings)
        cv2.setNumThreads(
            1
        )  # many small pictures: its thread pool costs more than it gives, and the model wants the cores
        heap.share_arenas()
        self._closing.callback(claim(self.state_directory))
        self.detector.open()
        self._closing.callback(self.detector.close)
        identity = identify(settings.device, settings.broker)
        self.desk = AlertDesk(
            AlertEngine(rules, window_seconds=settings.windows.length),
            AlertStore(self.state_directory),
            ObservationLog(self.state_directory),
        )
        self.desk.open()
        self._closing.callback(self.desk.close)
        self._notifier_part = partial(
            NotifierPart,
            state_directory=self.state_directory,
            device=identity.device,
            site=identity.site,
            picture=self.pictures.jpeg,
        )
        self.notifiers = self._notifier_part(make_notifiers(settings.notifiers))
        self._burn_targets = targets(rules)
        self.sampler = Sampler(settings.telemetry, self.state_directory)
        self.analyst = Analyst(self._hooks(), settings.windows.length)
        self.fleet = Fleet(
            self.supervisor,
            self.board,
            self.state_directory,
            told=self.analyst.status_changed,
            gone=self._forget,
        )
        self.references = ReferenceDesk(
            self.state_directory, settings.drift, settings.windows.length, self.analyst.submit
        )
        handlers = self.handlers()
        self.commands = CommandDesk(
            settings.commands, {name: handlers[name] for name in handlers.keys() - AT_THE_BOX}
        )
        self.publisher = Publisher(
            settings.broker, settings.outbox, identity, self.state_directory, commands=self.commands
        )
        self.reporter = Reporter(self.publisher.publish, self.started_at)
        self._home = Place.of(settings, identity)
        self._about = About(
            info=self._info,
            alerts=lambda: self.desk.all_firing(time.time()),  # noqa: TID251
            parts=self.supervisor.health,
            missing=lambda: missing(
                self.supervisor.health(), self.scheduler.name, self.fleet.names, self.fleet.statuses
            ),
            device=identity.device,
            site=identity.site,
        )
        self.exporter = make_exporter(settings.prometheus.listen, self._about)
        self.governor = Governor(settings.model.heat_limit)
        self.scheduler = Scheduler(
            self.detector,
            self.board,
            self._deliver,
            max_batch=settings.model.max_batch,
            batch_wait=settings.model.batch_wait,
            cameras=self.fleet.flowing,
            still_interval=self.fleet.still_interval,
            governor=self.governor,
        )

    def _hooks(self) -> Hooks:
        return Hooks(
            counts=self._counts,
            class_names=lambda: self.detector.info.classes,
            watch=self._watch,
            on_summary=self._on_summary,
            on_status=self._on_status,
            on_tick=self._tick,
            on_window=self._on_window,
        )

    def start(self) -> None:
        """Start every part: receivers before senders, so that nothing is sent into the void."""
        self._say_device()
        self.supervisor.add(self.publisher)
        if self.commands.enabled:
            self.supervisor.add(self.commands)
        self.supervisor.add(self.notifiers)
        self.supervisor.add(self.sampler)
        self.supervisor.add(self.references.librarian)
        self.supervisor.add(self.analyst)
        self.supervisor.add(self.scheduler)
        self.fleet.start(self.settings)
        self._start_exporter(self.exporter)
        self.supervisor.add(ControlServer(self.state_directory, self.handlers()))

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """Stop in the direction of the flow, so that what was seen is still published; one deadline for all."""
        deadline = time.monotonic() + timeout  # noqa: TID251

        def left() -> float:
            return max(0.1, deadline - time.monotonic())  # noqa: TID251

        late = self.fleet.stop(left)
        for part in (self.scheduler, self.analyst, self.references.librarian, self.sampler, self.publisher):
            late += [] if self.supervisor.remove(part.name, left()) else [part.name]
        late += self.supervisor.stop(left())
        if late:
            log.warning("parts did not end in time", parts=",".join(late))
        self._closing.close()

    def handlers(self) -> dict[str, Handler]:
        """The commands that people may give, over the control socket and (those allowed) over MQTT."""
        return {
            "status": self._status,
            "reload": self._reload,
            "snapshot": self.pictures.answer,
            **self.desk.handlers(),
            **self.references.handlers(),
        }

    def line(self) -> str:
        """What is going on, in one line (systemd's STATUS=)."""
        pace = self.governor.pace
        slowed = "" if pace.full else f", slowed to {pace.limit:.0%} ({pace.reason})"
        refused = f"; config not reloaded: {self._config_error.splitlines()[0]}" if self._config_error else ""
        return (
            f"{self.fleet.online()} of {len(self.fleet.names)} cameras online, "
            f"{self.reporter.fps:.1f} frames/s{slowed}, "
            f"{self.desk.firing_count()} alerts firing, broker {self.publisher.connection.state}{refused}"
        )

    def _start_exporter(self, exporter: Exporter) -> None:
        self.exporter = exporter
        if isinstance(exporter, Part):
            self.supervisor.add(exporter)

    def _forget(self, name: str) -> None:
        """A camera was removed: nobody keeps anything of it."""
        self.analyst.forget(name)
        self.scheduler.forget(name)
        self.pictures.forget(name)
        self.reporter.forget(name)
        self.desk.forget({"camera": name})
        self.exporter.forget(name)
        self.references.forget(name)

    # -- called in the scheduler's and the analyst's threads -----------------------------------------------

    def _counts(self, name: str) -> FrameCounts:
        counts = self.fleet.take_counts(name)
        if counts is None:
            return FrameCounts()
        return FrameCounts(
            seen=counts.seen,
            dropped=self.board.take_dropped(name),
            skipped=counts.skipped,
            still=self.scheduler.take_still(name),
            failed=counts.failed + self.scheduler.take_failed(name),
            reconnects=counts.reconnects,
        )

    def _watch(self, camera: str) -> CameraWatch:
        make = watch_maker(
            self.settings.drift, lambda name: self.references.keeper(name, self.detector.info), self.reporter
        )
        return make(camera)

    def _on_status(self, status: CameraStatus) -> None:
        if self.fleet.note(status):
            self._say_device()

    def _deliver(self, result: FrameResult) -> None:
        self.pictures.keep(result)
        self.exporter.frame(result)
        if self._on_frame is not None:
            self._on_frame(result)
        self.analyst.deliver(result)

    def _on_summary(self, summary: CameraSummary) -> list[Observation]:
        self.reporter.summary(summary)
        return share_observations(self._burn_targets, summary.camera, summary.sketches, summary.end)

    def _tick(self, observations: list[Observation], now: float) -> None:
        measured = self.sampler.latest()
        measured += self.governor.heed(measured, now)
        observed = [*observations, *measured, *self.publisher.observations(now)]
        self.exporter.observe(observed)
        told = self.desk.step([one for one in observed if one.judged], now)
        for alert in told.publish:
            self.reporter.alert(alert)
        self.notifiers.offer(told.notify)

    def _on_window(self, start: float, end: float) -> None:
        more = {**self.publisher.statistics(), **self.governor.take_window()}
        self.reporter.telemetry(self.sampler.take_window(), start, end, more)
        self._say_device()

    # -- what is said of the device ------------------------------------------------------------------------

    def _say_device(self) -> None:
        info = self._info()
        self.reporter.device(info, self.fleet.statuses, time.time())  # noqa: TID251
        if self.settings.broker.home_assistant:
            self.publisher.announce(discovery(self._home, info, self.fleet.names))

    def _info(self) -> Mapping[str, Any]:
        info = self.detector.info
        return {
            "version": __version__,
            "started_at": self.started_at,
            "model_name": info.name,
            "model_sha256": info.sha256,
            "model_provider": info.provider,
            "model_classes": len(info.classes),
            "cameras": ",".join(self.fleet.names),
            "window_seconds": self.settings.windows.length,
            "config_error": self._config_error.partition("\n")[0],
            "restart_needed_for": ",".join(self._waiting),
            **self.sampler.facts(),
        }

    def _status(self, _args: Mapping[str, Any]) -> Mapping[str, Any]:
        return {
            "line": self.line(),
            "info": dict(self._info()),
            "cameras": [
                {
                    "camera": status.camera,
                    "state": status.state.value,
                    "since": status.since,
                    "reason": status.reason,
                }
                for status in self.fleet.statuses
            ],
            **self.publisher.report(),
            "parts": self.supervisor.report(),
            "config_error": self._config_error,
            "restart_needed_for": list(self._waiting),
        }

    # -- reload ----------------------------------------------------------------------------------------------

    def _reload(self, _args: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"text": self.reload()}

    def reload(self) -> str:
        """Take the config file in use anew; raises VedetteError, and changes nothing, where it is bad."""
        if self._load is None:
            return "this agent runs without a config file; nothing to reload"
        with self._reloading:
            try:
                new, waiting = live(self.settings, self._load())
                plan = make_plan(self.settings, new, self._about)
            except VedetteError as error:
                self._config_error = str(error)
                say_refused(error)
                self.analyst.submit(self._say_device)
                raise
            said = self._apply(new, plan)
            self._config_error, self._waiting = "", tuple(waiting)
            text = f"changed: {', '.join(said)}" if said else "nothing changed"
            text += f"; restart the agent for {', '.join(waiting)}" if waiting else ""
            log.info("config reloaded", result=text)
            self.analyst.submit(self._say_device)
            return text

    def _apply(self, new: Settings, plan: Plan) -> list[str]:
        """Put `new` in force, touching only what differs; what was changed."""
        old, self.settings = self.settings, new
        said = self.fleet.change(old, new, plan.cameras)
        if (old.rules, old.alerts) != (new.rules, new.alerts):
            self.desk.set_rules(plan.rules)
            self._burn_targets = targets(plan.rules)
            said.append("rules")
        if old.notifiers != new.notifiers:
            self._change_notifiers(plan.notifiers)
            said.append("notifiers")
        if old.telemetry != new.telemetry:
            self.supervisor.remove(self.sampler.name)
            self.sampler = Sampler(new.telemetry, self.state_directory)
            self.supervisor.add(self.sampler)
            said.append("telemetry")
        if plan.exporter is not None:
            self.supervisor.remove("exporter")
            self._start_exporter(plan.exporter)
            said.append("prometheus")
        if old.commands != new.commands:
            self.commands.change(new.commands)
            said.append("commands")
        if old.drift != new.drift:
            self.references.set_budget(new.drift)
            said.append("drift budget")
        if old.log.level != new.log.level:
            set_level(new.log.level)
            said.append(f"log level {new.log.level}")
        return said

    def _change_notifiers(self, notifiers: Notifiers) -> None:
        """The new part goes on with what the old one left on disk: it must have ended first."""
        if not self.supervisor.remove(self.notifiers.name, NOTIFIER_STOP_SECONDS):
            log.warning("a notifier is still sending; its last notice may be sent twice", part="notifiers")
        self.notifiers = self._notifier_part(notifiers)
        if notifiers:
            self.supervisor.add(self.notifiers)
