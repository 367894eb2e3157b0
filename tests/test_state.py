"""State on disk: found where it should be, and never torn."""

import os

import pytest

from agent import state
from agent.errors import VedetteError


def test_a_configured_directory_wins(monkeypatch):
    monkeypatch.setenv("STATE_DIRECTORY", "/from/systemd")
    assert str(state.directory("/mine")) == "/mine"


def test_systemds_directory_comes_next(monkeypatch):
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/vedette:/other")
    assert str(state.directory()) == "/var/lib/vedette"


def test_a_user_keeps_state_at_home(monkeypatch):
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", "/home/me/.state")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert str(state.directory()) == "/home/me/.state/vedette"


def test_a_write_replaces_the_whole_file(tmp_path):
    path = tmp_path / "deep" / "a.json"
    state.write_atomic(path, b"old and long")
    state.write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in path.parent.iterdir()] == ["a.json"]


def test_a_failing_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    state.write_atomic(path, b"old")

    def fail(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        state.write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_state_directory_has_one_agent_at_a_time(tmp_path):
    free = state.claim(tmp_path / "state")
    with pytest.raises(
        VedetteError, match=rf"another agent \(process {os.getpid()}\) uses this state directory"
    ):
        state.claim(tmp_path / "state")
    free()
    state.claim(tmp_path / "state")()


def test_a_disk_that_takes_no_lock_file_is_used_without(tmp_path):
    (tmp_path / "state").write_text("a file where the directory should be")
    state.claim(tmp_path / "state")()
