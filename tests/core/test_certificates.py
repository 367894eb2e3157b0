"""A private CA is trusted alike on every Python, and servers are verified."""

import http.server
import ssl
import threading
import urllib.error
import urllib.request

import pytest

from agent.core import http_client
from agent.core.certificates import trusting
from tests.certificates import Authority


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """An HTTPS server whose certificate is by a CA without a key usage, as many private ones are."""
    at = tmp_path_factory.mktemp("ca")
    Authority(at).sign("localhost", names="DNS:localhost")
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(at / "localhost.crt", at / "localhost.key")
    made.socket = context.wrap_socket(made.socket, server_side=True)
    made.ca = str(at / "ca.crt")
    thread = threading.Thread(target=made.serve_forever, args=(0.02,))
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join(10)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def status(server, context, host="localhost"):
    opener = urllib.request.build_opener(*http_client.handlers(context))
    with opener.open(f"https://{host}:{server.server_address[1]}/", timeout=5) as answer:
        return answer.status


def test_a_private_ca_is_trusted(server, monkeypatch):
    assert status(server, trusting(server.ca)) == 204
    monkeypatch.setenv("SSL_CERT_FILE", server.ca)  # as the system's
    assert status(server, None) == 204


@pytest.mark.parametrize(
    ("ca", "host", "said"), [(True, "127.0.0.1", "mismatch"), (False, "localhost", "issuer")]
)
def test_another_name_and_another_ca_are_not(server, ca, host, said):
    with pytest.raises(urllib.error.URLError, match=said):
        status(server, trusting(server.ca if ca else ""), host)


def test_a_file_that_is_no_certificate_is_an_error(tmp_path):
    (tmp_path / "ca").write_text("no certificate")
    for name in ("ca", "gone"):
        with pytest.raises(OSError):
            trusting(str(tmp_path / name))
