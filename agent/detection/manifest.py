"""The manifest beside a prepared model (NAME.json): what it is, where it came from, what was checked."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.errors import ModelError
from agent.state import write_atomic

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What `vedette model prepare` writes down. Sizes in pixels (height, width); hashes are sha256, in hex.

    `embedding_tensor` is the feature map that the embedding averages, `quickened` the number of places in the graph
    that were rewritten to run faster on a CPU. `checks` says how the prepared model compared with its source.
    """

    model: str
    sha256: str
    source: str
    source_sha256: str
    classes: tuple[str, ...]
    input_size: tuple[int, int]
    input_type: str
    dynamic: bool
    layout: str
    embedding_size: int
    embedding_tensor: str
    opset: int
    ultralytics: str
    created: str
    quickened: int = 0
    checks: Mapping[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA


def path_of(model: Path) -> Path:
    """Where the manifest of a model lies."""
    return model.with_suffix(".json")


def digest(path: Path) -> str:
    """The sha256 of a file, in hex. Raises ModelError where it cannot be read."""
    state = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                state.update(block)
    except OSError as error:
        raise ModelError(f"model {path} cannot be read: {error.strerror}") from error
    return state.hexdigest()


def write(path: Path, manifest: Manifest) -> None:
    """Write a manifest; a crash leaves the old one or the new one."""
    text = json.dumps(dataclasses.asdict(manifest), indent=2, ensure_ascii=False)
    write_atomic(path, f"{text}\n".encode(), mode=0o644)


def read(path: Path) -> Manifest:
    """Read a manifest; keys of a later version are ignored. Raises ModelError if it is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        known = {one.name for one in dataclasses.fields(Manifest)}
        values = {key: value for key, value in content.items() if key in known}
        values["classes"], values["input_size"] = tuple(values["classes"]), tuple(values["input_size"])
        return Manifest(**values)
    except OSError as error:
        raise ModelError(f"manifest {path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"manifest {path} is none: {error}") from error
