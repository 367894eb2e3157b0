"""Features: the numbers measured on a sampled frame, by which drift is judged.

A new feature is one entry in its family's file, a new family one file and one line here; either changes
FEATURE_VERSION, and with it which references can be used.
"""

from __future__ import annotations

import hashlib
from importlib import import_module

from agent.features.definition import AnyFamily, AnyFeature

_FILES = (
    "image",
    "motion",
    "boxes",
    "confidence",
    "embedding",
)

FAMILIES: tuple[AnyFamily, ...] = tuple(import_module(f"agent.features.{name}").FAMILY for name in _FILES)

SPECS: tuple[AnyFeature, ...] = tuple(feature for family in FAMILIES for feature in family.features)
"""Every feature; the order is the layout of the vectors."""

FEATURES: tuple[str, ...] = tuple(feature.name for feature in SPECS)

OF_THE_MODEL: frozenset[str] = frozenset(
    feature.name
    for family in FAMILIES
    if family.name in ("boxes", "confidence", "embedding")
    for feature in family.features
)
"""Features that another model changes; the others are of the frame alone."""

CODE_VERSION = 2
"""To be raised whenever a formula changes, so that old references are not compared with new numbers."""

FEATURE_VERSION: str = hashlib.sha256(f"{CODE_VERSION} {' '.join(FEATURES)}".encode()).hexdigest()[:12]
"""What a reference is bound to: the names, their order and the formulas."""
