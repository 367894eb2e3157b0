"""Records changes of config, model and version in the logbook, also those made between two runs.

What was in force last is kept on disk as `config show` prints it, secrets masked: so a change of a password alone
is not seen.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import structlog

from agent import __version__
from agent.config.render import show
from agent.config.schema import Settings
from agent.core.logbook import Note
from agent.core.printable import printable
from agent.core.state_dir import write_atomic
from agent.core.untrusted import BadInput, parse_kept, parse_toml, take_object, take_text
from agent.detection import ModelInfo

log = structlog.get_logger("vedette.logbook")

FILE_NAME = "logbook-last.json"
MOST_CHANGES = 50  # of one reload or start; the rest is counted
_LONGEST_VALUE = 120
_LONGEST_CONFIG = 4 << 20  # with all defaults it is longer than the file may be


class ChangeLog:
    """Compares with what was in force last, as `logbook-last.json` has it, and notes what differs."""

    def __init__(self, state_directory: Path, note: Note, settings: Callable[[], Settings]) -> None:
        self._path, self._note, self._settings = state_directory / FILE_NAME, note, settings
        self._lock = threading.Lock()
        self._last: dict[str, str] = {}

    def open(self, model: ModelInfo) -> None:
        """Note what differs from the last run."""
        with self._lock:
            self._last = _read(self._path)
            if not self._last:
                self._note("agent", f"first start, version {__version__}")
            elif self._last.get("version") != __version__:
                self._note("agent", f"version {__version__} instead of {self._last.get('version')}")
            self._last["version"] = __version__
            self._compare_model(model, "", "")
            self._compare_config("", "found at a start")
            self._save()

    def config(self, who: str) -> None:
        """Note what a reload changed."""
        with self._lock:
            self._compare_config(who, "reload")
            self._save()

    def model(self, model: ModelInfo, who: str, why: str) -> None:
        """Note `model` where another was in force."""
        with self._lock:
            if self._compare_model(model, who, why):
                self._save()

    def _compare_model(self, model: ModelInfo, who: str, why: str) -> bool:
        now = f"{model.name} ({model.sha256[:12]})"
        before = self._last.get("model")
        if now == before:
            return False
        self._note("model", f"{now} instead of {before}" if before else now, who=who, why=why)
        self._last["model"] = now
        return True

    def _compare_config(self, who: str, why: str) -> None:
        text, before = show(self._settings()), _parsed(self._last.get("config"))
        if before is not None:
            changes = list(differences(before, parse_toml(text, largest=_LONGEST_CONFIG)))
            for change in changes[:MOST_CHANGES]:
                self._note("config", change, who=who, why=why)
            if len(changes) > MOST_CHANGES:
                self._note("config", f"and {len(changes) - MOST_CHANGES} more keys", who=who, why=why)
        self._last["config"] = text

    def _save(self) -> None:
        try:
            write_atomic(self._path, json.dumps(self._last, ensure_ascii=False).encode())
        except OSError as error:
            log.error("the settings in force cannot be stored for the logbook", reason=str(error))


def _read(path: Path) -> dict[str, str]:
    try:
        kept = take_object({"last": parse_kept(path.read_bytes(), largest=2 * _LONGEST_CONFIG)}, "last")
        return {name: take_text(kept, name, longest=_LONGEST_CONFIG) for name in kept}
    except (OSError, BadInput):
        return {}


def _parsed(text: str | None) -> Mapping[str, Any] | None:
    try:
        return None if text is None else parse_toml(text, largest=_LONGEST_CONFIG)
    except ValueError:  # damaged: nothing is known of the last run
        return None


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What differs between two configs, a line for each key; a table that came or went is one line.

    >>> list(differences({"a": {"b": 1}}, {"a": {"b": 2}, "cameras": [{"name": "x"}]}))
    ['a.b = 2 (before: 1)', 'cameras.x added']
    """
    yield from _within("", before, now)


def _within(prefix: str, before: Any, now: Any) -> Iterator[str]:
    before, now = _named(before), _named(now)
    for key in [*before, *(key for key in now if key not in before)]:
        name = f"{prefix}.{key}" if prefix else key
        old, new = before.get(key), now.get(key)
        if old == new:
            continue
        if _are_tables(old, new):
            yield from _within(name, old or {}, new or {})
        elif isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _within(name, old, new)
        elif isinstance(old, Mapping) or isinstance(new, Mapping):
            yield f"{name} {'added' if old is None else 'removed'}"
        else:
            yield f"{name} = {_value(new)} (before: {_value(old)})"


def _are_tables(*values: Any) -> bool:
    """Whether they are lists of tables, some perhaps empty or not there. (Another version may have kept anything.)"""
    lists = [value for value in values if value]
    return bool(lists) and all(
        isinstance(value, list) and all(isinstance(entry, Mapping) for entry in value) for value in lists
    )


def _named(value: Any) -> Mapping[str, Any]:
    """A table as it is; tables of a list by their names, or else their numbers."""
    if isinstance(value, Mapping):
        return value
    return {str(entry.get("name", number)): entry for number, entry in enumerate(value)}


def _value(value: Any) -> str:
    return (
        "none"
        if value is None
        else printable(json.dumps(value, ensure_ascii=False, default=str), _LONGEST_VALUE)
    )
