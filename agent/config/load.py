"""Reads the configuration file: TOML in, validated settings out, every mistake with file, line and key."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent.config.alert_settings import NotifierSettings
from agent.config.convert import MOST_MISTAKES, Converter, KeyPath, describe, error_at
from agent.config.fields import key_of
from agent.config.schema import CameraSettings, Settings
from agent.core.errors import ConfigError, ConfigErrors, MissingExtra
from agent.core.plain_file import read_small
from agent.core.printable import printable
from agent.core.registry import Registry
from agent.core.untrusted import LARGEST_BYTES, BadInput, TOMLDecodeError, parse_toml

Kinds = Mapping[str, Registry]
KINDED: Mapping[str, Any] = {"cameras": CameraSettings, "notifiers": NotifierSettings}
"""The tables whose entries have a `kind`, with what all their kinds share."""

_LONGEST_LINE = 500  # as far as a line is searched for a header or key
_HEADER = re.compile(r"(\[\[?)([^\[\]]+)\]\]?[ \t]*(?:#.*)?$")
_KEY = re.compile(r"[\"']?([A-Za-z0-9_-]+)[\"']?[ \t]*[=.]")
_QUOTED = re.compile(r"'[^']{4,}'|\"[^\"]{4,}\"")
_NAMED = re.compile(r"(?P<table>\w+)\[(?P<name>[^\]]+)\]\.(?P<key>\w+)")
_KNOWN = {
    key_of(field)
    for table in (
        Settings,
        *(type(field.default) for field in dataclasses.fields(Settings)),
        *KINDED.values(),
    )
    if dataclasses.is_dataclass(table)
    for field in dataclasses.fields(table)
}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


def load(path: str | Path, kinds: Kinds) -> Settings:
    """The settings in the file at `path`; `kinds` holds the registries of KINDED tables.

    Raises ConfigError, or ConfigErrors where there are several mistakes.
    """
    file = Path(path)
    try:
        text = _text(file)
    except FileNotFoundError:
        raise ConfigError(
            "there is no such file", file=str(path), expected="a TOML file; start from config.example.toml"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError("is not UTF-8 text", file=str(path), expected="a TOML file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot be read: {reason}", file=str(path)) from None
    return parse(text, kinds, file=str(path), base=file.resolve().parent)


def parse(text: str, kinds: Kinds, *, file: str = "config", base: Path | None = None) -> Settings:
    """The settings in `text`; relative paths in it start from `base` (default: the working directory)."""
    try:
        document = parse_toml(text)
    except TOMLDecodeError as error:
        raise _syntax_error(str(error), text, file) from None
    except BadInput as error:
        raise ConfigError(str(error), file=file, expected="a config such as config.example.toml") from None
    return _Reading(text, file, base or Path.cwd(), kinds).settings(document)


def _text(file: Path) -> str:
    """The text in `file`, without the mark that some editors put in front."""
    return read_small(file, LARGEST_BYTES).decode("utf-8-sig")


@contextmanager
def placed(path: str | Path | None) -> Iterator[None]:
    """Add file and line to mistakes found after loading, under a key such as `rules[too-slow].when`.

    Nothing is done where there is no file.
    """
    try:
        yield
    except ConfigErrors as several:
        raise ConfigErrors([_placed(error, path) for error in several.errors]) from None
    except ConfigError as error:
        raise _placed(error, path) from None


def _placed(error: ConfigError, path: str | Path | None) -> ConfigError:
    named = _NAMED.fullmatch(error.key or "")
    if path is None or error.line is not None or named is None:
        return error
    try:
        text = _text(Path(path))
        entries = parse_toml(text).get(named["table"], [])
    except (OSError, ValueError):  # the file has changed since: the mistake alone
        text, entries = "", []
    places = [index for index, entry in enumerate(entries) if entry.get("name") == named["name"]]
    step: KeyPath = (named["table"], places[-1], named["key"]) if places else ()
    return ConfigError(
        error.message,
        file=str(path),
        line=find_line(line_index(text), step),
        key=error.key,
        expected=error.expected,
        nearest=error.nearest,
    )


def _syntax_error(message: str, text: str, file: str) -> ConfigError:
    at = re.search(r"\(at line (\d+), column \d+\)", message)
    lines = text.split("\n")
    line = int(at[1]) if at else len(lines) - (lines[-1] == "")
    reason = message[: at.start()].strip() if at else message.replace("(at end of document)", "").strip()
    reason = _QUOTED.sub("...", printable(reason, 100))
    key = lines[line - 1].partition("=")[0].strip() if 0 < line <= len(lines) else ""
    shown = key if key in _KNOWN else None  # of a broken file, anything else may be a piece of a secret
    return ConfigError(f"not TOML: {reason[:1].lower()}{reason[1:]}", file=file, line=line, key=shown)


class _Reading:
    """One reading of one file: converts, checks what spans several keys, gathers mistakes."""

    def __init__(self, text: str, file: str, base: Path, kinds: Kinds) -> None:
        self._lines = line_index(text)
        self._file = file
        self._kinds = kinds
        self._errors: list[ConfigError] = []
        self._convert = Converter(self._report, base)

    def _report(self, path: KeyPath, message: str, expected: str | None, nearest: str | None) -> None:
        make = error_at(self._file, find_line(self._lines, path), path)
        self._errors.append(make(message, expected, nearest))

    def settings(self, document: Mapping[str, Any]) -> Settings:
        plain = {**document, **{table: [] for table in KINDED if table in document}}
        settings: Settings | None = self._convert.settings(Settings, plain, ())
        kinded = {table: self._all(table, cls, document.get(table, [])) for table, cls in KINDED.items()}
        if self._errors or settings is None:
            raise self._errors[0] if len(self._errors) == 1 else ConfigErrors(self._errors)
        return dataclasses.replace(settings, **kinded)

    def _all(self, table: str, cls: type, entries: object) -> Any:
        """The entries of a table whose `kind` decides which further keys they take."""
        if not isinstance(entries, list):
            self._report((table,), "is not a list", f"[[{table}]] with double brackets", None)
            return ()
        converted: list[Any] = []
        names: set[str] = set()
        for index, entry in enumerate(entries):
            if len(self._errors) >= MOST_MISTAKES:
                break
            made = self._one(self._kinds[table], cls, entry, (table, index))
            if made is None:
                continue
            if made.name in names:
                self._report(
                    (table, index, "name"), f"is {describe(made.name)} a second time", "another name", None
                )
            names.add(made.name)
            converted.append(made)
        return tuple(converted)

    def _one(self, kinds: Registry, cls: Any, entry: object, path: KeyPath) -> Any:
        if not isinstance(entry, Mapping):
            self._report(path, "is not a table", f"[[{path[0]}]]", None)
            return None
        fields = {key_of(field): field for field in dataclasses.fields(cls) if field.name != "options"}
        kind = entry.get("kind", fields["kind"].default)
        try:
            options = kinds.load(kind).Options if isinstance(kind, str) else None
        except ConfigError as error:
            self._report((*path, "kind"), f"is {describe(kind)}", error.expected, error.nearest)
            return None
        except (ImportError, MissingExtra) as error:
            self._report((*path, "kind"), f"{describe(kind)} cannot be used here: {error}", None, None)
            return None
        own = frozenset(key_of(field) for field in dataclasses.fields(options)) if options else frozenset()
        made = self._convert.settings(cls, entry, path, ignore=own)
        if made is None or options is None:
            return None
        if not NAME.fullmatch(made.name):
            self._report(
                (*path, "name"), f"is {describe(made.name)}", "letters, digits, '-' and '_', 63 at most", None
            )
        own_entry = {key: value for key, value in entry.items() if key not in fields}
        chosen = self._convert.settings(options, own_entry, path, ignore=frozenset(fields))
        return dataclasses.replace(made, options=chosen) if chosen is not None else None


def line_index(text: str) -> dict[KeyPath, int]:
    """The 1-based line of each table header and key, by a scan; `("cameras", 1, "url")` is a key in an array."""
    index: dict[KeyPath, int] = {}
    counts: dict[str, int] = {}
    table: KeyPath = ()
    for number, whole in enumerate(text.split("\n"), 1):
        line = whole[:_LONGEST_LINE].strip()
        if header := _HEADER.match(line):
            steps = tuple(part.strip().strip("\"'") for part in header[2].split("."))
            table = steps
            if header[1] == "[[":
                name = ".".join(steps)
                counts[name] = counts.get(name, -1) + 1
                index.setdefault(steps, number)
                table = (*steps, counts[name])
            index.setdefault(table, number)
        elif key := _KEY.match(line):
            index.setdefault((*table, key[1]), number)
    return index


def find_line(index: Mapping[KeyPath, int], path: KeyPath) -> int | None:
    """Where `path` stands, or what it stands in."""
    for length in range(len(path), 0, -1):
        if path[:length] in index:
            return index[path[:length]]
    return None
