"""The command `snapshot` over the network: a small image, a few a minute at most, each logged with who asked."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import structlog

from agent.core import clock
from agent.core.arguments import check_names, take_word
from agent.core.errors import VedetteError
from agent.core.printable import printable
from agent.delivery.commands import RateLimit
from agent.pipeline.snapshots import LastSnapshots

log = structlog.get_logger("vedette.commands")

PER_MINUTE = 6
BOXES = 50
"""Boxes as values in an answer; the image shows them all."""


class RemoteSnapshot:
    """Answers the command; belongs to the commands' thread."""

    def __init__(self, snapshots: LastSnapshots) -> None:
        self._snapshots, self._rate = snapshots, RateLimit(PER_MINUTE)

    def __call__(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """The last frame of `camera` with its boxes, as a JPEG (base64) that fits a message; raises VedetteError."""
        check_names(args, "camera", "who")
        camera, who = take_word(args, "camera"), take_word(args, "who", "unknown")
        if not self._rate.allows(clock.monotonic()):
            raise VedetteError(f"more than {PER_MINUTE} snapshots in a minute; try again in a moment")
        found = asdict(self._snapshots.small(camera))
        log.info("snapshot published", camera=camera, who=printable(who, 64))
        return {**found, "boxes": found["boxes"][:BOXES], "jpeg": base64.b64encode(found["jpeg"]).decode()}
