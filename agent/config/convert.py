"""Conversion of parsed TOML values into settings classes, collecting every mistake instead of the first."""

from __future__ import annotations

import dataclasses
import re
import sys
import typing
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from agent.config.fields import TYPES, key_of
from agent.core.errors import ConfigError
from agent.core.file_url import is_file_url, local_path
from agent.core.masking import mask
from agent.core.nearest import nearest
from agent.core.polygon import Polygon, parse_polygon
from agent.core.printable import printable
from agent.core.secret import Secret
from agent.core.units import parse_duration, parse_size

KeyPath = tuple[str | int, ...]
Report = Callable[[KeyPath, str, str | None, str | None], None]

MOST_MISTAKES = 50
"""At most so many mistakes are reported of one file: one that is no config at all must not keep the agent busy."""

LARGEST_INTEGER = 2**31 - 1
LARGEST_NUMBER = 1e9
MOST_POLYGONS = 32  # of one key: each costs time for every frame
LONGEST_PATH, LONGEST_NAME = 4095, 255  # bytes: what Linux takes

_UNUSABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_UNUSABLE_IN_TEXT = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")  # where several lines may be


def parse_listen(text: str) -> tuple[str, int]:
    """(address, port) of `"127.0.0.1:9477"` or `"[::1]:9477"`; raises ValueError.

    >>> parse_listen("[::1]:9477")
    ('::1', 9477)
    """
    host, _, port = text.rpartition(":")
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise ValueError("no address and port")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    address = ip_address("127.0.0.1" if bare == "localhost" else bare)
    if (address.version == 6) == (bare == host):  # IPv6 has brackets, IPv4 has none
        raise ValueError("brackets")
    return str(address), int(port)


class Converter:
    """Turns plain values into settings; `report` is called with each mistake; relative paths start from `base`."""

    def __init__(self, report: Report, base: Path) -> None:
        self._told = 0
        self._hear = report
        self._base = base

    @property
    def full(self) -> bool:
        """Whether the limit of reported mistakes is reached."""
        return self._told >= MOST_MISTAKES

    def _report(self, path: KeyPath, message: str, expected: str | None, nearest: str | None) -> None:
        self._told += 1
        if self._told <= MOST_MISTAKES:
            self._hear(path, message, expected, nearest)

    def settings(self, cls: Any, table: object, path: KeyPath, ignore: frozenset[str] = frozenset()) -> Any:
        """An instance of the settings class `cls`, or None where a mistake was reported."""
        if not isinstance(table, Mapping):
            self._report(path, f"is {describe(table)}", f"a table [{_dotted(path)}]", None)
            return None
        hints = typing.get_type_hints(cls)
        fields = {key_of(field): field for field in dataclasses.fields(cls) if field.name != "options"}
        self._unknown(table, fields, path, ignore)
        values: dict[str, Any] = {}
        complete = True
        for key, field in fields.items():
            if key in table:
                value = self.value(hints[field.name], field, table[key], (*path, key))
                complete &= value is not None
                values[field.name] = value
            elif field.default is dataclasses.MISSING:
                hint = field.metadata.get("example") or "a value"
                self._report((*path, key), "is missing", f"{key} = {hint}", None)
                complete = False
        return self._made(cls, values, path) if complete else None

    def _made(self, cls: Any, values: Mapping[str, Any], path: KeyPath) -> Any:
        try:
            return cls(**values)
        except ConfigError as error:  # a class may check what spans several of its keys
            steps = (error.key,) if error.key else ()
            self._report((*path, *steps), error.message, error.expected, error.nearest)
            return None

    def _unknown(
        self, table: Mapping[str, Any], fields: Mapping[str, Any], path: KeyPath, ignore: frozenset[str]
    ) -> None:
        for key in table:
            if self.full:
                return
            if key not in fields and key not in ignore:
                known = [*fields, *ignore]
                near = nearest(key, known, cutoff=0.5)
                expected = None if near else f"one of {', '.join(known)}"
                self._report((*path, key), "unknown key", expected, near)

    def value(self, hint: Any, field: dataclasses.Field[Any], value: object, path: KeyPath) -> Any:
        """`value` as the declared type, within its declared limits; None where a mistake was reported."""
        if dataclasses.is_dataclass(hint):
            return self.settings(hint, value, path)
        if field.metadata.get("kind") == "polygons":
            return self._polygons(value, path)
        if typing.get_origin(hint) is tuple:
            return self._array(typing.get_args(hint)[0], field, value, path)
        return self._scalar(hint, field, value, path)

    def _array(self, item: Any, field: dataclasses.Field[Any], value: object, path: KeyPath) -> Any:
        if not isinstance(value, list):
            self._report(path, f"is {describe(value, field)}", "a list [...]", None)
            return None
        items = [self.value(item, field, entry, (*path, index)) for index, entry in enumerate(value)]
        return None if any(entry is None for entry in items) else tuple(items)

    def _polygons(self, value: object, path: KeyPath) -> tuple[Polygon, ...] | None:
        if not isinstance(value, list) or len(value) > MOST_POLYGONS:
            found = f"has {len(value)} polygons" if isinstance(value, list) else f"is {describe(value)}"
            self._report(path, found, f"a list of at most {MOST_POLYGONS} polygons", None)
            return None
        polygons = [self._polygon(entry, (*path, index)) for index, entry in enumerate(value)]
        return None if None in polygons else tuple(filter(None, polygons))

    def _polygon(self, value: object, path: KeyPath) -> Polygon | None:
        try:
            return parse_polygon(value)
        except ConfigError as error:
            self._report(path, error.message, error.expected, None)
            return None

    def _scalar(self, hint: Any, field: dataclasses.Field[Any], value: object, path: KeyPath) -> Any:
        kind = field.metadata.get("kind", "plain")
        try:
            converted = _convert(hint, kind, value)
        except ValueError:
            self._report(path, f"is {describe(value, field)}", _expected(hint, field), None)
            return None
        if isinstance(converted, str):
            text = self._string(field, converted, path)
            return TYPES[kind](text) if kind in TYPES and text is not None else text
        low, high = field.metadata.get("minimum"), field.metadata.get("maximum")
        if isinstance(converted, bool) or not isinstance(converted, (int, float)):
            return converted
        if (low is not None and converted < low) or (high is not None and converted > high):
            self._report(path, f"is {describe(value, field)}", _expected(hint, field), None)
            return None
        return converted

    def _string(self, field: dataclasses.Field[Any], value: str, path: KeyPath) -> str | None:
        kind = field.metadata.get("kind")
        if (_UNUSABLE_IN_TEXT if kind in {"plain", "pipeline"} else _UNUSABLE).search(value):
            self._report(path, "holds a control character", "text without one", None)
            return None
        choices = field.metadata.get("choices") or ()
        if choices and value not in choices:
            expected = f"one of {', '.join(filter(None, choices))}"
            self._report(path, f"is {describe(value)}", expected, nearest(value, choices))
            return None
        if kind == "listen" and value and not _is_listen(value):
            self._report(
                path, f"is {describe(value)}", 'ADDRESS:PORT such as "127.0.0.1:9477" or "[::1]:9477"', None
            )
            return None
        is_file = kind == "path" or (kind == "url" and ("://" not in value or is_file_url(value)))
        return self._path(value, path) if value and is_file else value

    def _path(self, value: str, path: KeyPath) -> str | None:
        """`value` as a path that starts from the file's directory."""
        if len(value.encode()) > LONGEST_PATH or any(
            len(part.encode()) > LONGEST_NAME for part in value.split("/")
        ):
            self._report(path, "is too long for a path", "a path", None)
            return None
        try:
            return str(self._base / Path(local_path(value)).expanduser())
        except RuntimeError:  # no such user, or none with a home
            self._report(path, "begins with ~ and the name of no user of this box", "a path", None)
            return None


def _is_listen(value: str) -> bool:
    try:
        parse_listen(value)
    except ValueError:
        return False
    return True


def _convert(hint: Any, kind: str, value: object) -> Any:
    if kind == "duration":
        return parse_duration(value)
    if kind == "size":
        return parse_size(value)
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        if not abs(value) <= LARGEST_NUMBER:
            raise ValueError("out of range")
        return float(value)
    if hint is bool and isinstance(value, bool):
        return value
    if hint is int and type(value) is int and abs(value) <= LARGEST_INTEGER:
        return value
    if (hint is str or issubclass(hint, Secret)) and isinstance(value, str):
        return value
    raise ValueError("another type")


def _expected(hint: Any, field: dataclasses.Field[Any]) -> str:
    kind = field.metadata.get("kind", "plain")
    names = {"duration": 'a duration such as "30s" or "5m"', "size": 'a size such as "64MB"'}
    text = names.get(kind) or {bool: "true or false", int: "a whole number", float: "a number"}.get(
        hint, "a string"
    )
    low, high = field.metadata.get("minimum"), field.metadata.get("maximum")
    unit = " seconds" if kind == "duration" else ""
    if low is not None and high is not None:
        return f"{text}, from {low:g} to {high:g}{unit}"
    if low is not None:
        return f"{text}, {low:g}{unit} or more"
    return f"{text}, {high:g}{unit} or less" if high is not None else text


def describe(value: object, field: dataclasses.Field[Any] | None = None) -> str:
    """What `value` is, for a message: its type alone where `field` may hold a secret; printable, and masked."""
    if isinstance(value, (dict, list)):
        return "a table" if isinstance(value, dict) else "a list"
    if field is not None and field.metadata.get("kind") in TYPES:
        return f"{'a number' if type(value) in (int, float) else _named(value)} (not shown: it may be secret)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value) if abs(value) < sys.maxsize else "a number out of range"
    if isinstance(value, (float, str)):
        return f'"{printable(mask(value), 60)}"' if isinstance(value, str) else str(value)
    return _named(value)


def _named(value: object) -> str:
    return {bool: "true or false", str: "a string"}.get(type(value)) or f"a {type(value).__name__}"


def _dotted(path: KeyPath) -> str:
    return ".".join(str(step) for step in path if isinstance(step, str))


def error_at(
    file: str, line: int | None, path: KeyPath
) -> Callable[[str, str | None, str | None], ConfigError]:
    """A function that makes ConfigErrors for one place in the file."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{printable(mask(step), 60)}" for step in path)
    key = "".join(steps).lstrip(".")
    return lambda message, expected, nearest: ConfigError(
        message, file=file, line=line, key=key, expected=expected, nearest=nearest
    )
