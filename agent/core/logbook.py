"""The logbook on disk: each change to this agent, with time, person and reason. Bounded; any thread may write.

One JSON object a line, appended and synced: a power cut costs the line that was being written, and no other.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import structlog

from agent.core import clock
from agent.core.masking import mask
from agent.core.printable import printable
from agent.core.state_dir import write_atomic
from agent.core.untrusted import BadInput, parse_kept, take_number, take_object, take_text

log = structlog.get_logger("vedette.logbook")

FILE_NAME = "logbook.jsonl"
LARGEST_BYTES = 1024 * 1024
"""Some 5,000 changes; beyond it the older half is dropped."""

LONGEST = 400
_TEXTS = ("kind", "what", "who", "why")
_LATEST = 253402300800.0  # the year 10000


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One change: `at` (Unix time), its `kind` (`config`, `model`, `limit`, ...), `what` as text, `who`, `why`."""

    at: float
    kind: str
    what: str
    who: str = ""
    why: str = ""


class Note(Protocol):
    """Writes a change into a logbook; never raises."""

    def __call__(self, kind: str, what: str, *, who: str = "", why: str = "") -> None:
        """Note it as of now."""


def unnoted(kind: str, what: str, *, who: str = "", why: str = "") -> None:
    """The `Note` of what keeps no logbook."""


class Logbook:
    """The file `logbook.jsonl` of a state directory."""

    def __init__(self, state_directory: Path) -> None:
        self._path = state_directory / FILE_NAME
        self._lock = threading.Lock()
        self._failing = False

    def note(self, kind: str, what: str, *, who: str = "", why: str = "") -> None:
        """Append a change; a disk that refuses is logged once, and the agent goes on."""
        texts = {"kind": kind, "what": what, "who": who, "why": why}
        shown = {name: printable(mask(text), LONGEST) for name, text in texts.items()}
        line = json.dumps({"at": round(clock.unix_now(), 3), **shown}, ensure_ascii=False)
        with self._lock:
            try:
                self._append(line.encode())
                self._failing = False
            except OSError as error:
                if not self._failing:
                    log.error("the logbook cannot be written", file=str(self._path), reason=error.strerror)
                self._failing = True

    def _append(self, line: bytes) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(self._path, flags, 0o600), "rb+", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            torn = size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"
            file.write((b"\n" if torn else b"") + line + b"\n")
            os.fsync(file.fileno())
        if size + len(line) > LARGEST_BYTES:
            lines = self._path.read_bytes().splitlines(keepends=True)
            write_atomic(self._path, b"".join(lines[len(lines) // 2 :]))


def entries(state_directory: Path) -> list[Entry]:
    """The changes in the logbook of a state directory, oldest first; lines that are damaged are left out."""
    path = state_directory / FILE_NAME
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            lines = file.read(2 * LARGEST_BYTES).split(b"\n")
    except FileNotFoundError:
        return []
    return [entry for line in lines if line and (entry := _entry(line)) is not None]


def _entry(line: bytes) -> Entry | None:
    try:
        body = take_object({"entry": parse_kept(line)}, "entry")
        texts = {name: printable(take_text(body, name, longest=4 * LONGEST), 4 * LONGEST) for name in _TEXTS}
        return Entry(at=take_number(body, "at", minimum=0.0, maximum=_LATEST), **texts)
    except BadInput:
        return None


def entry_json(entry: Entry) -> Mapping[str, Any]:
    """An entry as JSON values."""
    return asdict(entry)
