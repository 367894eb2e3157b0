r"""The state machine of deployments: which model is in force, and what becomes of the one that is on its way. Pure.

Laws
----
1. A deployment goes forward one step at a time, or ends: `refused` before the switch, `returned` after it, else `kept`.
2. In force is the model of the deployment from `switched` on until it ends, and otherwise the last good one. A
   deployment becomes the last good one by `kept` alone.
3. Whoever is stopped before the switch ends it: the start after that refuses it, since loading it may be what stopped
   the agent. After the switch the new model stays in force over a start, and is returned when there are too many.
4. A model that a start cannot open is returned, or replaced by the one before it, or by the config's.
5. The config's model (`CONFIGS`) counts until another is deployed, and again once the config names another file.
6. The version that a deployment must have never falls: `floor` is the highest that was kept.

::

    accepted > fetched > verified > loaded > gated > shadowed > switched > probation > kept
        \________________________refused____________________/        \____returned____/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from agent.core.errors import ModelError

MOST_STARTS = 3
"""A new model is returned when the agent has to start so often in its probation."""

KEPT_HISTORY = 50
_ROLLED_BACK = "rolled back by "


class DeploymentStep(str, Enum):
    """How far a deployment has come, or how it ended."""

    ACCEPTED = "accepted"
    FETCHED = "fetched"
    VERIFIED = "verified"
    LOADED = "loaded"
    GATED = "gated"
    SHADOWED = "shadowed"
    SWITCHED = "switched"
    PROBATION = "probation"
    KEPT = "kept"
    RETURNED = "returned"
    REFUSED = "refused"


WAY = tuple(step for step in DeploymentStep if step not in (DeploymentStep.RETURNED, DeploymentStep.REFUSED))
"""The steps in their order."""

IN_FORCE = frozenset({DeploymentStep.SWITCHED, DeploymentStep.PROBATION})
ENDED = frozenset({DeploymentStep.KEPT, DeploymentStep.RETURNED, DeploymentStep.REFUSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """A model in the store by its `sha256` ("" until it is known); `version` 0 where no signature gives one."""

    sha256: str
    name: str = ""
    version: int = 0


CONFIGS = ModelVersion(sha256="", name="the config's model")
"""The model that the config names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One model on its way. `source` is where it came from, `by` who asked; times are steady time.

    `numbers` are what was measured on the way, `note` what a person should know of it though it passed, `starts` how
    often the agent was started since the switch.
    """

    id: str
    model: ModelVersion
    source: str
    by: str
    begun_at: float
    changed_at: float
    step: DeploymentStep = DeploymentStep.ACCEPTED
    reason: str = ""
    note: str = ""
    starts: int = 0
    numbers: Mapping[str, float] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether the model was in force and was returned by itself, not by a person."""
        return self.step is DeploymentStep.RETURNED and not self.reason.startswith(_ROLLED_BACK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """All that is known over a restart: the last good model, the one before it, the deployment on its way, the past.

    `config_path` is the file that the config named when this was written; `history` has the newest first.
    """

    config_path: str
    good: ModelVersion = CONFIGS
    previous: ModelVersion | None = None
    deployment: Deployment | None = None
    floor: int = 0
    history: tuple[Deployment, ...] = ()

    @property
    def in_force(self) -> ModelVersion:
        """The model that runs, or must run after a start."""
        on_way = self.deployment
        return on_way.model if on_way is not None and on_way.step in IN_FORCE else self.good

    @property
    def latest(self) -> Deployment | None:
        """The deployment on its way, or else the last that ended."""
        return self.deployment or (self.history[0] if self.history else None)

    @property
    def needed(self) -> frozenset[str]:
        """The digests of the models that must stay in the store."""
        models = (self.good, self.previous, self.deployment.model if self.deployment else None)
        return frozenset(model.sha256 for model in models if model is not None and model.sha256)


def begin(models: Models, deployment: Deployment) -> Models:
    """Accept a deployment; ModelError while another is on its way."""
    if models.deployment is not None:
        on_way = models.deployment
        raise ModelError(
            f"deployment {on_way.id} of {on_way.model.name} is on its way ({on_way.step.value}); "
            "wait for it, or end it with `vedette model rollback`"
        )
    return replace(models, deployment=deployment)


def advance(
    models: Models,
    now: float,
    *,
    model: ModelVersion | None = None,
    numbers: Mapping[str, float] | None = None,
) -> Models:
    """The deployment has taken its next step; `model` is what is known of it now, `numbers` what was measured."""
    on_way = _on_way(models)
    step = WAY[WAY.index(on_way.step) + 1]
    moved = replace(
        on_way,
        step=step,
        changed_at=now,
        model=model or on_way.model,
        numbers={**on_way.numbers, **(numbers or {})},
    )
    if step is not DeploymentStep.KEPT:
        return replace(models, deployment=moved)
    kept = replace(
        models,
        good=moved.model,
        previous=models.good,
        floor=max(models.floor, moved.model.version),
    )
    return _ended(kept, moved)


def measure(models: Models, numbers: Mapping[str, float], note: str = "") -> Models:
    """Add what was measured at the present step, and a `note` for people."""
    on_way = _on_way(models)
    measured = replace(on_way, numbers={**on_way.numbers, **numbers}, note=note or on_way.note)
    return replace(models, deployment=measured)


def give_up(models: Models, reason: str, now: float) -> Models:
    """End the deployment: refused before the switch, returned after it. The last good model is in force."""
    on_way = _on_way(models)
    step = DeploymentStep.RETURNED if on_way.step in IN_FORCE else DeploymentStep.REFUSED
    return _ended(models, replace(on_way, step=step, reason=reason, changed_at=now))


def started(models: Models, config_path: str, now: float) -> Models:
    """The agent starts with a config that names `config_path`."""
    if config_path != models.config_path:
        return _configured(models, config_path, now)
    on_way = models.deployment
    if on_way is None:
        return models
    if on_way.step not in IN_FORCE:
        reason = f"the agent was stopped or ended after the step {on_way.step.value!r}; deploy it again"
        return give_up(models, reason, now)
    counted = replace(models, deployment=replace(on_way, starts=on_way.starts + 1))
    if on_way.starts + 1 >= MOST_STARTS:
        return give_up(counted, f"the agent was started {MOST_STARTS} times in its probation", now)
    return counted


def cannot_open(models: Models, reason: str, now: float) -> Models:
    """The model in force cannot be opened at a start: the one before it is, at last the config's."""
    if models.deployment is not None and models.deployment.step in IN_FORCE:
        return give_up(models, reason, now)
    failed = models.good
    if failed == CONFIGS:
        raise ModelError(reason)
    good = models.previous if models.previous is not None else CONFIGS
    noted = Deployment(
        id="",
        model=failed,
        source="",
        by="",
        begun_at=now,
        changed_at=now,
        step=DeploymentStep.RETURNED,
        reason=reason,
    )
    return _ended(replace(models, good=good, previous=None), noted)


def roll_back(models: Models, by: str, now: float, id: str) -> Models:
    """A person wants the model before: ends the deployment on its way, or exchanges the last good one for its previous.

    `id` is that of the entry in the history. ModelError where there is none before.
    """
    if models.deployment is not None:
        return give_up(models, rolled_back(by), now)
    if models.previous is None:
        raise ModelError("no other model was in force before this one; nothing to roll back to")
    noted = Deployment(
        id=id,
        model=models.previous,
        source="rollback",
        by=by,
        begun_at=now,
        changed_at=now,
        step=DeploymentStep.KEPT,
        reason=f"rolled back from {models.good.name}",
    )
    return _ended(replace(models, good=models.previous, previous=models.good), noted)


def check_version(models: Models, version: int) -> None:
    """Raise ModelError for a version below one that was kept: it is signed too, but was replaced for a reason."""
    if version < models.floor:
        raise ModelError(
            f"version {version} is older than {models.floor}, which was in force on this device; "
            "where that is meant, deploy it here with --older, or go back with `vedette model rollback`"
        )


def rolled_back(by: str) -> str:
    """The reason of a deployment that a person ended."""
    return f"{_ROLLED_BACK}{by}"


def _on_way(models: Models) -> Deployment:
    if models.deployment is None:
        raise ModelError("no deployment is on its way")
    return models.deployment


def _ended(models: Models, deployment: Deployment) -> Models:
    return replace(models, deployment=None, history=(deployment, *models.history)[:KEPT_HISTORY])


def _configured(models: Models, config_path: str, now: float) -> Models:
    """The config names another model: it is in force, and deployments begin anew."""
    if models.deployment is not None:
        models = give_up(models, "the config names another model", now)
    return replace(models, config_path=config_path, good=CONFIGS, previous=None)
