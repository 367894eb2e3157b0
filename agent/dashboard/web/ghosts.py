"""Retained messages of devices and cameras that no longer exist: listed, and cleared on request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool

from agent.config.delivery_settings import BrokerSettings
from agent.core.errors import VedetteError
from agent.core.printable import printable
from agent.delivery.mqtt.address import broker_addresses
from agent.delivery.mqtt.retained_client import RetainedClient
from agent.delivery.verify.inventory import Ghost, ghosts, inventory

SHOWN = 500
_Found = TypeVar("_Found")


Rows = Sequence[dict[str, Any]]


class Ghosts:
    """Reads what a broker retains, with a connection of its own for each call. It may be much, and the broker slow: one
    call at a time, in one of the server's threads; who waits holds none, and who asks meanwhile gets the same rows."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings, self._one = settings, asyncio.Lock()
        self._reading: asyncio.Task[Rows] | None = None

    async def rows(self, now: float) -> Rows:
        """The ghosts as rows of device, topic and reason; raises VedetteError."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.ensure_future(self._alone(lambda: self._read(now)))
            self._reading.add_done_callback(_take_note)
        return await asyncio.shield(self._reading)

    async def remove(self, device: str, now: float) -> dict[str, Any]:
        """Clear the ghosts of a device (`site/name`, as `rows` names it); raises VedetteError where there are none."""
        return await self._alone(lambda: self._remove(device, now))

    async def _alone(self, work: Callable[[], _Found]) -> _Found:
        async with self._one:
            return await run_in_threadpool(work)

    # -- in a thread -------------------------------------------------------------------------------------------

    def _read(self, now: float) -> Rows:
        with self._client() as client:
            found = self._find(client, now)
        return [
            {"device": one.device, "topic": printable(one.topic, 200), "reason": one.reason}
            for one in found[:SHOWN]
        ]

    def _remove(self, device: str, now: float) -> dict[str, Any]:
        with self._client() as client:
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


def _take_note(reading: asyncio.Task[Rows]) -> None:
    """Who asked may have gone meanwhile: then nobody is left to be told of a failure."""
    with suppress(asyncio.CancelledError):
        reading.exception()
