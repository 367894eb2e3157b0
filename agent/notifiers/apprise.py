"""Apprise: e-mail, Teams, Telegram, Discord, ntfy, Signal and a hundred more, by the library's URLs."""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import apprise

from agent.config.fields import seal, setting
from agent.core.errors import ConfigError, RetryableDelivery
from agent.core.secret import Secret, excerpt
from agent.core.types import Severity
from agent.notifiers import Notice


@dataclass(frozen=True, slots=True, kw_only=True)
class AppriseOptions:
    """Settings of the kind `apprise`."""

    urls: tuple[Secret, ...] = setting(
        kind="secret",
        doc="Addresses in Apprise's notation.",
        example='["mailtos://user:password@example.org?to=night@example.org", "ntfy://ntfy.sh/topic"]',
    )
    timeout: float = setting(
        30.0, kind="duration", minimum=1, maximum=120, doc="Longest time for all addresses together."
    )

    def __post_init__(self) -> None:
        """Hold secrets as such."""
        seal(self)


class AppriseNotifier:
    """Sends notices to the services behind Apprise URLs."""

    Options = AppriseOptions
    refresh_seconds = 0.0

    def __init__(self, options: AppriseOptions) -> None:
        self._services = []
        for number, url in enumerate(options.urls, 1):
            service = apprise.Apprise.instantiate(url.reveal(), suppress_exceptions=True)
            if service is None:
                raise ConfigError(
                    f"number {number} is not an Apprise address",
                    key="urls",
                    expected="scheme://..., see Apprise",
                )
            self._services.append(service)
        if not self._services:
            raise ConfigError("is empty", key="urls", expected="at least one address")
        self._urls, self.timeout_seconds = options.urls, options.timeout
        self._order = list(range(len(self._services)))
        self._accepted: tuple[str, set[int]] = ("", set())

    def send(self, notice: Notice) -> None:
        """Send to every service that has not yet accepted this notice; raises RetryableDelivery while one refuses.

        May be ended in the middle (`timeout_seconds`): the service that was in progress is then the last the next time.
        """
        if self._accepted[0] != notice.id:
            self._accepted = (notice.id, set())
        kinds = {
            Severity.INFO: apprise.NotifyType.INFO,
            Severity.WARNING: apprise.NotifyType.WARNING,
            Severity.CRITICAL: apprise.NotifyType.FAILURE,
        }
        kind = apprise.NotifyType.SUCCESS if notice.resolved else kinds[notice.severity]
        refused = []
        with tempfile.TemporaryDirectory(prefix="vedette-") as folder:
            snapshot = _write(notice.snapshot, Path(folder))
            for number in [one for one in self._order if one not in self._accepted[1]]:
                self._order.remove(number)
                self._order.append(number)
                service = self._services[number]
                with _warnings() as lines:
                    if self._notify(service, notice, kind, snapshot):
                        self._accepted[1].add(number)
                    else:
                        refused.append(f"{service.service_name}{self._reason(number, lines)}")
        if refused:
            raise RetryableDelivery(f"not taken by {', '.join(refused)}")

    def _reason(self, number: int, lines: list[str]) -> str:
        """The library's last log line, unless it contains a piece of the address, which may be secret."""
        shown = excerpt(lines[-1], self._urls[number]) if lines else ""
        return f" ({shown.rstrip('.')})" if shown else ""

    def _notify(
        self, service: apprise.NotifyBase, notice: Notice, kind: apprise.NotifyType, snapshot: str | None
    ) -> bool:
        """Ask the service itself: `apprise.Apprise` would use threads of its own, which nobody could end."""
        try:
            return bool(
                service.notify(
                    title=notice.title,
                    body=notice.text,
                    notify_type=kind,
                    attach=apprise.AppriseAttachment(snapshot) if snapshot else None,
                    body_format=apprise.NotifyFormat.TEXT,
                )
            )
        except Exception as error:  # noqa: BLE001  (a mistake of one plugin is a failure of that service alone)
            logging.getLogger("apprise").warning("%s: %s", type(error).__name__, error)
            return False


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """The lines that the library logs in this thread: another notifier's may show what is secret there."""
    lines: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.addFilter(partial(_of_thread, threading.get_ident()))
    handler.emit = lambda record: lines.extend(record.getMessage().strip().splitlines()[-1:])  # type: ignore[method-assign]  # a class for one line
    logger = logging.getLogger("apprise")
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)


def _of_thread(thread: int, record: logging.LogRecord) -> bool:
    return record.thread == thread


def _write(snapshot: bytes | None, folder: Path) -> str | None:
    if snapshot is None:
        return None
    path = folder / "scene.jpg"
    path.write_bytes(snapshot)
    return str(path)
