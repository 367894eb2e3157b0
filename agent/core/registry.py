"""Registries: the name of a kind, to where its class lives, imported only when used."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from agent.core.errors import ConfigError, MissingExtra
from agent.core.installation import how_to_add
from agent.core.nearest import nearest


class Registry(Mapping[str, str]):
    """Kinds of one thing, by name, each `"module:Class"`; `extras` names the extra a kind's library comes with."""

    def __init__(
        self, what: str, entries: Mapping[str, str], *, extras: Mapping[str, str] | None = None
    ) -> None:
        self.what = what
        self._entries = dict(entries)
        self._extras = dict(extras or {})

    def __getitem__(self, name: str) -> str:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def load(self, name: str) -> Any:
        """The class of kind `name`.

        Raises ConfigError for an unknown kind, MissingExtra where its library is not installed.
        """
        if name not in self._entries:
            raise ConfigError(
                f"unknown {self.what} {name!r}",
                expected=f"one of {', '.join(self._entries)}",
                nearest=nearest(name, self._entries),
            )
        module, _, attribute = self._entries[name].partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            if name not in self._extras or (error.name or "").startswith("agent"):
                raise
            raise MissingExtra(
                f"{self.what} {name!r} needs the library {error.name!r}: {how_to_add(self._extras[name])}"
            ) from error
