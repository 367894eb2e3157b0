"""Runs a process of ours beside the agent: the memory that it takes ends with it, and so does what crashes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from agent.core import clock
from agent.core.child_environment import child_environment
from agent.core.untrusted import LARGEST_BYTES

_POLL_SECONDS = 0.1

Pause = Callable[[float], None]
"""Waits for some seconds; raises what ends the process."""


def ask(command: Sequence[str], line: bytes, pause: Pause, longest: float) -> tuple[int, bytes]:
    """How the process of `command` ended that was given a line, and what it wrote.

    The code is that of `subprocess`: below 0 for a signal. `pause` waits, and raises what ends it. Raises TimeoutError
    after `longest` seconds.
    """
    with TemporaryFile() as answer:  # a pipe holds 64 KiB, and nobody reads while `pause` waits
        code = _run(command, line, answer, pause, longest)
        answer.seek(0)
        return code, answer.read(LARGEST_BYTES + 1)


def _run(command: Sequence[str], line: bytes, answer: IO[bytes], pause: Pause, longest: float) -> int:
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=answer,
        stderr=subprocess.DEVNULL,
        env=child_environment(),
        start_new_session=True,  # Ctrl-C on a terminal is meant for the agent
    )
    assert process.stdin is not None
    try:
        with suppress(BrokenPipeError):
            process.stdin.write(line)
            process.stdin.flush()
        until = clock.monotonic() + longest
        while process.poll() is None:
            if clock.monotonic() > until:
                raise TimeoutError
            pause(_POLL_SECONDS)
        return process.returncode
    finally:
        process.kill()
        process.wait()
        with suppress(OSError):
            process.stdin.close()


# -- in the process -------------------------------------------------------------------------------------------


def serve(answer: Callable[[bytes], Mapping[str, Any]], nicer: int) -> None:
    """Answer the line on standard input with one of JSON on standard output, and end.

    Others have the CPU first (by `nicer`), and it is the first to go where memory is short. It ends, too, when standard
    input ends: it is asked to, or the agent is no more.
    """
    from agent.logging import setup as log

    os.nice(nicer)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    log.set_up("error")
    stdin = sys.stdin.buffer
    line = stdin.readline()
    threading.Thread(target=_end_with, args=(stdin,), daemon=True).start()
    sys.stdout.write(json.dumps(answer(line)) + "\n")
    sys.stdout.flush()
    os._exit(0)  # the thread that waits on standard input holds it


def _end_with(stdin: IO[bytes]) -> None:
    stdin.read()
    os._exit(0)
