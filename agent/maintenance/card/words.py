"""Pieces of Markdown: text from outside that means nothing in it, tables, numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from agent.core.printable import printable

_MEANS = re.compile(r"([\\`*_{}\[\]<>()#+!|~&-])")
LONGEST = 300


def plain(text: object, longest: int = LONGEST) -> str:
    """Text from outside as Markdown that shows it as it is, on one line."""
    return _MEANS.sub(r"\\\1", " ".join(printable(str(text), longest).split()))


def table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; "" without rows. Texts of cells are shown as they are."""
    lines = [f"| {' | '.join(map(plain, row))} |" for row in rows]
    if not lines:
        return ""
    return "\n".join([f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}", *lines])


def count(number: float) -> str:
    """A large number as people write it: 2,616,248 or 6.54 billion."""
    return f"{number / 1e9:,.2f} billion" if number >= 1e9 else f"{number:,.0f}"
