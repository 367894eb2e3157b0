"""Finds the secrets of this box: in the config and files that it names, the environment, systemd's credentials.

A config that can be read says itself what is secret. Of a broken one every value is taken for a secret whose key is not
known for a harmless one: too much is taken out then, and never too little.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from agent.app.kinds import KINDS
from agent.config.fields import TYPES, key_of
from agent.config.load import load
from agent.config.schema import Settings
from agent.core.errors import VedetteError
from agent.core.masking import SCHEME, authority_of, mask
from agent.core.secret import Masked, Secret, first_line
from agent.core.untrusted import LARGEST_BYTES, BadInput, TOMLDecodeError, parse_toml
from agent.delivery.mqtt.login import CREDENTIALS_FOLDER, PASSWORD_VARIABLE

_SHORTEST = 3  # characters: shorter ones would be taken out of every other word
_RUN_CREDENTIALS = Path("/run/credentials")
_HEADER = re.compile(r"\s*\[\[?\s*[\"']?(\w+)")
_ASSIGNED = re.compile(r"\s*(?P<comment>#?)\s*(?P<key>[\w\"'.-]+)\s*=\s*(?P<value>.*)")
_LITERAL = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'[^']*'")
_SEVERAL_LINES = re.compile(r'"""|\'\'\'')
_SECRECY = ("plain", "pipeline", "url", "secret")
_TOML_WORDS = {"true", "false", ""}


def secrets_of(config: Path | None, *, unit: str, unit_text: str) -> list[str]:
    """All of them, the longest first, each also as it stands in an address and in JSON.

    `config` is the agent's file; `unit` names its systemd unit and `unit_text` is that, with its drop-ins.
    """
    found: set[str] = set()
    for secret in (
        *_of_config(config),
        *_of_environment(),
        *_of_folders(config, unit),
        *_of_unit(unit_text),
    ):
        found.update(_written(secret))
    return sorted((secret for secret in found if len(secret) >= _SHORTEST), key=len, reverse=True)


def _written(secret: str) -> tuple[str, ...]:
    return secret, unquote(secret), quote(secret, safe=""), json.dumps(secret, ensure_ascii=False)[1:-1]


def _of_config(config: Path | None) -> Iterator[str]:
    if config is None:
        return
    try:
        yield from _of(load(config, KINDS))
    except (VedetteError, OSError):
        yield from _of_broken(config)


# -- a config that can be read ------------------------------------------------------------------------------


def _of(value: Any) -> Iterator[str]:
    """All secrets in settings."""
    if isinstance(value, Secret):
        yield _login(value.reveal()) if isinstance(value, Masked) else value.reveal()
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            found = getattr(value, field.name)
            yield from _of_file(found) if field.name.endswith("password_file") else _of(found)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _of(item)


def _login(url: str) -> str:
    """The password in an address."""
    scheme = SCHEME.match(url)
    return authority_of(url[scheme.end() :]).rpartition("@")[0].partition(":")[2] if scheme else ""


def _of_file(path: Any) -> Iterator[str]:
    try:
        if path:
            yield first_line(path).reveal()
    except OSError:
        return


# -- a broken one -------------------------------------------------------------------------------------------


def _of_broken(config: Path) -> Iterator[str]:
    """What may be a secret in the file, line by line: each value but those of keys that hold none."""
    try:
        with config.open("rb") as stream:
            text = stream.read(LARGEST_BYTES).decode("utf-8", "replace")
    except OSError:
        return
    kinds = _kinds()
    table, inside = "", False
    for line in text.splitlines():
        header = _HEADER.match(line)
        assigned = None if inside else _ASSIGNED.match(line)
        if assigned:
            yield from _of_line(assigned, kinds, table, config.parent)
        elif header and not inside:
            table = header[1]
        elif inside or not line.lstrip().startswith("#"):
            yield from _values(line)
        inside ^= len(_SEVERAL_LINES.findall(line)) % 2 == 1


def _of_line(assigned: re.Match[str], kinds: Mapping[str, str], table: str, base: Path) -> Iterator[str]:
    key = re.split(r"[.\"']+", assigned["key"].strip("\"'"))[-1]
    unknown = (
        "plain" if assigned["comment"] else "secret"
    )  # it may be a misspelt one; in a comment it is prose
    kind = kinds.get(f"{table}.{key}") or kinds.get(key, unknown)
    values = list(_values(assigned["value"]))
    if key.endswith("password_file"):
        for value in values:
            yield from _of_file(base / value)
    elif kind in {"url", "pipeline"}:
        yield from (_login(value) for value in values)
    elif kind == "secret":
        yield from values


def _values(text: str) -> Iterator[str]:
    """The strings in a piece of TOML; where none is whole, what stands there."""
    literals = _LITERAL.findall(text)
    for literal in literals:
        yield literal[1:-1]
        try:
            yield str(parse_toml(f"x = {literal}")["x"])
        except (TOMLDecodeError, BadInput):
            continue
    rest = _LITERAL.sub("", text)
    for piece in {rest, rest.partition("#")[0], text if rest.strip(" \t,[]{}") else ""}:
        bare = piece.strip(" \t,[]{}\"'")
        if bare not in _TOML_WORDS:
            yield bare


def _kinds() -> dict[str, str]:
    """The kind of each key, by `table.key`, and by `key` alone the most secret one that it has anywhere."""
    found: dict[str, str] = {}
    for table, cls in _tables():
        for field in dataclasses.fields(cls):
            kind, key = field.metadata.get("kind", "plain"), key_of(field)
            for name in (f"{table}.{key}", key):
                found[name] = max(
                    found.get(name, "plain"), kind if kind in TYPES else "plain", key=_SECRECY.index
                )
    return found


def _tables() -> Iterator[tuple[str, Any]]:
    """Each table of the config with a class of its settings, those of the kinds too."""
    yield "", Settings
    for name, hint in typing.get_type_hints(Settings).items():
        for cls in (hint, *typing.get_args(hint)):
            if dataclasses.is_dataclass(cls):
                yield name, cls
    for name, registry in KINDS.items():
        for kind in registry:
            try:
                yield name, registry.load(kind).Options
            except VedetteError:  # noqa: PERF203  (its library is not installed)
                continue


# -- beside the config --------------------------------------------------------------------------------------


def _of_environment() -> Iterator[str]:
    if word := os.environ.get(PASSWORD_VARIABLE):
        yield word


def _of_folders(config: Path | None, unit: str) -> Iterator[str]:
    """The first lines of the credentials that systemd gives to the service, or gave to us."""
    folders = [_RUN_CREDENTIALS / f"{unit.removesuffix('.service')}.service"]
    if given := os.environ.get("CREDENTIALS_DIRECTORY"):
        folders.append(Path(given))
    if config is not None:
        folders.append(config.resolve().parent / CREDENTIALS_FOLDER)
    for folder in folders:
        try:
            files = sorted(folder.iterdir())
        except OSError:
            continue
        for file in files:
            yield from _of_file(file)


def _of_unit(text: str) -> Iterator[str]:
    """Passwords that the unit gives in its environment, in itself, or in files that it names."""
    for line in text.splitlines():
        key, _, value = line.strip().partition("=")
        if key == "Environment":
            yield from _of_variables(_words(value))
        elif key == "EnvironmentFile":
            yield from _of_variables(_lines(value.removeprefix("-")))
        elif key == "SetCredential":
            yield value.partition(":")[2]
        elif key == "LoadCredential":
            yield from _of_file(value.partition(":")[2])


def _words(value: str) -> list[str]:
    try:
        return shlex.split(value)
    except ValueError:
        return value.split()


def _lines(path: str) -> list[str]:
    try:
        return [
            " ".join(_words(line))
            for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
        ]
    except OSError:
        return []


def _of_variables(words: list[str]) -> Iterator[str]:
    """The values of variables by whose names they are secrets."""
    for word in words:
        name, _, value = word.partition("=")
        if mask(f"{name}=value") != f"{name}=value":
            yield value
