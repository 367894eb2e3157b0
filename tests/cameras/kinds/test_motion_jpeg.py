"""Motion JPEG as cameras write it, single images, and the format that a config forces."""

import time

import cv2
import numpy as np
import pytest

from agent.cameras.kinds.stream import StreamCamera
from agent.config.load import parse
from agent.core.errors import CameraError, CameraFailure, ConfigError

MULTIPART = "multipart/x-mixed-replace; boundary=b"
LEVELS = list(range(60, 120, 4))


def jpeg(width, height, level):
    return cv2.imencode(".jpg", np.full((height, width, 3), level, np.uint8))[1].tobytes()


def part(head, boundary="--b\r\n"):
    return lambda image: f"{boundary}{head}\r\n".replace("LENGTH", str(len(image))).encode() + image + b"\r\n"


def mislength(by):
    """A part whose announced length is wrong by some bytes (0: far too long)."""
    return lambda image: (
        b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n"
        % (len(image) + by if by else 10**9, image)
    )


ENDED = "Content-Type: image/jpeg\r\nContent-Length: LENGTH\r\n"

DIALECTS = {
    "as FFmpeg expects": (MULTIPART, part("Content-Type: image/jpeg\r\nContent-Length: LENGTH\r\n")),
    "no length": (MULTIPART, part("Content-Type: image/jpeg\r\n")),
    "image/jpg": (MULTIPART, part("Content-Type: image/jpg\r\nContent-Length: LENGTH\r\n")),
    "no type": (MULTIPART, part("Content-Length: LENGTH\r\n")),
    "no head": (MULTIPART, part("")),
    "charset": (MULTIPART, part("Content-Type: image/jpeg; charset=utf-8\r\nContent-Length: LENGTH\r\n")),
    "quoted type": (MULTIPART, part('Content-Type: "image/jpeg"\r\n')),
    "image/pjpeg": (MULTIPART, part("Content-Type: image/pjpeg\r\n")),
    "octets": (MULTIPART, part("Content-Type: application/octet-stream\r\n")),
    "other boundary": (MULTIPART, part("Content-Type: image/jpg\r\n", "--another\r\n")),
    "no boundary announced": ("multipart/x-mixed-replace", part("Content-Type: image/jpeg\r\n")),
    "bare, as multipart": (MULTIPART, lambda image: image),
    "bare, as image": ("image/jpeg", lambda image: image),
    "bare, as video": ("video/x-motion-jpeg", lambda image: image),
    "bare, as octets": ("application/octet-stream", lambda image: image),
    "length too short": (MULTIPART, mislength(-300)),
    "length too long": (MULTIPART, mislength(300)),
    "wrong length": (MULTIPART, part("Content-Type: image/jpg\r\nContent-Length: 7\r\n")),
}


def answering(content_type, bodies, pause=0.02):
    def answer(connection):
        length = f"Content-Length: {len(bodies[0])}\r\n" if len(bodies) == 1 else ""
        connection.sendall(f"HTTP/1.0 200 OK\r\nContent-Type: {content_type}\r\n{length}\r\n".encode())
        for body in bodies:
            connection.sendall(body)
            time.sleep(pause)

    return answer


def levels(camera, count):
    camera.open()
    try:
        return [round(float(camera.read().image.mean())) for _ in range(count)]
    finally:
        camera.close()


def stream(server, path="/video", **options):
    return StreamCamera(
        "front", StreamCamera.Options(url=f"http://127.0.0.1:{server.port}{path}", timeout=5, **options)
    )


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_dialect_gives_its_frames_and_is_known_at_the_next_connect(listening, dialect):
    content_type, written = DIALECTS[dialect]
    server = listening(answering(content_type, [written(jpeg(64, 48, level)) for level in LEVELS]))
    camera = stream(server)
    for connects in (3, 1):
        before = server.accepted
        found = levels(camera, 8)
        assert found in (LEVELS[:8], LEVELS[1:9], LEVELS[:1] + LEVELS[:7])  # the last one: connected anew
        assert server.accepted - before <= connects


def test_a_length_beyond_all_bytes_costs_one_timeout(listening):
    server = listening(answering(MULTIPART, [mislength(0)(jpeg(64, 48, level)) for level in LEVELS * 4]))
    options = StreamCamera.Options(url=f"http://127.0.0.1:{server.port}/video", timeout=0.5)
    found = levels(StreamCamera("front", options), 8)
    assert found[0] == LEVELS[0]
    assert set(found) <= set(LEVELS)


@pytest.mark.parametrize(
    ("cut", "told"),
    [([1, 3], [0, 2, 4]), (range(8), [3, 4, 5])],
    ids=("now and then", "a camera that writes no end mark"),
)
def test_a_jpeg_that_is_cut_off_is_left_out_and_counted(listening, cut, told):
    images = [jpeg(64, 48, level) for level in LEVELS[:8]]
    bodies = [part(ENDED)(image[:-2] if at in cut else image) for at, image in enumerate(images)]
    camera = stream(listening(answering(MULTIPART, bodies)))
    assert levels(camera, 3) == [LEVELS[at] for at in told]
    assert camera.take_failed() == told[-1] + 1 - len(told)


def test_the_first_boundary_may_be_missing(listening):
    written = part("Content-Type: image/jpeg\r\n")
    bodies = [written(jpeg(64, 48, level)) for level in LEVELS]
    server = listening(answering(MULTIPART, [bodies[0].removeprefix(b"--b\r\n"), *bodies[1:]]))
    assert levels(stream(server), 8) == LEVELS[1:9]


def test_motion_jpeg_of_another_dialect_has_no_clock_either(listening):
    server = listening(answering(MULTIPART, [jpeg(64, 48, level) for level in LEVELS]))
    camera = stream(server)
    camera.open()
    assert [camera.read().media_seconds for _ in range(3)] == [None] * 3
    camera.close()


@pytest.mark.parametrize("head", ["image/jpeg", "image/jpg", "application/octet-stream", MULTIPART])
def test_a_single_image_names_the_kind_that_reads_it(listening, head):
    camera = stream(listening(answering(head, [jpeg(64, 48, 90)])), "/snapshot.jpg")
    for _ in range(2):
        with pytest.raises(CameraError, match='use kind = "snapshot"') as caught:
            levels(camera, 1)
        assert caught.value.kind is CameraFailure.CODEC


@pytest.mark.parametrize(
    ("head", "body", "said"),
    [
        ("text/html", b"<html>" + b"log in " * 400, "answers with text/html, not with video; check the path"),
        ("application/json", b'{"error": 1}', "answers with application/json, not with video"),
        ("image/png", b"\x89PNG\r\n\x1a\n" + b"0" * 3000, 'polled with kind = "snapshot"'),
    ],
    ids=("page", "json", "png"),
)
def test_what_holds_no_jpeg_is_refused_as_what_it_is(listening, head, body, said):
    with pytest.raises(CameraError, match=said) as caught:
        levels(stream(listening(answering(head, [body]))), 1)
    assert caught.value.kind is CameraFailure.CODEC


@pytest.mark.parametrize(
    ("suffix", "head", "name"),
    [
        (".png", "Content-Type: image/png\r\nContent-Length: LENGTH\r\n", "PNG"),
        (".png", "Content-Type: image/jpeg\r\n", "PNG"),
        (".webp", "", "WebP"),
        (".bmp", "Content-Type: image/bmp\r\n", "BMP"),
    ],
    ids=("png", "png called jpeg", "webp", "bmp"),
)
def test_a_stream_of_other_images_names_them_and_the_mend(listening, suffix, head, name):
    images = [cv2.imencode(suffix, np.full((48, 64, 3), level, np.uint8))[1].tobytes() for level in LEVELS]
    server = listening(answering(MULTIPART, [part(head)(image) for image in images]))
    with pytest.raises(CameraError, match=f"sends {name} images.*set the camera to motion JPEG") as caught:
        levels(stream(server), 1)
    assert caught.value.kind is CameraFailure.CODEC


def test_a_forced_format_is_what_ffmpeg_takes(listening, video):
    raw = video("raw.h264", frames=20, format="h264").read_bytes()
    server = listening(answering("text/plain", [raw[at : at + 500] for at in range(0, len(raw), 500)], 0.0))
    assert len(levels(stream(server, format="h264"), 5)) == 5


def test_an_unknown_format_is_refused_with_its_key():
    from agent.app.kinds import KINDS

    text = '[[cameras]]\nname = "front"\nurl = "http://h/x"\nformat = "{}"\n'
    for given, near in (("mjepg", "'mjpeg'"), ("concat", ""), ("sdp", "")):
        with pytest.raises(ConfigError, match=r"cameras\[0\].format: is not a supported format") as caught:
            parse(text.format(given), KINDS)
        assert near in str(caught.value)
