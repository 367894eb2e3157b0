"""Waiting for what another thread or process does: until it is so, never for a fixed time."""

import time


def wait_until(condition, seconds=10.0, found=lambda: "it never came true"):
    """The condition's value as soon as it is true; a failure after `seconds`, with what was `found` then."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, found()
        time.sleep(0.01)
    return value
