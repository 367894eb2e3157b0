"""The users' file: written, read again, and refused by name where it is something else."""

import pytest

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
        with pytest.raises(ConfigError, match=rf"{file}.*no text"):
            use()
    assert file.read_bytes() == content
    for missing in (tmp_path / "none", tmp_path):
        with pytest.raises(ConfigError, match=str(missing)):
            read_users(missing)
