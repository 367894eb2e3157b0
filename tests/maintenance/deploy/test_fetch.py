"""Models over HTTPS, from a server that breaks off, lies, redirects and sends without end."""

import http.server
import os
import ssl
import threading
import time
from contextlib import suppress
from types import SimpleNamespace

import pytest

from agent.core.errors import ModelError
from agent.core.secret import Masked
from agent.maintenance.deploy import fetch, model_store
from agent.maintenance.deploy.fetch import Source, fetch_model, fetch_signature
from agent.maintenance.deploy.model_store import ModelStore

MODEL = os.urandom(300_000)


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Range")))
        self.server.answer(self)


def plain(request, data=MODEL, cut=None):
    """A server that knows ranges; `cut` ends the connection after so many bytes."""
    begin = int((request.headers.get("Range") or "bytes=0-")[6:-1])
    if begin >= len(data):
        request.send_response(416)
        request.send_header("Content-Range", f"bytes */{len(data)}")
        request.end_headers()
        return
    request.send_response(206 if begin else 200)
    if begin:
        request.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
    request.send_header("Content-Length", str(len(data) - begin))
    request.end_headers()
    request.wfile.write(data[begin : None if cut is None else begin + cut])


@pytest.fixture
def server(certificate):
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    made.socket = context.wrap_socket(made.socket, server_side=True)
    made.asked, made.answer = [], plain
    made.url = f"https://localhost:{made.server_address[1]}"
    thread = threading.Thread(target=made.serve_forever, args=(0.02,))
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join(10)


@pytest.fixture
def store(tmp_path):
    made = ModelStore(tmp_path / "state")
    made.open(())
    return made


@pytest.fixture
def get(server, store, certificate):
    pauses = []

    def run(path="/m.onnx", largest=1 << 20, ca="cert.pem"):
        url = Masked(f"{server.url}{path}")
        source = Source(model=url, signature=fetch.beside(url), ca_file=str(certificate / ca) if ca else "")
        return fetch_model(source, store, largest, pauses.append)

    run.pauses = pauses
    return run


def test_a_model_comes_whole(get):
    assert get().read_bytes() == MODEL
    assert get.pauses[0] == 0.0, "who ends the deployment is heard meanwhile"


def test_it_goes_on_where_the_connection_broke(get, server):
    server.answer = lambda request: plain(request, cut=100_000)
    assert get().read_bytes() == MODEL
    assert [part for _, part in server.asked] == [None, "bytes=100000-", "bytes=200000-"]
    assert get().read_bytes() == MODEL, "and what is whole already is not fetched again"
    assert server.asked[-1] == ("/m.onnx", "bytes=300000-")


def test_a_server_without_ranges_begins_anew(get, server):
    def whole(request):
        del request.headers["Range"]
        plain(request, cut=100_000 if len(server.asked) == 1 else None)

    server.answer = whole
    assert get().read_bytes() == MODEL


def test_a_server_that_gives_another_part_than_asked_is_not_believed(get, server):
    def other(request):
        if len(server.asked) != 2:
            return plain(request, cut=1000 if len(server.asked) == 1 else None)
        request.send_response(206)
        request.send_header("Content-Range", "bytes 5-9/300000")
        request.end_headers()
        request.wfile.write(b"wrong")
        return None

    server.answer = other
    assert get().read_bytes() == MODEL


def test_busy_servers_are_asked_again_with_longer_pauses(get, server):
    server.answer = lambda request: plain(request) if len(server.asked) > 3 else request.send_error(503)
    assert get().read_bytes() == MODEL
    assert [wait for wait in get.pauses if wait] == [1.0, 2.0, 4.0]


def test_what_will_not_come_is_refused_at_once(get, server):
    for status in (403, 404, 410):
        server.answer = lambda request, status=status: request.send_error(status)
        with pytest.raises(ModelError, match=f"answered {status}"):
            get()
    assert len(server.asked) == 3


def test_more_than_the_limit_is_not_fetched(get, server, store):
    with pytest.raises(ModelError, match="largest_model"):
        get(largest=1000)

    def endless(request):
        request.send_response(200)
        request.end_headers()
        try:
            while True:
                request.wfile.write(bytes(1 << 16))
        except OSError:
            pass

    server.answer = endless
    with pytest.raises(ModelError, match="largest_model"):
        get(path="/endless", largest=1 << 20)
    assert sum(path.stat().st_size for path in store.incoming.iterdir()) <= 1 << 20


@pytest.mark.parametrize("where", ["http://localhost/m.onnx", "file:///etc/passwd", "ftp://localhost/m"])
def test_a_redirect_leads_to_https_alone(get, server, where):
    def redirect(request):
        request.send_response(302)
        request.send_header("Location", where)
        request.end_headers()

    server.answer = redirect
    with pytest.raises(ModelError, match=r"not an HTTPS address|answered 302"):
        get()


def test_an_address_that_no_request_can_be_made_of_is_refused_at_once(get):
    with pytest.raises(ModelError, match="cannot be used as an address"):
        get(path="/a b.onnx")


def test_a_download_of_unknown_length_leaves_the_disk_some_room(get, server, store, monkeypatch):
    def endless(request):
        request.send_response(200)
        request.end_headers()
        with suppress(OSError):
            while True:
                request.wfile.write(bytes(1 << 16))

    def disk(_folder):
        here = sum(path.stat().st_size for path in store.incoming.iterdir())
        return SimpleNamespace(f_bavail=(65 << 20) - here, f_frsize=1)

    server.answer = endless
    monkeypatch.setattr(model_store.os, "statvfs", disk)
    with pytest.raises(ModelError, match="64 MiB are left free"):
        get(largest=1 << 30)


def test_redirects_are_followed_a_few_times(get, server):
    def redirect(request):
        if request.path == "/there":
            return plain(request)
        request.send_response(302)
        request.send_header("Location", "/there" if "once" in request.path else request.path + "x")
        request.end_headers()
        return None

    server.answer = redirect
    assert get(path="/once").read_bytes() == MODEL
    with pytest.raises(ModelError, match="answered 302"):
        get(path="/loop")
    assert len(server.asked) < 20


def test_a_certificate_that_is_not_trusted_is_refused(get, server):
    with pytest.raises(ModelError, match="ca_file"):
        get(ca="")
    assert not server.asked
    with pytest.raises(ModelError, match="cannot be used"):
        get(ca="none.pem")


def test_whoever_ends_the_deployment_ends_the_fetch(server, store, certificate):
    server.answer = lambda request: request.send_error(503)

    def end(_seconds):
        raise ModelError("rolled back by ann")

    url = Masked(f"{server.url}/m.onnx")
    source = Source(model=url, signature=url, ca_file=str(certificate / "cert.pem"))
    with pytest.raises(ModelError, match="rolled back"):
        fetch_model(source, store, 1 << 20, end)


def test_it_is_not_tried_for_ever(get, server, monkeypatch):
    monkeypatch.setattr(fetch, "FETCH_SECONDS", 0.0)
    server.answer = lambda request: request.send_error(503)
    with pytest.raises(ModelError, match="cannot be fetched: it answered 503"):
        get(path="/m.onnx?token=hunter2")


@pytest.mark.parametrize("what", [fetch_signature, "model"])
def test_what_comes_by_the_byte_does_not_hold_the_next_deployment(
    get, server, certificate, monkeypatch, what
):
    for name, value in (("FETCH_SECONDS", 0.0), ("_SLOW_SECONDS", 0.3)):
        monkeypatch.setattr(fetch, name, value)

    def trickle(request):
        request.send_response(200)
        request.send_header("Content-Length", "60000")
        request.end_headers()
        with suppress(OSError):
            for _ in range(600):
                request.wfile.write(b"0")
                time.sleep(0.01)

    server.answer = trickle
    url = Masked(f"{server.url}/m.onnx")
    source = Source(model=url, signature=url, ca_file=str(certificate / "cert.pem"))
    with pytest.raises(ModelError, match=r"cannot be fetched: only \d+ bytes came in 0 s"):
        get() if what == "model" else what(source, lambda _: None)


def test_the_signature_lies_beside_the_model(server, certificate):
    url = Masked(f"{server.url}/a/m.onnx?token=hunter2")
    assert fetch.beside(url).reveal() == f"{server.url}/a/m.onnx.sig?token=hunter2"
    assert fetch.shown(url) == f"{server.url}/a/m.onnx"
    source = Source(model=url, signature=fetch.beside(url), ca_file=str(certificate / "cert.pem"))
    server.answer = lambda request: plain(request, b"signed")
    assert fetch_signature(source, lambda _: None) == b"signed"
    server.answer = lambda request: plain(request, bytes(100_000))
    with pytest.raises(ModelError, match="not a signature") as caught:
        fetch_signature(source, lambda _: None)
    assert "hunter2" not in str(caught.value)
    server.answer = lambda request: request.send_error(404)
    assert fetch_signature(source, lambda _: None) == b""


@pytest.mark.parametrize(
    "url",
    ["http://h/m", "https://", "file:///m", "https://ann:pw@h/m", "m.onnx", "https://h\n/m", "https:///m"],
)
def test_what_is_no_https_address_is_refused(url):
    with pytest.raises(ModelError, match="`url`"):
        fetch.check_address(Masked(url))
