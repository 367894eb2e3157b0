"""What a camera answers leads nowhere but to its own pictures: no playlist, list of files or foreign redirect."""

import contextlib
import http.server
import threading

import av.error
import pytest

from agent.cameras.kinds import nested
from agent.cameras.kinds.decoder import Decoder
from agent.cameras.kinds.stream import StreamCamera
from agent.cameras.kinds.stream_options import StreamOptions
from agent.core.errors import CameraError, CameraFailure


class Server(http.server.ThreadingHTTPServer):
    """An HTTP server that gives `answers` by path (bytes, or where to redirect) and notes what is asked."""

    def __init__(self, host="127.0.0.1"):
        super().__init__((host, 0), Handler)
        self.answers, self.asked = {}, []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def at(self, path):
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *words):
        pass

    def do_GET(self):
        self.server.asked.append(self.path)
        answer = self.server.answers.get(self.path)
        self.send_response(404 if answer is None else 302 if isinstance(answer, str) else 200)
        if isinstance(answer, str):
            self.send_header("Location", answer)
        body = answer if isinstance(answer, bytes) else b""
        self.send_header(
            "Content-Type", "application/vnd.apple.mpegurl" if b"#EXTM3U" in body else "video/mp4"
        )
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)


@pytest.fixture
def camera():
    """The camera's own server."""
    server = Server()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def internal():
    """A server that only the agent can reach, with a segment of video on it, and a secret."""
    server = Server("127.0.0.2")
    yield server
    server.shutdown()
    server.server_close()


def inside(server, path):
    return f"http://127.0.0.2:{server.server_port}{path}"


def refused(url):
    camera = StreamCamera("front", StreamOptions(url=url, timeout=5))
    with pytest.raises(CameraError) as caught:
        camera.open()
        camera.read()
    camera.close()
    return caught.value


def frames(url):
    camera = StreamCamera("front", StreamOptions(url=url, pace="fast", timeout=5))
    camera.open()
    try:
        return len(list(iter(camera.read, None)))
    finally:
        camera.close()


def hls(address):
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{address}\n#EXT-X-ENDLIST\n".encode()


def dash(address):
    return (
        '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT2S"><Period>'
        f'<AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{address}</BaseURL>'
        "</Representation></AdaptationSet></Period></MPD>"
    ).encode()


def description(address):
    return f"v=0\r\no=- 0 0 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\nm=video 9 RTP/AVP 26\r\n".encode()


@pytest.mark.parametrize("path", ["/video", "/video.mjpg", "/live?stream=1"])
@pytest.mark.parametrize("answer", [hls, dash], ids=["hls", "dash"])
def test_a_camera_that_answers_with_a_playlist_makes_nobody_fetch_anything(camera, internal, path, answer):
    camera.answers[path] = answer(inside(internal, "/latest/meta-data"))
    error = refused(camera.at(path))
    assert internal.asked == []
    assert error.kind is CameraFailure.CODEC
    assert "playlist" in str(error) or answer is dash  # which this FFmpeg does not know at all


@pytest.mark.parametrize(
    "address", ["file:///etc/hostname", "/etc/hostname", "concat:/etc/hostname|/etc/hosts"]
)
def test_a_playlist_that_is_followed_reads_no_file_of_the_box(camera, video, address):
    """By its address it may be followed; what it names may still be no file."""
    planted = (
        address
        if "etc" in address and "file" not in address
        else f"file://{video('own.ts', format='mpegts')}"
    )
    for named in (address, planted, "subfile,,start,0,end,9,,:/etc/hostname"):
        camera.answers["/live.m3u8"] = hls(named)
        refused(camera.at("/live.m3u8"))


def test_a_session_description_over_http_is_not_followed(camera):
    camera.answers["/video"] = description("127.0.0.2")
    assert refused(camera.at("/video")).kind is CameraFailure.CODEC


def test_a_redirect_to_another_host_is_not_followed_and_named(camera, internal):
    camera.answers["/video"] = inside(internal, "/latest/meta-data?token=geheim")
    error = refused(camera.at("/video"))
    assert internal.asked == []
    assert "redirects to http://127.0.0.2" in str(error)
    assert "geheim" not in str(error)


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "rtsp://127.0.0.1/x", "http://[bad", "\x1b]0;x\x07"]
)
def test_a_redirect_to_anything_else_is_a_failure_in_one_clean_line(camera, target):
    camera.answers["/video"] = target
    assert str(refused(camera.at("/video"))).isprintable()


def test_a_redirect_on_the_same_host_is_followed_with_the_login(camera, video):
    camera.answers["/moved.mp4"] = video(frames=12).read_bytes()
    camera.answers["/old"], camera.answers["/older"] = "/moved.mp4", camera.at("/old")
    assert frames(camera.at("/older").replace("http://", "http://viewer:geheim@")) == 12
    assert nested.with_login("http://u:p@h/a", "https://h:8443/b") == "https://u:p@h:8443/b"


def test_a_redirect_in_a_circle_ends(camera):
    camera.answers["/a"], camera.answers["/b"] = "/b", "/a"
    assert "again and again" in str(refused(camera.at("/a")))


@pytest.mark.parametrize(
    ("url", "target", "good"),
    [
        ("http://cam/a", "http://cam:8080/b", True),
        ("http://cam/a", "https://CAM/b", True),
        ("https://cam/a", "http://cam/b", False),
        ("http://cam/a", "http://cam.evil/b", False),
        ("http://cam/a", "http://cam@evil/b", False),
        ("http://cam/a", "gopher://cam/b", False),
        ("http://cam/a", "http://cam:x/b", False),
    ],
)
def test_what_counts_as_the_same_host(url, target, good):
    assert nested.stays(url, target) is good


def test_a_playlist_that_the_url_names_is_played_from_other_hosts_too(camera, internal, video):
    internal.answers["/one.ts"] = video("one.ts", frames=24, format="mpegts").read_bytes()
    camera.answers["/live.m3u8"] = hls(inside(internal, "/one.ts"))
    assert frames(camera.at("/live.m3u8")) > 10


@pytest.mark.parametrize("path", ["concat:{0}|{0}", "subfile,,start,0,end,0,,:{0}", "data:text/plain,x"])
def test_the_path_of_a_file_is_no_command_to_ffmpeg(video, path):
    error = refused(path.format(video()))
    assert error.kind is CameraFailure.NOT_FOUND
    assert "there is no file" in str(error)


def test_every_scheme_that_a_url_may_have_has_its_list():
    from agent.cameras.kinds.stream_options import SCHEMES

    assert set(SCHEMES) | {""} == set(nested.PROTOCOLS)


def test_a_server_that_trickles_its_answer_is_left_after_the_timeout(listening):
    import time

    def trickle(connection):
        for _ in range(1200):
            connection.sendall(b"x")
            time.sleep(0.05)

    server = listening(trickle)
    started = time.monotonic()
    assert nested.redirect(f"http://127.0.0.1:{server.port}/", 0.5) == ""
    assert time.monotonic() - started < 20


def test_the_decoder_itself_is_told(camera):
    """Without the limits FFmpeg would follow: what the tests above show is the limits' work."""
    camera.answers["/video"] = hls(camera.at("/asked.ts"))
    with pytest.raises(av.error.FFmpegError):
        Decoder(camera.at("/video"), timeout=5).open()
    assert "/asked.ts" in camera.asked
