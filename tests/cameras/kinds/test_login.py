"""Logins of cameras: empty passwords, signs that a URL must escape, files of passwords as editors write them."""

import base64

import pytest
from structlog.testing import capture_logs

from agent.cameras.address import address
from agent.cameras.kinds.login import logged_in
from agent.cameras.kinds.stream import StreamCamera
from agent.core.errors import CameraError, CameraFailure, ConfigError

Options = StreamCamera.Options


def with_file(tmp_path, content):
    path = tmp_path / "password"
    path.write_bytes(content)
    return Options(url="rtsp://h/x", username="u", password_file=str(path))


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"geheim\n", "geheim"),
        (b"\xef\xbb\xbfgeheim\r\n", "geheim"),
        ("wörd #/?[]\nmore".encode(), "wörd #/?[]"),
    ],
)
def test_the_first_line_is_the_password(tmp_path, content, password):
    assert logged_in("front", with_file(tmp_path, content)).url == address("rtsp://h/x", "u", password).url


def test_a_byte_order_mark_is_left_out_and_logged(tmp_path):
    with capture_logs() as logs:
        logged_in("front", with_file(tmp_path, b"\xef\xbb\xbfgeheim\n"))
        logged_in("front", with_file(tmp_path, b"geheim\n"))
    assert [entry["event"] for entry in logs] == [
        "password file begins with a byte order mark, which is left out"
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has an empty first line"),
        (b"\ngeheim\n", "has an empty first line"),
        (b"\r\ngeheim\r\n", "has an empty first line"),
        (b"\xef\xbb\xbf\ngeheim", "nothing but a byte order mark in its first line"),
        ("geheim\n".encode("utf-16"), "UTF-16; save it as UTF-8"),
        (b"\xfe\xff\0g\0e", "UTF-16; save it as UTF-8"),
        (b"w\xf6rd\n", "is not text"),
    ],
)
def test_a_file_without_a_password_in_its_first_line_says_so(tmp_path, content, said):
    with pytest.raises(CameraError, match=said) as caught:
        logged_in("front", with_file(tmp_path, content))
    assert caught.value.kind is CameraFailure.AUTH
    assert "geheim" not in str(caught.value)
    assert str(tmp_path / "password") in str(caught.value)


@pytest.mark.parametrize("sign", "#/?[]")
@pytest.mark.parametrize("url", ["rtsp://admin:{}@192.168.1.20/stream1", "http://admin:{}@cam:8080/v?a=b"])
def test_a_sign_that_a_password_in_a_url_must_escape_gets_the_hint(sign, url):
    for password in (f"ge{sign}heim", f"{sign}geheim", f"geheim{sign}", f"12{sign}34"):
        with pytest.raises(ConfigError) as caught:
            Options(url=url.format(password))
        assert f"%{ord(sign):02X}" in str(caught.value)
        assert "the keys username and password" in str(caught.value)
        assert "heim" not in str(caught.value)
        assert "12" not in str(caught.value)


@pytest.mark.parametrize("options", [{"username": "admin"}, {}])
def test_an_empty_password_is_sent(listening, options):
    heard, server = [], listening(lambda connection: None)

    def serve(connection):
        heard.append(connection.recv(4096).decode())
        challenge = 'WWW-Authenticate: Basic realm="cam"\r\nContent-Length: 0\r\n\r\n'
        connection.sendall(f"HTTP/1.0 401 Unauthorized\r\n{challenge}".encode())
        connection.close()

    server._serve = serve
    login = "" if options else "admin:@"
    camera = StreamCamera(
        "front", Options(url=f"http://{login}127.0.0.1:{server.port}/x", timeout=3, **options)
    )
    with pytest.raises(CameraError):
        camera.open()
    expected = base64.b64encode(b"admin:").decode()
    assert any(f"Authorization: Basic {expected}" in head for head in heard)


def test_an_empty_password_opens_an_rtsp_camera(rtsp):
    server = rtsp("live", "admin", "")
    camera = StreamCamera("front", Options(url=server.url, username="admin", timeout=5))
    camera.open()
    assert camera.read().image.shape == (240, 320, 3)
    camera.close()
