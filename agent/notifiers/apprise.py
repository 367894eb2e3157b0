"""Apprise: e-mail, Teams, Telegram, Discord, ntfy, Signal and a hundred more, by the library's URLs."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
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
                    f"number {number} is no Apprise address", key="urls", expected="scheme://..., see Apprise"
                )
            self._services.append(service)
        if not self._services:
            raise ConfigError("is empty", key="urls", expected="at least one address")
        self._urls = options.urls
        self._accepted: tuple[str, set[int]] = ("", set())

    def send(self, notice: Notice) -> None:
        """Send to every service that has not yet accepted this notice; raises RetryableDelivery while one refuses."""
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
            for number, service in enumerate(self._services):
                if number in self._accepted[1]:
                    continue
                with apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as captured:
                    if self._notify(service, notice, kind, snapshot):
                        self._accepted[1].add(number)
                    else:
                        refused.append(f"{service.service_name}{self._reason(number, captured.getvalue())}")
        if refused:
            raise RetryableDelivery(f"not taken by {', '.join(refused)}")

    def _reason(self, number: int, logged: str) -> str:
        """The library's last log line, unless it contains a piece of the address, which may be secret."""
        lines = logged.strip().splitlines()
        shown = excerpt(lines[-1], self._urls[number]) if lines else ""
        return f" ({shown.rstrip('.')})" if shown else ""

    def _notify(
        self, service: apprise.NotifyBase, notice: Notice, kind: apprise.NotifyType, snapshot: str | None
    ) -> bool:
        bundle = apprise.Apprise()
        bundle.add(service)
        attach = apprise.AppriseAttachment(snapshot) if snapshot else None
        return bool(
            bundle.notify(
                title=notice.title,
                body=notice.text,
                notify_type=kind,
                attach=attach,
                body_format=apprise.NotifyFormat.TEXT,
            )
        )


def _write(snapshot: bytes | None, folder: Path) -> str | None:
    if snapshot is None:
        return None
    path = folder / "scene.jpg"
    path.write_bytes(snapshot)
    return str(path)
