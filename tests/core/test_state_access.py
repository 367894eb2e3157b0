"""What root left in the state directory is named, with the command that mends it; judged as really another user."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from agent.core.state_access import obstacle, will_be_roots

USER = 12345
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to leave files")


@pytest.fixture
def state():
    """A state directory of another user's, where that user may go."""
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        os.chmod(made, 0o755)
        directory = Path(made) / "state"
        directory.mkdir(mode=0o700)
        os.chown(directory, USER, USER)
        yield directory


def leave(directory, *names, owner=0, mode=0o600):
    for name in names:
        path = directory / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.touch()
        path.chmod(mode)
        os.chown(path, owner, owner)


@pytest.fixture
def found(state):
    """The obstacle that the other user meets."""

    def look(directory=state):
        os.setegid(USER)
        os.seteuid(USER)
        try:
            return obstacle(directory)
        finally:
            os.seteuid(0)
            os.setegid(0)

    return look


def test_nothing_is_wrong_with_ones_own_files_and_with_those_of_others_beside(state, found):
    leave(state, "outbox.db", "alerts.sqlite3", owner=USER)
    leave(state, "thesis.odt")
    assert found() is None
    assert found(state / "new" / "one") is None


def test_every_file_of_roots_counts_and_the_mend_names_user_and_directory(state, found):
    leave(state, "outbox.db", "clock.json", "agent.lock", "notices.json", "crash.txt", "alerts.sqlite3")
    leave(state, "observations/2026-01-01.jsonl.gz", owner=USER)
    met = found()
    assert met.text == (
        f"files in {state} belong to another user "
        "(agent.lock, alerts.sqlite3, clock.json, crash.txt, notices.json and 2 more)"
    ), "a folder that may not be entered is one of them"
    assert met.mend == f"sudo chown -R {USER}:{USER} {state}"
    subprocess.run(met.mend.removeprefix("sudo ").split(), check=True)
    assert found() is None, "what it says to do mends it"


def test_a_file_deep_in_ones_own_folders_is_found(state, found):
    leave(state, "references/v1.json", owner=USER)
    os.chown(state / "references", USER, USER)
    leave(state, "references/v2.json")
    assert found().text == f"files in {state} belong to another user (references/v2.json)"


def test_ones_own_files_that_are_closed_take_another_mend(state, found):
    leave(state, "outbox.db", owner=USER, mode=0o400)
    met = found()
    assert met.text == f"files in {state} may not be read or written (outbox.db)"
    subprocess.run(met.mend.removeprefix("sudo ").split(), check=True)
    assert found() is None


def test_a_directory_of_roots(state, found):
    os.chown(state, 0, 0)
    assert str(found()) == (
        f"the state directory {state} belongs to another user: sudo chown -R {USER}:{USER} {state}"
    )


def test_a_directory_that_cannot_be_made(state, found):
    wanted = state.parent / "not there"
    met = found(wanted)
    assert met.text == f"{wanted} is not there, and this user may not make it"
    subprocess.run(["sh", "-c", met.mend.removeprefix("sudo ")], check=True)
    assert found(wanted) is None


def test_a_parent_that_may_not_be_entered(state, found):
    (state.parent / "closed").mkdir(mode=0o700)
    assert "may not enter" in found(state.parent / "closed" / "state").text


def test_root_in_anothers_directory_is_warned_before_it_leaves_files_there(state, tmp_path):
    assert f"sudo chown -R {USER}:{USER} {state}" in will_be_roots(state).mend
    assert will_be_roots(tmp_path) is None
    assert will_be_roots(tmp_path / "new") is None


def test_check_names_it(state, tmp_path):
    leave(state, "outbox.db")
    config = tmp_path / "v.toml"
    config.write_text(f'state_directory = "{state}"\n[[cameras]]\nname = "a"\nkind = "synthetic"\n')
    done = subprocess.run(
        [sys.executable, "-m", "agent", "check", str(config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert f"(outbox.db): sudo chown -R {USER}:{USER} {state}" in done.stdout
