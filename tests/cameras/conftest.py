"""Real sources for the camera tests: an RTSP server (GStreamer's), an HTTP server, small videos, real videos."""

import contextlib
import http.server
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from agent.cameras.reader import Reader
from agent.config.schema import CameraSettings
from agent.core.frame_slots import FrameSlots

SHARED = Path(__file__).resolve().parents[3] / "shared" / "videos"
SERVER = Path(__file__).resolve().parents[1] / "servers" / "rtsp.py"
SYSTEM_PYTHON = "/usr/bin/python3"
VIDEOS = ("car-detection", "one-by-one-person-detection", "bottle-detection")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def has_rtsp_server():
    ask = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    with contextlib.suppress(OSError):
        return subprocess.run([SYSTEM_PYTHON, "-c", ask], capture_output=True, check=False).returncode == 0
    return False


class RtspServer:
    """One RTSP server process on one port, which can be killed, paused and started again."""

    def __init__(self, pattern, login):
        self.port, self.pattern, self.login = free_port(), pattern, login
        self.url = f"rtsp://127.0.0.1:{self.port}/live"
        self.process = None

    def start(self, pattern=None):
        command = [SYSTEM_PYTHON, str(SERVER), str(self.port), str(pattern or self.pattern), *self.login]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self.process.stdout.readline() == b"ready\n"
        return self

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None


@pytest.fixture(scope="session")
def _rtsp_here():
    if not has_rtsp_server():
        pytest.skip("needs GStreamer's RTSP server (Debian packages gir1.2-gst-rtsp-server-1.0, python3-gi)")


@pytest.fixture
def rtsp(_rtsp_here):
    """Makes RTSP servers: `rtsp("live", "user", "password")`."""
    made = []

    def make(pattern="live", *login):
        made.append(RtspServer(pattern, login))
        return made[-1].start()

    yield make
    for server in made:
        server.kill()


class Listening(threading.Thread):
    """A TCP server that accepts and then says what `answer` says (nothing, by default), and counts."""

    def __init__(self, answer=None):
        super().__init__(daemon=True)
        self.answer, self.accepted = answer, 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.held = []

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                self.accepted += 1
                if self.answer:
                    threading.Thread(target=self._serve, args=(connection,), daemon=True).start()
                else:
                    self.held.append(connection)

    def _serve(self, connection):
        with contextlib.suppress(OSError), connection:
            connection.recv(4096)
            self.answer(connection)

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for connection in self.held:
            connection.close()


@pytest.fixture
def listening():
    """Makes TCP servers: `listening(answer)`."""
    made = []

    def make(answer=None):
        made.append(Listening(answer))
        made[-1].start()
        return made[-1]

    yield make
    for server in made:
        server.close()


def jpeg(width, height, value):
    return cv2.imencode(".jpg", np.full((height, width, 3), value, np.uint8))[1].tobytes()


def mjpeg(pictures, pause=0.02):
    """An answer that plays JPEG `pictures` as a motion-JPEG stream."""

    def answer(connection):
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n")
        for picture in pictures:
            head = f"--b\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n".encode()
            connection.sendall(head + picture + b"\r\n")
            time.sleep(pause)

    return answer


@pytest.fixture
def motion_jpeg(listening):
    """Serves plain pictures, each (width, height, level), as motion JPEG; its URL."""

    def serve(pictures, pause=0.02):
        return f"http://127.0.0.1:{listening(mjpeg([jpeg(*p) for p in pictures], pause)).port}/"

    return serve


@pytest.fixture
def files(tmp_path):
    """Serves `tmp_path` over HTTP; yields the base URL."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(tmp_path))

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def noise_picture(index, width=160, height=96):
    """A textured picture with a moving square."""
    picture = np.random.default_rng(1).integers(60, 190, (height, width, 3), dtype=np.uint8)
    picture = cv2.GaussianBlur(picture, (0, 0), 2)
    x = (index * 5) % (width - 20)
    picture[30:50, x : x + 20] = 250
    return picture


def write_video(path, *, frames=40, fps=20, size=(160, 96), gop=10, codec="libx264", format=None):
    """A small real video of `noise_picture`s, `moov` in front."""
    options = {"movflags": "faststart"} if str(path).endswith(".mp4") else {}
    with av.open(str(path), "w", format=format, options=options) as output:
        stream = output.add_stream(codec, rate=fps)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.gop_size = gop
        if codec == "libx264":
            stream.codec_context.options = {"preset": "ultrafast", "bf": "0"}
        for index in range(frames):
            picture = av.VideoFrame.from_ndarray(noise_picture(index, *size), format="bgr24")
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return path


@pytest.fixture
def video(tmp_path):
    """Makes small videos: `video("a.mp4", frames=40)`."""

    def make(name="small.mp4", **options):
        return write_video(tmp_path / name, **options)

    return make


# The tests of one video follow one another, in one process, which decodes it once.
@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in VIDEOS], scope="module"
)
def real_video(request):
    path = SHARED / f"{request.param}.mp4"
    if not path.exists():
        pytest.skip("needs the real videos")
    return path


@pytest.fixture
def road():
    path = SHARED / "car-detection.mp4"
    if not path.exists():
        pytest.skip("needs the real videos")
    return path


class Running:
    """A reader in a thread, with what it told and a consumer that takes its frames."""

    def __init__(self, camera, *, take=True, **settings):
        self.statuses, self.frames, self.times = [], [], []
        self.slots = FrameSlots()
        self.stop = threading.Event()
        self.changed = threading.Condition()  # a status, a frame or a beat came
        self.beats = 0
        self.reader = Reader(camera, CameraSettings(name=camera.name, **settings), self.slots, self._tell)
        self._beat, self.reader.beat = self.reader.beat, self._count_beat
        self.thread = threading.Thread(target=self.reader.run, args=(self.stop,), daemon=True)
        self.taker = threading.Thread(target=self._take, daemon=True)
        self.taking = take

    def __enter__(self):
        self.thread.start()
        if self.taking:
            self.taker.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join(5)
        assert not self.thread.is_alive()
        if self.taking:
            self.taker.join(5)

    def _tell(self, status):
        with self.changed:
            self.statuses.append(status)
            self.times.append(time.monotonic())
            self.changed.notify_all()

    def _count_beat(self):
        self._beat()
        with self.changed:
            self.beats += 1
            self.changed.notify_all()

    def _take(self):
        while not self.stop.is_set():
            taken = self.slots.take(1, timeout=0.05)
            with self.changed:
                self.frames.extend(taken)
                self.changed.notify_all()

    def until(self, condition, timeout=20.0):
        """Until `condition()` holds: asked again at every status, frame and beat of the reader."""
        with self.changed:
            assert self.changed.wait_for(condition, timeout), (self.story(), len(self.frames))

    def until_frames(self, count, timeout=20.0):
        """Until `count` more frames were taken."""
        count += len(self.frames)
        self.until(lambda: len(self.frames) >= count, timeout)

    def until_beats(self, count):
        """Until the reader has gone `count` more rounds of whatever it waits for."""
        count += self.beats
        self.until(lambda: self.beats >= count)

    def wait(self, state, timeout=10.0, after=0):
        """Until `state` was told after the first `after` statuses; its index."""
        self.until(lambda: self._find(state, after) is not None, timeout)
        return self._find(state, after)

    def _find(self, state, after):
        return next((i for i, s in enumerate(self.statuses) if i >= after and s.state == state), None)

    def story(self):
        return [(s.state.value, s.failure, s.reason) for s in self.statuses]


@pytest.fixture(name="free_port")
def _free_port():
    return free_port


@pytest.fixture
def running():
    return Running


def open_files():
    return len(os.listdir("/proc/self/fd"))
