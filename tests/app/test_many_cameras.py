"""Many cameras in the running agent: a dead one stops no other, and a reload touches only what it changes."""

import collections
import threading

import pytest

from agent.app.kinds import KINDS
from agent.app.service import Service
from agent.config.load import load
from agent.core.types import CameraState


def table(name, **keys):
    values = {key: f'"{v}"' if isinstance(v, str) else str(v).lower() for key, v in keys.items()}
    return f'[[cameras]]\nname = "{name}"\n' + "".join(f"{key} = {value}\n" for key, value in values.items())


class Fleet:
    """A service on a config text, with the indexes of the frames of each camera, as they came."""

    def __init__(self, folder, cameras):
        self.folder, self.file = folder, folder / "v.toml"
        self.frames, self.told = collections.defaultdict(list), collections.defaultdict(list)
        self.came = threading.Condition()
        self.write(cameras)
        self.service = Service(load(self.file, KINDS), load=lambda: load(self.file, KINDS))
        self.service.open()
        put, changed = self.service.slots.put, self.service.analyst.status_changed
        self.service.slots.put = lambda frame: (
            self._note(self.frames[frame.camera], frame.index),
            put(frame),
        )
        self.service.analyst.status_changed = lambda status, since_ns: (
            self._note(self.told[status.camera], status),
            changed(status, since_ns),
        )
        self.service.start()

    def _note(self, notes, note):
        with self.came:
            notes.append(note)
            self.came.notify_all()

    def write(self, cameras):
        head = f'state_directory = "{self.folder}/state"\n[broker]\nurl = "mqtt://127.0.0.1:9"\n'
        self.file.write_text(head + cameras)

    def reload(self, cameras):
        self.write(cameras)
        return self.service.reloader.request().wait()

    def wait(self, found, timeout=30):
        with self.came:
            assert self.came.wait_for(found, timeout), (
                dict(self.told),
                {k: len(v) for k, v in self.frames.items()},
            )

    def more(self, names, count):
        """Wait for `count` more frames of each of these cameras."""
        targets = {name: len(self.frames[name]) + count for name in names}
        self.wait(lambda: all(len(self.frames[name]) >= target for name, target in targets.items()))


@pytest.fixture
def fleet(tmp_path):
    made = []

    def make(cameras):
        made.append(Fleet(tmp_path, cameras))
        return made[-1]

    yield make
    for one in made:
        one.service.stop()


def test_dead_cameras_stop_no_other(fleet, video, tmp_path, listening, rtsp, free_port):
    (tmp_path / "text.mp4").write_text("no video\n" * 999)
    locked = rtsp("live", "user", "right").url.replace("//", "//user:geheim@")
    dead = {
        "refuses": ({"url": f"rtsp://127.0.0.1:{free_port()}/x"}, "refused"),
        "hangs": ({"url": f"rtsp://127.0.0.1:{listening().port}/x", "timeout": 1}, "timeout"),
        "locked": ({"url": locked}, "auth"),
        "nowhere": ({"url": "rtsp://camera.invalid/x"}, "unresolved"),
        "no-file": ({"url": "/nowhere/a.mp4"}, "not_found"),
        "no-video": ({"url": str(tmp_path / "text.mp4"), "loop": True}, "codec"),
        "no-device": ({"kind": "v4l2", "device": "/dev/video97"}, "device_gone"),
        "no-element": ({"kind": "gstreamer", "pipeline": "nonsense ! decodebin"}, "other"),
    }
    names = [f"live{index}" for index in range(8)]
    path = video(frames=100, fps=5)
    made = fleet(
        "".join(table(name, url=str(path), loop=True) for name in names)
        + "".join(table(name, **keys) for name, (keys, _) in dead.items())
    )
    for name, (_, failure) in dead.items():
        made.wait(lambda n=name: made.told[n] and made.told[n][-1].state is CameraState.DOWN)
        assert made.told[name][-1].failure == failure
        assert "geheim" not in made.told[name][-1].reason
    made.more(names, 20)
    for name in names:
        assert made.frames[name] == list(range(len(made.frames[name]))), "each frame came, in order"
        assert [status.state.value for status in made.told[name]] == ["starting", "online"]


def test_a_reload_adds_changes_and_removes_a_camera_without_a_hiccup_on_the_others(fleet, video, rtsp):
    path = video(frames=100, fps=20)
    others = "".join(table(name, url=str(path), loop=True) for name in ("one", "two"))
    made = fleet(others)
    made.more(["two"], 10)
    server = rtsp()
    assert "four added" in made.reload(others + table("four", url=server.url))
    made.more(["four"], 5)
    assert "four changed" in made.reload(others + table("four", url=server.url, max_fps=5))
    made.more(["four"], 5)
    assert "four changed" in made.reload(others + table("four", url="rtsp://camera.invalid/x"))
    made.wait(lambda: made.told["four"][-1].failure == "unresolved")
    assert "four removed" in made.reload(others)
    made.more(["one", "two"], 10)
    for name in ("one", "two"):
        assert made.frames[name] == list(range(len(made.frames[name])))
        assert [status.state.value for status in made.told[name]] == ["starting", "online"]
    assert "four" not in made.service.supervisor.names()
