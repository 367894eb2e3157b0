"""A server that sends a byte now and then holds nobody: the time-out is that of the whole answer."""

import socket
import ssl
import threading
import urllib.error
import urllib.request

import pytest

from agent.core import http_client

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


@pytest.fixture
def trickle():
    """Starts a server that answers `first` at once, then `piece` every 20 ms, without end or `pieces` times."""
    stop, threads, listening = threading.Event(), [], []

    def answer(server, context, first, piece, pieces):
        try:
            plain, _ = server.accept()
            with context.wrap_socket(plain, server_side=True) if context else plain as channel:
                channel.recv(65536)
                channel.sendall(first)
                while not stop.wait(0.02) and pieces:
                    channel.sendall(piece)
                    pieces -= 1
        except OSError:
            pass

    def start(first, piece, *, pieces=-1, folder=None):
        context = None
        if folder is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        server = socket.create_server(("127.0.0.1", 0))
        server.settimeout(10)
        listening.append(server)
        threads.append(threading.Thread(target=answer, args=(server, context, first, piece, pieces)))
        threads[-1].start()
        return f"{'https' if folder else 'http'}://localhost:{server.getsockname()[1]}/"

    yield start
    stop.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    for server in listening:
        server.close()


def opened(url, seconds=0.3, context=None):
    return urllib.request.build_opener(*http_client.handlers(context)).open(url, timeout=seconds)


def failed(call):
    with pytest.raises(OSError) as caught:
        call()
    error = caught.value
    return error.reason if isinstance(error, urllib.error.URLError) else error


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        pytest.param(b"", b"H", id="status line"),
        pytest.param(HEAD + b"X-A: ", b"a", id="a header without end"),
        pytest.param(HEAD, b"X: y\r\n", id="headers"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", id="continue"),
    ],
)
@pytest.mark.parametrize("safe", [False, True])
def test_a_head_that_comes_by_the_byte_ends_in_time(trickle, certificate, first, piece, safe):
    context = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    url = trickle(first, piece, folder=certificate if safe else None)
    assert isinstance(failed(lambda: opened(url, context=context)), TimeoutError)


def test_so_does_the_line_that_announces_a_chunk(trickle):
    with opened(trickle(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0")) as answer:
        assert isinstance(failed(lambda: answer.read1(1)), TimeoutError)


def test_a_long_body_comes_whole_where_each_read_has_its_time(trickle):
    with opened(trickle(HEAD + b"\r\n", b"abcd", pieces=40)) as answer:
        body = b""
        while True:
            answer.extend()
            if not (piece := answer.read1(1)):
                break
            body += piece
    assert body == b"abcd" * 40


def test_without_a_time_out_nothing_ends_it(trickle):
    url = trickle(HEAD + b"\r\n", b"abcd", pieces=3)
    with urllib.request.build_opener(*http_client.handlers()).open(url) as answer:
        assert answer.read() == b"abcd" * 3


def test_the_connection_is_closed_with_the_answer(trickle):
    stalled = opened(trickle(HEAD + b"Content-Length: 9\r\n\r\n", b"", pieces=0))
    handle = stalled.fileno()
    stalled.close()
    with pytest.raises(OSError):
        socket.socket(fileno=handle).getsockname()
