"""A file that people name is read whole or not at all, whatever there may be at its path."""

import errno
import os
import threading

import pytest

from agent.core import plain_file
from agent.core.plain_file import open_plain, read_small


@pytest.mark.parametrize("content", [b"", b"a", bytes(range(256)) * 4])
def test_a_file_is_read_as_it_is(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    assert read_small(tmp_path / "file", 1024) == content


def test_a_pipe_that_is_filled_slowly_is_read_to_its_end(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    opened = threading.Event()

    def fill():
        with (tmp_path / "pipe").open("wb", buffering=0) as pipe:
            for _ in range(100):
                pipe.write(b"x" * 1000)
                opened.set()

    thread = threading.Thread(target=fill)
    thread.start()
    assert read_small(tmp_path / "pipe", 1 << 20) == b"x" * 100_000
    thread.join()


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda path: path.mkdir(), errno.EISDIR),
        (lambda path: path.symlink_to("/dev/zero"), errno.EINVAL),
        (lambda path: path.symlink_to(path), errno.ELOOP),
        (lambda path: path.write_bytes(b"x" * 1025), errno.EFBIG),
        (os.mkfifo, errno.ETIMEDOUT),
        (lambda _path: None, errno.ENOENT),
    ],
)
def test_what_can_not_be_read_is_an_error_and_never_waited_for(tmp_path, monkeypatch, make, code):
    monkeypatch.setattr(plain_file, "PIPE_SECONDS", 0.05)
    make(tmp_path / "thing")
    with pytest.raises(OSError) as failed:
        read_small(tmp_path / "thing", 1024)
    assert failed.value.errno == code


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda path: path.symlink_to("/dev/zero"), errno.EINVAL),
        (lambda path: path.mkdir(), errno.EISDIR),
        (os.mkfifo, errno.EINVAL),
        (lambda _path: None, errno.ENOENT),
    ],
)
def test_only_a_plain_file_is_opened(tmp_path, make, code):
    make(tmp_path / "thing")
    with pytest.raises(OSError) as failed:
        open_plain(tmp_path / "thing")
    assert failed.value.errno == code


def test_a_plain_file_is_opened(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    with open_plain(tmp_path / "file") as file:
        assert file.read() == b"abc"


def test_a_path_that_is_none(tmp_path):
    for reader in (lambda path: read_small(path, 1024), open_plain):
        with pytest.raises(OSError, match="is not a path"):
            reader(f"{tmp_path}/a\0b")
