"""How a part hands its figures on: one line of JSON each, so that what is known survives whatever comes after."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

MARK = "@figures "


def note(table: str, **fields: Any) -> None:
    """One row of `table`."""
    print(MARK + json.dumps({"table": table, **fields}, default=str), flush=True)


def run(part: Callable[[dict[str, Any]], None]) -> None:
    """Call a part with the arguments that gpu.py gave: one JSON object."""
    part(json.loads(sys.argv[1]))


def rounded(value: float, digits: int = 3) -> float:
    return round(float(value), digits)


def label(model: str, about: dict[str, Any]) -> str:
    """A model in a table; variants mostly have the plain one's file name, in a folder of their own."""
    return Path(model).name if model == about["model"] else f"{Path(model).parent.name}/{Path(model).name}"
