"""How a setting is declared: a dataclass field that carries its own documentation, unit and limits.

A settings class is `@dataclass(frozen=True, slots=True, kw_only=True)` with fields made by `setting(...)`. The
loader, `config.example.toml` and the docs all read these declarations; there is no second list of keys.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, Literal

Kind = Literal["plain", "duration", "size", "url", "pipeline", "path", "secret", "listen"]
REQUIRED: Any = dataclasses.MISSING


def setting(
    default: Any = REQUIRED,
    *,
    doc: str,
    kind: Kind = "plain",
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Iterable[str] = (),
    example: str | None = None,
    key: str | None = None,
) -> Any:
    """Declare one setting; without `default` the file must give it.

    `kind` "duration" accepts `"5m"`, `"250ms"` or seconds and yields float seconds; "size" accepts `"64MB"`
    or bytes and yields int; "url", "pipeline" (GStreamer's) and "secret" are masked where shown; "path" is taken
    relative to the file; "listen" must be ADDRESS:PORT.
    `choices` restricts a string. `example` is the TOML text shown for a setting without default. `key` is the
    name in the file where Python keeps that word for itself (`for`).
    """
    metadata = {
        "doc": doc,
        "kind": kind,
        "minimum": minimum,
        "maximum": maximum,
        "choices": tuple(choices),
        "example": example,
        "key": key,
    }
    if isinstance(default, (list, dict)):
        raise TypeError("a default must be immutable")
    return dataclasses.field(default=default, metadata=metadata)


def key_of(field: dataclasses.Field[Any]) -> str:
    """What the setting is called in the file."""
    return field.metadata.get("key") or field.name
