"""Choices of an engine on disk, each for one model on one CPU with one set of versions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import structlog

from agent import __version__
from agent.config.schema import ModelSettings
from agent.core.printable import printable
from agent.core.state_dir import write_atomic
from agent.core.untrusted import BadInput, parse_object, take_object, take_text
from agent.detection.cpu import read_cpu
from agent.detection.sizing import cpu_lanes, cpu_threads

log = structlog.get_logger("vedette.detection")

FILE_NAME = "choices.json"
_MOST = 16
_LIBRARIES = ("onnxruntime", "onnxruntime-gpu", "openvino")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What runs a model, as the config would name it, and why, in words."""

    provider: str
    precision: str
    reason: str


def circumstances(settings: ModelSettings, sha256: str) -> str:
    """What a choice holds for: CPU, threads, the model's file and size, versions."""
    versions = []
    for name in _LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            versions.append(f"{name} {metadata.version(name)}")
    asked = f"{settings.provider} {settings.precision} {settings.input_size}"
    work = f"{cpu_threads(settings)} threads, {cpu_lanes(settings)} lanes"
    return "; ".join([sha256, asked, work, read_cpu().model, f"vedette {__version__}", *versions])


class ChoiceStore:
    """The choices in a folder. A file that cannot be read counts as none; one that cannot be written is logged."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME

    def find(self, key: str) -> Choice | None:
        """The choice made under these circumstances."""
        return self._read().get(key)

    def put(self, key: str, choice: Choice) -> None:
        """Keep a choice, the newest first."""
        others = {each: one for each, one in self._read().items() if each != key}
        self._write(dict(list({key: choice, **others}.items())[:_MOST]))

    def remove(self, key: str) -> None:
        """Have it chosen anew the next time."""
        self._write({each: one for each, one in self._read().items() if each != key})

    def _write(self, choices: Mapping[str, Choice]) -> None:
        body = {"choices": {key: asdict(choice) for key, choice in choices.items()}}
        try:
            write_atomic(self._path, json.dumps(body, indent=1).encode())
        except OSError as error:
            log.warning("the choice of an engine cannot be stored", reason=str(error))

    def _read(self) -> dict[str, Choice]:
        try:
            body = take_object(parse_object(self._path.read_bytes()), "choices")
            return {key: _choice(take_object(body, key)) for key in body}
        except FileNotFoundError:
            return {}
        except (OSError, BadInput) as error:
            log.warning("the stored choice of an engine cannot be read", file=FILE_NAME, reason=str(error))
            return {}


def _choice(body: Mapping[str, Any]) -> Choice:
    return Choice(**{key: printable(take_text(body, key)) for key in ("provider", "precision", "reason")})
