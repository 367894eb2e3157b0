"""`vedette alerts test-notify`: sends a trial notice through the notifiers of a config."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agent.core import clock
from agent.core.errors import DeliveryError, VedetteError
from agent.core.nearest import unknown

if TYPE_CHECKING:
    from agent.config.alert_settings import NotifierSettings


def send_trials(config: str | None, names: Sequence[str]) -> int:
    """Send, and print for each notifier whether it was accepted; 0 only if all were."""
    from agent.app.kinds import KINDS
    from agent.cli.local import SYSTEM_CONFIG
    from agent.config.load import load, placed
    from agent.delivery.identity import identify
    from agent.notifiers.attempt import send_within_timeout
    from agent.notifiers.runner import make_notifiers
    from agent.notifiers.trial import trial_notice
    from agent.pipeline.snapshots import trial_card

    file = config or SYSTEM_CONFIG
    settings = load(file, KINDS)
    with placed(file):
        notifiers = make_notifiers(_chosen(settings.notifiers, names))
    if not notifiers:
        raise VedetteError(f"there is no notifier in {file}; add a [[notifiers]] table")
    identity = identify(settings.device, settings.broker)
    failed = False
    for entry, notifier in notifiers:
        picture = trial_card(identity.device) if entry.picture else None
        notice = trial_notice(device=identity.device, site=identity.site, now=clock.wall(), snapshot=picture)
        try:
            send_within_timeout(notifier, notice)
            print(f"{entry.name:<20} sent" + (", with a picture" if picture else ""))
        except DeliveryError as error:
            failed = True
            print(f"{entry.name:<20} FAILED: {error}")
    return int(failed)


def _chosen(notifiers: Sequence[NotifierSettings], names: Sequence[str]) -> list[NotifierSettings]:
    known = [entry.name for entry in notifiers]
    for name in names:
        if name not in known:
            raise VedetteError(unknown("notifier", name, known))
    return [entry for entry in notifiers if not names or entry.name in names]
