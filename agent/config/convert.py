"""Conversion of parsed TOML values into settings classes, collecting every mistake instead of the first."""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import typing
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from agent.config.fields import key_of
from agent.errors import ConfigError

KeyPath = tuple[str | int, ...]
Report = Callable[[KeyPath, str, str | None, str | None], None]

_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_SIZE_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_DURATION = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*(ms|s|m|h|d|w)\s*")
_SIZE = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*([kmg]?i?b?)\s*", re.IGNORECASE)


def parse_duration(value: object) -> float:
    """Seconds of `"5m"`, `"1h30m"`, `"250ms"` or a plain number; raises ValueError."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str) or not re.fullmatch(f"(?:{_DURATION.pattern})+", value):
        raise ValueError(value)
    return sum(float(number) * _DURATION_UNITS[unit] for number, unit in _DURATION.findall(value))


def parse_size(value: object) -> int:
    """Bytes of `"64MB"`, `"1GiB"` or a plain number; raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if not match or match[2].lower() not in _SIZE_UNITS:
        raise ValueError(value)
    return int(float(match[1]) * _SIZE_UNITS[match[2].lower()])


def parse_listen(text: str) -> tuple[str, int]:
    """(address, port) of `"127.0.0.1:9477"` or `"[::1]:9477"`; raises ValueError.

    >>> parse_listen("[::1]:9477")
    ('::1', 9477)
    """
    host, _, port = text.rpartition(":")
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise ValueError(text)
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    address = ip_address("127.0.0.1" if bare == "localhost" else bare)
    if (address.version == 6) == (bare == host):  # IPv6 has brackets, IPv4 has none
        raise ValueError(text)
    return str(address), int(port)


class Converter:
    """Turns plain values into settings; `report` hears of each mistake, `base` is where paths start from."""

    def __init__(self, report: Report, base: Path) -> None:
        self._report = report
        self._base = base

    def settings(self, cls: Any, table: object, path: KeyPath, ignore: frozenset[str] = frozenset()) -> Any:
        """An instance of the settings class `cls`, or None where a mistake was reported."""
        if not isinstance(table, Mapping):
            self._report(path, f"is {_describe(table)}", f"a table [{_dotted(path)}]", None)
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
        return cls(**values) if complete else None

    def _unknown(
        self, table: Mapping[str, Any], fields: Mapping[str, Any], path: KeyPath, ignore: frozenset[str]
    ) -> None:
        for key in table:
            if key not in fields and key not in ignore:
                known = [*fields, *ignore]
                nearest = next(iter(difflib.get_close_matches(key, known, n=1, cutoff=0.5)), None)
                expected = None if nearest else f"one of {', '.join(known)}"
                self._report((*path, key), "unknown key", expected, nearest)

    def value(self, hint: Any, field: dataclasses.Field[Any], value: object, path: KeyPath) -> Any:
        """`value` as the declared type, within its declared limits; None where a mistake was reported."""
        if dataclasses.is_dataclass(hint):
            return self.settings(hint, value, path)
        if typing.get_origin(hint) is tuple:
            return self._array(typing.get_args(hint)[0], field, value, path)
        return self._scalar(hint, field, value, path)

    def _array(self, item: Any, field: dataclasses.Field[Any], value: object, path: KeyPath) -> Any:
        if not isinstance(value, list):
            self._report(path, f"is {_describe(value)}", "a list [...]", None)
            return None
        items = [self.value(item, field, entry, (*path, index)) for index, entry in enumerate(value)]
        return None if any(entry is None for entry in items) else tuple(items)

    def _scalar(self, hint: Any, field: dataclasses.Field[Any], value: object, path: KeyPath) -> Any:
        kind = field.metadata.get("kind", "plain")
        try:
            converted = _convert(hint, kind, value)
        except ValueError:
            self._report(path, f"is {_describe(value)}", _expected(hint, field), None)
            return None
        if isinstance(converted, str):
            return self._string(field, converted, path)
        low, high = field.metadata.get("minimum"), field.metadata.get("maximum")
        if isinstance(converted, bool) or not isinstance(converted, (int, float)):
            return converted
        if (low is not None and converted < low) or (high is not None and converted > high):
            self._report(path, f"is {value}", _expected(hint, field), None)
            return None
        return converted

    def _string(self, field: dataclasses.Field[Any], value: str, path: KeyPath) -> str | None:
        choices = field.metadata.get("choices") or ()
        if choices and value not in choices:
            nearest = next(iter(difflib.get_close_matches(value, choices, n=1)), None)
            self._report(path, f"is {value!r}", f"one of {', '.join(filter(None, choices))}", nearest)
            return None
        kind = field.metadata.get("kind")
        if kind == "listen" and value and not _is_listen(value):
            self._report(path, f'is "{value}"', 'ADDRESS:PORT such as "127.0.0.1:9477" or "[::1]:9477"', None)
            return None
        is_file = kind == "path" or (kind == "url" and "://" not in value)
        return str(self._base / Path(value).expanduser()) if value and is_file else value


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
        if not math.isfinite(value):
            raise ValueError(value)
        return float(value)
    if hint is bool and isinstance(value, bool):
        return value
    if hint in (int, str) and type(value) is hint:
        return value
    raise ValueError(value)


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


def _describe(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, (dict, list)):
        return "a table" if isinstance(value, dict) else "a list"
    return type(value).__name__


def _dotted(path: KeyPath) -> str:
    return ".".join(str(step) for step in path if isinstance(step, str))


def error_at(
    file: str, line: int | None, path: KeyPath
) -> Callable[[str, str | None, str | None], ConfigError]:
    """A maker of ConfigErrors that stand at one place."""
    key = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
    return lambda message, expected, nearest: ConfigError(
        message, file=file, line=line, key=key, expected=expected, nearest=nearest
    )
