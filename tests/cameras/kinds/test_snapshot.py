"""Snapshot URLs against a real HTTP server: polled politely, logged in to as asked, every failure named."""

import base64
import gzip
import hashlib
import http.server
import re
import threading
import time
import zlib

import cv2
import numpy as np
import pytest

from agent.cameras.kinds import snapshot as snapshot_module
from agent.cameras.kinds.snapshot import SnapshotCamera
from agent.core.errors import CameraError, CameraFailure, ConfigError


def image(level, suffix=".jpg"):
    return cv2.imencode(suffix, np.full((48, 64, 3), level, np.uint8))[1].tobytes()


class Server:
    """Answers GETs by `answer(request, number)`, which returns (status, head, body); keeps the heads it was sent."""

    def __init__(self):
        self.heads, self.answer = [], lambda request, number: (200, {}, image(60 + 10 * number))
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.heads.append(dict(self.headers))
                status, head, body = outer.answer(self, len(outer.heads) - 1)
                self.send_response(status)
                for name, value in {
                    "Content-Type": "image/jpeg",
                    "Content-Length": len(body),
                    **head,
                }.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.http.server_port
        self.url = f"http://127.0.0.1:{self.port}/snapshot.jpg"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server():
    made = Server()
    yield made
    made.close()


def polled(server, url="", **options):
    options = {"interval": 0.05, "timeout": 5, **options}
    return SnapshotCamera("front", SnapshotCamera.Options(url=url or server.url, **options))


def levels(camera, count):
    camera.open()
    try:
        return [round(float(camera.read().image.mean())) for _ in range(count)]
    finally:
        camera.close()


def failure(camera):
    with pytest.raises(CameraError) as caught:
        levels(camera, 5)
    assert "\n" not in str(caught.value)
    return caught.value


def test_each_image_is_a_frame_at_the_set_rate(server):
    began = time.monotonic()
    assert levels(polled(server, interval=0.1), 4) == [60, 70, 80, 90]
    assert time.monotonic() - began > 0.28
    assert len(server.heads) == 4, "one request for each image"


@pytest.mark.parametrize("suffix", [".png", ".webp", ".bmp"])
def test_other_images_than_jpeg_are_read(server, suffix):
    server.answer = lambda _request, _number: (
        200,
        {"Content-Type": f"image/{suffix[1:]}"},
        image(90, suffix),
    )
    assert levels(polled(server), 1) == [90]


@pytest.mark.parametrize(
    ("given", "value", "asked"),
    [
        ("ETag", '"a1"', "If-None-Match"),
        ("Last-Modified", "Thu, 26 Nov 2026 20:00:00 GMT", "If-Modified-Since"),
    ],
)
def test_an_image_that_has_not_changed_is_not_sent_again_and_is_no_frame(server, given, value, asked):
    def answer(request, number):
        if request.headers.get(asked) == value and number < 4:
            return 304, {}, b""
        return 200, {given: value}, image(60 + 10 * number)

    server.answer = answer
    notes, camera = [], polled(server)
    camera.on_waiting = notes.append
    assert levels(camera, 2) == [60, 100]
    assert [head.get(asked) for head in server.heads] == [None, *[value] * 4]
    assert any("has not changed for" in note for note in notes)


def test_the_same_bytes_are_the_same_image_even_without_marks(server):
    server.answer = lambda _request, number: (200, {}, image(60 + 10 * (number // 3)))
    assert levels(polled(server), 2) == [60, 70]


def test_an_image_that_never_changes_is_handed_on_for_health_to_judge(server, monkeypatch):
    monkeypatch.setattr(snapshot_module, "UNCHANGED_SECONDS", 0.3)
    server.answer = lambda _request, _number: (304, {}, b"") if _number else (200, {"ETag": "x"}, image(60))
    assert levels(polled(server), 3) == [60, 60, 60]


def basic(request, _number):
    expected = "Basic " + base64.b64encode("admin:pä:ss/".encode()).decode()
    if request.headers.get("Authorization") == expected:
        return 200, {}, image(60 + 10 * (_number % 5))
    return 401, {"WWW-Authenticate": 'Basic realm="cam"'}, b""


def digest(request, number, *, qop='qop="auth", ', password="pä:ss/", algorithm="MD5"):
    def md5(text):
        return hashlib.new(algorithm.replace("-", ""), text.encode()).hexdigest()

    sent = dict(re.findall(r'(\w+)="?([^",]+)"?', request.headers.get("Authorization", "")))
    first = md5(f"admin:cam:{password}")
    middle = f"{sent.get('nc')}:{sent.get('cnonce')}:auth:" if qop else ""
    if sent.get("response") == md5(f"{first}:{sent.get('nonce')}:{middle}{md5(f'GET:{request.path}')}"):
        return 200, {}, image(60 + 10 * (number % 5))
    return (
        401,
        {"WWW-Authenticate": f'Digest realm="cam", {qop}nonce="n{number // 4}", algorithm={algorithm}'},
        b"",
    )


LOGINS = {
    "basic": basic,
    "digest": digest,
    "digest of SHA-256": lambda request, number: digest(request, number, algorithm="SHA-256"),
    "digest of old": lambda request, number: digest(request, number, qop=""),
}


@pytest.mark.parametrize("name", LOGINS)
def test_a_login_is_sent_when_asked_for_and_then_at_once(server, name):
    server.answer = LOGINS[name]
    assert len(levels(polled(server, username="admin", password="pä:ss/"), 4)) == 4
    sent = [bool(head.get("Authorization")) for head in server.heads]
    assert sent == [False, True, True, True, True]


@pytest.mark.parametrize("name", LOGINS)
def test_a_wrong_password_is_sent_once_and_named(server, name):
    server.answer = LOGINS[name]
    error = failure(polled(server, username="admin", password="falsch"))
    assert error.kind is CameraFailure.AUTH
    assert "falsch" not in str(error)
    assert [bool(head.get("Authorization")) for head in server.heads] == [False, True]


def test_the_login_of_a_url_and_an_empty_password_are_taken(server):
    server.answer = lambda request, number: digest(request, number, password="")
    assert levels(polled(server, server.url.replace("//", "//admin:@")), 1)
    assert levels(polled(server, username="admin"), 1)


def test_a_redirect_stays_on_the_host_and_takes_the_login_along(server):
    def answer(request, number):
        if request.path == "/snapshot.jpg":
            return 302, {"Location": "/image.jpg"}, b""
        return basic(request, number)

    server.answer = answer
    assert levels(polled(server, username="admin", password="pä:ss/"), 2)


def test_a_redirect_elsewhere_is_not_followed(server):
    elsewhere = Server()
    server.answer = lambda _request, _number: (
        302,
        {"Location": f"http://localhost:{elsewhere.port}/x.jpg"},
        b"",
    )
    error = failure(polled(server))
    elsewhere.close()
    assert error.kind is CameraFailure.NOT_FOUND
    assert "redirects to another host" in str(error)
    assert elsewhere.heads == []


@pytest.mark.parametrize(
    ("status", "head", "body", "kind", "said"),
    [
        (404, {}, b"", CameraFailure.NOT_FOUND, "check the path"),
        (403, {}, b"", CameraFailure.AUTH, "refuses the login"),
        (503, {}, b"", CameraFailure.REFUSED, "status 503"),
        (200, {"Content-Type": "text/html"}, b"<html>", CameraFailure.CODEC, "answers with text/html, not with an image"),
        (200, {}, b"", CameraFailure.CODEC, "answers with nothing"),
        (200, {}, b"<html>log in", CameraFailure.CODEC, "cannot be read: it is damaged or not an image"),
        (200, {}, image(60)[:-50], CameraFailure.CODEC, "cannot be read: it is cut off"),
        (302, {"Location": "/snapshot.jpg"}, b"", CameraFailure.NOT_FOUND, "redirects in a circle"),
        (302, {"Location": "http://["}, b"", CameraFailure.CODEC, "answers with a head that cannot be used"),
        (200, {"Content-Type": "multipart/x-mixed-replace; boundary=b"}, b"--b", CameraFailure.CODEC, 'kind = "stream"'),
    ],
)  # fmt: skip
def test_what_is_no_image_says_so(server, status, head, body, kind, said):
    server.answer = lambda _request, _number: (status, head, body)
    error = failure(polled(server))
    assert (error.kind, said in str(error)) == (kind, True), str(error)


@pytest.mark.parametrize(
    ("status", "head", "packed"),
    [
        (206, {"Content-Range": "bytes 0-9999/10000"}, bytes),
        (203, {}, bytes),
        (200, {"Content-Encoding": "gzip"}, gzip.compress),
        (200, {"Content-Encoding": "deflate"}, zlib.compress),
        (200, {"Content-Encoding": "identity"}, bytes),
    ],
    ids=("a range", "by a proxy", "gzip", "deflate", "identity"),
)
def test_an_image_is_one_however_it_is_wrapped(server, status, head, packed):
    server.answer = lambda _request, number: (status, head, packed(image(60 + 10 * number)))
    assert levels(polled(server), 2) == [60, 70]


@pytest.mark.parametrize(
    ("status", "head", "body", "said"),
    [
        (206, {"Content-Range": "bytes 0-99/5000"}, image(60)[:100], "it is cut off"),
        (204, {}, b"", "answers with nothing"),
        (200, {"Content-Encoding": "br"}, b"\x8b\x03", "packs its answer as br, which was not asked for"),
        (200, {"Content-Encoding": "gzip"}, image(60), "breaks off in its answer"),
        (
            200,
            {"Content-Encoding": "gzip"},
            gzip.compress(bytes(99 << 20), 1),
            "answers with more than 34 MB",
        ),
        (200, {"Content-Type": "image/heic"}, b"\0\0\0\x18ftypheic" + bytes(900), "is HEIC.*save it as JPEG"),
    ],
    ids=("a part", "empty", "another packing", "not packed", "a bomb", "heic"),
)
def test_an_image_that_cannot_be_unpacked_is_named(server, status, head, body, said):
    server.answer = lambda _request, _number: (status, head, body)
    assert re.search(said, str(failure(polled(server))))


def test_damaged_images_are_left_out_and_counted(server):
    noise = cv2.imencode(".jpg", np.random.default_rng(1).integers(0, 255, (96, 96, 3), dtype=np.uint8))[
        1
    ].tobytes()
    bodies = [noise[:900], b"nonsense", image(70)]
    server.answer = lambda _request, number: (200, {"Content-Type": "image/jpeg"}, bodies[number])
    camera = polled(server)
    assert levels(camera, 1) == [70]
    assert camera.take_failed() == 2


@pytest.mark.parametrize(
    "passing", [(503, {}, b""), (429, {}, b""), (200, {"Content-Length": 10_000}, b"x" * 500)]
)
def test_what_a_camera_answers_now_and_then_is_counted_and_what_it_answers_always_is_its_failure(
    server, passing
):
    answers = [(200, {}, image(60)), passing, passing, (200, {}, image(70))]
    server.answer = lambda _request, number: answers[number] if number < len(answers) else passing
    camera = polled(server)
    camera.open()
    assert [round(float(camera.read().image.mean())) for _ in range(2)] == [60, 70]
    assert camera.take_failed() == 2
    with pytest.raises(CameraError):
        camera.read()
    assert camera.take_failed() == 5
    camera.close()


@pytest.mark.parametrize(
    ("head", "before"),
    [({"Content-Type": "text/plain"}, b""), ({}, b"\r\n"), ({"Content-Type": ""}, b"\r\n\r\n")],
)
def test_a_jpeg_is_one_whatever_a_program_of_a_camera_writes_before_it(server, head, before):
    server.answer = lambda _request, number: (200, head, before + image(60 + 10 * number))
    assert levels(polled(server), 2) == [60, 70]


def test_an_answer_that_breaks_off_is_named(server):
    server.answer = lambda _request, _number: (200, {"Content-Length": 10_000}, b"x" * 500)
    assert "breaks off" in str(failure(polled(server)))


def test_a_server_that_trickles_is_left_after_the_timeout(listening):
    def trickle(connection):
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: image/jpeg\r\n\r\n")
        for _ in range(600):
            connection.sendall(b"x")
            time.sleep(0.05)

    error = failure(polled(None, f"http://127.0.0.1:{listening(trickle).port}/", timeout=0.5))
    assert error.kind is CameraFailure.TIMEOUT


def test_a_server_that_is_not_there_is_named(free_port):
    assert failure(polled(None, f"http://127.0.0.1:{free_port()}/a.jpg")).kind is CameraFailure.REFUSED
    assert failure(polled(None, "http://camera.invalid/a.jpg")).kind is CameraFailure.UNRESOLVED


@pytest.mark.parametrize("url", ["rtsp://h/x", "/images/a.jpg", "ftp://h/a.jpg"])
def test_only_http_is_polled(url):
    with pytest.raises(ConfigError, match="is not an HTTP address"):
        SnapshotCamera.Options(url=url)
