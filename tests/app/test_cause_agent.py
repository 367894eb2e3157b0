"""The cause of a drift from the camera to the alert: the real agent, a drawn camera in fog, a real broker.

What is normal and what causes do to it was learnt before, by the agent's own code: a busy machine may have no idle time.
The fog is drawn by other code than that by which fog is recognised.
"""

import dataclasses
import json
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.cameras.kinds.synthetic.camera import SyntheticCamera, SyntheticOptions
from agent.config.schema import ModelSettings
from agent.core import clock
from agent.core.types import FrameResult, StageSeconds
from agent.detection.session import Detector
from agent.detection.thermal.governor import Governor
from agent.features import FEATURE_VERSION, FEATURES
from agent.references.cause_picture import HEIGHT
from agent.references.frame_store import FrameStore, NormalSpan, mark_of
from agent.references.recorder import ReferenceRecorder, Subject
from agent.references.sampling import FrameSampler
from agent.references.signature_learner import Job, SignatureLearner
from agent.references.store import ReferenceStore

ROOT = Path(__file__).resolve().parents[2]
WINDOWS, PER_WINDOW = 12, 5
CAMERA = SyntheticOptions(width=256, height=144, fps=5.0, pace="fast")
CONFIG = """
state_directory = "{state}"
[broker]
url = "{url}"
[windows]
length = "1s"
[reports]
profile = "full"
[drift]
feature_fps = 5
learn_share = 1.0
learn_busy_limit = 1.0
[[cameras]]
name = "gate"
kind = "synthetic"
fps = 5
width = 256
height = 144
drift = ["fog@0:0.7"]
"""
STAGES = StageSeconds(**{field.name: 0.001 for field in dataclasses.fields(StageSeconds)})


@pytest.fixture(scope="module")
def detector():
    opened = Detector(ModelSettings(provider="cpu", lanes=1))
    opened.open()
    yield opened
    opened.close()


def learn(state, detector):
    """A reference of the camera, the frames of it, and what causes do to them: as the agent makes them."""
    start, camera = clock.unix_now() - 3600.0, SyntheticCamera("gate", CAMERA)
    subject = Subject(
        camera="gate",
        model_sha256=detector.info.sha256,
        feature_version=FEATURE_VERSION,
        features=FEATURES,
        window_seconds=1.0,
    )
    recorder = ReferenceRecorder(subject, made_by="asked", length=WINDOWS, started_at=start)
    sampler, store = FrameSampler("gate", CAMERA.fps), ReferenceStore(state)
    frames = FrameStore(store)
    camera.open()
    for second in range(WINDOWS):
        for number in range(PER_WINDOW):
            read = camera.read()
            frame = dataclasses.replace(read, monotonic_ns=int(1e9 * (1 + read.index / CAMERA.fps)))
            found = detector.detect([frame]).detections[0]
            sampler.add(FrameResult(frame=frame, detections=found, stages=STAGES, batch=1))
            if number == 0:
                frames.put("gate", mark_of(()), start + second, np.array(frame.image), kept=None, since=start)
        window = sampler.close(start + second, start + second + 1)
        recorder.add(window.sketch, window.vectors, window.embeddings)
    store.put("gate", recorder.make(start + WINDOWS, final=True))
    learnt = []
    learner = SignatureLearner(
        detector,
        Governor(0.0),
        state,
        done=lambda *one: learnt.append(one),
        estimated=print,
        share=1.0,
        busy_limit=1.0,
    )
    for model in (False, True):
        learner.carry_out(Job("gate", NormalSpan(start, start + WINDOWS), model=model), threading.Event())
    assert learnt[-1][1].trials.enough


def cause(alert):
    return alert["evidence"].get("cause", {}).get("name")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_fog_is_named_in_the_alert_in_the_summary_and_on_request(tmp_path, detector, mosquitto, listen):
    state, broker = tmp_path / "state", mosquitto()
    learn(state, detector)
    ears = listen(broker.port)
    (tmp_path / "v.toml").write_text(CONFIG.format(state=state, url=broker.url))
    command = [sys.executable, "-m", "agent"]
    with (tmp_path / "journal.txt").open("w") as journal:
        running = subprocess.Popen(
            [*command, "run", "--config", str(tmp_path / "v.toml")], cwd=ROOT, stdout=journal, stderr=journal
        )
    try:
        alert = ears.wait(
            lambda heard: next(
                (m.body for m in heard if "/alert/drift" in m.topic and cause(m.body) == "fog"), None
            ),
            300,
        )
        assert "fog, haze or a misted lens" in alert["what"]
        assert "Wait for the weather" in alert["advice"]
        summary = ears.wait(
            lambda heard: next((m.body for m in heard if m.body.get("drift_cause") == "fog"), None), 300
        )
        assert 0 < summary["drift_cause_confidence"] <= 1
        estimated = ears.wait(
            lambda heard: next(
                (m.body for m in heard if "/camera/" in m.topic and "accuracy_estimate_ratio" in m.body), None
            ),
            300,
        )
        low, ratio, high = (estimated[f"accuracy_estimate_{name}ratio"] for name in ("low_", "", "high_"))
        assert 0 <= low <= ratio <= high <= 1
        assert 0 <= estimated["accuracy_estimate_trust"] <= 1
        explained = subprocess.run(
            [*command, "drift", "explain", "--state", str(state), "--png", str(tmp_path / "png")],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert "fog, haze or a misted lens" in explained.stdout
        drawn = cv2.imread(str(tmp_path / "png" / "cause.png"))
        assert drawn.shape[1] > 3 * 16 / 9 * HEIGHT  # three frames beside one another
        advised = subprocess.run(
            [*command, "advise", "--state", str(state), "--json"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        [advice] = json.loads(advised.stdout)
        assert (advice["camera"], advice["action"]) == ("gate", "wait")
        published = ears.wait(
            lambda heard: next(
                (m.body for m in heard if m.topic.endswith("/advice/gate") and m.body["action"] == "wait"),
                None,
            ),
            60,
        )
        assert (published["words"], published["command"]) == (advice["words"], advice["command"])
        assert published["cause"] == "fog"
    finally:
        running.terminate()
        running.wait(30)
