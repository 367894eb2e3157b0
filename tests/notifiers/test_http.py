"""Every kind of answer is a success, retryable or permanent, and is quoted without a piece of what we sent."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from agent.core.errors import PermanentDelivery, RetryableDelivery
from agent.core.secret import Secret
from agent.notifiers.http import LONGEST_RETRY_AFTER_SECONDS, UNRESOLVED_PAUSE_SECONDS, post_json, retry_after
from tests.certificates import self_signed

BASIC = "Basic dXNlcjE6UyZjcmV0UHc="  # user1:S&cretPw
BEARER = "Bearer T0kenOfOurs"


@pytest.fixture
def refusing():
    """A server that refuses with the reason and body that are put into its `says`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            reason, body = self.server.says
            self.wfile.write(f"HTTP/1.0 403 {reason}\r\n\r\n{body}".encode())

        def log_message(self, *_args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize(
    ("authorization", "reason", "body", "quoted"),
    [
        (BEARER, "Forbidden", "", "answered 403 Forbidden"),
        (BEARER, "Forbidden", "not today", "answered 403 Forbidden: not today"),
        (BEARER, "Forbidden", "a\nb \x1b]52;c;cm0=\x07", "answered 403 Forbidden: a b \\x1b]52;c;cm0=\\x07"),
        (BEARER, "/services/HookToken is gone", "", "answered 403"),
        (BEARER, "no", "unknown token t0kenofours", "answered 403 no"),
        (BEARER, "no", "T0ken... has expired", "answered 403 no"),
        (BASIC, "no", "user1 is not known", "answered 403 no"),
        (BASIC, "no", "S&cretPw is wrong", "answered 403 no"),
        (BASIC, "no", "header dXNlcjE6UyZ", "answered 403 no"),
        ("Basic ???", "no", "bad header", "answered 403 no: bad header"),
        ("", "no", "see https://user:word@h/x?key=y", "answered 403 no: see https://***@h/x?key=***"),
    ],
)
def test_an_answer_is_quoted_as_far_as_it_echoes_nothing_of_ours(
    refusing, authorization, reason, body, quoted
):
    refusing.says = reason, body
    url = Secret(f"http://127.0.0.1:{refusing.server_port}/services/HookToken")
    with pytest.raises(PermanentDelivery) as caught:
        post_json(url, {}, authorization=Secret(authorization), timeout=10)
    assert str(caught.value) == f"127.0.0.1 {quoted}"


def post(url, authorization="", timeout=10.0):
    post_json(Secret(url), {"text": "x"}, authorization=Secret(authorization), timeout=timeout)


@pytest.fixture
def raw_server():
    """A server whose every connection is handed to `serve(connection)` once the request is read."""
    servers = []

    def start(serve, wrap=lambda connection: connection):
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def accept():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with contextlib.suppress(OSError), wrap(connection) as wrapped:
                    wrapped.recv(65536)
                    serve(wrapped)

        threading.Thread(target=accept, daemon=True).start()
        return server.getsockname()[1]

    yield start
    for server in servers:
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_a_success_is_taken(receiver, status):
    receiver.answers = [status]
    post(receiver.url)
    assert receiver.bodies() == [{"text": "x"}]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_refused_and_not_followed(receiver, status):
    receiver.answers = [status, 200]
    with pytest.raises(PermanentDelivery, match=f"answered {status}"):
        post(receiver.url)
    assert len(receiver.received) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 413, 422])
def test_a_refusal_is_permanent(receiver, status):
    receiver.answers = [status]
    with pytest.raises(PermanentDelivery, match=f"127.0.0.1 answered {status}"):
        post(receiver.url)


@pytest.mark.parametrize("status", [408, 423, 425, 429, 500, 502, 503, 504, 599])
def test_a_server_in_trouble_is_retryable(receiver, status):
    receiver.answers = [status]
    with pytest.raises(RetryableDelivery, match=f"127.0.0.1 answered {status}"):
        post(receiver.url)


def test_silence_is_retryable_after_the_timeout(raw_server):
    over = threading.Event()
    port = raw_server(lambda _connection: over.wait(30))
    with pytest.raises(RetryableDelivery, match=r"^127.0.0.1: no answer in time$"):
        post(f"http://127.0.0.1:{port}", timeout=0.2)
    over.set()


def test_a_head_that_comes_by_the_byte_is_silence(raw_server):
    over = threading.Event()

    def drip(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-A: ")
        while not over.wait(0.02):
            connection.sendall(b"a")

    port = raw_server(drip)
    with pytest.raises(RetryableDelivery, match=r"^127.0.0.1: no answer in time$"):
        post(f"http://127.0.0.1:{port}", timeout=0.3)
    over.set()


@pytest.mark.parametrize(
    "answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n"]
)
def test_what_is_no_http_is_retryable(raw_server, answer):
    port = raw_server(lambda connection: connection.sendall(answer))
    with pytest.raises(RetryableDelivery, match=r"^127.0.0.1: "):
        post(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("status", "outcome"), [(200, None), (404, PermanentDelivery), (503, RetryableDelivery)], ids=str
)
def test_a_body_that_never_ends_is_not_waited_for(raw_server, status, outcome):
    hung_up = threading.Event()

    def drip(connection):
        connection.sendall(f"HTTP/1.1 {status} x\r\nContent-Length: 999999\r\n\r\n".encode())
        try:
            while not hung_up.wait(0.02):
                connection.sendall(b"x")
        except OSError:
            hung_up.set()

    port = raw_server(drip)
    with pytest.raises(outcome) if outcome else contextlib.nullcontext():
        post(f"http://127.0.0.1:{port}")
    assert hung_up.wait(30), "the connection was closed"


@pytest.fixture(scope="module")
def untrusted_tls(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    self_signed(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def test_a_certificate_that_is_not_trusted_is_retryable_and_nothing_is_sent(raw_server, untrusted_tls):
    received = []
    port = raw_server(
        received.append, lambda connection: untrusted_tls.wrap_socket(connection, server_side=True)
    )
    with pytest.raises(RetryableDelivery, match=r"^localhost: its certificate is not trusted \(self.signed"):
        post(f"https://localhost:{port}", BEARER)
    assert received == []


def test_tls_with_a_server_that_speaks_none_is_retryable(receiver):
    with pytest.raises(RetryableDelivery, match=r"^127.0.0.1: "):
        post(receiver.url.replace("http:", "https:"))


def test_a_name_that_cannot_be_resolved_is_retryable(monkeypatch):
    def fail(*_args, **_keywords):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(RetryableDelivery, match=r"^nowhere.example: the name cannot be resolved$") as caught:
        post("http://nowhere.example/")
    assert caught.value.longest_pause == UNRESOLVED_PAUSE_SECONDS


def test_a_refused_connection_is_retryable():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # bound and not listening
        with pytest.raises(RetryableDelivery, match=r"^127.0.0.1: connection refused$"):
            post(f"http://127.0.0.1:{probe.getsockname()[1]}")


def test_an_address_or_header_that_cannot_be_sent_is_permanent():
    with pytest.raises(PermanentDelivery, match="the address cannot be used"):
        post("http://127.0.0.1:1/a b", BEARER)
    with pytest.raises(PermanentDelivery, match="the address cannot be used"):
        post("http://127.0.0.1:1/", "Bearer a\r\nX: y")


NOW = 1_445_412_480.0  # Wed, 21 Oct 2015 07:28:00 GMT
MOST = LONGEST_RETRY_AFTER_SECONDS


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"Retry-After": "120"}, 120),
        ({"Retry-After": " 7.5 "}, 7.5),
        ({"Retry-After": "Wed, 21 Oct 2015 07:30:00 GMT"}, 120),
        ({"Retry-After": "Wed, 21 Oct 2015 07:20:00 GMT"}, 0),
        # the server's clock is a day ahead of ours, or ours behind
        ({"Retry-After": "Thu, 22 Oct 2015 07:30:00 GMT", "Date": "Thu, 22 Oct 2015 07:28:00 GMT"}, 120),
        ({"Retry-After": "Wed, 21 Oct 2015 07:30:00 GMT", "Date": "nonsense"}, 120),
        ({"Retry-After": "9" * 5000}, MOST),
        ({"Retry-After": "1e9"}, 0),
        ({"Retry-After": "-5"}, 0),
        ({"Retry-After": "inf"}, 0),
        ({"Retry-After": "nan"}, 0),
        ({"Retry-After": "\u0661\u0662"}, 0),
        ({"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}, MOST),
        ({"Retry-After": "Fri, 31 Dec 99999 23:59:59 GMT"}, 0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:30:00 +9999"}, 0),
        ({"Retry-After": "," * 100_000}, 0),
    ],
)
def test_the_wait_that_a_server_asks_for_is_heeded_within_bounds(headers, seconds):
    assert retry_after(headers, NOW) == seconds
