"""Commands to an agent over MQTT, and its answers: about alerts, for a snapshot, for a feature's reference."""

from __future__ import annotations

import queue
import secrets
import threading
from collections.abc import Callable, Mapping
from typing import Any

from agent.core.errors import VedetteError
from agent.core.printable import printable
from agent.dashboard.web.store import to_text
from agent.delivery.messages import rfc3339

SIGNED = frozenset({"acknowledge", "snooze", "mute", "undo", "snapshot"})
"""Commands that go with `who` asks."""
ALLOWED = SIGNED | {"controls", "drift_feature"}
"""What the page may ask for; the agent decides by its own `[commands] allow`."""
ANSWER_SECONDS = 8.0
MOST_WAITING = 20
"""Each holds one of the server's threads (40, as Starlette has them): the other half answers everyone else."""


class Commands:
    """Sends commands with `publish(topic, payload)` and hands each answer to whoever waits for it."""

    def __init__(self, prefix: str, publish: Callable[[str, bytes], None]) -> None:
        self._prefix, self._publish = prefix.strip("/"), publish
        self._lock = threading.Lock()
        self._waiting: dict[str, queue.SimpleQueue[Mapping[str, Any]]] = {}

    def send(
        self, site: str, device: str, name: str, args: Mapping[str, Any], now: float
    ) -> Mapping[str, Any]:
        """Send one command and wait for the answer; raises VedetteError where there is none."""
        if name not in ALLOWED:
            raise VedetteError(
                f"{printable(name, 40)} is not a command of this page: {', '.join(sorted(ALLOWED))}"
            )
        if any(not level or set(level) & set("+#/\0") for level in (site, device)):
            raise VedetteError("this device has a name that no topic can carry")
        number, answer = f"dashboard-{secrets.token_hex(8)}", queue.SimpleQueue[Mapping[str, Any]]()
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                raise VedetteError("too many commands wait for an answer; try again in a moment")
            self._waiting[number] = answer
        body = to_text({"id": number, "time": rfc3339(now), "args": dict(args)})
        try:
            self._publish(f"{self._prefix}/{site}/{device}/command/{name}", body.encode())
            return answer.get(timeout=ANSWER_SECONDS)
        except queue.Empty:
            raise VedetteError(
                f"no answer within {ANSWER_SECONDS:.0f} s: is the device online, and are commands allowed there "
                "([commands] enabled and allow)? may this dashboard's user publish to the broker?"
            ) from None
        finally:
            with self._lock:
                self._waiting.pop(number, None)

    def answered(self, number: str, body: Mapping[str, Any]) -> None:
        """Hand over an answer; one that nobody waits for is discarded."""
        with self._lock:
            waiting = self._waiting.get(number)
        if waiting is not None:
            waiting.put(body)
