"""journald's native protocol: a line with fields that can be asked for (`journalctl CAMERA=front`).

Format: <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>. One datagram an entry; a value that holds a line break is
sent with its length in front.
"""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Mapping
from typing import Any, TextIO

SOCKET = "/run/systemd/journal/socket"
SEND_SECONDS = 0.5
LONGEST_VALUE = 32 * 1024  # well below what a datagram may hold, so that no entry is refused for its size

_NOT_A_NAME = re.compile(r"[^A-Z0-9_]")
_TAKEN = frozenset({"MESSAGE", "PRIORITY", "MESSAGE_ID", "ERRNO", "UNIT", "USER_UNIT", "TID"})
"""Names that mean something to systemd; a field of ours with such a name gets a prefix."""


def leads_to_journal(stream: TextIO) -> bool:
    """Whether `stream` is what systemd connected to the journal ($JOURNAL_STREAM names device and inode)."""
    given = os.environ.get("JOURNAL_STREAM", "")
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return given == f"{status.st_dev}:{status.st_ino}"


def field_name(key: str) -> str:
    """The journal's name for `key`: capitals, digits and underscores, not beginning with an underscore.

    >>> field_name("camera"), field_name("retry-seconds"), field_name("_pid"), field_name("unit")
    ('CAMERA', 'RETRY_SECONDS', 'PID', 'VEDETTE_UNIT')
    """
    name = _NOT_A_NAME.sub("_", key.upper()).lstrip("_0123456789")[:64]
    reserved = not name or name in _TAKEN or name.startswith(("SYSLOG_", "CODE_", "COREDUMP_"))
    return f"VEDETTE_{name}"[:64] if reserved else name


def entry(message: str, priority: int, fields: Mapping[str, Any]) -> bytes:
    """The datagram for one entry; values of None are left out."""
    pairs = {
        "MESSAGE": message,
        "PRIORITY": str(priority),
        "SYSLOG_IDENTIFIER": "vedette",
        **{field_name(key): str(value) for key, value in fields.items() if value is not None},
    }
    return b"".join(_pair(name, value) for name, value in pairs.items())


def _pair(name: str, value: str) -> bytes:
    data = value.encode(errors="replace")[:LONGEST_VALUE]
    if b"\n" in data:
        return name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"
    return name.encode() + b"=" + data + b"\n"


class JournaldConnection:
    """A connection to journald; `send` says whether the entry was taken."""

    def __init__(self, path: str = SOCKET) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(SEND_SECONDS)

    def send(self, datagram: bytes) -> bool:
        """Hand an entry over; False where journald is away (it is being restarted) or does not keep up."""
        try:
            self._socket.sendto(datagram, self._path)
        except OSError:
            return False
        return True
