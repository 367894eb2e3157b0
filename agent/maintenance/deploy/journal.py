"""The journal of deployments on disk: one file, replaced as a whole: a power cut leaves the old state or the new."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog

from agent.core.plain_file import read_small
from agent.core.printable import printable
from agent.core.state_dir import write_atomic
from agent.core.untrusted import (
    BadInput,
    parse_object,
    take_integer,
    take_list,
    take_number,
    take_object,
    take_text,
)
from agent.maintenance.deploy.state import KEPT_HISTORY, Deployment, DeploymentStep, Models, ModelVersion

log = structlog.get_logger("vedette.deploy")

FILE_NAME = "deploy.json"
LONGEST_TEXT = 1000
"""Characters of a text that are kept: an error may quote what a model's file says."""

_LARGEST = 8 * 1024 * 1024  # of all of KEPT_HISTORY, each character written as an escape
_TEXTS = ("id", "source", "by", "reason", "note")


class DeploymentJournal:
    """Reads and writes the state of deployments in a folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME

    def read(self, config_path: str) -> Models:
        """What was written last; where nothing is or can be read, the config's model is in force."""
        try:
            return from_json(parse_object(read_small(self._path, _LARGEST), largest=_LARGEST))
        except FileNotFoundError:
            pass
        except (OSError, BadInput) as error:
            log.error(
                "the journal of deployments cannot be read, the config's model is used",
                file=str(self._path),
                reason=str(error),
            )
        return Models(config_path=config_path)

    def write(self, models: Models) -> None:
        """Replace the state; raises OSError, and then the old one is in force."""
        write_atomic(self._path, json.dumps(to_json(models), separators=(",", ":")).encode())


def to_json(models: Models) -> dict[str, Any]:
    """The state as JSON values, such that `from_json` takes them, whatever texts and numbers are in it: what cannot be
    read again would put the config's model in force, and forget the versions that were."""
    on_way = models.deployment
    return {
        **asdict(models),
        "deployment": None if on_way is None else _body(on_way),
        "history": [_body(one) for one in models.history],
    }


def _body(deployment: Deployment) -> dict[str, Any]:
    return {
        **asdict(deployment),
        **{name: printable(getattr(deployment, name), LONGEST_TEXT)[:LONGEST_TEXT] for name in _TEXTS},
        "numbers": {name: value for name, value in deployment.numbers.items() if math.isfinite(value)},
    }


def from_json(body: Mapping[str, Any]) -> Models:
    """The state that was stored as JSON; raises BadInput if it is none."""
    previous, on_way = take_object(body, "previous", None), take_object(body, "deployment", None)
    return Models(
        config_path=take_text(body, "config_path"),
        good=_model(take_object(body, "good")),
        previous=None if previous is None else _model(previous),
        deployment=None if on_way is None else _deployment(on_way),
        floor=take_integer(body, "floor", minimum=0),
        history=tuple(_deployment(entry) for entry in take_list(body, "history", longest=KEPT_HISTORY)),
    )


def _model(body: Mapping[str, Any]) -> ModelVersion:
    return ModelVersion(
        sha256=take_text(body, "sha256", longest=64),
        name=take_text(body, "name"),
        version=take_integer(body, "version", minimum=0),
    )


def _deployment(body: object) -> Deployment:
    if not isinstance(body, dict):
        raise BadInput("a deployment is not an object")
    texts = {key: take_text(body, key) for key in ("id", "source", "by", "reason")}
    numbers = take_object(body, "numbers")
    try:
        step = DeploymentStep(take_text(body, "step"))
    except ValueError:
        raise BadInput("`step` is unknown") from None
    return Deployment(
        **texts,
        note=take_text(body, "note", ""),  # an earlier version had none
        model=_model(take_object(body, "model")),
        step=step,
        begun_at=take_number(body, "begun_at"),
        changed_at=take_number(body, "changed_at"),
        starts=take_integer(body, "starts", minimum=0),
        numbers={str(name): take_number(numbers, name) for name in numbers},
    )
