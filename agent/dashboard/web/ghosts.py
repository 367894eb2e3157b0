"""Retained messages of devices and cameras that no longer exist: listed, and cleared on request."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from agent.config.delivery_settings import BrokerSettings
from agent.core.errors import VedetteError
from agent.core.printable import printable
from agent.delivery.mqtt.address import broker_addresses
from agent.delivery.mqtt.retained_client import RetainedClient
from agent.delivery.verify.inventory import Ghost, ghosts, inventory

SHOWN = 500


class Ghosts:
    """Reads what a broker retains, with a connection of its own for each call. It may be much: one call at a time."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings, self._one = settings, threading.Lock()

    def rows(self, now: float) -> Sequence[dict[str, Any]]:
        """The ghosts as rows of device, topic and reason; raises VedetteError."""
        with self._one, self._client() as client:
            found = self._find(client, now)
        return [
            {"device": one.device, "topic": printable(one.topic, 200), "reason": one.reason}
            for one in found[:SHOWN]
        ]

    def remove(self, device: str, now: float) -> dict[str, Any]:
        """Clear the ghosts of a device (`site/name`, as `rows` names it); raises VedetteError where there are none."""
        with self._one, self._client() as client:
            topics = [one.topic for one in self._find(client, now) if one.device == device]
            if not topics:
                raise VedetteError("there is no ghost of this device any more")
            cleared = client.clear(topics)
        refused = sorted(set(cleared.refused.values()))
        return {"cleared": len(cleared.topics), "refused": [printable(reason, 200) for reason in refused]}

    def _client(self) -> RetainedClient:
        return RetainedClient(broker_addresses(self._settings)[0], self._settings)

    def _find(self, client: RetainedClient, now: float) -> Sequence[Ghost]:
        root = self._settings.home_assistant_prefix.strip("/")
        filters = (f"{self._settings.topic_prefix}/#", f"{root}/+/+/+/config")
        return ghosts(inventory(self._settings.topic_prefix, root, client.read(filters)), now)
