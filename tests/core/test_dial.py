"""Connecting to a name of several addresses: the first that answers, within the time for all."""

import socket
import threading
import urllib.request

import pytest

from agent.core import clock, http_client
from agent.core.dial import dial
from tests.conftest import free_port
from tests.servers.addresses import dead_addresses, resolving

NAME = "several.test"


@pytest.fixture
def server():
    with socket.create_server(("127.0.0.1", free_port())) as made:
        yield made


def test_dead_addresses_do_not_take_the_time_of_the_one_that_answers(server, monkeypatch):
    port = server.getsockname()[1]
    with dead_addresses(port, 3) as dead:
        resolving(monkeypatch, NAME, [*dead, "127.0.0.1"])
        with dial(NAME, port, 8.0) as connected:  # one of them alone would take the eight seconds
            assert connected.getpeername() == ("127.0.0.1", port)
            assert connected.gettimeout() == 8.0


def test_an_address_that_refuses_costs_no_head_start(server, monkeypatch):
    port = server.getsockname()[1]
    monkeypatch.setattr("agent.core.dial.HEAD_START_SECONDS", 3600.0)
    resolving(monkeypatch, NAME, ["127.0.0.2", "127.0.0.3", "127.0.0.1"])
    with dial(NAME, port, 8.0) as connected:
        assert connected.getpeername()[0] == "127.0.0.1"


def test_no_address_that_answers_is_an_end_in_time(monkeypatch):
    port = free_port()
    with dead_addresses(port, 2) as dead:
        resolving(monkeypatch, NAME, dead)
        began = clock.monotonic()
        with pytest.raises(TimeoutError):
            dial(NAME, port, 0.7)
        assert clock.monotonic() - began >= 0.7


def test_a_refused_connection_says_so_where_no_other_address_is_left(monkeypatch):
    resolving(monkeypatch, NAME, ["127.0.0.2", "127.0.0.1"])
    with pytest.raises(ConnectionRefusedError):
        dial(NAME, free_port(), 5.0)


def test_an_unknown_name_is_an_error_of_the_resolver():
    with pytest.raises(socket.gaierror):
        dial("no-such-name.invalid", 80, 5.0)


def test_what_is_not_taken_is_closed(server, monkeypatch):
    port = server.getsockname()[1]
    made = []
    real = socket.socket

    class Counted(real):
        def __init__(self, *arguments, **keywords):
            super().__init__(*arguments, **keywords)
            made.append(self)

    with dead_addresses(port, 2) as dead:
        resolving(monkeypatch, NAME, [*dead, "127.0.0.1"])
        monkeypatch.setattr(socket, "socket", Counted)
        with dial(NAME, port, 8.0) as connected:
            assert [one.fileno() >= 0 for one in made] == [one is connected for one in made]
    assert len(made) == 3


def test_http_goes_to_the_address_that_answers(server, monkeypatch):
    port = server.getsockname()[1]

    def answer():
        channel, _ = server.accept()
        with channel:
            channel.recv(65536)
            channel.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    threading.Thread(target=answer, daemon=True).start()
    with dead_addresses(port, 2) as dead:
        resolving(monkeypatch, NAME, [*dead, "127.0.0.1"])
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), *http_client.handlers())
        with opener.open(f"http://{NAME}:{port}/", timeout=8.0) as reply:
            assert reply.status == 204
