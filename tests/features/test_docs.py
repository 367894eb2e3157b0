"""docs/features.md lists every feature, in order, with its unit."""

from __future__ import annotations

import re
from pathlib import Path

from agent.features import SPECS

DOCS = Path(__file__).parents[2] / "docs" / "features.md"


def test_every_feature_is_documented_in_order():
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert rows == [(spec.name, spec.unit or "–") for spec in SPECS]
