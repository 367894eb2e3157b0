"""Features: the numbers measured on a sampled frame, by which drift is judged.

A new feature is one entry in its family's file, a new family one file and one line here; either changes
FEATURE_VERSION, and with it which references can be used.
"""

from __future__ import annotations

import hashlib

from agent.features import boxes, confidence, embedding, image, motion
from agent.features.definition import AnyFamily, AnyFeature

FAMILIES: tuple[AnyFamily, ...] = tuple(
    family.FAMILY for family in (image, motion, boxes, confidence, embedding)
)

SPECS: tuple[AnyFeature, ...] = tuple(feature for family in FAMILIES for feature in family.features)
"""Every feature; the order is the layout of the vectors."""

FEATURES: tuple[str, ...] = tuple(feature.name for feature in SPECS)

CODE_VERSION = 2
"""To be raised whenever a formula changes, so that old references are not compared with new numbers."""

FEATURE_VERSION: str = hashlib.sha256(f"{CODE_VERSION} {' '.join(FEATURES)}".encode()).hexdigest()[:12]
"""What a reference is bound to: the names, their order and the formulas."""
