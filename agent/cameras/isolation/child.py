"""A child process that decodes for a camera and writes to a pipe: exact reads, each within a time limit."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import subprocess
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from agent.cameras.owned import ClosedError, ThreadOwned
from agent.core import clock
from agent.core.child_environment import child_environment

PIPE_BYTES = 1024 * 1024  # the most an unprivileged process may ask for; a frame then takes few turns
POLL_SECONDS = 0.25  # how soon a close from another thread is noticed where the process does not heed it
STDERR_BYTES = 8192


class Child(ThreadOwned):
    """One process and its two pipes: frames from `command(fd)`, and its standard error.

    One thread starts and reads; any thread may close. Ending it is asked for first (`stop_signal`: a signal, or None
    for closing its standard input), and enforced after `grace` seconds.
    """

    def __init__(
        self,
        command: Callable[[int], Sequence[str]],
        *,
        request: bytes | None = None,
        capture_stderr: bool = True,
        stop_signal: signal.Signals | None = signal.SIGINT,
        grace: float = 2.0,
    ) -> None:
        super().__init__()
        self._command, self._request, self._capture_stderr = command, request, capture_stderr
        self._stop_signal, self._grace = stop_signal, grace
        self._process: subprocess.Popen[bytes] | None = None
        self._data_fd = self._stderr_fd = -1
        self._stderr = bytearray()

    def start(self) -> None:
        """Start the process; raises OSError (FileNotFoundError: no such program), or ClosedError."""
        with self.in_use():
            self._data_fd, writing = os.pipe()
            # The kernel may refuse a larger pipe (a limit for each user); it is then only slower.
            with contextlib.suppress(OSError):
                fcntl.fcntl(self._data_fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            try:
                self._process = subprocess.Popen(
                    self._command(writing),
                    stdin=subprocess.DEVNULL if self._request is None else subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE if self._capture_stderr else None,
                    env=child_environment(),
                    pass_fds=(writing,),
                    start_new_session=True,  # Ctrl-C on a terminal is meant for the agent
                )
            except OSError:
                os.close(self._data_fd)
                self._data_fd = -1
                raise
            finally:
                os.close(writing)
            if self._process.stderr is not None:
                self._stderr_fd = self._process.stderr.fileno()
            if self._process.stdin is not None and self._request is not None:
                with contextlib.suppress(BrokenPipeError):
                    self._process.stdin.write(self._request)
                    self._process.stdin.flush()

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        return self._process.pid if self._process else None

    @property
    def stderr(self) -> str:
        """The end of its standard error."""
        return self._stderr.decode("utf-8", "replace")

    def take(self, length: int, timeout: float | None) -> NDArray[np.uint8] | None:
        """The next `length` bytes that the process wrote; None where it ended first.

        Raises TimeoutError when nothing came for `timeout` seconds (None: no limit), and ClosedError.
        """
        data = np.empty(length, np.uint8)
        with self.in_use():
            filled, heard = 0, clock.monotonic()
            while filled < length:
                if self.closing.is_set():
                    raise ClosedError
                if self._data_fd < 0:
                    return None
                ready = self._wait()
                if self._stderr_fd in ready:
                    self._read_stderr()
                if self._data_fd in ready:
                    count = os.readv(self._data_fd, [data[filled:].data])
                    if count == 0:
                        return None
                    filled, heard = filled + count, clock.monotonic()
                elif timeout is not None and clock.monotonic() - heard > timeout:
                    raise TimeoutError
        return data

    def end(self) -> int:
        """Wait for the end of a process that closed its pipe; its exit code, minus the signal that ended it."""
        with self.in_use():
            if self._process is None:
                raise ClosedError
            self._hang_up()
            until = clock.monotonic() + self._grace
            while self._stderr_fd >= 0 and clock.monotonic() < until:
                if self._stderr_fd in self._wait():
                    self._read_stderr()
            return self._finish()

    def _wait(self) -> set[int]:
        poll = select.poll()
        for fd in (self._data_fd, self._stderr_fd):
            if fd >= 0:
                poll.register(fd, select.POLLIN)
        return {fd for fd, _ in poll.poll(POLL_SECONDS * 1000)}

    def _read_stderr(self) -> None:
        text = os.read(self._stderr_fd, STDERR_BYTES)
        self._stderr += text
        del self._stderr[:-STDERR_BYTES]
        if not text:
            self._stderr_fd = -1  # its file is closed with the process

    def _interrupt(self) -> None:
        """Ask it to end; the thread that reads then sees the end of the pipe."""
        process = self._process
        if process is None:
            return
        if self._stop_signal is not None:
            process.send_signal(self._stop_signal)
        elif process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()

    def _hang_up(self) -> None:
        """Close our end of the pipe; a process that still writes gets an error, and ends."""
        if self._data_fd >= 0:
            os.close(self._data_fd)
            self._data_fd = -1

    def _finish(self) -> int:
        """Make the process end, and reap it."""
        process = self._process
        assert process is not None
        try:
            return process.wait(self._grace)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _free(self) -> None:
        process = self._process
        if process is not None:
            if process.poll() is None:
                self._interrupt()
            self._hang_up()
            self._finish()
            for pipe in (process.stdin, process.stderr):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            self._stderr_fd, self._process = -1, None


def ended_by(number: int) -> str:
    """In words, how a process ended by the signal `number` ended."""
    try:
        return f"crashed ({signal.Signals(number).name})"
    except ValueError:
        return f"was ended by signal {number}"
