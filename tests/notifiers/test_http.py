"""What a server's answer is quoted as: one printable line, and nothing where it echoes a piece of what we sent."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from agent.core.errors import PermanentDelivery
from agent.core.secret import Secret
from agent.notifiers.http import post_json

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
