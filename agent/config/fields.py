"""How a setting is declared: a dataclass field that carries its own documentation, unit and limits.

A settings class is `@dataclass(frozen=True, slots=True, kw_only=True)` with fields made by `setting(...)`. The
loader, `config.example.toml` and the docs all read these declarations; there is no second list of keys.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from agent.core.secret import Masked, Secret

Kind = Literal["plain", "duration", "size", "url", "pipeline", "path", "secret", "listen", "polygons"]
REQUIRED: Any = dataclasses.MISSING
TYPES: Mapping[str, type[Secret]] = {"secret": Secret, "url": Masked, "pipeline": Masked}
"""Kinds whose values may be, or hold, a secret: settings carry them in these types, and no error shows them."""


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
    or bytes and yields int; "secret" yields a `Secret`, "url" and "pipeline" (GStreamer's) a `Masked`; "path" is
    taken relative to the file; "listen" must be ADDRESS:PORT; "polygons" is a list of polygons in shares of the frame.
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
    return dataclasses.field(default=_sealed(kind, default), metadata=metadata)


def key_of(field: dataclasses.Field[Any]) -> str:
    """What the setting is called in the file."""
    return field.metadata.get("key") or field.name


def seal(settings: Any) -> None:
    """Put plain strings in the fields that must be a `Secret` or `Masked` into that; for `__post_init__`.

    The loader makes these itself; settings made by a program or a test may be given plain strings.
    """
    for field in dataclasses.fields(settings):
        kind = field.metadata.get("kind", "plain")
        if kind in TYPES:
            object.__setattr__(settings, field.name, _sealed(kind, getattr(settings, field.name)))


def _sealed(kind: str, value: Any) -> Any:
    made = TYPES.get(kind)
    if made is None or value is REQUIRED:
        return value
    return tuple(made(item) for item in value) if isinstance(value, tuple) else made(value)
