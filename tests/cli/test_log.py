"""`vedette log`: who changed what, of a real agent over a restart, and of what lies on disk."""

import json

import pytest

from agent.__main__ import main
from agent.references.changes import note
from agent.references.store import ReferenceStore
from tests.app.test_reload import Box


def log_of(capsys, *words):
    assert main(["log", *words]) == 0
    return capsys.readouterr().out


@pytest.mark.timeout(300)
def test_changes_of_a_running_agent_are_there_with_who_made_them(tmp_path, capsys):
    box = Box(tmp_path)
    state = str(box.state)
    try:
        box.write(box.cameras("one", "two"))
        assert main(["reload", "--state", state]) == 0
        assert (
            main(
                [
                    "alerts",
                    "mute",
                    "--rule",
                    "disk",
                    "--for",
                    "2h",
                    "--why",
                    "full",
                    "--who",
                    "ada",
                    "--state",
                    state,
                ]
            )
            == 0
        )
        assert main(["alerts", "limit", "memory", "0.95", "--who", "bob", "--state", state]) == 0
        capsys.readouterr()
        running = json.loads(log_of(capsys, "--state", state, "--json"))
        assert box.agent.stop() == 0
    finally:
        box.agent.process.kill()
    kinds = [entry["kind"] for entry in running]
    assert kinds == ["agent", "model", "config", "mute", "limit"]
    by = {entry["kind"]: entry for entry in running}
    assert by["config"]["what"] == "cameras.two added" and by["config"]["who"]
    assert (by["mute"]["who"], by["mute"]["why"]) == ("ada", "full") and "disk, until 2" in by["mute"]["what"]
    assert (by["limit"]["what"], by["limit"]["who"]) == ("memory = 0.95", "bob")
    stopped = log_of(capsys, "--state", state, "--kind", "limit")
    assert "limit       memory = 0.95, by bob" in stopped
    assert "disk" not in stopped


def test_references_are_in_it(tmp_path, capsys):
    note(ReferenceStore(tmp_path), "front", "accepted", "0123", at=1_790_000_000.0, who="ada", why="new lamp")
    assert "reference   camera front: accepted 0123, by ada: new lamp" in log_of(
        capsys, "--state", str(tmp_path)
    )


def test_without_a_change_or_a_directory_it_says_so(tmp_path, capsys):
    assert log_of(capsys, "--state", str(tmp_path)) == "nothing was changed\n"
    assert main(["log", "--state", str(tmp_path / "absent")]) == 1
    assert "there is no such state directory" in capsys.readouterr().err
    assert main(["log", "--state", str(tmp_path), "--since", "yesterday"]) == 78
