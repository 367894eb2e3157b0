"""Splits a new config into what a reload can put in force and what waits for a restart. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from agent.config.fields import key_of
from agent.config.schema import CameraSettings, Settings

IN_PLACE = ("ignore_masks", "include_zones", "exclude_zones", "classes", "confidence", "keep_frames")
"""Keys of a camera that a reload changes while it is read; all others open it anew. (So do `privacy_masks`: with the
camera all frames go that were taken under others.)
"""


def reopened(in_force: CameraSettings, new: CameraSettings) -> bool:
    """Whether the camera has to be opened anew for `new`."""
    return dataclasses.replace(in_force, **{key: getattr(new, key) for key in IN_PLACE}) != new


def live(
    in_force: Settings, new: Settings, keys: Mapping[str, tuple[str, ...]]
) -> tuple[Settings, list[str]]:
    """The settings that a reload puts in force, and the dotted keys of `new` that wait for a restart.

    `keys` has the live keys of each live table, () where all of it is live.
    """
    kept: dict[str, Any] = {}
    waiting: list[str] = []
    for field in dataclasses.fields(Settings):
        name, wanted = field.name, getattr(new, field.name)
        if keys.get(name) == ():
            continue
        kept[name] = _merged(name, getattr(in_force, name), wanted, keys.get(name, ()))
        waiting += _differing(name, kept[name], wanted)
    return dataclasses.replace(new, **kept), waiting


def _merged(table: str, old: Any, new: Any, keys: tuple[str, ...]) -> Any:
    """One table of `old` with the live `keys` of `new`."""
    if table == "commands" and not new.enabled:
        keys = (*keys, "enabled")  # switching off is at once; switching on needs a subscription
    return dataclasses.replace(old, **{key: getattr(new, key) for key in keys}) if keys else old


def _differing(table: str, old: Any, new: Any) -> Iterator[str]:
    if old == new:
        return
    if not dataclasses.is_dataclass(new):
        yield table
        return
    for field in dataclasses.fields(new):
        if getattr(old, field.name) != getattr(new, field.name):
            yield f"{table}.{key_of(field)}"
