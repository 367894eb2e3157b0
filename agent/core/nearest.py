"""Finds the known name nearest to an unknown one, and words the hint."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from agent.core.printable import printable

_COMPARED = 100  # characters of a name
_SHOWN = 80
_LISTED = 12


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The one of `known` that `name` is most like, None where none is; case and `.`, `-`, `_` count for nothing.

    >>> nearest("Hal", ["hall", "yard"])
    'hall'
    """
    folded: dict[str, str] = {}
    for item in known:
        folded.setdefault(_fold(item), item)
    wanted = _fold(name)
    swapped = [item for item in folded if sorted(item) == sorted(wanted)]  # the commonest slip of all
    found = swapped or difflib.get_close_matches(wanted, folded, n=1, cutoff=cutoff)
    return folded[found[0]] if found else None


def unknown(what: str, name: str, known: Iterable[str], *, see: str = "") -> str:
    """The sentence for a name that there is not: the nearest that there is, else what to `see`, or else all.

    >>> unknown("camera", "hal", ["front", "hall"])
    "there is no camera 'hal'; did you mean 'hall'?"
    >>> unknown("camera", "x", ["front", "hall"])
    "there is no camera 'x'; there are front, hall"
    """
    names = list(known)
    near = nearest(name, names)
    if near is not None:
        hint = f"did you mean '{printable(near, _SHOWN)}'?"
    elif see:
        hint = f"see {see}"
    elif names:
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        listed = ", ".join(printable(one, _SHOWN) for one in names[:_LISTED])
        hint = f"there {'are' if len(names) > 1 else 'is'} {listed}{more}"
    else:
        hint = "there is none"
    return f"there is no {what} '{printable(name, _SHOWN)}'; {hint}"


def _fold(name: str) -> str:
    return name[:_COMPARED].casefold().translate({ord(sign): "_" for sign in ".-"})
