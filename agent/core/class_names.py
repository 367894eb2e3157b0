"""Matches the class names of two lists that may differ in case, spaces and accents. Pure."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence, Set


def counterparts(names: Sequence[str], known: Sequence[str]) -> dict[int, int]:
    """The number in `known` of each number in `names` that has one there.

    That is the same name, or else the only one that differs in case, outer spaces and the way accents are stored alone.

    >>> counterparts(["Car ", "van"], ["person", "car"]), counterparts(["car", "Car"], ["car"])
    ({0: 1}, {0: 0})
    """
    exact = {name: number for number, name in enumerate(known)}
    found = {number: exact[name] for number, name in enumerate(names) if name in exact}
    here = _alone(names, set(found))
    there = _alone(known, set(found.values()))
    return found | {number: there[name] for name, number in here.items() if name in there}


def _alone(names: Sequence[str], without: Set[int]) -> dict[str, int]:
    """The numbers of the other names, in one way of writing; not of those that are the same then."""
    plain = {number: _plain(name) for number, name in enumerate(names) if number not in without}
    times = Counter(plain.values())
    return {name: number for number, name in plain.items() if times[name] == 1}


def renamed(names: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """`names`, those that have a counterpart in `known` written as they are there."""
    numbers = counterparts(names, known)
    return tuple(known[numbers[number]] if number in numbers else name for number, name in enumerate(names))


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip().casefold()
