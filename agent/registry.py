"""Registries: the name of a kind, to where its class lives, imported only when used."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from agent.errors import ConfigError, MissingExtra
from agent.installation import how_to_add


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

    def nearest(self, name: str) -> str | None:
        """The known kind that `name` was perhaps meant to be."""
        return next(iter(difflib.get_close_matches(name, self._entries, n=1)), None)

    def load(self, name: str) -> Any:
        """The class of kind `name`.

        Raises ConfigError for an unknown kind, MissingExtra where its library is not installed.
        """
        if name not in self._entries:
            raise ConfigError(
                f"unknown {self.what} {name!r}",
                expected=f"one of {', '.join(self._entries)}",
                nearest=self.nearest(name),
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
