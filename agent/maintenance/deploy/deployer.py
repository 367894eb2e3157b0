"""The deployer: takes a deployment from step to step, in a thread of its own, and back where one fails.

Every step is on disk before it counts (`state.py` has the laws). The frame path has no part in it: live frames are
taken from the last results, and the exchange of the model happens between two batches.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import structlog

from agent.config.deploy_settings import DeploySettings
from agent.core import clock
from agent.core.errors import ModelError, VedetteError
from agent.core.printable import printable
from agent.core.types import Observation
from agent.core.worker import Worker
from agent.detection.plausibility import Verification
from agent.detection.scheduler import ServedCounts
from agent.detection.session import Detector
from agent.maintenance.child import Pause
from agent.maintenance.deploy.apart import open_apart
from agent.maintenance.deploy.attempt import DeploymentAttempt, Fetch, Fetched, Rollback
from agent.maintenance.deploy.comparison import ComparedFrames
from agent.maintenance.deploy.deployments import Deployments, check_digest
from agent.maintenance.deploy.estimates import check_estimates, numbers_of
from agent.maintenance.deploy.gates import (
    check_classes,
    check_failures,
    check_loaded,
    check_memory,
    check_numbers,
    share_failing,
    shown_better,
)
from agent.maintenance.deploy.labelled import evaluate
from agent.maintenance.deploy.state import (
    IN_FORCE,
    Deployment,
    DeploymentStep,
    Models,
    ModelVersion,
    advance,
    begin,
    give_up,
    measure,
    roll_back,
    rolled_back,
)
from agent.maintenance.deploy.trial import (
    POLL_SECONDS,
    LiveResults,
    RunningModel,
    compare,
    open_beside,
    run_both,
)
from agent.maintenance.deploy.verify import Claim, verify

log = structlog.get_logger("vedette.deploy")

LONGEST_REASON = 500
WATCHED_FRAMES = 60
"""The last frames that are judged in the shadow and in the probation."""

RETURNED_SECONDS = 86400.0
"""How long the alert of a returned model fires, unless another is deployed."""


class _Stopping(Exception):
    """The agent stops; the deployment is left as it is, for the next start."""


class Deployer(Worker):
    """Carries out one deployment at a time; `accept` and `roll_back` may be called from any thread."""

    patience_seconds = 180.0

    def __init__(
        self, deployments: Deployments, running: RunningModel, settings: DeploySettings, cache: Path | None
    ) -> None:
        super().__init__("deploy")
        self._deployments, self._running, self.settings, self._cache = deployments, running, settings, cache
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._attempt: DeploymentAttempt | None = None
        self._rollback: Rollback | None = None

    # -- from any thread ----------------------------------------------------------------------------------------

    def accept(self, deployment: Deployment, claim: Claim, fetch: Fetch) -> None:
        """Begin a deployment; raises ModelError while another is on its way."""

        def accepted(models: Models) -> Models:
            changed = begin(models, deployment)
            # before the worker sees the deployment
            self._attempt = DeploymentAttempt(claim=claim, fetch=fetch, counts=self._counts())
            return changed

        self._deployments.change(accepted)
        log.info("deployment accepted", id=deployment.id, source=deployment.source, by=deployment.by)
        self._wake.set()

    def roll_back(self, by: str, id: str, timeout: float) -> None:
        """Go back to the model before; raises ModelError where there is none, or it takes longer than `timeout`."""
        if self._deployments.models.deployment is None:
            roll_back(self._deployments.models, by, clock.now(), id)  # raises where there is none before
        if self._rollback is not None:
            raise ModelError(f"{self._rollback.by} goes back already; see `vedette model history`")
        request = Rollback(by, id)
        self._rollback = request
        self._wake.set()
        if not request.done.wait(timeout):
            raise ModelError(f"the rollback takes longer than {timeout:.0f} s; see `vedette model history`")
        if request.error is not None:
            raise request.error

    def observations(self, at: float) -> list[Observation]:
        """What the rules should know, observed `at` (steady time)."""
        latest = self._deployments.models.latest
        failed = latest is not None and latest.failed and at - latest.changed_at < RETURNED_SECONDS
        text = f"{latest.model.name}: {latest.reason}" if latest is not None and failed else ""
        return [Observation(metric="host.model_returned", value=float(failed), at=at, text=text)]

    # -- in its own thread --------------------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Carry out what is on its way until stopped."""
        self._stop = stop
        self.attempt("clean up after the last run", self._deployments.clean)
        try:
            while not stop.is_set():
                self.beat()
                self._deployments.flush()
                if self._deployments.models.deployment is not None:
                    self._take_step()
                elif self._rollback is not None:
                    self._go_back(self._rollback)
                elif self._wake.wait(0.5):
                    self._wake.clear()
        finally:
            self._release(self._attempt)

    def _take_step(self) -> None:
        on_way = self._deployments.models.deployment
        assert on_way is not None
        try:
            self._STEPS[on_way.step](self, on_way)
        except _Stopping:
            pass
        except (VedetteError, OSError) as error:
            self._give_up(printable(error, LONGEST_REASON))
        except Exception as error:
            log.error("unexpected error in a deployment", id=on_way.id, exc_info=error)
            self._give_up(
                f"unexpected {type(error).__name__} after the step {on_way.step.value}; see the journal"
            )

    def _advance(
        self, *, model: ModelVersion | None = None, numbers: Mapping[str, float] | None = None
    ) -> None:
        models = self._deployments.change(
            lambda models: advance(models, clock.now(), model=model, numbers=numbers)
        )
        latest = models.latest
        assert latest is not None
        log.info(
            f"deployment: {latest.step.value}",
            id=latest.id,
            model=latest.model.name,
            **{name: round(value, 4) for name, value in (numbers or {}).items()},
        )
        self._running.changed()

    def _pause(self, seconds: float) -> None:
        """Wait; raises what ends the deployment meanwhile."""
        self.beat()
        if self._stop.wait(seconds):
            raise _Stopping
        if self._rollback is not None:
            raise ModelError(rolled_back(self._rollback.by))

    # -- the steps ----------------------------------------------------------------------------------------------

    def _fetch(self, _on_way: Deployment) -> None:
        attempt = self._own_attempt()
        store = self._deployments.store
        store.open(self._deployments.models.needed)
        fetched = attempt.fetch(self._pause)
        attempt.claim = replace(attempt.claim, signature=fetched.signature)
        attempt.copied = store.collect(fetched.path, self.settings.largest_model, lambda: self._pause(0.0))
        self._advance(numbers={"size_bytes": float(attempt.copied.size)})

    def _verify(self, _on_way: Deployment) -> None:
        attempt = self._own_attempt()
        assert attempt.copied is not None
        models = self._deployments.models
        keys = self.settings.public_keys
        model = verify(attempt.copied, attempt.claim, models, keys, clock.latest_unix())
        self._deployments.store.take_in(attempt.copied, model)
        attempt.copied = None
        self._advance(model=model)

    def _load(self, on_way: Deployment) -> None:
        attempt = self._own_attempt()
        open_apart(self._deployments.settings_of(on_way.model), self._pause)
        attempt.second, numbers = self._open_beside(on_way.model)
        check_memory(numbers["memory_bytes"], self.settings)
        check_loaded(attempt.second.info, self._running.detector.info, self.settings)
        self._running.check(attempt.second.info)
        self._advance(numbers=numbers)

    def _judge(self, on_way: Deployment) -> None:
        second = self._second()
        numbers = compare(self._running, second, self.settings.compared_frames, self._pause)
        labelled, unfound = evaluate(self._deployments, on_way.model, self.settings, self._pause)
        numbers |= labelled
        self._deployments.change(lambda models: measure(models, numbers))
        check_numbers(numbers, self.settings, better=shown_better(numbers))
        if note := check_classes(unfound, self.settings):
            self._deployments.change(lambda models: measure(models, {}, note))
            log.warning("deployment: a class is never found", id=on_way.id, reason=note)
        self._advance(numbers=numbers)

    def _shadow(self, on_way: Deployment) -> None:
        recent = ComparedFrames(WATCHED_FRAMES)
        self._watch(on_way.changed_at + self.settings.shadow, self._second(), recent, lambda: None)
        numbers = recent.numbers(new_runs=False)
        check_numbers(numbers, self.settings, better=shown_better(on_way.numbers))
        self._advance(numbers={f"shadow_{name}": value for name, value in numbers.items()})

    def _switch(self, _on_way: Deployment) -> None:
        attempt, second = self._own_attempt(), self._second()
        now = self._counts()
        failing, attempt.counts = share_failing(attempt.counts, now), now
        self._advance(
            numbers={"failing_before_ratio": failing}
        )  # on disk first: whoever is cut off has the new model
        self._running.exchange(second)

    def _begin_probation(self, on_way: Deployment) -> None:
        if self._running.detector.info.sha256 != on_way.model.sha256:
            raise ModelError("the new model could not be put in force")
        self._advance()

    def _probation(self, on_way: Deployment) -> None:
        attempt = self._attempt = self._attempt or self._resumed(on_way)
        recent, estimates = ComparedFrames(WATCHED_FRAMES), self._running.estimates

        def check() -> None:
            numbers = recent.numbers(new_runs=True)
            check_numbers(numbers, self.settings, better=shown_better(on_way.numbers))
            now = self._counts()
            failed, served = now.failed - attempt.counts.failed, now.served - attempt.counts.served
            check_failures(failed, served, on_way.numbers.get("failing_before_ratio", 0.0))
            state, reason = self._running.detector.verification
            if state is Verification.IMPLAUSIBLE:
                raise ModelError(f"its boxes cannot be objects: {reason}")
            beside = recent.of if attempt.second is not None else None
            check_estimates(estimates, on_way.model.sha256, self.settings.least_accuracy_estimate, beside)

        self._watch(on_way.changed_at + self.settings.probation, attempt.second, recent, check)
        numbers = recent.numbers(new_runs=True)
        numbers |= numbers_of(estimates, on_way.model.sha256)
        self._advance(numbers={f"probation_{name}": value for name, value in numbers.items()})
        self._release(attempt)
        self._deployments.store.prune(self._deployments.models.needed)

    _STEPS: Mapping[DeploymentStep, Callable[[Deployer, Deployment], None]] = {
        DeploymentStep.ACCEPTED: _fetch,
        DeploymentStep.FETCHED: _verify,
        DeploymentStep.VERIFIED: _load,
        DeploymentStep.LOADED: _judge,
        DeploymentStep.GATED: _shadow,
        DeploymentStep.SHADOWED: _switch,
        DeploymentStep.SWITCHED: _begin_probation,
        DeploymentStep.PROBATION: _probation,
    }

    def _watch(
        self, until: float, second: Detector | None, recent: ComparedFrames, check: Callable[[], None]
    ) -> None:
        """Until then (steady time): run both models on a share of the live frames, and have `check` judge them."""
        live, free_at = LiveResults(self._running), 0.0
        while clock.now() < until:
            self._pause(POLL_SECONDS)
            for result in live.take():
                if second is not None and clock.monotonic() >= free_at and self._running.full_pace():
                    found, seconds = run_both(self._running.detector, second, result.frame)
                    free_at = clock.monotonic() + sum(seconds) / self.settings.shadow_share
                    recent.add(result.frame.camera, found, seconds)
                    alike = found.f1(1)
                    if alike is not None and alike < 1.0:
                        self._running.disputed(result, 1.0 - alike)
            check()

    def _open_beside(self, model: ModelVersion) -> tuple[Detector, dict[str, float]]:
        self.warming = True  # an engine build takes minutes
        try:
            second, numbers = open_beside(self._deployments.settings_of(model), self._cache)
            check_digest(second, model)
            return second, numbers
        finally:
            self.beat()
            self.warming = False

    # -- back ---------------------------------------------------------------------------------------------------

    def _give_up(self, reason: str) -> None:
        """End the deployment and have the last good model run again, if it does not."""
        on_way = self._deployments.models.deployment
        assert on_way is not None
        attempt = self._attempt
        self._deployments.end(lambda models: give_up(models, reason, clock.now()))
        returned = on_way.step in IN_FORCE
        log.warning(
            f"deployment {'returned' if returned else 'refused'}",
            id=on_way.id,
            model=on_way.model.name,
            reason=reason,
            in_force=self._deployments.models.in_force.name,
        )
        if returned and self._running.detector.info.sha256 == on_way.model.sha256:
            self.attempt("put the old model back; restart the agent", lambda: self._put_back(attempt))
        self._release(attempt)
        self._running.changed()
        if self._rollback is not None:
            self._rollback.finish()
            self._rollback = None

    def _put_back(self, attempt: DeploymentAttempt | None) -> None:
        second = attempt.second if attempt is not None else None
        if second is None:
            second, _ = open_beside(self._deployments.settings_of(self._deployments.models.good), self._cache)
        self._running.exchange(second)
        second.close()

    def _go_back(self, request: Rollback) -> None:
        """Exchange the last good model for the one before it."""
        try:
            before = self._deployments.models.previous
            if before is None:
                raise ModelError("no other model was in force before this one; nothing to roll back to")
            second, _ = self._open_beside(before)
            self._deployments.change(lambda models: roll_back(models, request.by, clock.now(), request.id))
            self._running.exchange(second)
            second.close()
            log.info("rolled back", model=before.name, by=request.by)
            self._running.changed()
            request.finish()
        except VedetteError as error:
            log.error("cannot roll back", reason=str(error))
            request.finish(error)
        finally:
            if self._rollback is request:
                self._rollback = None

    def _release(self, attempt: DeploymentAttempt | None) -> None:
        """Let go of the second model, and of a copy that was not taken in."""
        if attempt is None:
            return
        if self._attempt is attempt:  # else the next one has come already
            self._attempt = None
        if attempt.second is not None:
            attempt.second.close()
        if attempt.copied is not None:
            self._deployments.store.discard(attempt.copied)

    def _resumed(self, on_way: Deployment) -> DeploymentAttempt:
        """The attempt of a probation that goes on after a start; the old model is opened to compare with."""
        log.info("probation continues", id=on_way.id, model=on_way.model.name)
        second: Detector | None = None
        try:
            second, _ = self._open_beside(self._deployments.models.good)
        except VedetteError as error:
            log.warning("the old model cannot be opened to compare with", reason=str(error))
        return DeploymentAttempt(claim=Claim(name=on_way.model.name), fetch=_unknown, second=second)

    def _own_attempt(self) -> DeploymentAttempt:
        if self._attempt is None:
            raise ModelError("what was known of it is lost; deploy it again")
        return self._attempt

    def _second(self) -> Detector:
        second = self._own_attempt().second
        if second is None or not second.opened:
            raise ModelError("the new model is no longer open; deploy it again")
        return second

    def _counts(self) -> ServedCounts:
        counts = self._running.counts()
        return ServedCounts(served=counts.served, failed=counts.failed)


def _unknown(_pause: Pause) -> Fetched:
    raise ModelError("where it came from is not known after a start")
