"""Waiting for what another thread or process does: until it is so, never for a fixed time."""

import socket
import time


def wait_until(
    condition, seconds=10.0, found=lambda: "it never came true", *, alive=lambda: True, passing=(), every=0.01
):
    """The condition's value as soon as it is true; a failure after `seconds`, with what was `found` then.

    It fails at once where what is waited for is not `alive` any more. Errors of the kinds `passing` mean: not yet.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            if value := condition():
                return value
        except passing:
            pass
        assert alive(), found()
        assert time.monotonic() < deadline, found()
        time.sleep(every)


def accepts(port, host="127.0.0.1"):
    """Whether something accepts connections there."""
    try:
        socket.create_connection((host, port), timeout=1.0).close()
    except OSError:
        return False
    return True
