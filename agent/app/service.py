"""The service: makes the agent's objects from the settings, starts and stops them. The first file to read.

A frame goes camera → frame slot → scheduler → analyst; the windows that the analyst closes go to the reporter, which
hands messages to the publisher and observations to the alert rules. Each arrow is a plain value of `agent.core.types`
or `agent.pipeline`; `docs/architecture.md` draws the ways and the threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

import cv2
import structlog

from agent.alerts.engine import AlertEngine
from agent.alerts.rules import Rule
from agent.alerts.runtime.observation_log import ObservationLog
from agent.alerts.runtime.service import AlertService
from agent.alerts.runtime.store import AlertStore
from agent.app.advising import Advisor
from agent.app.camera_set import CameraSet
from agent.app.change_log import ChangeLog
from agent.app.clock_watch import ClockWatch
from agent.app.control_socket import ControlServer
from agent.app.device import Device
from agent.app.live_config import LiveConfig, RunningAgent, hidden_by_camera
from agent.app.reload import Reloader
from agent.app.remote_snapshot import RemoteSnapshot
from agent.app.reporting import Reporter
from agent.app.supervisor import Supervisor
from agent.app.validate import rules_of, validate_classes
from agent.config.report_plan import ReportPlan
from agent.config.schema import Settings
from agent.core import clock
from agent.core import memory as heap
from agent.core.arguments import Handler
from agent.core.frame_slots import FrameSlots
from agent.core.logbook import Logbook
from agent.core.state_dir import claim, directory
from agent.core.types import FrameResult
from agent.core.worker import Worker
from agent.delivery.commands import CommandWorker
from agent.delivery.identity import Identity, identify
from agent.delivery.publisher import Publisher
from agent.detection.scheduler import Scheduler
from agent.detection.session import Detector
from agent.detection.thermal.governor import Governor
from agent.drift.diagnosis.accuracy import Estimate
from agent.exporter import Exporter, make_exporter
from agent.exporter.about import About, missing
from agent.maintenance.deploy.deployer import Deployer
from agent.maintenance.deploy.deployments import Deployments
from agent.maintenance.deploy.estimates import Estimates
from agent.maintenance.deploy.requests import DeployRequests
from agent.maintenance.deploy.trial import RunningModel
from agent.maintenance.evaluation.estimate_record import EstimateRecord
from agent.maintenance.evaluation.periodic import EvaluatedModel, PeriodicEvaluator
from agent.maintenance.golden.check import GoldenCheck
from agent.maintenance.samples.collector import SampleCollector
from agent.notifiers.runner import NotifierWorker, make_notifiers
from agent.pipeline.analyst import Analyst, CameraMonitor
from agent.pipeline.snapshots import LastSnapshots
from agent.references.monitors import LOCAL_ONLY, DriftMonitors
from agent.references.signature_learner import SignatureLearner
from agent.telemetry.sampler import Sampler

log = structlog.get_logger("vedette.service")

NEVER_REMOTE = LOCAL_ONLY | {"snapshot", "golden_accept"}
"""Handlers that the network may not use: what its model is judged by stays on the device, and images do, but for the
small ones of `RemoteSnapshot` where the config names them."""
BY_NAME = frozenset({"snapshot"})
"""Commands that `allow = ["*"]` does not hold."""

STOP_SECONDS = 10.0
EXCHANGE_SECONDS = 60.0
"""How long the exchange of the model waits for the scheduler, which may be starting again."""

RELOAD_SECONDS = 2.0  # how long a stop waits for a reload in progress


class Service:
    """The agent in one process: `open`, `start`, then `stop`.

    `load` reads the config again for a reload. `on_frame` gets each frame that went through the model, in the model's
    threads, and must not block.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        load: Callable[[], Settings] | None = None,
        on_frame: Callable[[FrameResult], None] | None = None,
    ) -> None:
        self._initial, self._load, self._on_frame = settings, load, on_frame
        self.state_directory = directory(settings.state_directory)
        self.supervisor = Supervisor()
        self.slots = FrameSlots()
        self.detector = Detector(settings.model, cache=self.state_directory / "engines")
        self.snapshots = LastSnapshots(lambda: self.detector.info.classes)
        self._clock_watch = ClockWatch(self.state_directory)
        self._closing = ExitStack()

    @property
    def settings(self) -> Settings:
        """The config in force."""
        return self.live_config.settings

    def open(self) -> None:
        """Load the model and the state on disk; raises VedetteError where the agent cannot start."""
        settings, state = self._initial, self.state_directory
        rules, plan = rules_of(settings), ReportPlan.of(settings)
        # Frames are small: OpenCV's thread pool costs more than it gives, and the model needs the cores.
        cv2.setNumThreads(1)
        heap.share_arenas()
        self._closing.callback(claim(state))
        self._clock_watch.open()
        self._closing.callback(self._clock_watch.save)
        self.deployments = Deployments(state, settings.model)
        self.deployments.open_in_force(self.detector)
        self._closing.callback(self.detector.close)
        validate_classes(settings, self.detector.info)
        identity = identify(settings.device, settings.broker)
        logbook = Logbook(state)
        self.change_log = ChangeLog(state, logbook.note, lambda: self.settings)
        remote: dict[str, Handler] = {}  # filled below, by the objects that the commands are for
        self._open_alerts(settings, rules, logbook)
        self._make_senders(settings, identity, remote)
        self._make_pipeline(settings, plan)
        self._make_maintenance(settings)
        self._make_device(settings, identity)
        about = self._about(identity)
        self._make_reporter(make_exporter(settings.prometheus.listen, about), rules, plan)
        self.live_config = LiveConfig(settings, self._load, self._running_agent(), about)
        self.reloader = Reloader(self.live_config.reload, self.device.reloaded, self.change_log.config)
        self.change_log.open(self.detector.info)
        self.handlers = self._handlers()
        remote |= {name: self.handlers[name] for name in self.handlers.keys() - NEVER_REMOTE}
        remote |= self.deploy_requests.remote()
        remote["snapshot"] = RemoteSnapshot(self.snapshots)

    def start(self) -> None:
        """Start every worker: receivers before senders, so that nothing is sent before it can be received."""
        self.device.publish()
        workers: tuple[Worker, ...] = (self.publisher, self.commands, self.notifiers, self.device.sampler)
        workers += (self.references.writer, self.analyst, self.scheduler, self.golden, self.samples)
        for worker in (*workers, self.deployer, self.evaluator):
            if worker.enabled:
                self.supervisor.add(worker)
        if self.settings.drift.enabled:
            self.supervisor.add(self.learner)
        self.camera_set.start(self.settings)
        if isinstance(self.reporter.exporter, Worker):
            self.supervisor.add(self.reporter.exporter)
        self.supervisor.add(self.reloader)
        self.supervisor.add(ControlServer(self.state_directory, self.handlers))

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """Stop in the direction of the flow, so that every result is still published; one deadline for all."""
        deadline = clock.monotonic() + timeout

        def left() -> float:
            return max(0.1, deadline - clock.monotonic())

        self.supervisor.close()  # a worker that a reload started now would outlive the agent
        late = self.supervisor.remove_all([self.reloader.name], min(RELOAD_SECONDS, left()))
        late += self.camera_set.stop(left)
        helpers = (self.golden, self.samples, self.deployer, self.learner, self.evaluator)
        late += self.supervisor.remove_all([worker.name for worker in helpers], left())
        senders = (self.scheduler, self.analyst, self.references.writer, self.device.sampler, self.publisher)
        for worker in senders:
            late += self.supervisor.remove_all([worker.name], left())
        late += self.supervisor.stop(left())
        if late:
            log.warning("workers did not stop in time", parts=",".join(late))
        self._closing.close()

    # -- what `open` makes, in its order ----------------------------------------------------------------------

    def _open_alerts(self, settings: Settings, rules: Sequence[Rule], logbook: Logbook) -> None:
        state = self.state_directory
        self.alert_service = AlertService(
            AlertEngine(rules, window_seconds=settings.windows.length),
            AlertStore(state),
            ObservationLog(state),
            cameras=lambda: [camera.name for camera in self.settings.cameras],
            note=logbook.note,
        )
        self.alert_service.open()
        self._closing.callback(self.alert_service.close)

    def _make_senders(self, settings: Settings, identity: Identity, remote: Mapping[str, Handler]) -> None:
        state = self.state_directory
        self.notifiers = NotifierWorker(
            make_notifiers(settings.notifiers),
            state_directory=state,
            device=identity.device,
            site=identity.site,
            snapshot=self.snapshots.jpeg,
        )
        self.commands = CommandWorker(settings.commands, remote, by_name=BY_NAME)
        self.publisher = Publisher(settings.broker, settings.outbox, identity, state, commands=self.commands)

    def _make_pipeline(self, settings: Settings, plan: ReportPlan) -> None:
        state = self.state_directory
        self.analyst = Analyst(
            settings.windows.length, class_names=lambda: self.detector.info.classes, monitor=self._monitor
        )
        self.camera_set = CameraSet(self.supervisor, self.slots, state, self.analyst)
        self.governor = Governor(settings.model.heat_limit)
        self.estimates = Estimates()
        self.learner = SignatureLearner(
            self.detector,
            self.governor,
            state,
            done=lambda camera, known: self.references.learnt(camera, known),  # noqa: PLW0108  (made below)
            estimated=self._estimated,
            share=settings.drift.learn_share,
            busy_limit=settings.drift.learn_busy_limit,
        )
        self.references = DriftMonitors(
            state,
            settings.drift,
            settings.windows.length,
            submit=self.analyst.submit,
            publish=self.publisher.publish,
            sketch_seconds=plan.sketch_seconds,
            sketch_items=plan.sketch_items,
            hidden=hidden_by_camera(settings),
            learn=self.learner.ask,
            look=self.learner.estimate,
            carry=self.learner.carry,
            golden=lambda: self.golden.result.state,
        )
        self.scheduler = Scheduler(
            self.detector,
            self.slots,
            self._deliver if self._on_frame else self.analyst.deliver,
            max_batch=settings.model.max_batch,
            batch_wait=settings.model.batch_wait,
            cameras=self.camera_set.flowing,
            still_interval=self.camera_set.still_interval,
            watches=self.camera_set.is_current,
            note=self.camera_set.note,
            governor=self.governor,
        )

    def _make_maintenance(self, settings: Settings) -> None:
        state = self.state_directory
        self.estimate_record = EstimateRecord(state)
        self.samples = SampleCollector(
            settings.samples,
            state,
            lambda: self.detector.info,
            lambda camera, model: self.estimate_record.at(camera, model, clock.unix_now()),
        )
        self.deployer = Deployer(
            self.deployments, self._running_model(), settings.deploy, cache=state / "engines"
        )
        self.deploy_requests = DeployRequests(self.deployer, self.deployments)
        self.golden = GoldenCheck(self.detector, state, settings.model.golden_every)
        send = self.publisher.publish
        self.advisor = Advisor(self.references, state, golden=lambda: self.golden.result.state, publish=send)
        self.evaluator = PeriodicEvaluator(
            settings.maintenance.evaluate_every,
            state,
            EvaluatedModel(
                info=lambda: self.detector.info,
                settings=lambda: self.deployments.settings_of(self.deployments.models.in_force),
                golden=lambda: self.golden.result.state,
                estimates=lambda model: self.estimate_record.populations(model, clock.unix_now()),
            ),
            send,
        )

    def _make_device(self, settings: Settings, identity: Identity) -> None:
        self.device = Device(
            settings,
            identity,
            detector=self.detector,
            cameras=self.camera_set,
            publisher=self.publisher,
            alerts=self.alert_service,
            governor=self.governor,
            sampler=Sampler(settings.telemetry, self.state_directory),
            supervisor=self.supervisor,
            notifiers=self.notifiers,
            golden=self.golden,
            deployer=self.deployer,
            deploy_requests=self.deploy_requests,
            evaluator=self.evaluator,
            in_force=lambda: self.live_config.settings,
            submit=self.analyst.submit,
        )

    def _make_reporter(self, exporter: Exporter, rules: Sequence[Rule], plan: ReportPlan) -> None:
        self.reporter = self.analyst.sink = Reporter(
            self.device,
            self.publisher,
            self.alert_service,
            self.notifiers,
            exporter=exporter,
            governor=self.governor,
            snapshots=self.snapshots,
            samples=self.samples,
            learner=self.learner,
            advisor=self.advisor,
            rules=rules,
            records=(self.scheduler, self.references),
            plan=plan,
            on_tick=self._clock_watch.tick,
        )

    # -- how the objects are joined ---------------------------------------------------------------------------

    def _handlers(self) -> dict[str, Handler]:
        """The handlers of all commands, over the control socket and (those allowed) over MQTT, by name."""
        owners = (
            self.device,
            self.reloader,
            self.snapshots,
            self.alert_service,
            self.notifiers,
            self.references,
            self.advisor,
            self.golden,
            self.samples,
            self.deploy_requests,
            self.evaluator,
        )
        return {name: handler for owner in owners for name, handler in owner.handlers().items()}

    def _about(self, identity: Identity) -> About:
        return About(
            info=self.device.info,
            alerts=lambda: self.alert_service.firing(clock.now()),
            parts=self.supervisor.health,
            missing=lambda: missing(
                self.supervisor.health(), self.scheduler.name, self.camera_set.names, self.camera_set.statuses
            ),
            device=identity.device,
            site=identity.site,
        )

    def _running_agent(self) -> RunningAgent:
        return RunningAgent(
            supervisor=self.supervisor,
            analyst=self.analyst,
            cameras=self.camera_set,
            reporter=self.reporter,
            notifiers=self.notifiers,
            commands=self.commands,
            references=self.references,
            deployer=self.deployer,
            model=lambda: self.detector.info,
        )

    def _running_model(self) -> RunningModel:
        return RunningModel(
            detector=self.detector,
            exchange=self._exchange,
            results=self.snapshots.results,
            counts=lambda: self.scheduler.counts,
            check=lambda info: validate_classes(self.settings, info),
            full_pace=lambda: self.governor.pace.full,
            disputed=self.samples.dispute,
            estimates=self.estimates,
            changed=self._deployment_changed,
        )

    def _deployment_changed(self) -> None:
        latest = self.deployments.models.latest
        by, reason = (latest.by, latest.reason) if latest else ("", "")
        self.change_log.model(self.detector.info, by, reason)
        self.analyst.submit(self.device.publish)

    def _exchange(self, other: Detector) -> None:
        """Run the model of `other` from the next frame on; each window is of one model."""
        self.scheduler.between_batches(
            lambda: self.detector.exchange(other), self.analyst.begin_anew, EXCHANGE_SECONDS
        )

    def _monitor(self, camera: str) -> CameraMonitor:
        """The drift monitor of a camera; in the analyst's thread."""
        return self.references.monitor(camera, self.detector.info)

    def _estimated(self, camera: str, estimate: Estimate) -> None:
        """How right the model is on a camera was estimated; in the learner's thread."""
        self.references.estimated(camera, estimate)
        self.estimates.add(camera, estimate)
        self.estimate_record.add(camera, estimate, clock.unix_now())

    def _deliver(self, result: FrameResult) -> None:
        """Hand a result to `on_frame` too; in the scheduler's threads."""
        if self._on_frame is not None:
            self._on_frame(result)
        self.analyst.deliver(result)
