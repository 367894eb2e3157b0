"""The labelled gate: both models on images that people labelled, in a process of its own of the lowest priority."""

from __future__ import annotations

from dataclasses import replace

from agent.config.deploy_settings import DeploySettings
from agent.maintenance.child import Pause
from agent.maintenance.deploy.deployments import Deployments
from agent.maintenance.deploy.state import ModelVersion
from agent.maintenance.evaluation.beside import compare_beside
from agent.maintenance.evaluation.comparison import NeverFound
from agent.maintenance.evaluation.process import EvaluationRequest
from agent.maintenance.samples.labelled_set import labelled_audit
from agent.maintenance.samples.store import SampleStore

MOST_IMAGES = 500
"""More make the interval little narrower, and take a small box long."""


def evaluate(
    deployments: Deployments, model: ModelVersion, settings: DeploySettings, pause: Pause
) -> tuple[dict[str, float], tuple[NeverFound, ...]]:
    """What was measured of `model` and of the one in force, and the classes of which it finds none.

    Nothing where no image is labelled, or no object on them. Raises ModelError.
    """
    state = deployments.store.folder.parent
    wanted = settings.most_accuracy_loss < 1.0
    if not wanted or not (settings.labelled_data or labelled_audit(SampleStore(state), most=1)):
        return {}, ()
    request = EvaluationRequest(
        first=replace(deployments.settings_of(model), provider="cpu"),  # the GPU is for the cameras
        second=replace(deployments.settings_of(deployments.models.in_force), provider="cpu"),
        data=settings.labelled_data,
        split=settings.labelled_split,
        state=str(state),
        most=MOST_IMAGES,
    )
    found = compare_beside(request, pause)
    if not found.images:
        return {}, ()
    numbers = {
        "labelled_images": float(found.images),
        "map50_95": round(found.first, 4),
        "running_map50_95": round(found.second, 4),
    }
    if found.difference is not None:
        numbers["map50_95_difference_low"] = round(found.difference.low, 4)
        numbers["map50_95_difference_high"] = round(found.difference.high, 4)
    return numbers, found.never_found
