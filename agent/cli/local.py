"""Shared by the commands about the running agent: they find its state directory, and query it or its files."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.config.schema import Settings

SYSTEM_CONFIG = Path("/etc/vedette/config.toml")
_STATE_DIRECTORY = re.compile(r"""^[ \t]*["']?state_directory["']?[ \t]*=[ \t]*(["'])(.*?)\1""", re.MULTILINE)


def add_state_arguments(parser: argparse.ArgumentParser, default: Any = None) -> None:
    """Declare `--config` and `--state`, which choose the agent."""
    parser.add_argument(
        "--config",
        default=default,
        help=f"the agent's config file (default {SYSTEM_CONFIG} if it is there)",
    )
    parser.add_argument("--state", default=default, help="the agent's state directory, instead of --config")


def accept_after_action(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Let `--config` and `--state` stand after the action as well as before it."""
    for action in actions.choices.values():
        add_state_arguments(action, argparse.SUPPRESS)


def settings_of(args: argparse.Namespace) -> Settings | None:
    """The settings of the agent that is meant; None where no config file is given or found."""
    from agent.app.kinds import KINDS
    from agent.config.load import load

    file = config_file(args)
    return load(file, KINDS) if file else None


def state_directory(args: argparse.Namespace) -> Path:
    """The state directory of the agent that is meant."""
    from agent.core.state_dir import directory

    if args.state:
        return Path(args.state)
    file = config_file(args)
    return directory(_configured_directory(file) if file else "")


def config_file(args: argparse.Namespace) -> Path | None:
    """The config file that is given, or else the service's; None where there is none."""
    if args.config:
        return Path(args.config)
    return SYSTEM_CONFIG if SYSTEM_CONFIG.exists() and not args.state else None


def _configured_directory(file: Path) -> str:
    """`state_directory` of `file`, read past all mistakes in it: the running agent has its own, older config.

    Raises ConfigError where the file cannot be read at all.
    """
    from agent.core.errors import ConfigError
    from agent.core.plain_file import read_small, text_of
    from agent.core.untrusted import LARGEST_BYTES
    from agent.core.user import expanded

    try:
        data = read_small(file, LARGEST_BYTES)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(file)) from None
    found = _STATE_DIRECTORY.search(("\n" + text_of(data)).partition("\n[")[0])
    if found is None or "\0" in found[2]:
        return ""
    return str(file.resolve().parent / expanded(found[2]))


def agent_runs(args: argparse.Namespace) -> bool:
    """Whether an agent answers there; raises VedetteError where its socket may not be used."""
    return agent_status(state_directory(args)) is not None


def agent_status(state: Path) -> Mapping[str, Any] | None:
    """The status of the agent that uses `state`, None where none runs.

    Raises VedetteError where one may run, but cannot be asked.
    """
    from agent.app.control_socket import call
    from agent.core.errors import NoAgent

    try:
        return call(state, "status", timeout=10.0)
    except NoAgent:
        return None


def whole(
    ask: Callable[[Mapping[str, Any]], Mapping[str, Any]], words: Mapping[str, Any], key: str, most: int
) -> Mapping[str, Any]:
    """The answer with all its pages as one, at most `most` rows at `key`; oldest first where the pages are so."""
    reply = ask({**words, "limit": min(most, 500)})
    rows, following = list(reply[key]), reply.get("next")
    while following is not None and len(rows) < most:
        page = ask({**words, "limit": min(most - len(rows), 500), "offset": following})
        rows = [*page[key], *rows] if "since" in words else [*rows, *page[key]]
        following = page.get("next")
    return {**{name: value for name, value in reply.items() if name != "next"}, key: rows}


def ask(args: argparse.Namespace, command: str, words: Mapping[str, Any]) -> Mapping[str, Any]:
    """Run a command about references in the agent; where none runs, on its files, as their owner."""
    from agent.app.control_socket import call
    from agent.core.state_dir import as_owner
    from agent.references.requests import StoreRequests
    from agent.references.store import ReferenceStore

    state = state_directory(args)
    if agent_runs(args):
        answer: Callable[[Mapping[str, Any]], Mapping[str, Any]] = partial(call, state, command)
        return whole(answer, words, "versions", 10_000) if command == "references" else answer(words)
    with as_owner(state):
        answer = StoreRequests(ReferenceStore(state)).handlers()[command]
        return whole(answer, words, "versions", 10_000) if command == "references" else answer(words)
