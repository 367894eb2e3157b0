"""The control socket: who asks properly is answered, who does not is told why, and nothing stops the server."""

import contextlib
import json
import random
import socket
import stat
import threading
import time

import psutil
import pytest

from agent.app.control_socket import SOCKET_NAME, ControlServer, call, dispatch
from agent.core.errors import VedetteError
from tests.waiting import wait_until


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
    from agent.app import control_socket as control

    monkeypatch.setattr(control, "RETRY_SECONDS", 0.1)
    (tmp_path / "state").write_text("a file where the directory should be")
    server = ControlServer(tmp_path / "state", {"add": add})
    beats, beat = [], server.beat
    server.beat = lambda: beats.append(beat())
    stop = threading.Event()
    thread = threading.Thread(target=server.run, args=(stop,), daemon=True)
    thread.start()
    wait_until(lambda: len(beats) > 4)  # once a try and once while it rests: the third one goes on
    assert thread.is_alive()
    assert capsys.readouterr().out.count("no control socket, retrying") == 1
    (tmp_path / "state").unlink()
    wait_until((tmp_path / "state" / SOCKET_NAME).exists, 5)
    assert call(tmp_path / "state", "add", {"a": 1, "b": 2})["sum"] == 3
    stop.set()
    thread.join(5)


def connect(state):
    channel = socket.socket(socket.AF_UNIX)
    channel.settimeout(10)
    channel.connect(str(state / SOCKET_NAME))
    return channel


def ask(state, line):
    with connect(state) as channel:
        channel.sendall(line)
        with contextlib.suppress(OSError):
            channel.shutdown(socket.SHUT_WR)
        try:
            return json.loads(channel.makefile().readline())
        except OSError:
            return None


@pytest.mark.parametrize(
    "line",
    [b"[" * 1500 + b"\n", b'{"command":' * 1500 + b"\n", b'{"command": "add", "args": {"a": 1e999}}\n', b"\x00" * 100,
     b'{"command": "add", "args": {"a": ' + b"9" * 400 + b"}}\n", b'{"command": "\\u001b]0;x"}\n', b'"' * 5000],
)  # fmt: skip
def test_hostile_requests_are_answered_with_an_error(state, line):
    reply = ask(state, line)
    assert reply["ok"] is False and reply["error"].isprintable()
    assert call(state, "add", {"a": 2, "b": 2})["sum"] == 4


def test_a_request_without_end_is_hung_up_on(state):
    with connect(state) as channel, pytest.raises(OSError):
        for _ in range(200):
            channel.sendall(b"x" * 65536)
    assert call(state, "add", {"a": 2, "b": 2})["sum"] == 4


@pytest.fixture
def serve(tmp_path):
    """Runs a server with handlers of one's own; its directory and itself."""
    stop, threads = threading.Event(), []

    def start(handlers):
        server = ControlServer(tmp_path, handlers)
        threads.append(threading.Thread(target=server.run, args=(stop,)))
        threads[0].start()
        wait_until((tmp_path / SOCKET_NAME).exists)
        return tmp_path, server

    yield start
    stop.set()
    threads[0].join(5)
    assert not threads[0].is_alive()


def test_clients_that_dawdle_hold_nobody_up_and_are_hung_up_on(serve, monkeypatch):
    from agent.app import control_socket as control

    monkeypatch.setattr(control, "REQUEST_SECONDS", 1.0)
    state, server = serve({"add": add})
    slow = [connect(state) for _ in range(40)]  # more than are served at a time
    began = time.monotonic()
    for _ in range(5):
        for channel in slow:
            with contextlib.suppress(OSError):
                channel.sendall(b"{")
        assert call(state, "add", {"a": 1, "b": 2})["sum"] == 3
        assert server.silent_seconds() < 1.0
    assert time.monotonic() - began < 1.0
    for channel in slow:  # each sent a byte within the time; the whole request is what has one
        with contextlib.suppress(ConnectionError):
            assert channel.recv(1) == b""
        channel.close()


def test_a_slow_command_holds_up_no_other(serve):
    going, go_on = threading.Event(), threading.Event()

    def slow(_args):
        going.set()
        go_on.wait(10)
        return {"done": True}

    state, server = serve({"slow": slow, "add": add})
    answers = []
    caller = threading.Thread(target=lambda: answers.append(call(state, "slow")))
    caller.start()
    assert going.wait(5)
    for _ in range(20):
        assert call(state, "add", {"a": 1, "b": 2})["sum"] == 3
    assert not server.stuck()
    go_on.set()
    caller.join(5)
    assert answers[0]["done"] is True


def test_a_client_that_never_reads_is_given_up(serve, monkeypatch):
    from agent.app import control_socket as control

    monkeypatch.setattr(control, "REPLY_SECONDS", 0.3)
    state, server = serve({"much": lambda _: {"text": "x" * 2_000_000}, "add": add})
    deaf = [connect(state) for _ in range(3)]
    for channel in deaf:
        channel.sendall(b'{"command": "much"}\n')
    assert call(state, "add", {"a": 1, "b": 2})["sum"] == 3
    wait_until(lambda: not (server._clients._asked or server._clients._asking), 5)
    for channel in deaf:
        channel.close()


def test_an_answer_that_is_too_large_or_no_json_becomes_an_error(serve):
    deep = []
    for _ in range(2000):
        deep = [deep]
    state, _ = serve(
        {
            "much": lambda _: {"text": "x" * 5_000_000},
            "deep": lambda _: {"deep": deep},
            "bug": lambda _: 1 / 0,
        }
    )
    with pytest.raises(VedetteError, match="ask for less"):
        call(state, "much")
    with pytest.raises(VedetteError, match=r"not JSON|levels deep"):
        call(state, "deep")
    with pytest.raises(VedetteError, match="bug: ZeroDivisionError"):
        call(state, "bug")


def fuzz(state, count, seed):
    random_ = random.Random(seed)
    pieces = [b"{", b"}", b"[", b"]", b'"command"', b":", b'"add"', b'"refuse"', b'"args"', b",", b"1", b"1e400", b"NaN", b"null",
              b'"\\ud800"', b"\xff", b"\x00", b"\n", b" ", b'{"command": "add", "args": {"a": 1, "b": ', b"}}", b"[" * 40]  # fmt: skip
    for _ in range(count):
        reply = ask(state, b"".join(random_.choices(pieces, k=random_.randint(0, 12))))
        assert reply is None or (
            isinstance(reply["ok"], bool) and (reply["ok"] or reply["error"].isprintable())
        )


def test_random_requests_through_the_socket(state):
    fuzz(state, 500, 1)
    assert call(state, "add", {"a": 2, "b": 2})["sum"] == 4


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_hundred_thousand_random_requests_leave_nothing_behind(state):
    fuzz(state, 5000, 2)
    memory, threads = psutil.Process().memory_info().rss, threading.active_count()
    fuzz(state, 100_000, 3)
    assert psutil.Process().memory_info().rss - memory < 20 * 1024 * 1024
    assert threading.active_count() <= threads + 2
    assert call(state, "add", {"a": 2, "b": 2})["sum"] == 4


def test_what_json_does_not_know_is_named(state):
    """`vedette alerts limit RULE nan` was told that a request is an object."""
    with pytest.raises(VedetteError, match="the request cannot be read: NaN is not a JSON number"):
        call(state, "add", {"a": float("nan"), "b": 2})
