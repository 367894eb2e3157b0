"""Figures of delivery for the `host` summary and the rules: messages waiting and lost, bytes written."""

from __future__ import annotations

from collections import deque
from typing import Any

import structlog

from agent.core.types import Observation
from agent.delivery.clock import written_bytes
from agent.delivery.outbox.queue import Outbox
from agent.delivery.outbox.recovery import OutboxRecovery

log = structlog.get_logger("vedette.delivery")

WEAR_SECONDS = 5.0  # how often the kernel is asked what was written
RECENT_SECONDS = 600.0  # how long a loss counts as recent, so that an alert on it fires and resolves


class DeliveryFigures:
    """`numbers` are replaced as a whole by the delivery thread, and may be read from any other."""

    def __init__(self) -> None:
        self.numbers: dict[str, float] = {}
        self._losses: deque[tuple[float, int]] = deque(maxlen=1000)
        self._lost_before = 0
        self._written, self._written_at = 0, -WEAR_SECONDS

    def begin(self, outbox: Outbox) -> None:
        """What was lost before this run is no news."""
        self._lost_before = sum(outbox.lost_total().values())

    def take(self, safe: OutboxRecovery, waiting: int, now: float, **of_the_connection: float) -> None:
        """The numbers of `now`; `waiting` drafts are not in the outbox yet."""
        outbox = safe.outbox
        lost = self._note_losses(outbox, now)
        if now - self._written_at >= WEAR_SECONDS:
            self._written, self._written_at = written_bytes(), now
        self.numbers = {
            "outbox_messages": float(outbox.depth + waiting),
            "outbox_used_ratio": round(outbox.store.used_ratio(), 4),
            "outbox_durable": float(outbox.durable),
            "outbox_damaged_total": float(safe.damaged_total),
            "outbox_merged_total": float(outbox.merged_total),
            "outbox_lost_total": float(lost),
            "outbox_lost": float(sum(count for at, count in self._losses if now - at < RECENT_SECONDS)),
            **of_the_connection,
            "outbox_commits_total": float(safe.commits_total),
            "outbox_written_bytes_total": float(self._written),
        }

    def observations(self, now: float, **said: str) -> list[Observation]:
        """The numbers as rules see them; `said` is what is to be read beside some."""
        return [
            Observation(metric=f"host.{name}", value=value, at=now, text=said.get(name, ""))
            for name, value in self.numbers.items()
        ]

    def report(self) -> dict[str, Any]:
        """How the outbox stands, for `vedette status`: plain values."""
        numbers = self.numbers
        return {
            "messages": int(numbers.get("outbox_messages", 0)),
            "durable": bool(numbers.get("outbox_durable", 0)),
            "used_ratio": numbers.get("outbox_used_ratio", 0.0),
            "lost": int(numbers.get("outbox_lost_total", 0)),
            "delivered": int(numbers.get("delivered_total", 0)),
        }

    def _note_losses(self, outbox: Outbox, now: float) -> int:
        lost = sum(outbox.lost_total().values())
        if lost > self._lost_before:
            self._losses.append((now, lost - self._lost_before))
            log.error("messages were lost", count=lost - self._lost_before, families=outbox.lost_total())
        self._lost_before = lost
        return lost
