"""The reporter: takes what the analyst produces, and has it published, judged by the rules, exported and notified."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from agent.alerts.rules import Rule
from agent.alerts.runtime.service import AlertService
from agent.alerts.slo import targets
from agent.app.advising import Advisor
from agent.app.device import Device
from agent.config.report_plan import ReportPlan
from agent.core import clock
from agent.core.types import CameraStatus, FrameResult, Observation
from agent.delivery.messages import alert_draft, camera_draft, gpu_draft, host_draft
from agent.delivery.publisher import Publisher
from agent.delivery.reports import Reports
from agent.detection.thermal.governor import Governor
from agent.exporter import Exporter
from agent.maintenance.samples.collector import SampleCollector
from agent.notifiers.runner import NotifierWorker
from agent.pipeline.analyst import ClosedWindow
from agent.pipeline.observations import state_observations, window_observations
from agent.pipeline.snapshots import LastSnapshots
from agent.references.signature_learner import SignatureLearner
from agent.telemetry.sampler import Sampler


class CameraRecords(Protocol):
    """Keeps something by camera."""

    def remove(self, camera: str, /) -> None:
        """Discard what is kept of a camera that was removed."""


class Reporter:
    """The analyst's `ResultSink`; belongs to the analyst's thread.

    `records` are further objects that keep something by camera, which `remove` clears; `on_tick` is called at each
    tick. What comes is in steady time, what is published is labelled with Unix time here.
    """

    def __init__(
        self,
        device: Device,
        publisher: Publisher,
        alerts: AlertService,
        notifiers: NotifierWorker,
        *,
        exporter: Exporter,
        governor: Governor,
        snapshots: LastSnapshots,
        samples: SampleCollector,
        learner: SignatureLearner,
        advisor: Advisor,
        rules: Sequence[Rule],
        records: Sequence[CameraRecords],
        plan: ReportPlan,
        on_tick: Callable[[], None] = lambda: None,
    ) -> None:
        self.exporter = exporter
        self._device, self._publisher, self._alerts, self._notifiers = device, publisher, alerts, notifiers
        self._governor, self._snapshots, self._samples = governor, snapshots, samples
        self._learner, self._advisor = learner, advisor
        self._targets = targets(rules)
        self._records, self._on_tick = records, on_tick
        self._reports = Reports(plan, publisher.publish)
        self._pending: list[Observation] = []

    def set_rules(self, rules: Sequence[Rule]) -> None:
        """Judge by other rules from now on."""
        self._alerts.set_rules(rules)
        self._targets = targets(rules)

    def set_sampler(self, sampler: Sampler) -> None:
        """Take the device's telemetry from `sampler` from now on."""
        self._device.sampler = sampler

    def set_exporter(self, exporter: Exporter) -> None:
        """Export to `exporter` from now on."""
        self.exporter = exporter

    def frame(self, result: FrameResult) -> None:
        """Keep the frame for snapshots, offer it as a sample, and count it."""
        self._snapshots.keep(result)
        self._samples.offer(result)
        self.exporter.frame(result)

    def window(self, window: ClosedWindow) -> None:
        """Publish a camera's window; its numbers are judged at the next tick."""
        summary = window.summary
        self._device.set_rate(summary.camera, float(summary.body["fps_inferred"]))
        self._samples.window(summary.camera, summary.body)
        start, end = clock.unix(summary.start), clock.unix(summary.end)
        body = {**summary.body, "state_since": clock.unix(summary.body["state_since"])}
        self._reports.add(camera_draft(summary.camera, body, summary.sketches, start=start, end=end))
        self._pending += window_observations(window, self._targets)
        self._advisor.window(summary.camera)

    def interval(self, start: float, end: float) -> None:
        """Publish the telemetry of an interval."""
        start, end = clock.unix(start), clock.unix(end)
        firing = {"alerts_firing": self._alerts.firing_count()}
        more = {
            **self._publisher.statistics(), **self._governor.take_window(), **self._learner.take_window(), **firing
        }  # fmt: skip
        for summary in self._device.sampler.take_window():
            kind, _, index = summary.entity.partition("/")
            if kind == "gpu":
                self._reports.add(gpu_draft(int(index), summary.values, start=start, end=end))
            else:
                self._reports.add(host_draft({**summary.values, **more}, start=start, end=end))
        self._device.publish(measured=True)

    def status(self, status: CameraStatus, now: float) -> None:
        """Publish what a camera's new state makes of the device's; the rules judge it at the next tick."""
        self._pending += state_observations(status, now)
        self._device.publish()

    def tick(self, statuses: Iterable[CameraStatus], now: float) -> None:
        """Have the rules judge all that was observed since the last tick, and report what fires."""
        self._on_tick()
        states = [observation for status in statuses for observation in state_observations(status, now)]
        measured = self._device.sampler.latest()
        measured += self._governor.heed(measured, now)
        observed = [
            *self._pending, *states, *measured, *self._device.observations(now), *self._publisher.observations(now)
        ]  # fmt: skip
        self._pending = []
        self.exporter.observe(observed)
        result = self._alerts.step([one for one in observed if one.judged], now)
        for alert in result.publish:
            self._publisher.publish(alert_draft(alert))
        self._notifiers.offer(result.notify)

    def finish(self) -> None:
        """Publish what is gathered: no window follows."""
        self._reports.flush()

    def remove(self, camera: str) -> None:
        """Publish what is gathered of a camera, and discard the rest: also what was to be judged at the next tick."""
        self._reports.end(f"camera/{camera}")
        self._pending = [one for one in self._pending if one.labels.get("camera") != camera]
        self._alerts.remove_targets({"camera": camera})
        records: list[CameraRecords] = [
            self._device,
            self._snapshots,
            self._samples,
            self._advisor,
            self._notifiers,
            self.exporter,
            *self._records,
        ]
        for record in records:
            record.remove(camera)
