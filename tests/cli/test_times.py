"""Times on the command line: what no timer can wait for is refused where it is read, with the option's name."""

import os
import pty

import pytest

from agent.__main__ import main
from agent.cli.times import length, seconds
from agent.cli.train import _agree
from agent.core.errors import ConfigError
from agent.maintenance.training.train import Cost


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "1e300", "soon", ""])
@pytest.mark.parametrize(
    "words",
    [
        ("run", "--source", "synthetic", "--seconds"),
        ("check", "--timeout"),
        ("watch", "--seconds"),
        ("selftest", "--seconds"),
        ("snapshot", "--source", "synthetic", "--at"),
        ("demo", "--seconds"),
    ],
)
def test_seconds_that_are_none_are_refused(words, text, capsys):
    """`nan` ended a thread, never ended a wait, or was a traceback."""
    with pytest.raises(SystemExit):
        main([*words[:-1], f"{words[-1]}={text}"])
    assert f"argument {words[-1]}: {text!r} is not a number of seconds, 0 or more" in capsys.readouterr().err


def test_seconds_and_lengths_that_are_some():
    assert (seconds("0"), seconds("2.5"), length("90s", "--for")) == (0.0, 2.5, 90.0)


@pytest.mark.parametrize("text", ["", "soon", "-1d", "20000d", "9" * 200])
def test_a_length_that_is_none_names_its_option(text):
    with pytest.raises(
        ConfigError, match=r"^command line: --since: .* is not a duration; expected such as 12h or 7d$"
    ):
        length(text, "--since")


@pytest.fixture
def typed(monkeypatch):
    """What a person types at a terminal that is standard input."""
    ours, theirs = pty.openpty()
    stdin = os.fdopen(theirs, encoding="utf-8")
    monkeypatch.setattr("sys.stdin", stdin)
    yield lambda text: os.write(ours, text)
    stdin.close()
    os.close(ours)


@pytest.mark.parametrize(("text", "agreed"), [(b"\x04", False), (b"\n", False), (b"Y\n", True)])
def test_ctrl_d_is_no_to_a_training(typed, text, agreed, capsys):
    """It was a traceback, after the cost had been measured."""
    typed(text)
    cost = Cost(seconds=60.0, epochs=3, images=20, image_seconds=0.5, memory_bytes=10**9)
    assert _agree(cost, yes=False) is agreed
    assert "about 60 s" in capsys.readouterr().out
