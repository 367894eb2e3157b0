"""Logging: one line an event, `text key=value`; fields and priorities in the journal, colours on a terminal.

A field given as `journal={...}` reaches the journal as a field and stays out of the text, for lines that say
in words already what the field says.

Every text and value passes `mask` and `printable` here: the last line of defence against a secret that a library
quotes, and against signs that would move the cursor of who reads the log.
"""

from __future__ import annotations

import atexit
import logging
import sys
import threading
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO, TypeAlias, cast

import structlog

from agent.core import clock
from agent.core.counts import count
from agent.core.masking import MASK, mask
from agent.core.printable import printable, printable_lines
from agent.core.terminal import UnbufferedStream, discard_output, raw_stream
from agent.logging.journald import SOCKET, JournaldConnection, entry, leads_to_journal
from agent.logging.line_writer import LineStream, LineWriter
from agent.logging.rate_limit import Repeats

_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
LONGEST_TEXT = 8000
"""Characters of one text or value in a line."""
_SUBJECTS = ("camera", "part", "rule", "notifier", "probe", "broker", "gpu", "family")
"""Two lines of one text about the same of these are the same line, whatever else they say."""

_SECRET_FIELDS = frozenset(
    {"password", "passwd", "token", "secret", "authorization", "api_key", "credentials"}
)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line for journald, and the same as systemd reads it from stderr, for when journald is away."""

    datagram: bytes
    line: str

    def __len__(self) -> int:
        return len(self.datagram) + len(self.line)


_Rendered: TypeAlias = "str | _Entry"


@dataclass(slots=True, eq=False)
class _Output:
    """How the process logs now."""

    writer: LineWriter[_Rendered]
    form: str
    level: str
    repeats: Repeats = field(default_factory=Repeats)
    lock: threading.Lock = field(default_factory=threading.Lock)


_output: _Output | None = None


def set_up(level: str = "info", form: str = "auto", stream: TextIO | None = None) -> TextIO:
    """Send every event of the agent to `stream` (default stderr) in `form`: auto, journal, plain or color.

    `journal` means journald's own socket where it is there and `stream` leads to it, else lines with a priority
    in front, as systemd reads them. Returns a stream for other text: it is written between the lines of the log, and
    like them stops nobody where the output is blocked.
    """
    global _output  # noqa: PLW0603  (a process has one log)
    target = raw_stream(stream or sys.stderr)  # every line is escaped here, colours are not
    chosen = _choose(target) if form == "auto" else form
    if chosen == "journal" and stream is None and Path(SOCKET).exists():
        chosen = "journald"
    if _output is not None:
        _output.writer.close()
    write = _Lines(UnbufferedStream.of(target), JournaldConnection() if chosen == "journald" else None).write
    _output = _Output(writer=LineWriter(write, _lost_line), form=chosen, level=level)
    atexit.register(_end, _output.writer, target)
    _configure(_output)
    return cast(TextIO, LineStream(_output.writer.put, target))


def _end(writer: LineWriter[_Rendered], target: TextIO) -> None:
    """At the process's end: what C libraries write then would wait for a blocked output for ever."""
    if not writer.close():
        discard_output(target)


def set_level(level: str) -> None:
    """Log from `level` on; the rest stays as it was set up."""
    if _output is not None:
        _output.level = level
        _configure(_output)


def say_repeats(*, everything: bool = False) -> None:
    """Log the summaries that are due of lines held back; to be called twice a second, and once at the end."""
    if _output is None:
        return
    with _output.lock:
        due = _output.repeats.due(clock.monotonic(), everything=everything)
    for repeated in due:
        line = dict(repeated.last)
        text = f"{line.pop('event')} (the same {count(repeated.times, 'time')} in {repeated.seconds:.0f} s)"
        getattr(structlog.get_logger(), line.pop("level"))(text, repeated=repeated.times, **line)


def _configure(output: _Output) -> None:
    structlog.configure(
        processors=[structlog.processors.add_log_level, _hold_back, *_rendering(output.form)],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, output.level.upper())),
        logger_factory=lambda *_names: _Logger(output.writer),
        cache_logger_on_first_use=False,
    )


def _lost_line(lines: int, reason: str) -> _Rendered:
    form = _output.form if _output is not None else "plain"
    logger = structlog.wrap_logger(
        structlog.ReturnLogger(),
        processors=[structlog.processors.add_log_level, *_rendering(form)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    )
    return cast(_Rendered, logger.warning("log lines were lost before this one", lines=lines, reason=reason))


def _choose(target: TextIO) -> str:
    if leads_to_journal(target):
        return "journal"
    return "color" if target.isatty() else "plain"


def _rendering(form: str) -> list[Any]:
    return [structlog.processors.format_exc_info, _make_safe, *_renderers(form)]


def _renderers(form: str) -> list[Any]:
    if form == "journald":
        return [_journal_entry]
    if form == "journal":  # journald stamps the time itself
        return [_journal_line]
    if form == "color":
        return [
            _without_journal_fields,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(colors=True, pad_event_to=40),
        ]
    return [structlog.processors.TimeStamper(fmt="iso", utc=True), _plain_line]


def _hold_back(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop a line that was logged often enough already; who asks for debug lines wants all of them."""
    if _output is None or "repeated" in event or event["level"] == "debug":
        return event
    kind = (event["level"], event["event"], *(str(event.get(name)) for name in _SUBJECTS))
    line = {key: value for key, value in event.items() if key != "exc_info"}  # a traceback keeps frames alive
    with _output.lock:
        if _output.repeats.admit(kind, line, clock.monotonic()):
            return event
    raise structlog.DropEvent


def _make_safe(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask what may be secret, and escape what would move a cursor or begin a line, whoever sent it."""
    for key, value in event.items():
        if key == "event":
            event[key] = printable(mask(str(value)), LONGEST_TEXT)
        elif key == "journal":
            event[key] = _make_safe(_logger, _method, dict(value))
        elif key in _SECRET_FIELDS:
            event[key] = MASK
        elif not (value is None or isinstance(value, (bool, int, float))):
            event[key] = printable_lines(mask(str(value)), LONGEST_TEXT)
    return event


# -- how a line looks -------------------------------------------------------------------------------------


def _without_journal_fields(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    event.pop("journal", None)
    event["event"] = _without_level(str(event["event"]), event["level"])
    return event


def _pairs(event: MutableMapping[str, Any]) -> str:
    exception = event.pop("exception", None)
    event.pop("journal", None)
    pairs = "".join(f" {key}={_value(value)}" for key, value in event.items() if key != "repeated")
    return pairs + (f" exception={_value(exception)}" if exception else "")


def _value(value: object) -> str:
    text = _number(value) if isinstance(value, float) else str(value)
    if text and not any(character in text for character in ' "=\n'):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _number(value: float) -> str:
    """Four figures, and no power of ten up to a billion: `86400`, `0.1235`, `1e-06`."""
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"


def _journal_line(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    priority = _PRIORITIES.get(event.pop("level", "info"), 6)
    text = event.pop("event")
    return f"<{priority}>{text}{_pairs(event)}"


def _plain_line(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    stamp, level, text = event.pop("timestamp"), event.pop("level", "info"), event.pop("event")
    return f"{stamp} {level:<7} {_without_level(text, level)}{_pairs(event)}"


def _without_level(text: str, level: str) -> str:
    """`text` without the level that it begins with, where the line says the level already."""
    first, colon, rest = text.partition(":")
    word, _, more = first.partition(" ")
    if not colon or word != level.upper():
        return text
    return f"{more}:{rest}" if more else rest.lstrip()


# -- journald ---------------------------------------------------------------------------------------------


def _journal_entry(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str | tuple[Any, Any]:
    line = dict(event)
    fields = {**event, **event.pop("journal", {})}
    level, text = fields.pop("level", "info"), str(fields.pop("event"))
    fields.pop("journal", None)
    traceback = fields.get("exception")
    shown = {key: value for key, value in event.items() if key not in {"level", "event", "exception"}}
    message = f"{text}{_pairs(shown)}" + (f"\n{traceback}" if traceback else "")
    datagram = entry(message, _PRIORITIES.get(level, 6), fields)
    return (_Entry(datagram, _journal_line(_logger, _method, line)),), {}


# -- where a line goes ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Logger:
    """What structlog hands rendered lines to."""

    writer: LineWriter[_Rendered]

    def msg(self, line: _Rendered) -> None:
        self.writer.put(line)

    debug = info = warning = error = critical = msg


@dataclass(frozen=True, slots=True)
class _Lines:
    """Sends entries to journald, and lines to the stream: all of them, or while journald is away."""

    stream: TextIO
    journal: JournaldConnection | None

    def write(self, line: _Rendered) -> None:
        """In the writer's thread; raises OSError where the line is refused."""
        if isinstance(line, _Entry):
            if self.journal is not None and self.journal.send(line.datagram):
                return
            line = line.line
        self.stream.write(f"{line}\n")
        self.stream.flush()
