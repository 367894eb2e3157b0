"""The runbooks' pages, as the package or a clone has them."""

from __future__ import annotations

import re
from pathlib import Path

_FOLDERS = (Path(__file__).parents[1] / "runbooks", Path(__file__).parents[2] / "docs" / "runbooks")
_NAME = re.compile(r"[a-z0-9_]{1,60}")


def runbook_page(name: str) -> str:
    """The page (Markdown) of a rule's runbook; "" where there is none."""
    if not _NAME.fullmatch(name):
        return ""
    page = next((path for folder in _FOLDERS if (path := folder / f"{name}.md").is_file()), None)
    return page.read_text(encoding="utf-8").rstrip() if page is not None else ""
