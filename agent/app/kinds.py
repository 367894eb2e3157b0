"""The registries of the kinds that a config can name."""

from __future__ import annotations

from collections.abc import Mapping

from agent.cameras import CAMERAS
from agent.core.registry import Registry
from agent.notifiers import NOTIFIERS

KINDS: Mapping[str, Registry] = {"cameras": CAMERAS, "notifiers": NOTIFIERS}
