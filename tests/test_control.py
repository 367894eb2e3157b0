"""The control socket: who asks properly is answered, who does not is told why, and nothing stops the server."""

import json
import socket
import stat
import threading
import time

import pytest

from agent.control import SOCKET_NAME, ControlServer, call, dispatch
from agent.errors import VedetteError


def add(args):
    return {"sum": args["a"] + args["b"]}


def refuse(_args):
    raise VedetteError("not today")


@pytest.fixture
def state(tmp_path):
    server = ControlServer(tmp_path, {"add": add, "refuse": refuse})
    stop = threading.Event()
    thread = threading.Thread(target=server.run, args=(stop,))
    thread.start()
    while not (tmp_path / SOCKET_NAME).exists():
        pass
    yield tmp_path
    stop.set()
    thread.join(5)
    assert not (tmp_path / SOCKET_NAME).exists(), "the socket goes with the server"


def test_a_command_is_carried_out(state):
    assert call(state, "add", {"a": 1, "b": 2})["sum"] == 3


def test_a_refusal_reaches_the_caller_as_an_error(state):
    with pytest.raises(VedetteError, match="not today"):
        call(state, "refuse")


def test_wrong_arguments_and_unknown_commands_are_named(state):
    with pytest.raises(VedetteError, match="add: KeyError"):
        call(state, "add", {"a": 1})
    with pytest.raises(VedetteError, match="unknown command 'ad'; known: add, refuse"):
        call(state, "ad")


@pytest.mark.parametrize(
    "line", [b"\n", b"{}\n", b"[1]\n", b"\xff\xfe\n", b'{"command": "add", "args": 3}\n', b""]
)
def test_rubbish_is_answered_and_the_server_lives(state, line):
    with socket.socket(socket.AF_UNIX) as channel:
        channel.connect(str(state / SOCKET_NAME))
        channel.sendall(line)
        channel.shutdown(socket.SHUT_WR)
        assert json.loads(channel.makefile().readline())["ok"] is False
    assert call(state, "add", {"a": 2, "b": 2})["sum"] == 4


def test_the_socket_is_for_owner_and_group_only(state):
    assert stat.S_IMODE((state / SOCKET_NAME).stat().st_mode) == 0o660


def test_where_no_agent_runs_it_says_so(tmp_path):
    with pytest.raises(VedetteError, match="is it running"):
        call(tmp_path, "status")


def test_dispatch_never_raises_for_bad_requests():
    for request in (None, 3, [], {}, {"command": 3}, {"command": "x", "args": []}):
        assert dispatch({"x": add}, request)["ok"] is False


def test_a_disk_without_a_place_for_the_socket_ends_nothing_and_is_tried_again(tmp_path, monkeypatch, capsys):
    from agent import control

    monkeypatch.setattr(control, "RETRY_SECONDS", 0.1)
    (tmp_path / "state").write_text("a file where the directory should be")
    server = ControlServer(tmp_path / "state", {"add": add})
    stop = threading.Event()
    thread = threading.Thread(target=server.run, args=(stop,))
    thread.start()
    time.sleep(1.2)
    assert thread.is_alive()
    assert capsys.readouterr().out.count("no control socket, trying on") == 1
    (tmp_path / "state").unlink()
    deadline = time.monotonic() + 5
    while not (tmp_path / "state" / SOCKET_NAME).exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert call(tmp_path / "state", "add", {"a": 1, "b": 2})["sum"] == 3
    stop.set()
    thread.join(5)
