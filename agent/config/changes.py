"""What of a config read anew can be taken in use while the agent runs, and what waits for a restart. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from agent.config.fields import key_of
from agent.config.schema import Settings

LIVE: Mapping[str, tuple[str, ...]] = {
    "cameras": (),
    "rules": (),
    "alerts": (),
    "notifiers": (),
    "telemetry": (),
    "prometheus": (),
    "log": ("level",),
    "drift": ("false_alarms_per_month",),
    "commands": ("allow", "rate_per_minute", "max_age"),
}
"""Tables taken in use by a reload: whole, or only the keys named. All others wait for a restart."""


def live(in_force: Settings, new: Settings) -> tuple[Settings, list[str]]:
    """The settings that a reload puts in force, and the dotted keys of `new` that wait for a restart."""
    kept: dict[str, Any] = {}
    waiting: list[str] = []
    for field in dataclasses.fields(Settings):
        name, old = field.name, getattr(in_force, field.name)
        wanted = getattr(new, name)
        if name in LIVE and not LIVE[name]:
            continue
        kept[name] = _taken(name, old, wanted)
        waiting += _differing(name, kept[name], wanted)
    return dataclasses.replace(new, **kept), waiting


def _taken(table: str, old: Any, new: Any) -> Any:
    """What is in force of one table afterwards."""
    keys = LIVE.get(table, ())
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
