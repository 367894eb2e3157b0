"""Streams and files against real servers: frames as they are, and each failure named by what to do."""

import socket
import subprocess
import threading
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from structlog.testing import capture_logs

from agent.cameras.address import address
from agent.cameras.kinds.stream import StreamCamera
from agent.cameras.kinds.stream_options import StreamOptions
from agent.config.load import parse
from agent.core.errors import CameraError, CameraFailure, ConfigError


def opened(url, **options):
    camera = StreamCamera("front", StreamOptions(url=str(url), **options))
    camera.open()
    return camera


def failure(url, **options):
    """How opening or reading `url` to its end fails, and the frames before."""
    camera = StreamCamera("front", StreamOptions(url=str(url), **options))
    frames = []
    try:
        with pytest.raises(CameraError) as caught:
            camera.open()
            frames.extend(iter(camera.read, None))
            pytest.fail("it did not fail")
    finally:
        camera.close()
    assert "\n" not in str(caught.value)
    return caught.value, frames


# -- files -----------------------------------------------------------------------------------------------------


def test_a_file_gives_every_frame_as_opencv_reads_it(road):
    camera = opened(road, pace="fast")
    reference = cv2.VideoCapture(str(road))
    frames = list(iter(camera.read, None))
    assert len(frames) == 377
    for frame in frames[::40]:
        reference.set(cv2.CAP_PROP_POS_FRAMES, frame.index)
        assert np.array_equal(frame.image, reference.read()[1])
    assert not frames[0].image.flags.writeable
    assert frames[0].decode_seconds > 0
    assert [frame.index for frame in frames] == list(range(377))
    assert frames[-1].media_seconds == pytest.approx(376 / 12.5)
    camera.close()


def test_a_frame_that_nobody_wants_has_no_image_and_all_else(road):
    camera, plain = opened(road, pace="fast"), opened(road, pace="fast")
    turns = iter(range(20))
    camera.wants = lambda _now: next(turns) % 3 == 2
    for turn, (frame, expected) in enumerate((camera.read(), plain.read()) for _ in range(20)):
        assert (frame.index, frame.media_seconds) == (expected.index, expected.media_seconds)
        if turn % 3 == 2:
            assert np.array_equal(frame.image, expected.image)
        else:
            assert frame.image.shape == (0, 0, 3)
    camera.close()
    plain.close()


def test_real_pace_follows_the_time_stamps(video):
    camera = opened(video(frames=20, fps=40))
    started = time.monotonic()
    assert len(list(iter(camera.read, None))) == 20
    assert time.monotonic() - started > 0.45


def test_a_looping_file_goes_on_and_so_does_its_time(video):
    camera = opened(video(frames=10, fps=20), loop=True, pace="fast")
    frames = [camera.read() for _ in range(35)]
    steps = np.diff([frame.media_seconds for frame in frames])
    assert steps == pytest.approx(np.full(34, 0.05), abs=0.011)
    assert frames[34].index == 34
    camera.close()


def test_a_file_over_http_ends_regularly(video, files):
    video("served.mp4", frames=12)
    assert len(list(iter(opened(f"{files}/served.mp4").read, None))) == 12


def test_a_truncated_file_gives_what_it_has_then_says_so(video):
    path = video(frames=100)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    error, frames = failure(path, pace="fast")
    assert error.kind is CameraFailure.CODEC
    assert "truncated" in str(error)
    assert 20 < len(frames) < 80


def test_a_damaged_file_never_gives_a_spoilt_picture(road, tmp_path):
    data = bytearray(road.read_bytes())
    rng = np.random.default_rng(1)
    for start in rng.integers(200_000, len(data) - 60_000, 12):
        data[start : start + 40] = rng.bytes(40)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(data)
    truth = {round(f.media_seconds, 3): f.image for f in iter(opened(road, pace="fast").read, None)}
    camera = opened(damaged, pace="fast")
    frames = list(iter(camera.read, None))
    spoilt = [
        f.index for f in frames if np.abs(f.image.astype(int) - truth[round(f.media_seconds, 3)]).mean() > 0.5
    ]
    assert spoilt == []
    assert len(frames) > 50
    assert camera.take_failed() == 377 - len(frames)
    assert camera.take_failed() == 0


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (b"this is no video" * 100, CameraFailure.CODEC, "no readable video"),
        (b"", CameraFailure.CODEC, "no readable video"),
        (None, CameraFailure.NOT_FOUND, "there is no file"),
    ],
)
def test_what_is_no_video_says_so(tmp_path, content, kind, said):
    path = tmp_path / "x.mp4"
    if content is not None:
        path.write_bytes(content)
    error, _ = failure(path)
    assert (error.kind, said in str(error)) == (kind, True)


def test_a_folder_is_no_video(tmp_path):
    error, _ = failure(tmp_path)
    assert error.kind is CameraFailure.NOT_FOUND
    assert "images" in str(error)


def test_pictures_may_change_their_size(tmp_path, video):
    one, other = (
        video("a.h264", frames=10, format="h264"),
        video("b.h264", frames=10, size=(96, 64), format="h264"),
    )
    joined = tmp_path / "joined.h264"
    joined.write_bytes(one.read_bytes() + other.read_bytes())
    shapes = [frame.image.shape for frame in iter(opened(joined, pace="fast").read, None)]
    assert set(shapes) == {(96, 160, 3), (64, 96, 3)}
    assert len(shapes) == 20


def by_ffmpeg(path, words):
    subprocess.run(["ffmpeg", "-v", "error", "-y", *words.split(), str(path)], check=True)
    return path


TEST = "-f lavfi -i {source}=size={size}:rate=10:duration=0.5"


@pytest.mark.parametrize(
    ("name", "words", "shape"),
    [
        (
            "hevc.mp4",
            TEST.format(source="testsrc2", size="160x96") + " -c:v libx265 -x265-params log-level=none",
            (96, 160, 3),
        ),
        (
            "odd.mp4",
            TEST.format(source="testsrc", size="161x91") + " -c:v libx264 -pix_fmt yuv444p",
            (91, 161, 3),
        ),
        ("odd.avi", TEST.format(source="testsrc", size="33x17") + " -c:v mjpeg", (17, 33, 3)),
        (
            "deep.mkv",
            TEST.format(source="testsrc2", size="160x96") + " -c:v libx264 -pix_fmt yuv422p10le",
            (96, 160, 3),
        ),
        (
            "grey.mkv",
            TEST.format(source="testsrc2", size="160x96") + " -c:v libx264 -pix_fmt gray",
            (96, 160, 3),
        ),
        (
            "sound.mkv",
            "-f lavfi -i sine=duration=0.5 "
            + TEST.format(source="testsrc2", size="160x96")
            + " -c:a aac -c:v libx264",
            (96, 160, 3),
        ),
        ("still.png", TEST.format(source="testsrc2", size="160x96") + " -frames:v 1", (96, 160, 3)),
    ],
)
def test_odd_files_give_whole_frames(tmp_path, name, words, shape):
    camera = opened(by_ffmpeg(tmp_path / name, words), pace="fast")
    frames = list(iter(camera.read, None))
    assert len(frames) == (1 if name == "still.png" else 5)
    assert {frame.image.shape for frame in frames} == {shape}
    assert frames[0].image.std() > 20
    camera.close()


def test_a_title_that_is_not_utf_8_ends_nothing(video, tmp_path):
    path = tmp_path / "titled.mkv"
    words = ["ffmpeg", "-loglevel", "error", "-i", video(frames=3), "-c", "copy"]
    title = "title=Bücher".encode("latin-1")
    subprocess.run([*words, "-metadata", title, "-metadata:s:v", title, path], check=True)
    camera = opened(path, pace="fast")
    assert len(list(iter(camera.read, None))) == 3
    camera.close()


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_rotated_file_is_shown_upright_as_players_do(video, tmp_path, degrees):
    words = f"-i {video(frames=3)} -c copy -metadata:s:v rotate={degrees}"
    path = by_ffmpeg(tmp_path / "rotated.mp4", words)
    camera = opened(path, pace="fast")
    assert np.array_equal(camera.read().image, cv2.VideoCapture(str(path)).read()[1])
    camera.close()


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("sound.mp4", "-f lavfi -i sine=duration=0.5 -c:a aac", "has no video in it"),
        (
            "huge.avi",
            "-f lavfi -i color=c=red:size=16000x16000:rate=1:duration=1 -c:v mjpeg",
            "frames of 16000x16000",
        ),
    ],
)
def test_what_cannot_be_decoded_says_why(tmp_path, name, words, said):
    error, _ = failure(by_ffmpeg(tmp_path / name, words))
    assert (error.kind, said in str(error)) == (CameraFailure.CODEC, True)


def test_a_list_of_other_files_is_not_followed(tmp_path):
    (tmp_path / "a.mp4").write_text("ffconcat version 1.0\nfile /etc/passwd\n")
    error, _ = failure(tmp_path / "a.mp4")
    assert (error.kind, "must not" in str(error)) == (CameraFailure.CODEC, True)


@pytest.mark.parametrize("seed", range(6))
def test_random_damage_is_frames_or_a_clear_error(video, tmp_path, seed):
    rng = np.random.default_rng(seed)
    data = bytearray(video("a.mkv", frames=30, codec="mjpeg" if seed % 2 else "libx264").read_bytes())
    for at in rng.integers(0, len(data) - 64, 40):
        data[at : at + rng.integers(1, 64)] = rng.bytes(rng.integers(1, 64))
    (tmp_path / "b.mkv").write_bytes(data)
    camera = StreamCamera("front", StreamOptions(url=str(tmp_path / "b.mkv"), pace="fast"))
    try:
        camera.open()
        frames = list(iter(camera.read, None))
        assert {frame.image.ndim for frame in frames} <= {3}
    except CameraError as error:
        assert error.kind in {CameraFailure.CODEC, CameraFailure.OTHER}
        assert "\n" not in str(error)
    finally:
        camera.close()


# -- RTSP ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_rtsp_gives_frames(rtsp, transport):
    camera = opened(rtsp().url, transport=transport)
    frames = [camera.read() for _ in range(10)]
    assert {frame.image.shape for frame in frames} == {(240, 320, 3)}
    times = [frame.media_seconds for frame in frames if frame.media_seconds is not None]
    assert len(times) > 5
    assert all(np.diff(times) > 0)
    assert frames[5].image.std() > 10
    camera.close()


def test_rtsp_login_with_awkward_characters(rtsp, tmp_path):
    server = rtsp("live", "the user", "p@ss:/ %wörd")
    (tmp_path / "password").write_text("p@ss:/ %wörd\n")
    for options in ({"password": "p@ss:/ %wörd"}, {"password_file": str(tmp_path / "password")}):
        camera = opened(server.url, username="the user", **options)
        assert camera.read().image.shape == (240, 320, 3)
        camera.close()


@pytest.mark.parametrize("login", ["", "admin:geheim123@"])
def test_a_wrong_password_is_named_and_never_shown(rtsp, login):
    server = rtsp("live", "user", "right")
    error, _ = failure(server.url.replace("//", f"//{login}"))
    assert error.kind is CameraFailure.AUTH
    assert "check user and password of camera 'front'" in str(error)
    assert "geheim" not in str(error)


@pytest.mark.parametrize(
    ("path", "said"), [("/dev/zero", "too long a line"), ("a\0b", "is not a path"), ("/", "is a directory")]
)
def test_what_is_no_password_file_is_said_and_not_read_for_ever(path, said):
    error, _ = failure("rtsp://127.0.0.1:1/x", password_file=path)
    assert error.kind is CameraFailure.AUTH
    assert said in str(error).lower()


def test_a_missing_password_file_is_named(rtsp):
    error, _ = failure("rtsp://127.0.0.1:1/x", password_file="/nowhere/secret")
    assert error.kind is CameraFailure.AUTH
    assert "/nowhere/secret" in str(error)


def test_a_wrong_path_is_named(rtsp):
    error, _ = failure(rtsp().url + "/nothing")
    assert (error.kind, "check the path" in str(error)) == (CameraFailure.NOT_FOUND, True)


def test_a_killed_server_ends_the_stream(rtsp):
    server = rtsp()
    camera = opened(server.url)
    camera.read()
    server.kill()
    with pytest.raises(CameraError) as caught:
        list(iter(camera.read, None))
    assert caught.value.kind in {CameraFailure.END_OF_STREAM, CameraFailure.REFUSED}
    error, _ = failure(server.url)
    assert error.kind is CameraFailure.REFUSED


def test_a_server_that_falls_silent_is_a_timeout(rtsp):
    server = rtsp()
    camera = opened(server.url, timeout=1)
    camera.read()
    server.pause()
    with pytest.raises(CameraError) as caught:
        list(iter(camera.read, None))
    assert caught.value.kind is CameraFailure.TIMEOUT


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_server_that_never_answers_is_a_timeout(listening, scheme):
    error, _ = failure(f"{scheme}://admin:geheim@127.0.0.1:{listening().port}/x", timeout=0.6)
    assert error.kind is CameraFailure.TIMEOUT
    assert "geheim" not in str(error)


def test_a_protocol_that_ffmpeg_was_built_without_names_the_kind_that_reads_it():
    error, _ = failure("srt://127.0.0.1:1", timeout=1)
    if error.kind is CameraFailure.OTHER:  # PyAV's packages have no SRT, a distribution's may
        assert 'use kind = "gstreamer", whose srtsrc reads SRT' in str(error)


def test_rtp_that_nothing_describes_says_what_to_give_instead(free_port):
    port = free_port()
    packet = (
        b"\x80\x60" + bytes(10) + b"\x65" * 20
    )  # payload type 96, which a session description would explain
    done = threading.Event()

    def send():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not done.wait(0.05):
                sender.sendto(packet, ("127.0.0.1", port))

    threading.Thread(target=send, daemon=True).start()
    error, _ = failure(f"rtp://127.0.0.1:{port}", timeout=3)
    done.set()
    assert error.kind is CameraFailure.CODEC
    assert "give the camera's rtsp:// address" in str(error)


def test_an_unknown_host_is_named():
    error, _ = failure("rtsp://camera.invalid/x", timeout=2)
    assert (error.kind, "camera.invalid" in str(error)) == (CameraFailure.UNRESOLVED, True)


# -- HTTP ------------------------------------------------------------------------------------------------------


def test_motion_jpeg_may_change_its_size_and_its_end_is_an_end_of_stream(motion_jpeg):
    url = motion_jpeg([(64, 48, 90)] * 15 + [(96, 64, 150)] * 15)
    error, frames = failure(url, timeout=3)
    assert error.kind is CameraFailure.END_OF_STREAM
    assert {frame.image.shape for frame in frames} == {(48, 64, 3), (64, 96, 3)}
    assert abs(frames[-1].image.mean() - 150) < 3


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("401 Unauthorized", CameraFailure.AUTH),
        ("403 Forbidden", CameraFailure.AUTH),
        ("404 Not Found", CameraFailure.NOT_FOUND),
        ("503 Service Unavailable", CameraFailure.REFUSED),
    ],
)
def test_http_refusals_have_their_kinds(listening, status, kind):
    server = listening(lambda c: c.sendall(f"HTTP/1.0 {status}\r\nContent-Length: 0\r\n\r\n".encode()))
    error, _ = failure(f"http://u:geheim@127.0.0.1:{server.port}/?token=alsosecret", timeout=3)
    assert error.kind is kind
    assert "secret" not in str(error)
    assert "geheim" not in str(error)


# -- addresses and options -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://u:p@h:1/a", "rtsp://***@h:1/a"),
        ("rtsp://u:p@ss@h/a", "rtsp://***@h/a"),
        ("rtsp://u@h/a", "rtsp://***@h/a"),
        ("http://h/c.cgi?user=a&pwd=b&x=1", "http://h/c.cgi?user=***&pwd=***&x=***"),
        ("/videos/a.mp4", "/videos/a.mp4"),
    ],
)
def test_urls_are_shown_without_secrets(url, shown):
    assert address(url).shown == shown
    assert "p@ss" not in repr(address(url))


def test_own_credentials_go_before_those_of_the_url():
    assert address("rtsp://a:b@h/x", "c", "d e").url.reveal() == "rtsp://c:d%20e@h/x"
    assert address("rtsp://a:b@h/x", "", "d").url.reveal() == "rtsp://a:d@h/x"


def test_options_never_show_a_password():
    options = StreamOptions(url="rtsp://u:geheim@h/x", username="u", password="geheim")
    assert "geheim" not in repr(options)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('url = "gopher://h/x"', "cameras[0].url: has an unknown scheme"),
        ('url = "rtps://h/x"', "did you mean 'rtsp://'?"),
        ('url = "synthetic"', 'url: names another kind of camera; expected kind = "synthetic"'),
        ('url = "images"', 'url: names another kind of camera; expected kind = "images"'),
        ('url = "/dev/video0"', 'url: names another kind of camera; expected kind = "v4l2"'),
        ('url = ""', "url: is empty"),
        ('url = "rtsp://h"\npassword = "a"\npassword_file = "b"', "password_file: is given beside password"),
        ('url = "rtsp://h"\ntransport = "tpc"', "did you mean 'tcp'"),
        ('url = "rtsp://h"\ntimeout = "2h"', "from 0.5 to 3600 seconds"),
        ("", "url: is missing"),
    ],
)
def test_wrong_settings_are_refused_with_their_key(lines, said):
    from agent.app.kinds import KINDS

    with pytest.raises(ConfigError) as caught:
        parse(f'[[cameras]]\nname = "front"\n{lines}\n', KINDS)
    assert said in str(caught.value)


def test_ffmpeg_stays_silent(rtsp, capfd):
    failure(rtsp("live", "user", "right").url.replace("//", "//user:geheim@"))
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
    assert av.logging.get_level() is None


# -- decoding on a GPU -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["libx264", "mjpeg"])
def test_where_no_gpu_decodes_the_cpu_does_and_the_journal_says_so_once(video, codec):
    path = video("a.mkv", frames=12, codec=codec)
    camera = StreamCamera("front", StreamOptions(url=str(path), pace="fast", decoder="cuda"))
    with capture_logs() as logs:
        for _ in range(3):
            camera.open()
            frames = list(iter(camera.read, None))
            camera.close()
    assert len(frames) == 12
    assert [entry["event"] for entry in logs] in ([], ["no GPU can decode this here, the CPU does"])
    if codec == "mjpeg" or not Path("/dev/nvidiactl").exists():
        assert logs


def test_asking_for_a_gpu_connects_once_and_keeps_the_kind_of_a_failure(listening):
    server = listening(lambda c: c.sendall(b"HTTP/1.0 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"))
    error, _ = failure(f"http://127.0.0.1:{server.port}/", decoder="cuda")
    assert error.kind is CameraFailure.AUTH
    assert server.accepted == 1


def test_an_animated_webp_is_named_with_its_mend(tmp_path):
    animation = cv2.Animation()
    animation.frames = [np.full((48, 64, 3), level, np.uint8) for level in (60, 90, 120)]
    animation.durations = np.array([100, 100, 100], np.int32)
    assert cv2.imwriteanimation(str(tmp_path / "a.webp"), animation)
    camera = StreamCamera("front", StreamOptions(url=str(tmp_path / "a.webp")))
    with pytest.raises(CameraError, match=r"is a WebP.*convert it to MP4 or GIF") as caught:
        camera.open()
        camera.read()
    assert caught.value.kind is CameraFailure.CODEC
    camera.close()
