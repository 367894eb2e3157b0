"""The agent as people run it: the command, real cameras, a real model, a real broker."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.app.control_socket import call
from agent.core.errors import VedetteError
from tests.payloads import check_messages
from tests.waiting import wait_until


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
needs_shared = pytest.mark.skipif(not (SHARED / "models").exists(), reason="needs the real model and videos")
RTSP = ROOT / "tests" / "servers" / "rtsp.py"


class Agent:
    """`vedette run` in a process of its own."""

    def __init__(self, folder, *words, config=None):
        self.folder = Path(folder)
        self.log = self.folder / "journal.txt"
        if config is not None:
            (self.folder / "v.toml").write_text(config)
            words = ("--config", str(self.folder / "v.toml"), *words)
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "agent", "run", *map(str, words)], cwd=ROOT, stdout=log, stderr=log
            )

    def stop(self, timeout=20):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def journal(self):
        return self.log.read_text()


@pytest.fixture
def run_agent(tmp_path):
    made = []

    def run(*words, **more):
        made.append(Agent(tmp_path, *words, **more))
        return made[-1]

    yield run
    for agent in made:
        if agent.process.poll() is None:
            agent.process.kill()
            agent.process.wait(10)


def vedette(*words, timeout=60):
    return subprocess.run(
        [sys.executable, "-m", "agent", *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def families(messages):
    return {message.topic.split("/")[3] for message in messages}


def check_against_schemas(messages):
    check_messages(messages)
    assert max(len(message.payload) for message in messages) < 7000


@needs_shared
def test_three_videos_and_a_real_model_reach_a_real_broker(tmp_path, run_agent, mosquitto, listen):
    broker = mosquitto()
    ears = listen(broker.port)
    videos = [SHARED / "videos" / f"{name}-detection.mp4" for name in ("car", "one-by-one-person", "bottle")]
    words = [word for video in videos for word in ("--source", video)]
    agent = run_agent(
        *words,
        "--loop",
        "--model",
        SHARED / "models/yolo11n.onnx",
        "--broker",
        broker.url,
        "--window",
        "5s",
        "--state",
        tmp_path / "state",
    )  # fmt: skip  (the first window, whose message has every field, has frames on a busy box, too)
    wanted = {"status", "info", "host", "camera"}
    ears.wait(
        lambda heard: wanted <= families(heard) and len([m for m in heard if "/camera/" in m.topic]) >= 6, 90
    )
    ears.wait(lambda _: any(body.get("detections_car") for body in ears.bodies("/camera/car-detection")), 90)
    ears.wait(lambda _: any(body.get("detections_bottle") for body in ears.bodies("/camera/bottle")), 90)
    ears.wait(lambda _: any(body.get("complete") for body in ears.bodies("/camera/car-detection")), 90)
    assert agent.stop() == 0
    ears.wait(lambda heard: any(m.topic.endswith("/status") and m.body["state"] == "offline" for m in heard))
    assert "sketch" in families(ears.messages), "the hour that was begun is not lost"
    check_against_schemas(ears.messages)
    cameras = ears.bodies("/camera/car-detection")
    assert sum(body.get("detections_car", 0) for body in cameras) > 0, "it sees the traffic"
    assert sum(body.get("detections_bottle", 0) for body in ears.bodies("/camera/bottle")) > 0
    last = [body for body in cameras if body.get("complete")][-1]
    assert last["frames_inferred"] + last["frames_dropped"] <= last["frames_seen"] + 2
    for stage in ("decode", "wait", "preprocess", "inference", "postprocess", "latency"):
        assert (
            0 <= last[f"{stage}_p50_seconds"] <= last[f"{stage}_p99_seconds"] <= last[f"{stage}_max_seconds"]
        )
    host = ears.bodies("/host")[0]
    assert 0 < host["process_memory_bytes"] < 1.5e9
    assert "Traceback" not in agent.journal()


def test_the_model_that_ships_detects_on_a_drawn_camera(tmp_path, run_agent, mosquitto, listen):
    broker = mosquitto()
    ears = listen(broker.port)
    agent = run_agent(
        "--source", "synthetic", "--broker", broker.url, "--window", "2s", "--state", tmp_path / "s"
    )
    ears.wait(lambda heard: sum(m.body.get("detections", 0) for m in heard if "/camera/" in m.topic) > 10, 40)
    shown = vedette("model", "golden", "--state", tmp_path / "s")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "gives the same results as when it was first used" in shown.stdout
    assert agent.stop() == 0
    assert agent.journal().count("golden check: the model's results are recorded") == 1
    check_against_schemas(ears.messages)


def test_a_still_scene_is_left_out_and_counted(tmp_path, run_agent, mosquitto, listen):
    broker = mosquitto()
    ears = listen(broker.port)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    chance = np.random.default_rng(0)
    wall = cv2.resize(chance.integers(60, 190, (9, 16, 3)).astype(np.uint8), (320, 180))
    for number in range(
        12
    ):  # with the grain of a sensor: the very same picture again and again would be a frozen camera
        grain = chance.normal(0, 3, wall.shape)
        cv2.imwrite(str(pictures / f"{number}.png"), np.clip(wall + grain, 0, 255).astype(np.uint8))
    run_agent(
        config=f"""
        state_directory = "{tmp_path}/s"
        [broker]
        url = "{broker.url}"
        [windows]
        length = "2s"
        [drift]
        feature_fps = 1
        [[cameras]]
        name = "wall"
        kind = "images"
        path = "{pictures}"
        fps = 20
        loop = true
        motion_gate = "1s"
        """
    )
    summaries = ears.wait(lambda heard: [m.body for m in heard if "/camera/" in m.topic][2:4], 30)
    for body in summaries:
        assert body["frames_still"] > 3 * body["frames_inferred"]
        assert body["frames_inferred"] >= 1, "a still scene is looked at all the same"
        assert body["feature_samples"] == body["frames_inferred"]
    check_against_schemas(ears.messages)


def test_a_dead_camera_is_told_and_never_stops_another(tmp_path, run_agent, mosquitto, listen):
    broker = mosquitto()
    ears = listen(broker.port)
    agent = run_agent(
        config=f"""
        state_directory = "{tmp_path}/s"
        [broker]
        url = "{broker.url}"
        [windows]
        length = "2s"
        [[cameras]]
        name = "dead"
        url = "rtsp://user:geheim@127.0.0.1:{free_port()}/live"
        [[cameras]]
        name = "drawn"
        kind = "synthetic"
        [[rules]]
        name = "camera_down"
        for = "1s"
        """
    )
    alert = ears.wait(lambda heard: next((m.body for m in heard if "/alert/" in m.topic), None), 30)
    assert alert["state"] == "firing"
    assert alert["label_camera"] == "dead"
    assert "camera dead is down" in alert["what"]
    ears.wait(
        lambda heard: sum(m.body["frames_inferred"] for m in heard if m.topic.endswith("camera/drawn")) > 5,
        30,
    )
    status = [m.body for m in ears.messages if m.topic.endswith("/status")][-1]
    assert status["state"] == "degraded"
    assert agent.stop() == 0
    check_against_schemas(ears.messages)
    assert "geheim" not in agent.journal()
    assert not any(b"geheim" in message.payload for message in ears.messages)


def rtsp_server(port):
    server = subprocess.Popen(
        ["/usr/bin/python3", str(RTSP), str(port), "live"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    if server.stdout.readline().strip() != "ready":
        server.kill()
        pytest.skip("needs GStreamer's RTSP server (Debian packages gir1.2-gst-rtsp-server-1.0, python3-gi)")
    return server


def test_an_rtsp_camera_that_dies_comes_back_by_itself(tmp_path, run_agent, mosquitto, listen):
    broker, port = mosquitto(), free_port()
    ears = listen(broker.port)
    server = rtsp_server(port)
    try:
        agent = run_agent(
            "--source",
            f"rtsp://127.0.0.1:{port}/live",
            "--broker",
            broker.url,
            "--window",
            "2s",
            "--state",
            tmp_path / "s",
        )
        state_is(ears, "online", lambda body: body["state"] == "online", "/status")
        ears.wait(
            lambda heard: any("/camera/" in m.topic and m.body["frames_inferred"] > 10 for m in heard), 30
        )
        server.kill()
        server.wait()
        state_is(ears, "degraded", lambda body: body["state"] == "degraded", "/status")
        server = rtsp_server(port)
        began, before = time.monotonic(), len(ears.messages)
        ears.wait(
            lambda heard: any(
                m.topic.endswith("/status") and m.body["state"] == "online" for m in heard[before:]
            ),
            45,
        )
        print(f"recovered {time.monotonic() - began:.1f} s after the server was back")
        assert agent.stop() == 0
    finally:
        server.kill()
        server.wait()


def state_is(ears, what, holds, topic, timeout=30):
    return ears.wait(
        lambda heard: any(m.topic.endswith(topic) and holds(m.body) for m in heard), timeout
    ), what


def kept_on_disk(state):
    """How many messages wait for the broker; 0 while the agent does not answer yet."""
    with contextlib.suppress(VedetteError):
        return call(state, "status")["outbox"]["messages"]
    return 0


def test_it_goes_on_without_a_broker_and_delivers_when_it_comes(tmp_path, run_agent, mosquitto, listen):
    broker = mosquitto(start=False)
    agent = run_agent(
        "--source", "synthetic", "--broker", broker.url, "--window", "1s", "--state", tmp_path / "s"
    )
    wait_until(lambda: kept_on_disk(tmp_path / "s") >= 3, 60)
    broker.start()
    ears = listen(broker.port)
    ears.wait(lambda heard: len([m for m in heard if "/camera/" in m.topic]) >= 4, 30)
    assert agent.stop() == 0
    seqs = [m.body["seq"] for m in ears.messages if "/camera/" in m.topic]
    assert sorted(set(seqs)) == list(range(min(seqs), min(seqs) + len(set(seqs)))), "nothing is missing"


RELOADABLE = """
state_directory = "{state}"
[broker]
url = "{url}"
[windows]
length = "1s"
[[cameras]]
name = "one"
kind = "synthetic"
"""


def test_a_reload_adds_a_camera_and_a_bad_file_changes_nothing(tmp_path, run_agent, mosquitto, listen):
    broker = mosquitto()
    ears = listen(broker.port)
    text = RELOADABLE.format(state=tmp_path / "s", url=broker.url)
    agent = run_agent(config=text)
    file = tmp_path / "v.toml"
    ears.wait(lambda heard: any(m.topic.endswith("camera/one") for m in heard), 30)
    file.write_text(text + "[[cameras]]\nname = 'two'\nkind = 'synthetic'\nsed = 3\n")
    bad = vedette("reload", "--state", tmp_path / "s")
    assert bad.returncode == 1
    assert "cameras[1].sed: unknown key; did you mean 'seed'?" in bad.stderr
    file.write_text(text + "[[cameras]]\nname = 'two'\nkind = 'synthetic'\nseed = 3\n")
    good = vedette("reload", "--state", tmp_path / "s")
    assert good.returncode == 0, good.stderr
    assert "camera two added" in good.stdout
    ears.wait(
        lambda heard: any(m.topic.endswith("camera/two") and m.body["frames_inferred"] for m in heard), 30
    )
    status = vedette("status", "--state", tmp_path / "s")
    assert "2 of 2 cameras online" in status.stdout
    file.write_text(text)
    os.kill(agent.process.pid, signal.SIGHUP)
    ears.wait(
        lambda heard: any(m.topic.endswith("/info") and m.body["cameras"] == "one" for m in heard[-30:]), 30
    )
    assert agent.stop() == 0


BAD = [
    ([], "give --config FILE or --source SOURCE", 1),
    (["--config", "none.toml"], "none.toml: there is no such file", 78),
    (["--source", "synthetic", "--model", "none.onnx"], "model none.onnx does not exist", 1),
    (["--source", "synthetic", "--model", "README.md"], "README.md", 1),
    (["--source", "synthetic", "--model", "yolo.pt"], "vedette model prepare", 1),
    (["--source", "synthetic", "--window", "0"], "--window 0; expected 1s to 1h", 78),
    (["--source", "synthetic", "--broker", "http://x"], "is not a broker address", 78),
]


@pytest.mark.parametrize(("words", "said", "code"), BAD)
def test_what_cannot_work_is_one_line_with_the_mend(tmp_path, words, said, code):
    state = ["--state", tmp_path] if words else []
    done = vedette("run", *words, *state)
    assert done.returncode == code, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert said in last
    assert "Traceback" not in done.stderr


def test_a_file_that_ends_ends_the_run_and_is_no_error(tmp_path, run_agent, mosquitto, listen):
    broker = mosquitto()
    ears = listen(broker.port)
    agent = run_agent(
        config=f"""
        state_directory = "{tmp_path}/s"
        [broker]
        url = "{broker.url}"
        [[cameras]]
        name = "short"
        kind = "synthetic"
        length = "3s"
        pace = "fast"
        """
    )
    assert agent.process.wait(40) == 0
    bodies = ears.wait(lambda _: ears.bodies("/camera/short"))
    assert sum(body["frames_inferred"] for body in bodies) == 15
    assert sum(body["frames_dropped"] for body in bodies) == 0


@needs_shared
def test_a_truncated_video_is_told_and_ends_with_an_error(tmp_path, run_agent, mosquitto):
    broker = mosquitto()
    if shutil.which("ffmpeg") is None:
        pytest.skip("needs ffmpeg")
    file = tmp_path / "cut.mp4"  # with its index first, so that half of it can be played
    video = SHARED / "videos" / "bottle-detection.mp4"
    make = [
        "ffmpeg",
        "-loglevel",
        "error",
        "-t",
        "6",
        "-i",
        video,
        "-c",
        "copy",
        "-movflags",
        "+faststart",
        file,
    ]
    subprocess.run(make, check=True, stdin=subprocess.DEVNULL)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    agent = run_agent("--source", file, "--fast", "--broker", broker.url, "--state", tmp_path / "s")
    assert agent.process.wait(60) == 1
    assert "cut" in agent.journal()
    assert "Traceback" not in agent.journal()


def test_check_says_what_is_there_and_what_is_not(tmp_path, mosquitto):
    broker = mosquitto()
    file = tmp_path / "v.toml"
    text = RELOADABLE.format(state=tmp_path / "s", url=broker.url)
    file.write_text(text)
    good = vedette("check", file)
    assert good.returncode == 0, good.stdout + good.stderr
    assert "FAILED" not in good.stdout
    broken = f'\n[[cameras]]\nname = "gone"\nurl = "{tmp_path}/none.mp4"\n'
    file.write_text(text.replace(broker.url, f"mqtt://127.0.0.1:{free_port()}") + broken)
    bad = vedette("check", file)
    assert bad.returncode == 1
    assert bad.stdout.count("FAILED") == 2


def test_help_teaches_and_is_quick():
    done = vedette("--help")
    assert done.returncode == 0
    for command in ("run", "demo", "check", "watch", "config"):
        assert command in done.stdout
    for command in (
        "run",
        "demo",
        "check",
        "config",
        "watch",
        "model",
        "schema",
        "alerts",
        "rules",
        "verify",
    ):
        assert vedette(command, "--help").returncode == 0, command


def test_importing_the_agent_is_light():
    code = "import sys, agent, agent.__main__; print([m for m in ('numpy', 'cv2', 'onnxruntime', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_daemon_never_imports_torch_or_ultralytics():
    code = "import sys, agent.app.service; print(json.dumps(sorted(sys.modules)))".replace(
        "import sys,", "import json, sys,"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert not loaded & {"torch", "ultralytics", "onnx", "amqtt"}
