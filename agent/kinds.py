"""The registries of what a config may name a kind of."""

from __future__ import annotations

from collections.abc import Mapping

from agent.cameras import CAMERAS
from agent.notifiers import NOTIFIERS
from agent.registry import Registry

KINDS: Mapping[str, Registry] = {"cameras": CAMERAS, "notifiers": NOTIFIERS}
