"""Diagnosis: the most likely cause of a drift, by what known causes do to a camera's own frames. Pure.

A new cause is one file in `causes/` and one line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from agent.drift.diagnosis.cause import Cause

_FILES = (
    "fog",
    "defocus",
    "motion_blur",
    "dirt",
    "noise",
    "low_light",
    "compression",
    "colour_cast",
    "infrared",
    "overexposure",
    "cover",
    "moved",
)

CAUSES: Mapping[str, Cause] = {
    name: import_module(f"agent.drift.diagnosis.causes.{name}").CAUSE for name in _FILES
}
"""Every known cause of the image, by name."""
