"""What is known of a deployment in this process only: how its file is brought, the second model, who ends it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from agent.core.errors import VedetteError
from agent.detection.scheduler import ServedCounts
from agent.detection.session import Detector
from agent.maintenance.child import Pause
from agent.maintenance.deploy.model_store import Copied
from agent.maintenance.deploy.verify import Claim


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A model's file and its signature (b"": it has none)."""

    path: Path
    signature: bytes


Fetch = Callable[[Pause], Fetched]
"""Brings a model."""


@dataclass(slots=True, eq=False)
class DeploymentAttempt:
    """What is known of the deployment on its way in this process only.

    `second` is the model that does not run: the new one before the switch, the old one after it.
    """

    claim: Claim
    fetch: Fetch
    copied: Copied | None = None
    second: Detector | None = None
    counts: ServedCounts = field(default_factory=ServedCounts)


class Rollback:
    """A person's request to go back."""

    def __init__(self, by: str, id: str) -> None:
        self.by, self.id, self.done = by, id, threading.Event()
        self.error: VedetteError | None = None

    def finish(self, error: VedetteError | None = None) -> None:
        """Let who waits for it know."""
        self.error = error
        self.done.set()
