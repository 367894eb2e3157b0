"""Evaluates in a process beside the agent: it takes what CPU is left over, and its memory ends with it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import suppress

from agent.cameras.isolation.child import ended_by
from agent.core import clock
from agent.core.child_environment import child_environment, own_python
from agent.core.errors import ModelError
from agent.core.untrusted import BadInput, parse_object, take_integer, take_number, take_object, take_text
from agent.maintenance.evaluation.bootstrap import Interval
from agent.maintenance.evaluation.comparison import Comparison
from agent.maintenance.evaluation.process import Request

LONGEST_SECONDS = 6 * 3600.0
"""A busy box has little CPU left over."""

NICE = 19
"""The lowest priority; it still has a hundredth of a core that others want whole."""

_POLL_SECONDS = 0.1


def compare_beside(request: Request, pause: Callable[[float], None]) -> Comparison:
    """The comparison that is asked for; `pause` waits, and raises what ends it. Raises ModelError."""
    process = subprocess.Popen(
        own_python("agent.maintenance.evaluation.process", str(NICE)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=child_environment(),
        start_new_session=True,  # Ctrl-C on a terminal is meant for the agent
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with suppress(BrokenPipeError):
            process.stdin.write(request.line())
            process.stdin.flush()
        until = clock.monotonic() + LONGEST_SECONDS
        while process.poll() is None:
            if clock.monotonic() > until:
                raise ModelError(
                    f"the evaluation on labelled images takes longer than {LONGEST_SECONDS:.0f} s"
                )
            pause(_POLL_SECONDS)
        return _comparison(process.stdout.read(), process.returncode)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                pipe.close()


def _comparison(line: bytes, code: int) -> Comparison:
    """What a process gave that ended with `code`; its answer is small and fits into the pipe."""
    if code:
        how = ended_by(-code) if code < 0 else f"ended with code {code}"
        raise ModelError(f"the evaluation on labelled images {how}; see `vedette model evaluate`")
    try:
        body = parse_object(line)
        if "error" in body:
            raise ModelError(f"the evaluation on labelled images failed: {take_text(body, 'error')}")
        sure = take_object(body, "difference", None)
        return Comparison(
            images=take_integer(body, "images", minimum=0),
            first=take_number(body, "first"),
            second=take_number(body, "second"),
            difference=None
            if sure is None
            else Interval(low=take_number(sure, "low"), high=take_number(sure, "high")),
        )
    except BadInput as error:
        raise ModelError(f"the evaluation on labelled images gave no answer: {error}") from None
