"""The users' file: written, read again, and refused by name where it is something else."""

import io
import os
import pty
import subprocess
import sys

import pytest

from agent.__main__ import main
from agent.core.errors import ConfigError
from agent.dashboard.web.access import fits, read_users, write_user


def test_users_are_added_and_their_passwords_set_again(tmp_path):
    file = tmp_path / "users"
    write_user(file, "ada", "operator", "a long password")
    write_user(file, "bob", "viewer", "another password")
    write_user(file, "ada", "viewer", "a newer password")
    users = read_users(file)
    assert {name: account.role for name, account in users.items()} == {"ada": "viewer", "bob": "viewer"}
    assert fits(users["ada"], "a newer password") and not fits(users["ada"], "a long password")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00binary\x80", b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_is_no_text_is_named_by_both(tmp_path, content):
    file = tmp_path / "users"
    file.write_bytes(content)
    for use in (lambda: read_users(file), lambda: write_user(file, "ada", "viewer", "a long password")):
        with pytest.raises(ConfigError, match=rf"{file}.*not text"):
            use()
    assert file.read_bytes() == content
    for missing in (tmp_path / "none", tmp_path):
        with pytest.raises(ConfigError, match=str(missing)):
            read_users(missing)


@pytest.mark.parametrize(("encoding", "errors"), [("utf-8", "strict"), ("ascii", "surrogateescape")])
def test_a_password_that_is_no_text_is_a_line_and_no_traceback(
    tmp_path, monkeypatch, capsys, encoding, errors
):
    given = io.TextIOWrapper(io.BytesIO(b"a long pass\xffword\n"), encoding=encoding, errors=errors)
    monkeypatch.setattr("sys.stdin", given)
    assert main(["dashboard", "--users", str(tmp_path / "users"), "--add-user", "ada"]) == 78
    assert "not UTF-8 text" in capsys.readouterr().err
    assert not (tmp_path / "users").exists()


def test_ctrl_d_at_the_question_for_a_password_is_no_traceback(tmp_path):
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "agent", "dashboard", "--users", tmp_path / "users", "--add-user", "ada"],
        stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, start_new_session=True,
    ) as asking:  # fmt: skip
        assert (
            asking.stderr.read(16) == b"password of ada:"
        )  # (what was typed before the question is discarded)
        os.write(ours, b"\x04")
        said = asking.communicate(timeout=60)[1].decode()
    os.close(ours)
    os.close(theirs)
    assert asking.returncode == 1 and "vedette: no password was given" in said and "Traceback" not in said
