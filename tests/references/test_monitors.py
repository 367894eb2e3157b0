"""Commands about drift and references, carried out in the analyst's thread."""

import dataclasses
import gc
import json
import os
import queue
import tempfile
import threading
import weakref
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent.app.control_socket import dispatch
from agent.config.schema import DriftSettings
from agent.delivery.messages import Stamp, reply_draft
from agent.delivery.replies import Reply, reply_message
from agent.detection import ModelInfo
from agent.references.monitor import DriftMonitor
from agent.references.monitors import DriftMonitors
from agent.references.no_monitor import NoMonitor
from agent.references.store import LIVING, ReferenceStore
from tests.references.conftest import SUBJECT, recorded

MODEL = ModelInfo(
    path="m.onnx", sha256=SUBJECT.model_sha256, name="m", classes=("car",), input_size=(320, 320), stride=32,
    input_type="float32", dynamic_batch=True, dynamic_size=True, max_batch=8, layout="channels",
    embedding_size=0, provider="cpu", precision="fp32", runtime="", source="", threads=1, lanes=1,
)  # fmt: skip


@pytest.fixture
def monitors(tmp_path):
    """The monitors of two cameras and a thread in the analyst's place."""
    tasks = queue.SimpleQueue()
    made = DriftMonitors(tmp_path, DriftSettings(auto_reference=False), 60.0, submit=tasks.put, publish=print)
    ready = threading.Event()

    def analyst():
        for camera in ("front", "back"):
            made.monitor(camera, MODEL)
        ready.set()
        while (task := tasks.get()) is not None:
            task()

    thread = threading.Thread(target=analyst)
    thread.start()
    assert ready.wait(20)
    yield made
    tasks.put(None)
    thread.join()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to leave files of its own")
def test_references_that_may_not_be_read_keep_no_camera_from_being_watched():
    """Root's leftovers: judged as really another user."""
    with tempfile.TemporaryDirectory(dir="/tmp") as state:
        os.chown(state, 12345, 12345)
        folder = Path(state) / "references" / "front"
        folder.mkdir(parents=True)
        for each in (folder.parent, folder):
            each.chmod(0o700)
        made = DriftMonitors(Path(state), DriftSettings(), 60.0, submit=run, publish=print)
        os.seteuid(12345)
        try:
            with capture_logs() as logs:
                monitor = made.monitor("front", MODEL)
        finally:
            os.seteuid(0)
    assert isinstance(monitor, NoMonitor)
    assert [line["event"] for line in logs] == ["references cannot be read, drift is not judged"]


def run(task):
    task()


@pytest.mark.parametrize("reference", [["a"], {"a": 1}, 7, None])
def test_a_living_reference_that_is_damaged_keeps_no_camera_from_being_watched(tmp_path, reference):
    store = ReferenceStore(tmp_path)
    store.put("front", recorded(windows=12).make(1.0, final=True))
    store.write("front", LIVING, json.dumps({"reference": reference, "hours": []}))
    made = DriftMonitors(tmp_path, DriftSettings(), 60.0, submit=run, publish=print)
    assert made.monitor("front", MODEL).status()["reference"] is not None


def test_a_defect_in_what_is_stored_keeps_no_camera_from_being_analysed(tmp_path, monkeypatch):
    """Nor does the monitor of the model before judge what the next one detects."""
    made = DriftMonitors(tmp_path, DriftSettings(), 60.0, submit=run, publish=print)
    assert isinstance(made.monitor("front", MODEL), DriftMonitor)

    def fail(*_):
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(ReferenceStore, "read", fail)
    with capture_logs() as logs:
        found = made.monitor("front", dataclasses.replace(MODEL, sha256="b" * 64))
    assert isinstance(found, NoMonitor)
    assert [line["event"] for line in logs] == ["references cannot be used, drift is not judged"]
    assert ask(made, "drift")["cameras"] == []


def test_nothing_of_a_removed_camera_stays_in_memory_and_all_of_it_on_disk(tmp_path):
    """Weeks of cameras that come under other names: each monitor holds a week of windows."""
    made = DriftMonitors(tmp_path, DriftSettings(auto_reference=False), 60.0, submit=run, publish=print)

    def written():
        made.writer.run(type("Stop", (), {"is_set": staticmethod(lambda: True)}))

    def removed(name):
        kept = weakref.ref(monitor := made.monitor(name, MODEL))
        monitor.record(86400.0, 1.0)
        monitor.save(2.0)
        made.remove(name)
        return kept

    removed("front")
    again = made.monitor("front", MODEL)  # before that was written: it is the same one
    written()
    assert made.monitor("front", MODEL) is again
    del again
    kept = removed("back")
    written()
    gc.collect()
    assert kept() is None
    assert [camera["camera"] for camera in ask(made, "drift")["cameras"]] == ["front"]
    assert made.monitor("back", MODEL).status()["recording"] is not None


def ask(monitors, command, **args):
    return dispatch(monitors.handlers(), {"command": command, "args": args})


def test_a_recording_is_begun_shown_and_cancelled(monitors):
    begun = ask(monitors, "reference_record", camera="front", **{"for": "24h"})
    assert begun["cameras"][0]["recording"]["length"] == 86400
    states = {camera["camera"]: camera["recording"] for camera in ask(monitors, "drift")["cameras"]}
    assert states["front"]["made_by"] == "asked"
    assert states["back"] is None
    assert ask(monitors, "reference_cancel", camera="front")["cameras"][0]["recording"] is None


@pytest.mark.parametrize(
    ("command", "args", "said"),
    [
        ("reference_record", {"camera": "front"}, "`for` is missing; expected a duration"),
        ("reference_record", {"camera": "front", "for": "soon"}, "`for` is 'soon'; expected a duration"),
        ("reference_record", {"for": "1h"}, "camera: say which one to record; there are back, front"),
        (
            "reference_record",
            {"camera": "frnt", "for": "1h"},
            "no watched camera 'frnt'; did you mean 'front'?",
        ),
        ("reference_record", {"camera": "front", "for": "1m"}, "too short"),
        ("reference_finish", {"camera": "front"}, "is being recorded"),
        ("reference_rollback", {"camera": "front"}, "has no reference"),
        ("reference_record", {"camera": "front", "for": float("inf")}, "expected a duration"),
        ("reference_record", {"camera": "front", "for": 10**400}, "expected a duration"),
        ("reference_record", {"camera": "front", "for": -5}, "expected a duration"),
        ("reference_record", {"camra": "front", "for": "1h"}, "did you mean 'camera'"),
        ("drift_explain", {"count": float("inf")}, "`count` is inf"),
        ("drift_explain", {"count": float("nan")}, "`count` is nan"),
        ("drift_explain", {"count": -1}, "`count` is -1; expected from 1"),
        ("drift_explain", {"count": 10**400}, "`count` is 1000"),
        ("drift_explain", {"count": "many"}, "expected a number"),
        ("drift_explain", {"recent": "yes"}, "expected true or false"),
        ("drift", {"camera": ["front"]}, "expected a string"),
        ("references", {"camera": 5}, "expected a string"),
        ("references", {"limit": -1}, "`limit` is -1"),
        ("reference_export", {"camera": "front", "id": 5}, "expected a string"),
        ("reference_import", {"camera": "front", "text": 5}, "expected a string"),
        ("reference_import", {"camera": "front", "text": "[" * 100_000}, "nested"),
        ("reference_remove", {"camera": "front"}, "`id` is missing"),
    ],
)
def test_what_cannot_be_done_says_what_was_expected(monitors, command, args, said):
    reply = ask(monitors, command, **args)
    assert reply["ok"] is False
    assert said in reply["error"]


def test_what_is_put_in_the_store_is_in_force_at_once(monitors):
    made = recorded(windows=12)
    text = made.make(1.0, final=True).to_text()
    put = ask(monitors, "reference_import", camera="front", text=text)
    assert put["ok"], put
    (front,) = ask(monitors, "drift", camera="front")["cameras"]
    assert front["reference"]["id"] == put["id"]
    assert ask(monitors, "reference_remove", camera="front", id=put["id"])["ok"]
    assert ask(monitors, "drift", camera="front")["cameras"][0]["reference"] is None


def test_a_camera_that_goes_and_comes_back_finds_what_it_had(monitors):
    ask(monitors, "reference_record", camera="front", **{"for": "24h"})
    monitors.remove("front")
    assert [camera["camera"] for camera in ask(monitors, "drift")["cameras"]] == ["back"]
    assert monitors.monitor("front", MODEL).status()["recording"] is not None


def test_explanations_are_short_unless_asked_for_more(monitors):
    (front,) = ask(monitors, "drift_explain", camera="front")["cameras"]
    assert front["history"] == []
    assert "recent" not in front
    assert ask(monitors, "drift_explain", camera="front", recent=True)["cameras"][0]["recent"] is None


def test_where_drift_is_off_only_the_files_can_be_handled(tmp_path):
    off = DriftMonitors(tmp_path, DriftSettings(enabled=False), 60.0, submit=run, publish=print)
    assert "drift" not in off.handlers()
    assert ask(off, "references")["versions"] == []


def test_answers_about_64_cameras_fit_a_message_or_say_what_to_ask_for(tmp_path):
    monitors = DriftMonitors(tmp_path, DriftSettings(auto_reference=False), 60.0, submit=run, publish=print)
    text = recorded(windows=12).make(1.0, final=True).to_text()
    names = [f"yard-camera-{number:02}" for number in range(64)]
    for name in names:
        monitors.monitor(name, MODEL)
        assert ask(monitors, "reference_import", camera=name, text=text)["ok"]

    def sent(command, **args):
        body = {"command": command, "id": "c1", **ask(monitors, command, **args)}
        stamp = Stamp(prefix="vedette/dock/box", device="box", boot="b", seq=1, at=1.0)
        message = reply_message(Reply(draft=reply_draft("c1", body), topic=None, correlation=None), stamp)
        return json.loads(message.payload)

    assert [camera["camera"] for camera in sent("drift")["cameras"]] == names
    assert [version["camera"] for version in sent("references")["versions"]] == names
    for name in names:
        monitors.monitor(name, MODEL)._judging._history._verdicts.extend([{"text": "x" * 400}] * 5)
    refused = sent("drift_explain")
    assert (refused["ok"], refused["id"]) == (False, "c1")
    assert "ask for less: one camera" in refused["error"]
    assert len(sent("drift_explain", camera=names[0])["cameras"][0]["history"]) == 5
