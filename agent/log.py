"""Logging: one line an event, `text key=value`, with systemd priorities in the journal and colours on a terminal."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}


def set_up(level: str = "info", form: str = "auto", stream: TextIO | None = None) -> None:
    """Send every event of the agent to `stream` (default stderr) in `form`: auto, journal, plain or color."""
    target = stream or sys.stderr
    chosen = _choose(target) if form == "auto" else form
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            *_renderers(chosen),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(file=target),
        cache_logger_on_first_use=False,
    )


def _choose(target: TextIO) -> str:
    if os.environ.get("JOURNAL_STREAM") or os.environ.get("INVOCATION_ID"):
        return "journal"
    return "color" if target.isatty() else "plain"


def _renderers(form: str) -> list[Any]:
    if form == "journal":  # journald stamps the time itself
        return [_journal_line]
    if form == "color":
        return [
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(colors=True, pad_event_to=40),
        ]
    return [structlog.processors.TimeStamper(fmt="iso", utc=True), _plain_line]


def _pairs(event: MutableMapping[str, Any]) -> str:
    exception = event.pop("exception", None)
    pairs = "".join(f" {key}={_value(value)}" for key, value in event.items())
    return pairs + (f" exception={_value(exception)}" if exception else "")


def _value(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    if text and not any(character in text for character in ' "=\n'):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _journal_line(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    priority = _PRIORITIES.get(event.pop("level", "info"), 6)
    text = event.pop("event")
    return f"<{priority}>{text}{_pairs(event)}"


def _plain_line(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    stamp, level, text = event.pop("timestamp"), event.pop("level", "info"), event.pop("event")
    return f"{stamp} {level:<7} {text}{_pairs(event)}"
