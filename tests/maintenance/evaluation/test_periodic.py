"""The running model is evaluated on labelled samples when that is due, and the figures are published and kept."""

import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest

from agent.cli.status import accuracy_line
from agent.config.schema import ModelSettings
from agent.delivery.messages import Stamp, encode
from agent.delivery.verify.schemas import violations
from agent.detection.session import Detector
from agent.maintenance.evaluation import beside
from agent.maintenance.evaluation.periodic import RETRY_SECONDS, EvaluatedModel, PeriodicEvaluator, payload_of
from agent.maintenance.evaluation.prediction_powered import Population
from agent.maintenance.samples.in_use import accuracy_of
from agent.maintenance.samples.labelled_set import labelled_audit
from tests.maintenance.drawn import put_samples

MODEL = ModelSettings(threads=1, lanes=1)
WEEK = 7 * 86400.0
STAMP = Stamp(prefix="vedette/dock/box", device="box", boot="b00t-e0", seq=7, at=1_790_000_000.25)


@pytest.fixture(autouse=True)
def no_nicer(monkeypatch):
    """A box whose cores are all busy would take minutes."""
    monkeypatch.setattr(beside, "NICE", 0)


@pytest.fixture
def rig(tmp_path):
    """An evaluator that is stepped by hand, what it published, and how often it evaluated."""
    info, drafts = Detector(MODEL), []
    info.open()
    info.close()

    def make(every=WEEK, settings=MODEL):
        model = EvaluatedModel(info=lambda: info.info, settings=lambda: settings, golden=lambda: "agrees")
        one = PeriodicEvaluator(every, tmp_path, model, drafts.append)
        tried, evaluate = [], one._evaluate
        one._evaluate = lambda labelled: (tried.append(labelled), evaluate(labelled))
        return SimpleNamespace(it=one, drafts=drafts, tried=tried, state=tmp_path, info=info)

    return make


def steps(rig, *times):
    """Each twice: labels that have just come are left to settle."""
    for now in times:
        rig.it.step(now)
        rig.it.step(now)


def test_figures_of_each_camera_are_published_kept_and_told_again_after_a_start(rig):
    here = rig()
    steps(here, 0.0)
    assert not here.tried, "there are no labels"
    put_samples(here.state, 20, camera="yard")
    store = put_samples(here.state, 4, camera="gate", seed=8)
    here.it.step(1.0)
    assert not here.tried, "an import may still go on"
    here.it.step(2.0)
    assert len(here.tried) == 1
    rows = accuracy_of(MODEL, labelled_audit(store, most=100), store.classes(), {})
    assert here.it.report()["rows"] == [vars_of(row) for row in rows]
    whole, gate, yard = rows
    assert (whole.camera, gate.camera, yard.camera) == ("", "gate", "yard")
    assert (whole.frames, gate.frames, yard.frames) == (24, 4, 20)
    assert 0.6 < yard.f1_low < yard.f1 < yard.f1_high <= 1.0, "the demo model knows the drawn street"
    assert gate.f1_low is None, "too few frames for an interval"

    assert [draft.topic for draft in here.drafts] == ["accuracy", "accuracy/gate", "accuracy/yard"]
    for draft in here.drafts:
        assert draft.retain
        body = beside.parse_object(encode(draft, STAMP).payload)
        assert violations("accuracy", body) == []
        assert (body["model_name"], body["model_golden"]) == ("demo", "agrees")
    assert "camera" not in here.drafts[0].body
    assert here.drafts[2].body["f1_low_ratio"] == yard.f1_low

    line = accuracy_line({**here.it.report(), "evaluated_at": 0.0}, here.info.info.sha256).plain
    assert line.startswith(f"accuracy on 24 labelled frames: precision {whole.precision:.2f} (")
    assert "of another model" not in line
    assert "of another model" in accuracy_line(here.it.report(), "cd" * 32).plain

    again, stop = rig(), threading.Event()
    here.drafts.clear()
    stop.set()
    again.it.run(stop)
    assert [draft.topic for draft in here.drafts] == ["accuracy", "accuracy/gate", "accuracy/yard"]
    assert again.it.report() == here.it.report()


def test_labels_correct_the_estimate_of_a_camera_by_the_samples_that_have_one(rig):
    here = rig()
    model = here.info.info.sha256
    kept = labelled_audit(put_samples(here.state, 24, camera="yard"), most=100)
    told = [
        replace(one, sample=replace(one.sample, model=model, estimate=0.95 + 0.002 * (number % 3)))
        for number, one in enumerate(kept)
    ]
    of = Population(since=0.0, mean=0.95, variance=0.001, number=300.0)
    classes = {model: here.info.info.classes}
    whole, yard = accuracy_of(MODEL, told, classes, {"yard": of})
    assert (whole.corrected, whole.corrected_frames) == (None, 0)
    assert yard.corrected_frames == 24
    assert yard.corrected_low < yard.corrected < yard.corrected_high
    assert yard.corrected == pytest.approx(yard.f1, abs=0.1), "not by what the estimate says"
    body = payload_of(yard)
    assert body["frame_f1_corrected_ratio"] == yard.corrected
    assert body["frames_corrected"] == 24

    others = [*told[:19], *(replace(one, sample=replace(one.sample, estimate=None)) for one in told[19:])]
    assert accuracy_of(MODEL, others, classes, {"yard": of})[1].corrected is None, "19 are too few"
    strange = [replace(one, sample=replace(one.sample, model="b" * 64)) for one in told]
    classes["b" * 64] = classes[model]
    assert accuracy_of(MODEL, strange, classes, {"yard": of})[1].corrected_frames == 0, "of another model"
    early = replace(of, since=2e9)
    assert accuracy_of(MODEL, told, classes, {"yard": early})[1].corrected_frames == 0


def test_it_is_due_for_new_labels_a_new_model_and_after_its_time(rig, monkeypatch):
    here = rig(every=100.0)
    put_samples(here.state, 1)
    monkeypatch.setattr("agent.maintenance.evaluation.periodic.accuracy_beside", lambda *_: [])
    monkeypatch.setattr("agent.maintenance.evaluation.periodic._figures", lambda _: {})
    now = [1000.0]
    monkeypatch.setattr("agent.maintenance.evaluation.periodic.clock.now", lambda: now[0])

    def count(at):
        now[0] = at
        before = len(here.tried)
        steps(here, at)
        return len(here.tried) - before

    assert count(1000.0) == 1
    assert count(1099.0) == 0
    assert count(1100.0) == 1, "its time has come"
    put_samples(here.state, 1, after=1)
    assert count(1101.0) == 1, "new labels"
    here.info._info = replace(here.info.info, sha256="cd" * 32)
    assert count(1102.0) == 1, "another model"
    assert count(1103.0) == 0


def test_what_fails_is_tried_again_in_an_hour(rig, tmp_path):
    here = rig(settings=replace(MODEL, path=str(tmp_path / "none.onnx")))
    put_samples(here.state, 1)
    steps(here, 0.0, 1.0, RETRY_SECONDS - 1)
    assert len(here.tried) == 1
    assert not here.drafts
    steps(here, RETRY_SECONDS)
    assert len(here.tried) == 2


def vars_of(row):
    return {name: getattr(row, name) for name in row.__dataclass_fields__}
