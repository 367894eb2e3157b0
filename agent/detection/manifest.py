"""The manifest beside a prepared model (NAME.json): what it is, where it came from, what was checked."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.core.errors import ModelError
from agent.core.printable import printable
from agent.core.state_dir import write_atomic
from agent.core.untrusted import (
    BadInput,
    parse_object,
    take_flag,
    take_integer,
    take_list,
    take_object,
    take_text,
)

SCHEMA = 1
_LARGEST = 4 * 1024 * 1024
_TEXTS = (
    "model", "sha256", "source", "source_sha256", "input_type", "layout", "embedding_tensor", "ultralytics", "created",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What `vedette model prepare` writes down. Sizes in pixels (height, width); hashes are sha256, in hex.

    `embedding_tensor` is the feature map that the embedding averages, `quickened` the number of places in the graph
    that were rewritten to run faster on a CPU. `checks` says how the prepared model compared with its source,
    `int8` what INT8 reached (empty: it is in float).
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
    int8: Mapping[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA


def path_of(model: Path) -> Path:
    """Where the manifest of a model lies."""
    return model.with_suffix(".json")


def identity(path: Path, beside: Sequence[Path]) -> str:
    """The sha256 of a model, in hex: of its file, or of the digests of all where weights lie in files `beside` it."""
    if not beside:
        return digest(path)
    return hashlib.sha256("".join(digest(one) for one in (path, *beside)).encode()).hexdigest()


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
        if not path.is_file() or path.stat().st_size > _LARGEST:
            raise ModelError(
                f"manifest {path} cannot be read: it is not a plain file of at most {_LARGEST} bytes"
            )
        body = parse_object(path.read_bytes(), largest=_LARGEST)
    except OSError as error:
        raise ModelError(f"manifest {path} cannot be read: {error.strerror}") from error
    except BadInput as error:
        raise ModelError(f"manifest {path} is none: {error}") from None
    try:
        return _manifest(body)
    except BadInput as error:
        raise ModelError(f"manifest {path} is none: {error}; prepare the model again") from None


def _manifest(body: Mapping[str, Any]) -> Manifest:
    size = take_list(body, "input_size", longest=2)
    sides = tuple(take_integer({"input_size": side}, "input_size", minimum=1) for side in size)
    if len(sides) != 2:
        raise BadInput("`input_size` has another length than two")
    return Manifest(
        **{key: _shown(body, key) for key in _TEXTS},
        classes=tuple(_shown({"classes": name}, "classes") for name in take_list(body, "classes")),
        input_size=(sides[0], sides[1]),
        dynamic=take_flag(body, "dynamic"),
        embedding_size=take_integer(body, "embedding_size", minimum=0),
        opset=take_integer(body, "opset", minimum=0),
        quickened=take_integer(body, "quickened", 0, minimum=0),
        checks=_figures(body, "checks"),
        int8=_figures(body, "int8"),
        schema=take_integer(body, "schema", SCHEMA, minimum=0),
    )


def _shown(body: Mapping[str, Any], key: str) -> str:
    return printable(take_text(body, key))


def _figures(body: Mapping[str, Any], key: str) -> dict[str, Any]:
    """What was measured, by name, without what was not (null)."""
    found = take_object(body, key, {}).items()
    return {printable(name, 64): _plain(value) for name, value in found if value is not None}


def _plain(value: Any) -> Any:
    return value if isinstance(value, (bool, int, float)) else printable(value)
