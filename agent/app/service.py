"""The service: builds the parts from the settings, owns their threads, and is the first file to read.

Frames go camera → board → scheduler → analyst; what the analyst makes of them goes to the publisher. Each
arrow is a plain value of `agent.core.types`; no part knows another.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import cv2
import structlog

from agent import __version__
from agent.alerts.engine import AlertEngine
from agent.alerts.runtime.observation_log import ObservationLog
from agent.alerts.runtime.service import AlertService
from agent.alerts.runtime.store import AlertStore
from agent.alerts.slo import share_observations, targets
from agent.app.camera_set import CameraSet
from agent.app.control_socket import ControlServer, Handler
from agent.app.feature_watch import watch_maker
from agent.app.reference_desk import LOCAL_ONLY, ReferenceDesk
from agent.app.reload import PartlyInForce, Reloader, ReloadProgress
from agent.app.reload_plan import ReloadPlan, make_plan
from agent.app.reporting import Reporter
from agent.app.supervisor import Supervisor
from agent.app.validate import rules_of
from agent.config.changes import live
from agent.config.schema import Settings
from agent.core import clock
from agent.core import memory as heap
from agent.core.arguments import check_names
from agent.core.counts import count
from agent.core.frame_slots import FrameSlots
from agent.core.state_dir import claim, directory
from agent.core.types import FrameResult, Observation
from agent.core.worker import Worker
from agent.delivery.commands import CommandWorker
from agent.delivery.home_assistant import DiscoveryTopics, discovery
from agent.delivery.identity import identify
from agent.delivery.publisher import Publisher
from agent.detection.scheduler import Scheduler
from agent.detection.session import Detector
from agent.detection.thermal.governor import Governor
from agent.exporter import Exporter, make_exporter
from agent.exporter.about import About, missing
from agent.logging.setup import set_level
from agent.notifiers.runner import NotifierWorker, make_notifiers
from agent.pipeline.analyst import Analyst, CameraRun, CameraWatch, Hooks
from agent.pipeline.camera_window import CameraSummary, FrameCounts
from agent.pipeline.snapshots import LastSnapshots
from agent.telemetry.sampler import Sampler

log = structlog.get_logger("vedette.service")

AT_THE_BOX = LOCAL_ONLY | {"snapshot"}
"""Commands that never come from the network: pictures of the scene stay at the box."""

STOP_SECONDS = 10.0
RELOAD_SECONDS = 2.0  # how long a stop waits for a reload that goes on


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
        self.slots = FrameSlots()
        self.detector = Detector(settings.model, cache=self.state_directory / "engines")
        self.pictures = LastSnapshots(lambda: self.detector.info.classes)
        self._closing = ExitStack()
        self.reloader = Reloader(self._reload, lambda: self.analyst.submit(self._say_device))
        self.started_at = clock.wall()

    def open(self) -> None:
        """Load the model and what is kept on disk; raises VedetteError where the agent cannot start."""
        settings = self.settings
        rules = rules_of(settings)
        # Many small pictures: its thread pool costs more than it gives, and the model wants the cores.
        cv2.setNumThreads(1)
        heap.share_arenas()
        self._closing.callback(claim(self.state_directory))
        self.detector.open()
        self._closing.callback(self.detector.close)
        identity = identify(settings.device, settings.broker)
        self.alert_service = AlertService(
            AlertEngine(rules, window_seconds=settings.windows.length),
            AlertStore(self.state_directory),
            ObservationLog(self.state_directory),
            cameras=lambda: [camera.name for camera in self.settings.cameras],
        )
        self.alert_service.open()
        self._closing.callback(self.alert_service.close)
        self._notifier_worker = partial(
            NotifierWorker,
            state_directory=self.state_directory,
            device=identity.device,
            site=identity.site,
            picture=self.pictures.jpeg,
        )
        self.notifiers = self._notifier_worker(make_notifiers(settings.notifiers))
        self._burn_targets = targets(rules)
        self.sampler = Sampler(settings.telemetry, self.state_directory)
        self.analyst = Analyst(self._hooks(), settings.windows.length)
        self.camera_set = CameraSet(
            self.supervisor,
            self.slots,
            self.state_directory,
            told=self.analyst.status_changed,
            cast=self.analyst.cameras,
        )
        self.references = ReferenceDesk(
            self.state_directory, settings.drift, settings.windows.length, self.analyst.submit
        )
        handlers = self.handlers()
        self.commands = CommandWorker(
            settings.commands, {name: handlers[name] for name in handlers.keys() - AT_THE_BOX}
        )
        self.publisher = Publisher(
            settings.broker, settings.outbox, identity, self.state_directory, commands=self.commands
        )
        self.reporter = Reporter(self.publisher.publish, self.started_at)
        self._home = DiscoveryTopics.of(settings, identity)
        self._about = About(
            info=self._info,
            alerts=lambda: self.alert_service.firing(clock.wall()),
            parts=self.supervisor.health,
            missing=lambda: missing(
                self.supervisor.health(), self.scheduler.name, self.camera_set.names, self.camera_set.statuses
            ),
            device=identity.device,
            site=identity.site,
        )
        self.exporter = make_exporter(settings.prometheus.listen, self._about)
        self.governor = Governor(settings.model.heat_limit)
        self.scheduler = Scheduler(
            self.detector,
            self.slots,
            self._deliver,
            max_batch=settings.model.max_batch,
            batch_wait=settings.model.batch_wait,
            cameras=self.camera_set.flowing,
            still_interval=self.camera_set.still_interval,
            watches=self.camera_set.watches,
            governor=self.governor,
        )

    def _hooks(self) -> Hooks:
        return Hooks(
            counts=self._counts,
            class_names=lambda: self.detector.info.classes,
            watch=self._watch,
            on_result=self._on_result,
            on_gone=self._on_gone,
            on_summary=self._on_summary,
            on_status=lambda _status: self._say_device(),
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
        self.supervisor.add(self.references.writer)
        self.supervisor.add(self.analyst)
        self.supervisor.add(self.scheduler)
        self.camera_set.start(self.settings)
        if isinstance(self.exporter, Worker):
            self.supervisor.add(self.exporter)
        self.supervisor.add(self.reloader)
        self.supervisor.add(ControlServer(self.state_directory, self.handlers()))

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """Stop in the direction of the flow, so that what was seen is still published; one deadline for all."""
        deadline = clock.monotonic() + timeout

        def left() -> float:
            return max(0.1, deadline - clock.monotonic())

        self.supervisor.close()  # what a reload that goes on would begin now, would outlive the agent
        late = self.supervisor.remove_all([self.reloader.name], min(RELOAD_SECONDS, left()))
        late += self.camera_set.stop(left)
        for worker in (self.scheduler, self.analyst, self.references.writer, self.sampler, self.publisher):
            late += [] if self.supervisor.remove(worker.name, left()) else [worker.name]
        late += self.supervisor.stop(left())
        if late:
            log.warning("parts did not end in time", parts=",".join(late))
        self._closing.close()

    def handlers(self) -> dict[str, Handler]:
        """The commands that people may give, over the control socket and (those allowed) over MQTT."""
        return {
            "status": self._status,
            "reload": self.reloader.carry_out,
            "snapshot": self.pictures.answer,
            **self.alert_service.handlers(),
            **self.references.handlers(),
        }

    def line(self) -> str:
        """What is going on, in one line (systemd's STATUS=)."""
        pace = self.governor.pace
        slowed = "" if pace.full else f", slowed to {pace.limit:.0%} ({pace.reason})"
        error = self.reloader.outcome.error.partition("\n")[0]
        refused = f"; config not reloaded: {error}" if error else ""
        return (
            f"{self.camera_set.online()} of {count(len(self.camera_set.names), 'camera')} online, "
            f"{self.reporter.fps:.1f} frames/s{slowed}, "
            f"{count(self.alert_service.firing_count(), 'alert')} firing, "
            f"broker {self.publisher.connection.state}{refused}"
        )

    # -- called in the scheduler's threads -------------------------------------------------------------------

    def _deliver(self, result: FrameResult) -> None:
        if self._on_frame is not None:
            self._on_frame(result)
        self.analyst.deliver(result)

    # -- called in the analyst's thread ----------------------------------------------------------------------

    def _counts(self, camera: CameraRun) -> FrameCounts:
        counts = camera.take_counts()
        return dataclasses.replace(
            counts,
            dropped=self.slots.take_dropped(camera.name),
            still=self.scheduler.take_still(camera.name),
            failed=counts.failed + self.scheduler.take_failed(camera.name),
        )

    def _watch(self, camera: str) -> CameraWatch:
        make = watch_maker(
            self.settings.drift, lambda name: self.references.keeper(name, self.detector.info), self.reporter
        )
        return make(camera)

    def _on_result(self, result: FrameResult) -> None:
        self.pictures.keep(result)
        self.exporter.frame(result)

    def _on_gone(self, name: str) -> None:
        """A camera was removed, or is another one from now on: nobody keeps anything of it."""
        self.scheduler.forget(name)
        self.pictures.forget(name)
        self.reporter.forget(name)
        self.alert_service.remove_targets({"camera": name})
        self.exporter.forget(name)
        self.references.forget(name)

    def _on_summary(self, summary: CameraSummary) -> list[Observation]:
        self.reporter.summary(summary)
        return share_observations(self._burn_targets, summary.camera, summary.sketches, summary.end)

    def _tick(self, observations: list[Observation], now: float) -> None:
        measured = self.sampler.latest()
        measured += self.governor.heed(measured, now)
        observed = [*observations, *measured, *self.publisher.observations(now)]
        self.exporter.observe(observed)
        alerts = self.alert_service.step([one for one in observed if one.judged], now)
        for alert in alerts.publish:
            self.reporter.alert(alert)
        self.notifiers.offer(alerts.notify)

    def _on_window(self, start: float, end: float) -> None:
        more = {**self.publisher.statistics(), **self.governor.take_window()}
        self.reporter.telemetry(self.sampler.take_window(), start, end, more)
        self._say_device()

    # -- what is said of the device ------------------------------------------------------------------------

    def _say_device(self) -> None:
        info = self._info()
        self.reporter.device(info, self.camera_set.statuses, clock.wall())
        if self.settings.broker.home_assistant:
            self.publisher.announce(discovery(self._home, info, self.camera_set.names))

    def _info(self) -> Mapping[str, Any]:
        info = self.detector.info
        return {
            "version": __version__,
            "started_at": self.started_at,
            "model_name": info.name,
            "model_sha256": info.sha256,
            "model_provider": info.provider,
            "model_classes": len(info.classes),
            "cameras": ",".join(self.camera_set.names),
            "window_seconds": self.settings.windows.length,
            "config_error": self.reloader.outcome.error.partition("\n")[0],
            "restart_needed_for": ",".join(self.reloader.outcome.waiting),
            **self.sampler.facts(),
        }

    def _status(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        check_names(args)
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
                for status in self.camera_set.statuses
            ],
            **self.publisher.report(),
            "parts": self.supervisor.report(),
            "config_error": self.reloader.outcome.error,
            "restart_needed_for": list(self.reloader.outcome.waiting),
        }

    # -- reload: in the reloader's thread ----------------------------------------------------------------------

    def _reload(self) -> tuple[str, tuple[str, ...]]:
        if self._load is None:
            return "this agent runs without a config file; nothing to reload", ()
        new, waiting = live(self.settings, self._load())
        course = self._apply(new, make_plan(self.settings, new, self._about))
        self.settings = course.in_force
        if course.failed:
            raise PartlyInForce(course)
        text = f"changed: {', '.join(course.said)}" if course.said else "nothing changed"
        return text + (f"; restart the agent for {', '.join(waiting)}" if waiting else ""), tuple(waiting)

    def _apply(self, new: Settings, plan: ReloadPlan) -> ReloadProgress:
        """Put `new` in force, touching only what differs."""
        old = self.settings
        course = ReloadProgress(old, new)
        if old.cameras != new.cameras:
            course.cameras(lambda: self.camera_set.change(old, new, plan.cameras))
        if (old.rules, old.alerts) != (new.rules, new.alerts):
            course.step("rules", ("rules", "alerts"), lambda: self._use_rules(plan))
        if old.notifiers != new.notifiers:
            course.step("notifiers", ("notifiers",), lambda: self.notifiers.change(plan.notifiers))
        if (sampler := plan.sampler) is not None:
            course.step("telemetry", ("telemetry",), lambda: self._use_sampler(sampler))
        if (exporter := plan.exporter) is not None:
            course.step("prometheus", ("prometheus",), lambda: self._use_exporter(exporter))
        if old.commands != new.commands:
            course.step("commands", ("commands",), lambda: self.commands.change(new.commands))
        if old.drift != new.drift:
            course.step("drift budget", ("drift",), lambda: self.references.set_budget(new.drift))
        if old.log.level != new.log.level:
            course.step(f"log level {new.log.level}", ("log",), lambda: set_level(new.log.level))
        return course

    # Whatever the analyst uses is exchanged in its thread, between two of its items.

    def _use_rules(self, plan: ReloadPlan) -> None:
        def exchange() -> None:
            self.alert_service.set_rules(plan.rules)
            self._burn_targets = targets(plan.rules)

        self.analyst.submit(exchange)

    def _use_sampler(self, sampler: Sampler) -> None:
        self.supervisor.remove(self.sampler.name)
        self.supervisor.add(sampler)

        def exchange() -> None:
            self.sampler = sampler

        self.analyst.submit(exchange)

    def _use_exporter(self, exporter: Exporter) -> None:
        self.supervisor.remove("exporter")
        if isinstance(exporter, Worker):
            self.supervisor.add(exporter)

        def exchange() -> None:
            self.exporter = exporter

        self.analyst.submit(exchange)
