"""Secrets cannot be rendered, echoes of them are not quoted, URLs are read in one way, password files up to a line."""

import copy
import json
import os
import pickle
import threading

import pytest

from agent.core.errors import ConfigError
from agent.core.masking import MASK
from agent.core.secret import Masked, Secret, excerpt, first_line, split_url


@pytest.mark.parametrize("kind", [Secret, Masked])
def test_a_secret_is_never_rendered(kind):
    secret = kind("rtsp://user:hunter2@host")
    assert secret.reveal() == "rtsp://user:hunter2@host"
    texts = [str(secret), repr(secret), f"{secret}", f"{secret:>40}", f"{secret!r}", "{}".format(secret)]  # noqa: UP032  (str.format is tested too)
    texts += [json.dumps(secret, default=str), str([secret]), str({"a": secret})]
    for text in texts:
        assert "hunter2" not in text
        assert "user" not in text
        assert MASK in text
    with pytest.raises(TypeError):
        json.dumps(secret)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        "" + secret


def test_a_secret_is_a_value():
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert Secret(Secret("a")).reveal() == "a"
    assert {Secret("a"): 1}[Secret("a")] == 1
    assert not Secret()
    assert Secret("a")
    assert copy.deepcopy(Secret("a")) == Secret("a")


# -- URLs of settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://S3cret:p/q@host/x",
        "rtsp://S3cret:p#q@host/x",
        "rtsp://S3cret:p?q@host/x",
        "rtsp://S3cret:12/q@host/x",
        "rtsp://S3cret:12?q@host/x",
        "rtsp://S3cret:p[q@host/x",
        "rtsp://S3cret:p@q/r@host/x",
        "rtsp://[S3cret/x",
        "rtsp://host:S3cret/x",
        "rtsp://host:99999/S3cret",
        "rtsp://host/S3cret\0",
    ],
)
def test_a_url_that_may_be_read_in_two_ways_is_refused_unseen(url):
    with pytest.raises(ConfigError) as caught:
        split_url(url, key="url", expected="rtsp://HOST/PATH")
    assert "S3cret" not in str(caught.value)
    assert caught.value.key == "url"
    if "@" in url:
        assert "%40" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("rtsp://u:p@h/a", "h"),
        ("rtsp://u:p%2F@h/a", "h"),
        ("rtsp://u:p@ss@h/a", "h"),
        ("rtsp://10.0.0.9:554/live@1", "10.0.0.9"),
        ("rtsp://10.0.0.9/user:pw@/ch1", "10.0.0.9"),
        ("rtsp://[fd00::1]:554/live@1", "fd00::1"),
        ("http://cam:8080/x?mail=a@b", "cam"),
        ("rtsp://cam/a@b", "cam"),
    ],
)
def test_a_url_that_is_clear_is_taken(url, host):
    assert split_url(url, key="url", expected="").hostname == host


# -- what a server says -----------------------------------------------------------------------------------

SENT = [
    Secret("https://hooks.slack.com/services/T0ABCDEF/B0/tokenXYZW"),
    Secret("Bearer S3cretToken"),
    Secret("mailto://user:p%40ssword@127.0.0.1:25?to=night"),
    Secret("slack://TokenA/TokenB/TokenC"),
    Secret("abc"),
]


@pytest.mark.parametrize(
    "said",
    [
        "no such TOKENXYZW",
        "toke...: tokenX is wrong",
        "auth S3cretToken",
        "p@ssword",
        "p%40ssword",
        "user 'tokena'",
        "x abc x",
    ],
)
def test_what_a_server_echoes_of_a_secret_is_not_quoted(said):
    assert excerpt(said, *SENT) == ""


@pytest.mark.parametrize(
    ("said", "quoted"),
    [
        ("invalid_payload", "invalid_payload"),
        ("hooks.slack.com is busy", "hooks.slack.com is busy"),
        ("127.0.0.1 refused", "127.0.0.1 refused"),
        ("see http://u:p@h/x?k=v", "see http://***@h/x?k=***"),
        ("\x1b]52;c;cm0=\x07a\nb", "\\x1b]52;c;cm0=\\x07a b"),
        ("x" * 500, "x" * 120 + "…"),
        ("", ""),
    ],
)
def test_what_else_it_says_is_one_printable_line(said, quoted):
    assert excerpt(said, *SENT) == quoted


# -- the first line of a password file ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"hunter2\nmore\n", "hunter2"),
        (b"hunter2", "hunter2"),
        (b" hunter 2 \r\n", " hunter 2 "),
        (b"\xef\xbb\xbfhunter2\r\n", "hunter2"),
        ("pässwort\u2028x\n".encode(), "pässwort\u2028x"),
        (b"", ""),
        (b"\nhunter2\n", ""),
        (b"a" * 10_000 + b"\n", "a" * 10_000),
        (b"hunter2\n" + b"\xff" * 10_000, "hunter2"),
    ],
)
def test_the_first_line_of_a_file_is_the_password(tmp_path, content, password):
    (tmp_path / "password").write_bytes(content)
    assert first_line(tmp_path / "password") == Secret(password)


def test_a_pipe_that_is_filled_later_is_waited_for():
    reading, writing = os.pipe()
    writer = threading.Timer(0.2, os.write, (writing, b"hunter2\n"))
    writer.start()
    assert first_line(f"/proc/self/fd/{reading}") == Secret("hunter2")
    writer.join()
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/dev/zero", "too long a line"),
        ("a\0b", "is not a path"),
        ("\ud800", "is not a path"),
        ("/nowhere/at/all", "No such file"),
        ("/", "Is a directory"),
    ],
)
def test_what_is_no_password_file_is_an_error_of_the_system(path, words):
    with pytest.raises(OSError, match=words) as caught:
        first_line(path)
    assert caught.value.strerror


def test_bytes_that_are_no_text_are_not_shown(tmp_path):
    (tmp_path / "password").write_bytes(b"hunter2\xff\n")
    with pytest.raises(OSError, match="is not text") as caught:
        first_line(tmp_path / "password")
    assert "hunter2" not in str(caught.value)


def test_a_pipe_that_nobody_fills_is_given_up(monkeypatch):
    monkeypatch.setattr("agent.core.secret.PIPE_SECONDS", 0.05)
    reading, writing = os.pipe()
    with pytest.raises(TimeoutError, match="gives nothing"):
        first_line(f"/proc/self/fd/{reading}")
    os.close(reading)
    os.close(writing)
