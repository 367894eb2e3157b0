"""How the agent starts processes: with the environment that they may have, and in a Python like its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_FOR_THE_AGENT = ("VEDETTE_", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_")
# -I: neither the working directory, nor PYTHONPATH, nor a user's own packages; what we import from is handed over.
_AS_WE_IMPORT = """\
import os, runpy, sys
sys.path[:] = sys.argv.pop(1).split(os.pathsep)
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


def own_python(module: str, *words: str) -> list[str]:
    """The command that runs `module` in a Python like this one, which imports from where this one does.

    `python -m MODULE` would put the working directory first, and run what lies there under our own names.
    """
    paths = os.pathsep.join(path for path in sys.path if Path(path).is_absolute())
    return [sys.executable, "-I", "-c", _AS_WE_IMPORT, paths, module, *words]


def child_environment() -> dict[str, str]:
    """Our environment without passwords, systemd's credentials and its sockets."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_FOR_THE_AGENT)}
