"""The nearest of known names: what somebody perhaps meant who typed another."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from agent.printable import printable

_LISTED = 12


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The sentence for a name that there is not: the nearest that there is, or else all.

    >>> unknown("camera", "hal", ["front", "hall"])
    "there is no camera 'hal'; did you mean 'hall'?"
    >>> unknown("camera", "x", ["front", "hall"])
    "there is no camera 'x'; there are front, hall"
    """
    names = list(known)
    close = difflib.get_close_matches(name[:100], names, n=1)
    if close:
        hint = f"did you mean '{printable(close[0], 80)}'?"
    elif names:
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        listed = ", ".join(printable(one, 80) for one in names[:_LISTED])
        hint = f"there {'are' if len(names) > 1 else 'is'} {listed}{more}"
    else:
        hint = "there is none"
    return f"there is no {what} '{printable(name, 80)}'; {hint}"
