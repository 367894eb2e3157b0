"""Another model is judged from its first windows on: by the frames kept of the old reference, until one is recorded."""

import dataclasses
import json

import numpy as np
import pytest

from agent.core.errors import ReferenceMismatch
from agent.core.scope import Scope
from agent.core.types import Detections, Frame, FrameResult, StageSeconds
from agent.references.carried import LEAST_FRAMES, Carry, carried
from agent.references.monitor import DriftMonitor
from agent.references.store import RECENT
from tests.references.conftest import NOON, SUBJECT, Room, Source

NEW = dataclasses.replace(SUBJECT, model_sha256="b" * 64)
SCOPE = Scope(confidence=0.4)
STAGES = StageSeconds(decode=0, wait=0, preprocess=0, inference=0, postprocess=0, total=0)


def found(number, model=NEW.model_sha256):
    rng = np.random.default_rng(number)
    corner = rng.uniform(5, 20, (3, 2))
    return Detections(
        boxes=np.concatenate([corner, corner + rng.uniform(5, 40, (3, 2))], axis=1).astype(np.float32),
        scores=np.sort(rng.uniform(0.4, 1.0, 3))[::-1].astype(np.float32), class_ids=np.array([0, 1, 6]), threshold=0.4,
        candidates=3, embedding=rng.normal(1.0, 0.1, 64).astype(np.float32), model=model,
    )  # fmt: skip


def seen(count, **words):
    images = np.random.default_rng(3).integers(0, 255, (count, 64, 96, 3), dtype=np.uint8)
    return [(image, found(number, **words)) for number, image in enumerate(images)]


@pytest.fixture
def changed(tmp_path, stored):
    """A room of the old model with a reference, then one of the new model, and what that asks to be carried over."""
    old = Room(tmp_path)
    old.store.put("front", stored)
    old.monitor.reload(NOON)
    asked = []

    def start(subject=NEW):
        here = Room(tmp_path, subject)
        here.monitor = DriftMonitor(
            subject, here.settings, here.store, here.writer, causes=here.causes, submit=here.posted.append,
            publish=here.published.append, sketch_seconds=None, carry=lambda *one: asked.append(one),
        )  # fmt: skip
        here.monitor.open(NOON + 4000)
        frame = Frame(
            camera="front", index=0, image=seen(1)[0][0], captured_at=NOON, monotonic_ns=1, scope=SCOPE
        )
        for _ in range(2):
            here.monitor.add_frame(FrameResult(frame=frame, detections=found(0), stages=STAGES, batch=1))
        return here

    return old, start, asked


def test_a_new_model_is_judged_by_the_kept_frames_and_the_old_one_has_its_own_reference_again(
    changed, stored
):
    old, start, asked = changed
    new = start()
    [(wanted, done)] = asked
    assert (wanted.subject, wanted.base.id, wanted.scope) == (NEW, stored.id, SCOPE)
    assert new.monitor.status()["drift_state"] == "learning"
    done(carried(wanted, seen(24), NOON + 4000))
    new.posted.pop(0)()
    new.settle()
    reference = new.monitor.status()["reference"]
    assert (reference["made_how"], reference["provisional"], reference["final"]) == (
        "kept frames",
        True,
        False,
    )
    [(fields, _)] = new.feed(Source(start=NOON + 4200), 1)
    assert fields["drift_provisional"] and fields["drift_state"] in ("normal", "drift"), fields
    assert new.monitor.status()["recording"]["made_by"] == "auto", "it is recorded all the same"
    old.monitor.reload(NOON + 4300)
    assert old.monitor.stored.id == stored.id
    start()
    assert len(asked) == 1, "after a restart it is there"


def test_what_was_recorded_meanwhile_is_not_replaced_by_what_a_few_frames_show(changed):
    _, start, asked = changed
    new = start()
    [(wanted, done)] = asked
    new.feed(Source(start=NOON + 4000), 70)
    recorded = new.monitor.stored
    assert recorded is not None
    done(carried(wanted, seen(24), NOON + 9000))
    new.posted.pop(0)()
    new.settle()
    assert new.monitor.stored.id == recorded.id


def test_a_drift_that_outlasts_the_deployment_does_not_become_normal_by_itself(changed):
    _, start, asked = changed
    new = start()
    [(wanted, done)] = asked
    done(carried(wanted, seen(24), NOON + 4000))
    new.posted.pop(0)()
    new.settle()
    new.monitor._recording.recorder.length = 3600.0
    source = Source(start=NOON + 4200)  # quite another world than those frames show
    judged = new.feed(source, 30)
    assert judged[-1][0]["drift_state"] == "drift"
    said = new.monitor.explanation()["history"][-1]["words"]
    assert "of the reference before, as this model sees its kept frames (provisional)" in said
    covered = new.monitor.status()["recording"]["covered"]
    judged = new.feed(source, 120)
    assert judged[-1][0]["drift_state"] == "drift"
    assert new.monitor.status()["recording"]["covered"] == covered
    assert new.monitor.status()["reference"]["made_how"] == "kept frames"
    assert new.monitor.accept(None, source.now, by="me", why="").windows > 100, (
        "an operator says what is normal"
    )


@pytest.mark.parametrize("what", [seen(LEAST_FRAMES - 1), seen(24, model="c" * 64)])
def test_too_few_frames_of_this_model_make_none(stored, what):
    assert carried(Carry(NEW, stored, SCOPE), what, NOON) is None


@pytest.mark.parametrize("difference", [{"window_seconds": 10.0}, {"feature_version": "other"}])
def test_where_more_than_the_model_changed_nothing_is_carried_over(changed, difference):
    _, start, asked = changed
    start(dataclasses.replace(NEW, **difference))
    assert not asked


def test_what_another_model_saw_is_not_accepted_into_the_reference_of_this_one(changed, stored):
    old, start, asked = changed
    source = Source(start=NOON + 3600)
    old.feed(source, 30)
    old.monitor.save(source.now)
    old.settle()
    assert json.loads(old.store.read("front", RECENT))["model"] == SUBJECT.model_sha256
    new = start()
    [(wanted, done)] = asked
    done(carried(wanted, seen(24), NOON + 4000))
    new.posted.pop(0)()
    new.settle()
    with pytest.raises(ReferenceMismatch, match="0 windows are known"):
        new.monitor.accept(NOON + 3600, source.now, by="me", why="")
    again = old.new()
    again.open(source.now)
    assert again.accept(NOON + 3600, source.now, by="me", why="").windows == 30
