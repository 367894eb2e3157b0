"""Times as the command line gives them: ages and lengths such as `7d`, and plain seconds."""

from __future__ import annotations

import argparse

from agent.core.errors import ConfigError
from agent.core.units import LONGEST_DURATION, parse_duration


def length(text: str, option: str, example: str = "12h or 7d") -> float:
    """The seconds of a duration that `option` gives; raises ConfigError, which names the option."""
    try:
        return parse_duration(text)
    except ValueError:
        raise ConfigError(
            f"{text!r} is not a duration", file="command line", key=option, expected=f"such as {example}"
        ) from None


def seconds(text: str) -> float:
    """An argument's number of seconds, for `type=` (argparse's `float` takes nan, and what no timer can wait for).

    >>> seconds("1.5")
    1.5
    """
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= LONGEST_DURATION:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, 0 or more")
    return found
