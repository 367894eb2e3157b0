"""The models of this device: the state in memory and on disk, and the one in force opened at the start."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog

from agent.config.schema import ModelSettings
from agent.core import clock
from agent.core.errors import ModelError
from agent.detection.session import Detector
from agent.maintenance.deploy.journal import DeploymentJournal
from agent.maintenance.deploy.model_store import ModelStore
from agent.maintenance.deploy.state import CONFIGS, Models, ModelVersion, cannot_open, started

log = structlog.get_logger("vedette.deploy")


class Deployments:
    """What is known of deployments; every change is on disk before it counts. Any thread may call.

    `config` is the model that the config names and how it runs; deployed models run in the same way.
    """

    def __init__(self, state_directory: Path, config: ModelSettings) -> None:
        self.store = ModelStore(state_directory)
        self._journal, self._config = DeploymentJournal(self.store.folder), config
        self._lock = threading.Lock()
        self._models = Models(config_path=config.path)
        self._unwritten = False

    @property
    def models(self) -> Models:
        """The state."""
        return self._models

    def change(self, operation: Callable[[Models], Models]) -> Models:
        """Put the result of `operation` in place of the state; raises ModelError where it or the disk refuses."""
        with self._lock:
            changed = operation(self._models)
            try:
                self._journal.write(changed)
            except OSError as error:
                raise ModelError(
                    f"the journal of deployments cannot be written: {error.strerror or error}"
                ) from None
            self._models, self._unwritten = changed, False
            return changed

    def end(self, operation: Callable[[Models], Models]) -> Models:
        """The same for what goes back to the last good model: a disk that refuses is tried again by `flush`."""
        with self._lock:
            self._models, self._unwritten = operation(self._models), True
        self.flush()
        return self._models

    def flush(self) -> None:
        """Write what the disk refused before."""
        with self._lock:
            if not self._unwritten:
                return
            try:
                self._journal.write(self._models)
            except OSError as error:
                log.error("the journal of deployments cannot be written, retrying", reason=str(error))
                return
            self._unwritten = False

    def clean(self) -> None:
        """Remove what a run that was cut off left in the store, if there is one; raises OSError."""
        if self.store.folder.is_dir():
            self.store.open(self._models.needed)

    def settings_of(self, model: ModelVersion) -> ModelSettings:
        """How a model is opened."""
        return self._config if model == CONFIGS else replace(self._config, path=str(self.store.path(model)))

    def open_in_force(self, detector: Detector) -> None:
        """Open the model in force, or else the one before it, at last the config's; raises ModelError, MissingExtra."""
        self._models = self._journal.read(self._config.path)
        before = self._models
        self._models = started(before, self._config.path, clock.now())
        if self._models != before:
            self._log_start(before)
            self.end(lambda models: models)
        while True:
            model = self._models.in_force
            try:
                self._open(detector, model)
                return
            except ModelError as error:
                if model == CONFIGS:
                    raise
                reason = f"it cannot be opened: {error}"
            self.end(lambda models: cannot_open(models, reason, clock.now()))  # noqa: B023  (called at once)
            log.error(
                "the deployed model cannot be used",
                model=model.name,
                reason=reason,
                instead=self._models.in_force.name,
            )

    def _open(self, detector: Detector, model: ModelVersion) -> None:
        detector.settings = self.settings_of(model)
        detector.open()
        check_digest(detector, model)

    def _log_start(self, before: Models) -> None:
        latest = self._models.latest
        if before.in_force != self._models.in_force:
            log.warning(
                "another model is in use than before the start",
                before=before.in_force.name,
                now=self._models.in_force.name,
                reason=latest.reason if latest else "the config names another model",
            )
        elif latest is not None and before.deployment is not None and self._models.deployment is None:
            log.warning("deployment refused", id=latest.id, model=latest.model.name, reason=latest.reason)


def check_digest(detector: Detector, model: ModelVersion) -> None:
    """Close an opened detector, and raise ModelError, where its file is not the one that was verified as `model`."""
    if model != CONFIGS and detector.info.sha256 != model.sha256:
        found = detector.info.sha256
        detector.close()
        raise ModelError(f"its sha256 is {found}; expected {model.sha256}: it is damaged, or was replaced")
