"""The learner, with the model that ships and frames of a drawn street: what it learns names a disturbance."""

import dataclasses
import json
import threading

import cv2
import numpy as np
import pytest

from agent.cameras.kinds.synthetic.drawing.scene import Scene
from agent.config.schema import ModelSettings
from agent.core.scope import WHOLE
from agent.core.types import Detections
from agent.detection.opening import DEMO_MODEL
from agent.detection.session import Detector
from agent.detection.thermal.governor import Governor
from agent.drift.diagnosis.signatures import CODE_VERSION, from_text, to_text
from agent.references.carried import Carry
from agent.references.frame_store import FrameStore, NormalSpan, mark_of
from agent.references.signature_learner import Job, SignatureLearner, found_share
from agent.references.store import SIGNATURES, ReferenceStore
from tests.references.conftest import SUBJECT

NOON = 1_790_000_000.0
SPAN = NormalSpan(NOON, NOON + 600)
GO_ON = threading.Event()


@pytest.fixture(scope="module")
def detector():
    opened = Detector(ModelSettings(provider="cpu", lanes=1, input_size=160))
    opened.open()
    yield opened
    opened.close()


@pytest.fixture
def frames(tmp_path):
    store, street = FrameStore(ReferenceStore(tmp_path)), Scene("street", 1, 160, 90)
    for at in range(8):
        image = np.array(street.draw(at / 2, 12.0, at).image)
        store.put("front", mark_of(()), NOON + at, image, kept=None, since=NOON)
    return store


def learner(tmp_path, detector, done, **options):
    return SignatureLearner(
        detector,
        **{
            "governor": Governor(0.0),
            "state_directory": tmp_path,
            "done": done,
            "estimated": print,
            "share": 1.0,
            "busy_limit": 0.8,
            **options,
        },
    )


def carried_out(made, anew=True, until=1):
    """Run the learner, in a thread of its own for it lowers the thread's priority, until all was learnt or read for the
    `until`th time."""
    stop, done, whole = threading.Event(), made._done, []

    def finish(camera, learnt):
        done(camera, learnt)
        if learnt is None or learnt.found:
            whole.append(learnt)
        if len(whole) >= until:
            stop.set()

    made._done = finish
    made.ask("front", SPAN, anew)
    thread = threading.Thread(target=made.run, args=(stop,))
    thread.start()
    thread.join()


def test_a_box_that_was_busy_for_days_learns_once_what_was_asked_for_each_day(tmp_path, frames, detector):
    for at in range(8):
        frames.put("back", mark_of(()), NOON + at, np.full((90, 160, 3), at, np.uint8), kept=None, since=NOON)
    made, stop, done = learner(tmp_path, detector, print), threading.Event(), []

    def carry_out(job, _stop):
        done.append((job.camera, job.span.start))
        if job.camera == "back":
            stop.set()

    made.carry_out = carry_out
    for day in range(5):
        made.ask("front", NormalSpan(NOON - day, NOON + 600), True)
    made.ask("back", SPAN, True)
    thread = threading.Thread(target=made.run, args=(stop,))
    thread.start()
    thread.join()
    assert done == [("front", NOON - 4), ("back", NOON)]


@pytest.mark.slow
def test_signatures_are_learnt_once_and_read_after_that(tmp_path, frames, detector):
    learnt = []
    made = learner(tmp_path, detector, lambda *one: learnt.append(one))
    carried_out(made)
    [(camera, causes), (_, signatures)] = learnt
    assert camera == "front"
    assert not causes.found  # causes can be named before it is known what they do to the model
    assert signatures.found_at("fog", 1.0, 0) < signatures.found_at("fog", 0.2, 0) <= 1.0
    stored = ReferenceStore(tmp_path).read("front", SIGNATURES)
    assert from_text(stored).frames == signatures.frames == causes.frames
    assert made.take_window()["idle_busy_ratio"] > 0.5
    assert made.take_window()["idle_busy_ratio"] < 0.5
    again = learner(tmp_path, detector, lambda *one: learnt.append(one))
    carried_out(again)
    assert learnt[2][1].frames == signatures.frames
    assert ReferenceStore(tmp_path).read("front", SIGNATURES) == stored

    if signatures.trials is None:
        return
    other = dataclasses.replace(signatures.trials, model="b" * 64)
    ReferenceStore(tmp_path).write(
        "front", SIGNATURES, to_text(dataclasses.replace(signatures, trials=other))
    )
    carried_out(learner(tmp_path, detector, lambda *one: learnt.append(one)), anew=False, until=2)
    assert learnt[-1][1].trials.model == detector.info.sha256, "what causes do to a model is learnt of each"
    assert learnt[-1][1].frames == signatures.frames, "the causes themselves are not"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_signatures_of_a_version_before_are_made_anew(tmp_path, frames, detector):
    learnt, store = [], ReferenceStore(tmp_path)
    before = {"format": "vedette-signatures", "code": CODE_VERSION - 1, "frames": "00000000-0", "found": {}}
    store.write("front", SIGNATURES, json.dumps(before))
    carried_out(learner(tmp_path, detector, lambda *one: learnt.append(one)), anew=False)
    assert not learnt[0][1].found, "they were learnt from the first on"
    assert from_text(store.read("front", SIGNATURES)).trials.enough


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_camera_without_objects_has_causes_and_no_estimate(tmp_path, detector):
    store, random = FrameStore(ReferenceStore(tmp_path)), np.random.default_rng(2)
    wall = cv2.GaussianBlur(random.integers(90, 140, (90, 160, 3), dtype=np.uint8), (0, 0), 9)
    for at in range(8):
        grain = random.normal(0, 1, wall.shape)
        store.put(
            "front", mark_of(()), NOON + at, np.rint(wall + grain).astype(np.uint8), kept=None, since=NOON
        )
    learnt = []
    carried_out(learner(tmp_path, detector, lambda *one: learnt.append(one)))
    signatures = from_text(ReferenceStore(tmp_path).read("front", SIGNATURES))
    assert signatures.trials.boxes == 0
    assert not signatures.trials.enough
    assert signatures.found_at("fog", 0.5, 0) is None
    assert learnt[-1][1].found


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_model_that_is_replaced_while_it_is_learnt_leaves_nothing_of_both(tmp_path, frames, detector):
    path = tmp_path / "other.onnx"
    path.write_bytes(DEMO_MODEL.read_bytes() + b"\x1a\x05other")
    ours, other = (
        Detector(ModelSettings(provider="cpu", lanes=1, input_size=160, path=name))
        for name in ("", str(path))
    )
    ours.open()
    other.open()
    learnt, looks = [], []
    made = learner(tmp_path, ours, lambda *one: learnt.append(one))
    made.carry_out(Job("front", SPAN), GO_ON)
    see = made._idle.see

    def exchanging(*given):
        looks.append(1)
        if len(looks) == 60:
            ours.exchange(other)
        return see(*given)

    made._idle.see = exchanging
    made.carry_out(Job("front", SPAN, model=True), GO_ON)
    assert from_text(ReferenceStore(tmp_path).read("front", SIGNATURES)).trials is None
    made.carry_out(Job("front", SPAN, model=True), GO_ON)
    assert learnt[-1][1].trials.model == ours.info.sha256 != other.info.sha256
    ours.close()
    other.close()


def test_too_few_frames_are_reported(tmp_path, detector):
    learnt = []
    carried_out(learner(tmp_path, detector, lambda *one: learnt.append(one)))
    assert learnt == [("front", None)]


def test_a_busy_model_is_left_alone(tmp_path, frames, detector):
    stop, looks = threading.Event(), []

    class Busy:
        pace = Governor(0.0).pace

        @property
        def busy(self):
            looks.append(1)
            if len(looks) == 4:
                stop.set()
            return 1.0

    made = learner(tmp_path, detector, print, governor=Busy())
    made.ask("front", SPAN, True)
    thread = threading.Thread(target=made.run, args=(stop,))
    thread.start()
    thread.join()
    assert ReferenceStore(tmp_path).read("front", SIGNATURES) is None


def test_of_a_look_no_embeddings_are_kept(tmp_path, detector):
    image = np.array(Scene("street", 1, 160, 90).draw(0.0, 12.0, 0).image)
    idle = learner(tmp_path, detector, print)._idle
    assert idle.detect(GO_ON, "front", image).embedding is not None
    seen = idle.see(GO_ON, "front", image)
    assert seen.plain.embedding is None
    assert seen.mirrored.embedding is None


def found(*boxes, classes=None):
    count = len(boxes)
    return Detections(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.full(count, 0.9, np.float32),
        class_ids=np.array(classes or [0] * count, np.int64),
        threshold=0.25,
        candidates=count,
    )


def test_what_is_found_again_is_counted_by_class_and_place():
    two = found([0, 0, 10, 10], [20, 20, 30, 30])
    assert found_share([two], [two]) == 1.0
    assert found_share([two], [found([1, 0, 10, 10])]) == 0.5
    assert found_share([two], [found()]) == 0.0
    assert found_share([two], [found([0, 0, 10, 10], [20, 20, 30, 30], classes=[0, 1])]) == 0.5
    assert np.isnan(found_share([found()], [two]))


def test_the_provisional_reference_of_another_model_comes_of_the_kept_frames(tmp_path, detector, stored):
    kept, street = FrameStore(ReferenceStore(tmp_path)), Scene("street", 1, 160, 90)
    origin = dataclasses.replace(stored.reference.origin, start=NOON, end=NOON + 600)
    base = dataclasses.replace(stored, reference=dataclasses.replace(stored.reference, origin=origin))
    for at in range(14):
        image = np.array(street.draw(7.0 * at, 12.0, at).image)
        kept.put("front", mark_of(()), NOON + at, image, kept=None, since=NOON)
    subject = dataclasses.replace(SUBJECT, model_sha256=detector.info.sha256)
    made, stop = [], threading.Event()

    def done(reference):
        made.append(reference)
        stop.set()

    ours = learner(tmp_path, detector, print)
    ours.carry(Carry(subject, base, WHOLE), done)
    thread = threading.Thread(target=ours.run, args=(stop,))
    thread.start()
    thread.join()
    [reference] = made
    assert reference.reference.origin.model_sha256 == detector.info.sha256
    assert reference.reference.usual_boxes > 0
    assert reference.embedding.count == 14
