"""Numbers in sentences: one thing or several, and a multiple of a limit. Pure."""

from __future__ import annotations

import math


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
    text = figures(ratio, 2)
    return f"at {of}" if text == "1" else f"{text} times {of}"


def figures(value: float, digits: int = 3) -> str:
    """A number to so many figures or to the whole, never as a power of ten.

    >>> figures(1536.2), figures(999.7), figures(0.0126), figures(0.0000123)
    ('1,536', '1,000', '0.0126', '0.0000123')
    """
    if abs(value) >= 10**digits - 0.5:
        return f"{value:,.0f}"
    text = f"{value:.{digits}g}"
    if "e" not in text:
        return text
    return f"{value:.{digits - 1 - math.floor(math.log10(abs(float(text))))}f}".rstrip("0")
