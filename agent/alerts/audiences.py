"""Where alerts go: as their rule says, and an end where its beginning went, whatever the rule says by then. Pure.

A rule may be changed or removed while it fires: a broker that retains the alert must be told its end, and one that was
for this box alone stays so.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.alerts.rules import Audience, Rule
from agent.core.types import Alert, AlertEvent

MOST_REACHED = 20_000
_ORDER: tuple[Audience, ...] = ("journal", "local", "all")


class Audiences:
    """How far each alert that fires has reached, by its id."""

    def __init__(self) -> None:
        self._reached: dict[str, Audience] = {}

    def of(self, alert: Alert, rule: Rule | None) -> Audience:
        """Where `alert` goes, published now; `rule` is that of its name, None where there is none any more."""
        said: Audience = rule.audience if rule is not None else "all"
        if alert.event is AlertEvent.RESOLVED:
            return self._reached.pop(alert.id, said)
        self._reached[alert.id] = max(self._reached.pop(alert.id, said), said, key=_ORDER.index)
        while len(self._reached) > MOST_REACHED:
            del self._reached[next(iter(self._reached))]
        return said

    def to_json(self) -> dict[str, str]:
        """As plain JSON values."""
        return dict(self._reached)

    def restore(self, kept: Mapping[str, str]) -> None:
        """Continue from what `to_json` returned; raises ValueError where it is none."""
        self._reached = {str(number): _ORDER[_ORDER.index(reached)] for number, reached in kept.items()}
