"""A server that speaks another protocol than its address says is named, with the address that it should have."""

import pytest

from agent.cameras.kinds.stream import StreamCamera
from agent.core.errors import CameraError, CameraFailure


@pytest.mark.parametrize(
    ("scheme", "answer", "said"),
    [
        ("http", b"\x15\x03\x01\x00\x02\x02\x46", "is answered in TLS; write https://"),
        (
            "http",
            b"HTTP/1.1 400 Bad Request\r\n\r\nThe plain HTTP request was sent to HTTPS port",
            "is answered in TLS; write https://",
        ),
        ("http", b"RTSP/1.0 400 Bad Request\r\n\r\n", "is answered in RTSP; write rtsp://"),
        ("http", b"SSH-2.0-OpenSSH_9.2\r\n", "(it begins with 'SSH-2.0-OpenSSH_'); check the port"),
        ("http", b"HTTP/1.1 400 Bad Request\r\n\r\n", "refuses the request (a 4xx status)"),
        ("https", b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak TLS; write http://"),
    ],
)
def test_what_is_spoken_instead_is_named(listening, scheme, answer, said):
    server = listening(lambda connection: connection.sendall(answer))
    url = f"{scheme}://127.0.0.1:{server.port}/video"
    camera = StreamCamera("front", StreamCamera.Options(url=url, timeout=3))
    with pytest.raises(CameraError) as caught:
        camera.open()
    assert (caught.value.kind, said in str(caught.value)) == (CameraFailure.REFUSED, True), str(caught.value)


def test_a_server_that_closes_at_once_is_an_ended_stream(listening):
    server = listening(lambda _connection: None)
    camera = StreamCamera("front", StreamCamera.Options(url=f"http://127.0.0.1:{server.port}/v", timeout=3))
    with pytest.raises(CameraError) as caught:
        camera.open()
    assert caught.value.kind is CameraFailure.END_OF_STREAM
