"""Numbers in sentences: one thing or several, and a multiple of a limit. Pure."""

from __future__ import annotations


def count(number: int, one: str, several: str = "") -> str:
    """A number and what it counts; `several` where the plural is not made by an s.

    >>> count(1, "alert"), count(2, "alert"), count(1200, "summary", "summaries")
    ('1 alert', '2 alerts', '1,200 summaries')
    """
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def multiple(ratio: float, of: str) -> str:
    """How a value stands to a limit, two figures.

    >>> multiple(1.44, "its limit"), multiple(1.0, "the limit"), multiple(0.6, "the limit")
    ('1.4 times its limit', 'at the limit', '0.6 times the limit')
    """
    figures = f"{ratio:.2g}"
    return f"at {of}" if figures == "1" else f"{figures} times {of}"
