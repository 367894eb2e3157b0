"""Whether windows that are labelled with Unix time follow one another."""

from __future__ import annotations

_SET_BACK_SECONDS = 5.0
"""What a clock that is kept in time may be set back by."""


def follows(end: float, start: float, within: float) -> bool:
    """Whether a window that starts at `start` belongs to one that ended at `end`, at most `within` seconds before.

    It does not where the clock was set between them.
    """
    return -_SET_BACK_SECONDS <= start - end <= within
