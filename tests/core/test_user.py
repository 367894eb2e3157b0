"""A user without name and home, as of a container: really another user, in a process of its own."""

import os
import shutil
import subprocess
import sys

import pytest

BECOME = ("setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups")
READING = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
"""The interpreter may lie in a folder of root's: the other user may read there."""

BEFORE = """
import sys
from agent.__main__ import main
from agent.core import state_dir, user
from agent.core.errors import VedetteError
"""


def as_nobody_known(code, **given):
    kept = {key: value for key, value in os.environ.items() if key in {"PATH", "PYTHONPATH", "LANG"}}
    done = subprocess.run(
        [*BECOME, *READING, sys.executable, "-c", BEFORE + code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=kept | given,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="needs root and setpriv to become another user",
)


@pytest.mark.parametrize("command", ["status", "alerts", "alerts ack x"])
def test_a_command_names_what_is_missing(command):
    done = as_nobody_known(f"sys.exit(main({command.split()!r}))")
    assert done.returncode == 1
    assert "user 12345 has no home folder here: set the environment variable HOME" in done.stderr


def test_paths_names_and_folders_without_home():
    done = as_nobody_known(
        """
print(user.name())
for path in ("~/frames", "~nobody-of-that-name/x"):
    try:
        user.expanded(path)
    except VedetteError as error:
        print(error)
print(user.expanded("/plain"), state_dir.directory("/mine"))
"""
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "user 12345"
    assert "~/frames: begins with ~" in lines[1]
    assert "~nobody-of-that-name/x: begins with ~" in lines[2]
    assert lines[3] == "/plain /mine"


def test_the_folder_of_the_environment_needs_no_home():
    done = as_nobody_known("print(state_dir.directory())", STATE_DIRECTORY="/var/lib/vedette")
    assert done.stdout.strip() == "/var/lib/vedette"
