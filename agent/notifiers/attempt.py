"""One attempt to send a notice: in a thread of its own, which ends when the notifier's time is over.

The limits that a library sets hold for one read each: a server that sends a byte now and then keeps it for hours. So an
attempt that takes too long counts as failed, and its thread is ended: at the next byte that arrives, or by the limit
of that read.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from contextlib import suppress

from agent.core.errors import RetryableDelivery
from agent.notifiers import Notice, Notifier

SILENT_PAUSE_SECONDS = 60.0
"""The longest pause after an attempt that nobody answered."""


class _Cancelled(BaseException):
    """Raised in the thread of an attempt to end it; no `except Exception` of a library takes it."""


class SendAttempt:
    """Sends `notice` through `notifier` from now on (`started`, monotonic seconds); calls `on_end` when it ended."""

    def __init__(
        self,
        notifier: Notifier,
        notice: Notice,
        started: float = 0.0,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self.notice = notice
        self.error: Exception | None = None
        self._notifier, self._started, self._on_end = notifier, started, on_end
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._send, name="notifier-send", daemon=True)
        self._thread.start()

    def _send(self) -> None:
        with suppress(_Cancelled):
            try:
                self._notifier.send(self.notice)
            except Exception as error:  # noqa: BLE001  (the workers' rule: the runner counts and logs it)
                self.error = error
            self._ended.set()
            self._on_end()

    @property
    def ended(self) -> bool:
        """Whether `send` returned; then `error` is what it raised, if anything."""
        return self._ended.is_set()

    @property
    def running(self) -> bool:
        """Whether its thread still runs; after `cancel` for a moment more."""
        return self._thread.is_alive()

    def overdue(self, monotonic: float) -> bool:
        """Whether the notifier's time is over."""
        return monotonic - self._started >= self._notifier.timeout_seconds

    def wait(self, seconds: float) -> bool:
        """Wait for the end at most so long; whether it came."""
        return self._ended.wait(seconds)

    def cancel(self) -> None:
        """End the thread as soon as it runs Python code again."""
        if self._thread.ident is not None and not self.ended:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(self._thread.ident), ctypes.py_object(_Cancelled)
            )


def too_late(notifier: Notifier) -> RetryableDelivery:
    """The error of an attempt that took longer than it may."""
    return RetryableDelivery(
        f"no complete answer within {notifier.timeout_seconds:g} s", longest_pause=SILENT_PAUSE_SECONDS
    )


def send_within_timeout(notifier: Notifier, notice: Notice) -> None:
    """`notifier.send(notice)`, which raises RetryableDelivery too when the notifier's time is over."""
    attempt = SendAttempt(notifier, notice)
    if not attempt.wait(notifier.timeout_seconds):
        attempt.cancel()
        raise too_late(notifier)
    if attempt.error is not None:
        raise attempt.error
