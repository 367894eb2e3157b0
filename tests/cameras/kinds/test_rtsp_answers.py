"""What RTSP cameras refuse, against servers that answer so: each refusal names its cause and what to do."""

import pytest

from agent.cameras.kinds.stream import StreamCamera
from agent.core.errors import CameraError, CameraFailure

SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
    "m=audio 0 RTP/AVP 0\r\na=control:sound\r\n"
    "m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\na=control:events\r\n"
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:picture\r\n"
)


def answering(answers, asked=None):
    """A server of RTSP that answers each method by (status, heads, body), 200 where nothing is given."""

    def serve(connection):
        # (what `listening` read already was the first request: OPTIONS)
        request = b"OPTIONS x RTSP/1.0\r\nCSeq: 1\r\n\r\n"
        while request:
            lines = request.decode().split("\r\n")
            sequence = next(line for line in lines if line.startswith("CSeq"))
            if asked is not None:
                asked.append(lines[0])
            status, heads, body = answers.get(lines[0].split()[0], ("200 OK", (), ""))
            told = [
                f"RTSP/1.0 {status}",
                sequence,
                *heads,
                *([f"Content-Length: {len(body)}"] if body else []),
            ]
            connection.sendall(("\r\n".join(told) + "\r\n\r\n" + body).encode())
            request = connection.recv(4096)

    return serve


def failure(server, login="", **options):
    url = f"rtsp://{login}127.0.0.1:{server.port}/live"
    camera = StreamCamera("front", StreamCamera.Options(url=url, **{"timeout": 3, **options}))
    with pytest.raises(CameraError) as caught:
        camera.open()
        camera.read()
    camera.close()
    return caught.value


@pytest.mark.parametrize(
    ("method", "status", "kind", "said"),
    [
        ("OPTIONS", "501 Not Implemented", CameraFailure.REFUSED, "an error of its own (a 5xx status)"),
        ("DESCRIBE", "503 Service Unavailable", CameraFailure.REFUSED, "too many viewers"),
        ("DESCRIBE", "453 Not Enough Bandwidth", CameraFailure.REFUSED, "a 4xx status"),
        ("DESCRIBE", "404 Not Found", CameraFailure.NOT_FOUND, "check the path"),
        (
            "SETUP",
            "461 Unsupported Transport",
            CameraFailure.REFUSED,
            'set transport = "udp" in place of "tcp"',
        ),
    ],
)
def test_each_refusal_is_named_by_what_to_do(listening, method, status, kind, said):
    answers = {"DESCRIBE": ("200 OK", ["Content-Type: application/sdp"], SDP), method: (status, (), "")}
    error = failure(listening(answering(answers)))
    assert (error.kind, said in str(error)) == (kind, True), str(error)


@pytest.mark.parametrize(
    ("codec", "kind", "said"),
    [
        ("H264", CameraFailure.TIMEOUT, "sends nothing for as long as `timeout`"),
        ("X-OWN", CameraFailure.CODEC, "in a codec that no decoder here knows; set H.264"),
    ],
)
def test_a_camera_that_plays_and_sends_no_video_is_no_ended_stream(listening, codec, kind, said):
    """Over TCP FFmpeg calls the end of its wait an error of input and output, which a cut connection is, too."""
    played = {
        "DESCRIBE": ("200 OK", ["Content-Type: application/sdp"], SDP.replace("H264", codec)),
        "SETUP": ("200 OK", ["Session: 1", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"], ""),
        "PLAY": ("200 OK", ["Session: 1"], ""),
    }
    error = failure(listening(answering(played)), timeout=1)
    assert (error.kind, said in str(error)) == (kind, True), str(error)


def test_sound_and_events_are_not_asked_for(listening):
    """Cameras were seen that announce sound and then refuse it, and that send none, which is waited for."""
    asked = []
    answers = {
        "DESCRIBE": ("200 OK", ["Content-Type: application/sdp"], SDP),
        "SETUP": ("404 Not Found", (), ""),
    }
    failure(listening(answering(answers, asked)))
    setups = [line.split()[1] for line in asked if line.startswith("SETUP")]
    assert [url.rpartition("/")[2] for url in setups] == ["picture"]


@pytest.mark.parametrize(
    ("offers", "said"),
    [
        (
            ['Digest realm="c", nonce="n", algorithm=SHA-256, qop="auth"'],
            "asks for a Digest login by SHA-256",
        ),
        (
            [
                'Digest realm="c", nonce="n", algorithm=MD5',
                'Digest realm="c", nonce="n", algorithm="SHA-512-256"',
            ],
            "by SHA-512-256, and FFmpeg answers MD5 only; allow MD5",
        ),
        (['Digest realm="c", nonce="n"'], "refuses the login; check user and password"),
        (['Basic realm="c"'], "refuses the login; check user and password"),
    ],
)
def test_a_login_that_ffmpeg_cannot_give_is_not_called_a_wrong_password(listening, offers, said):
    refused = "401 Unauthorized", [f"WWW-Authenticate: {offer}" for offer in offers], ""
    error = failure(listening(answering({"OPTIONS": refused, "DESCRIBE": refused})), "admin:secret@")
    assert (error.kind, said in str(error)) == (CameraFailure.AUTH, True), str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize(("password", "length"), [("x" * 122, 128), ("ж" * 21, 132)])
def test_a_login_that_ffmpeg_would_cut_off_is_never_sent(listening, password, length):
    server = listening()
    error = failure(server, username="admin", password=password)
    assert error.kind is CameraFailure.AUTH
    assert f"has a login of {length} bytes" in str(error)
    assert server.accepted == 0
