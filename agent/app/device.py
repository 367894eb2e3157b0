"""The device as a whole: its status and info, published where they changed, and the command `status`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agent import __version__
from agent.alerts.runtime.service import AlertService
from agent.app.camera_set import CameraSet
from agent.app.reload import ReloadOutcome
from agent.app.supervisor import Supervisor
from agent.config.render import fingerprint
from agent.config.report_plan import ReportPlan
from agent.config.schema import Settings
from agent.core import clock
from agent.core.arguments import Handler, check_names
from agent.core.camera_states import STATES
from agent.core.counts import count
from agent.core.types import Observation
from agent.delivery.home_assistant import DiscoveryTopics, discovery
from agent.delivery.identity import Identity
from agent.delivery.messages import info_draft, status_draft
from agent.delivery.publisher import Publisher
from agent.detection.session import Detector
from agent.detection.thermal.governor import Governor
from agent.maintenance.deploy.deployer import Deployer
from agent.maintenance.deploy.requests import DeployRequests
from agent.maintenance.evaluation.periodic import PeriodicEvaluator
from agent.maintenance.golden.check import GoldenCheck
from agent.notifiers.runner import NotifierWorker
from agent.pipeline.camera_window import field_names
from agent.telemetry.sampler import Sampler

CLOCK_STEP_SECONDS = (
    5.0  # a clock that was set by more has the status published again, with its times corrected
)


class Device:
    """Status and info of the device. `publish` and what it calls belong to the analyst's thread (`submit`)."""

    def __init__(
        self,
        settings: Settings,
        identity: Identity,
        *,
        detector: Detector,
        cameras: CameraSet,
        publisher: Publisher,
        alerts: AlertService,
        governor: Governor,
        sampler: Sampler,
        supervisor: Supervisor,
        notifiers: NotifierWorker,
        golden: GoldenCheck,
        deployer: Deployer,
        deploy_requests: DeployRequests,
        evaluator: PeriodicEvaluator,
        in_force: Callable[[], Settings],
        submit: Callable[[Callable[[], None]], None],
    ) -> None:
        self.sampler = sampler
        self._started_at = clock.now()
        self._settings, self._detector, self._cameras = settings, detector, cameras
        self._publisher, self._alerts, self._governor = publisher, alerts, governor
        self._supervisor, self._notifiers, self._submit = supervisor, notifiers, submit
        self._golden, self._deployer, self._deploy_requests = golden, deployer, deploy_requests
        self._evaluator = evaluator
        self._discovery = DiscoveryTopics.of(settings, identity) if settings.broker.home_assistant else None
        self._reload = ReloadOutcome()
        self._in_force, self._config_sha256 = in_force, fingerprint(settings)
        self._rates: dict[str, float] = {}
        self._state, self._state_since, self._labelled_by = "", 0.0, 0.0
        self._measured = False
        self._info: Mapping[str, Any] = {}

    # -- what is reported to it ---------------------------------------------------------------------------------

    @property
    def fps(self) -> float:
        """Frames a second that went through the model in the last windows, over all cameras."""
        return sum(self._rates.values())

    @property
    def started_at(self) -> float:
        """When this process started, Unix time by what the wall clock knows now."""
        return round(clock.unix(self._started_at), 3)

    def set_rate(self, camera: str, fps: float) -> None:
        """Record the frames a second of a camera's last window."""
        self._rates[camera] = fps

    def remove(self, camera: str) -> None:
        """Discard the rate of a camera that was removed."""
        self._rates.pop(camera, None)

    def reloaded(self, outcome: ReloadOutcome) -> None:
        """Publish the outcome of a reload; called in the reloader's thread."""
        self._reload, self._config_sha256 = outcome, fingerprint(self._in_force())
        self._submit(self.publish)

    def observations(self, at: float) -> list[Observation]:
        """What is observed of the device now beside its telemetry, `at` (Unix time), for the rules."""
        parts = (self._detector, self._golden, self._deployer)
        return [observation for part in parts for observation in part.observations(at)]

    # -- what it publishes and answers --------------------------------------------------------------------------

    def publish(self, *, measured: bool = False) -> None:
        """Publish status and info where they changed; `measured` once telemetry is in, so that the GPUs are known."""
        self._measured |= measured
        self._publish_status(clock.now())
        info = self.info()
        if info != self._info:
            self._info = info
            self._publisher.publish(info_draft(info))
        entities = discovery(self._discovery, info, self._cameras.names) if self._discovery else {}
        self._publisher.announce(entities, complete=self._measured or self._discovery is None)

    def _publish_status(self, now: float) -> None:
        unwell = sorted(
            f"{status.camera} {status.state.value}"
            for status in self._cameras.statuses
            if STATES[status.state].fault
        )
        state = "degraded" if unwell else "online"
        whole = f"{state} {','.join(unwell)}"
        if whole != self._state:
            self._state, self._state_since = whole, now
        elif abs(clock.offset() - self._labelled_by) < CLOCK_STEP_SECONDS:
            return
        self._labelled_by = clock.offset()
        since = clock.unix(self._state_since)
        self._publisher.publish(
            status_draft(
                state, since=since, version=__version__, reason=", ".join(unwell), started_at=self.started_at
            )
        )

    def info(self) -> dict[str, Any]:
        """The body of `info`: version, model, cameras, hardware; may be called from any thread."""
        model = self._detector.info
        return {
            "version": __version__,
            "started_at": self.started_at,
            "model_name": model.name,
            "model_sha256": model.sha256,
            "model_provider": model.provider,
            "model_precision": model.precision,
            "model_runtime": model.runtime,
            "model_int8_f1_ratio": model.int8_f1,
            "model_engine_choice": model.choice,
            "model_classes": len(model.classes),
            "model_class_names": field_names(model.classes),
            "model_layout": model.layout,
            "model_verification": self._detector.verification[0].value,
            "model_golden": self._golden.result.state,
            **self._deploy_requests.facts(),
            "cameras": ",".join(self._cameras.names),
            "window_seconds": self._settings.windows.length,
            **ReportPlan.of(self._settings).facts(),
            "config_sha256": self._config_sha256,
            "config_error": self._reload.error.partition("\n")[0],
            "restart_needed_for": ",".join(self._reload.waiting),
            **self.sampler.facts(),
        }

    def line(self) -> str:
        """The status in one line (systemd's STATUS=)."""
        pace = self._governor.pace
        slowed = "" if pace.full else f", slowed to {pace.limit:.0%} ({pace.reason})"
        connected = self._publisher.connection.state == "connected"
        error = self._reload.error.partition("\n")[0]
        refused = f"; config not reloaded: {error}" if error else ""
        return (
            f"{self._cameras.online()} of {count(len(self._cameras.names), 'camera')} online, "
            f"{self.fps:.1f} frames/s{slowed}, "
            f"{count(self._alerts.firing_count(), 'alert')} firing, "
            f"broker {'connected' if connected else 'not connected'}{refused}"
        )

    def handlers(self) -> dict[str, Handler]:
        """The command `status`."""
        return {"status": self._status}

    def _status(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        check_names(args)
        return {
            "line": self.line(),
            "info": self.info(),
            "cameras": [
                {
                    "camera": status.camera,
                    "state": status.state.value,
                    "since": clock.unix(status.since),
                    "reason": status.reason,
                    "light_mode": status.light_mode,
                }
                for status in self._cameras.statuses
            ],
            "proposals": self._cameras.proposals,
            **self._publisher.report(),
            "notifiers": self._notifiers.report(),
            "parts": self._supervisor.report(),
            "accuracy": self._evaluator.report(),
            "config_error": self._reload.error,
            "restart_needed_for": list(self._reload.waiting),
        }
