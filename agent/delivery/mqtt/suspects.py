"""Finds the message on which the broker disconnects: connections that end with it first in line count. Pure.

Laws:

1. The suspect is the oldest publish without an acknowledgement when a connection ends: a broker answers in order.
2. After `DEATHS` connections that ended so since it was last acknowledged it is held, and others are sent. Another
   suspect in between does not count for it: two bad messages would acquit each other for ever.
3. It is guilty only when the broker has acknowledged others since, and hangs up again on it alone. A broker that
   acknowledges nothing at all makes no message guilty.
4. An acknowledgement acquits.
5. Where the broker has said that it ended the connection over what was sent, one death of a message that was alone
   on its way is enough to hold it. Its topic is not allowed, which may change: that makes no message guilty.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum

DEATHS = 3
_MOST_REMEMBERED = 256


class Verdict(Enum):
    """What is to be done with the first in line of a connection that ended."""

    RETRY = "retry"
    HOLD = "hold"
    GUILTY = "guilty"


@dataclass(slots=True)
class _Record:
    deaths: int = 0
    others_passed: bool = False


class Suspects:
    """Keys are whatever names a message across connections."""

    def __init__(self) -> None:
        self._records: dict[Hashable, _Record] = {}

    def ended(self, key: Hashable, *, alone: bool, named: bool = False) -> Verdict:
        """A connection ended with `key` first in line; `alone`: nothing else was on its way; `named`: law 5."""
        record = self._records.pop(key, None) or _Record()
        self._records[key] = record  # the newest is last
        if len(self._records) > _MOST_REMEMBERED:
            del self._records[next(iter(self._records))]
        record.deaths += 1
        if named:
            return Verdict.HOLD if alone else Verdict.RETRY
        if record.deaths > DEATHS and record.others_passed and alone:
            del self._records[key]
            return Verdict.GUILTY
        return Verdict.HOLD if record.deaths >= DEATHS else Verdict.RETRY

    def acknowledged(self, key: Hashable) -> bool:
        """`key` was taken; whether that proves something about messages that are held."""
        self._records.pop(key, None)
        proved = False
        for record in self._records.values():
            if record.deaths >= DEATHS and not record.others_passed:
                record.others_passed = proved = True
        return proved
