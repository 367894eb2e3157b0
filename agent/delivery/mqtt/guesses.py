"""When a broker that was asked for less by guess is asked for all again, and what has worked with it. Pure.

A line that breaks at each login looks like a broker that hangs up on our will, or does not know MQTT 5. A connection
may last for weeks, so its end is not waited for: after AGAIN_SECONDS all is asked for, once in a connection.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from agent.delivery.mqtt.connection import ProtocolVersion
from agent.delivery.mqtt.fallback import Demands

AGAIN_SECONDS = 600.0


class Asked(NamedTuple):
    """What a login asks of a broker."""

    demands: Demands
    version: ProtocolVersion


class Guesses:
    """Of all brokers, by their number; `now` is boot time."""

    def __init__(self) -> None:
        self._worked: dict[int, Asked] = {}
        self._due = math.inf
        self._tried: int | None = None

    def opened(self, index: int, now: float, *, by_guess: bool) -> None:
        """The broker has let us in; `by_guess` if it was asked for less than all without its word."""
        self._due = now + AGAIN_SECONDS if by_guess and self._tried != index else math.inf
        if not by_guess:
            self._worked.pop(index, None)

    def closed(self) -> None:
        """A connection that was open has ended by itself: in the next one all may be asked for again."""
        self._due, self._tried = math.inf, None

    def due(self, now: float) -> bool:
        """Whether to ask for all now."""
        return now >= self._due

    def ask_for_all(self, index: int, asked: Asked) -> None:
        """All is asked for next; `asked` is what has worked until now."""
        self._worked[index], self._due, self._tried = asked, math.inf, index

    def worked(self, index: int) -> Asked | None:
        """What to go back to where the broker hangs up."""
        return self._worked.get(index)
