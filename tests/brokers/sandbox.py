"""A program with process ids and mounts of its own, so that all it starts ends with it; optionally in another root."""

import contextlib
import signal
import subprocess
from pathlib import Path

import psutil

from tests.waiting import accepts, wait_until

# $0: the root; $1: a folder that the root has not, seen there under the same path; then the command.
_ENTER = (
    'folder=$1; shift; if [ "$0" != / ]; then mkdir -p "$0$folder"; mount --bind "$folder" "$0$folder"; fi; '
)
_ENTER += 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'


class Sandbox:
    """Needs root. `network` is a network namespace of `ip netns`."""

    def __init__(self, command, folder, *, root="/", network=None, environment=()):
        inside = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _ENTER, root, folder]
        variables = ["env", *(f"{key}={value}" for key, value in dict(environment).items())]
        outside = ["ip", "netns", "exec", network] if network else []
        self.log = Path(folder) / "log"
        with self.log.open("ab") as log:
            words = [*outside, *inside, *variables, *command]
            self._process = subprocess.Popen([str(word) for word in words], stdout=log, stderr=log)

    @property
    def running(self):
        return self._process.poll() is None

    def kill(self):
        """As a power cut would: everything at once."""
        self._process.kill()
        self._process.wait(10)

    def stop(self, program, timeout=30):
        """Ask the process called `program` to end, then end the rest."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in psutil.Process(self._process.pid).children(recursive=True):
                if process.name() == program:
                    process.send_signal(signal.SIGTERM)
                    process.wait(timeout)
        self.kill()


def await_port(address, port, running, log, timeout=90):
    """Until something listens there."""
    wait_until(
        lambda: accepts(port, address),
        timeout,
        lambda: f"nothing listens at {address}:{port}:\n{log.read_text()[-3000:]}",
        alive=running,
        every=0.1,
    )
