"""The causes of one camera's drift: which frames are kept, when they are looked at, and what is diagnosed."""

import types

import numpy as np
import pytest

from agent.core.scope import Scope
from agent.core.types import Frame
from agent.drift.diagnosis.diagnose import Diagnosis
from agent.features import FEATURES
from agent.references.causes import LOOKS
from agent.references.frame_store import MOST_FRAMES, FrameStore, NormalSpan, mark_of

from .conftest import NOON, Source, recorded

WHOLE = NormalSpan(0.0, 1e12)


@pytest.fixture
def one(room):
    made = room()
    made.frames = FrameStore(made.store)
    made.names = lambda: made.frames.names("front", WHOLE, 99)
    return made


def frame(at: float, *, usable: bool = True, scope: Scope | None = None) -> Frame:
    image = np.random.default_rng(int(at)).integers(0, 256, (90, 160, 3), dtype=np.uint8)
    return Frame(
        camera="front",
        index=0,
        image=image,
        captured_at=at,
        monotonic_ns=0,
        usable=usable,
        scope=scope or Scope(),
    )


def recording(made, seconds: int, **options: object) -> None:
    recorder = recorded()
    recorder.started_at = NOON
    made.causes.recording(recorder, **{"alarmed": False, **options})
    for second in range(0, seconds, 10):
        made.causes.frame(frame(NOON + second))
    made.settle()


def test_frames_are_kept_while_a_reference_is_recorded_one_a_window(one):
    one.causes.frame(frame(NOON))
    one.settle()
    assert not one.names()
    recording(one, 300)
    assert len(one.names()) == 5


def test_a_long_recording_keeps_few_frames(one):
    recording(one, 100 * 60)
    assert MOST_FRAMES / 2 <= len(one.names()) <= MOST_FRAMES


def test_nothing_is_kept_of_faulty_frames_under_an_alarm_or_where_it_is_switched_off(one):
    recording(one, 300, alarmed=True)
    one.causes.frame(frame(NOON, usable=False))
    one.settle()
    assert not one.names()
    one.causes.set_hidden(None)
    recording(one, 300)
    assert not one.names()


def test_a_frame_in_which_other_areas_are_hidden_is_not_kept(one):
    corner = (((0.0, 0.0), (0.5, 0.0), (0.5, 0.5)),)
    one.causes.set_hidden(corner)
    recording(one, 300)  # frames of before, still on their way
    assert not one.names()
    one.causes.frame(frame(NOON + 301, scope=Scope(ignored=corner)))
    one.settle()
    assert len(one.names()) == 1


def test_a_reference_in_force_asks_for_the_signatures_of_its_time(one, stored):
    one.causes.reference(stored)
    [(camera, span, anew)] = one.asked
    origin = stored.reference.origin
    assert (camera, span, anew) == ("front", NormalSpan(origin.start, origin.end), True)
    one.causes.set_hidden(None)
    one.causes.reference(stored)
    assert len(one.asked) == 1


def test_a_reference_without_frames_gets_them_while_no_alarm_is_on(one, stored):
    one.causes.reference(stored)
    one.causes.learnt(None)
    one.causes.recording(None, alarmed=True)
    one.causes.frame(frame(NOON + 4000))
    one.settle()
    assert not one.names()
    one.causes.recording(None, alarmed=False)
    asked = len(one.asked)
    for minute in range(24 * 60):
        one.causes.frame(frame(NOON + 4000 + 60 * minute))
    one.settle()
    assert len(one.names()) == MOST_FRAMES
    assert len(one.asked) == asked + 2  # at once with the fewest, and once more with all


def test_signatures_of_another_normal_are_left_aside(one, stored):
    one.causes.reference(stored)
    mine = types.SimpleNamespace(frames=mark_of(()) + "-1")
    one.causes.learnt(mine)
    assert one.causes.signatures is mine
    one.causes.learnt(
        types.SimpleNamespace(frames="00000000-1")
    )  # of frames in which other areas were hidden
    assert one.causes.signatures is mine
    one.causes.reference(stored)  # renewed
    assert one.causes.signatures is mine
    late = Source(start=NOON + 86400.0)
    one.causes.reference(recorded(source=late).make(late.now, final=True))
    assert one.causes.signatures is None


def test_a_drift_without_signatures_is_of_unknown_cause_and_says_so(one, source):
    one.store.put("front", recorded(source=source).make(source.now, final=True))
    one.monitor.reload(source.now)
    fields, observations = one.feed(source, 12, brightness=30)[-1]
    assert fields["drift_state"] == "drift"
    assert fields["drift_cause"] == "unknown"
    [ratio] = [each for each in observations if each.metric == "drift.ratio"]
    assert "its cause is unknown, because" in ratio.text
    assert ratio.evidence["cause"]["name"] == "unknown"
    assert "unknown" in one.monitor.explanation()["history"][-1]["words"]


def test_without_frames_no_cause_is_named(one, source):
    one.causes.set_hidden(None)
    one.store.put("front", recorded(source=source).make(source.now, final=True))
    one.monitor.reload(source.now)
    fields, _ = one.feed(source, 12, brightness=30)[-1]
    assert fields["drift_state"] == "drift"
    assert "drift_cause" not in fields


def test_frames_are_looked_at_once_there_are_signatures(one):
    for second in range(120):
        one.causes.frame(frame(NOON + second))
    assert not one.causes.looks
    one.causes.signatures = object()  # what they hold is looked at by a diagnosis alone
    for second in range(120, 240):
        one.causes.frame(frame(NOON + second))
    assert len(one.causes.looks) == LOOKS


def test_what_is_concluded_for_lack_of_a_known_cause_waits_for_a_second_window(one, stored, monkeypatch):
    found = iter(["population", "fog", "population", "population", "fog", "fog"])
    monkeypatch.setattr(
        "agent.references.causes.diagnose", lambda *_, **_more: Diagnosis(cause=next(found), confidence=0.5)
    )
    one.causes.reference(stored)
    drifting = types.SimpleNamespace(judged=True, alarm=True, ratio=2.0)
    vectors = np.zeros((0, len(FEATURES)), dtype=np.float32)
    told = [one.causes.judge(drifting, vectors).cause for _ in range(6)]
    assert told == ["unknown", "fog", "fog", "population", "population", "fog"]


def test_why_there_is_no_cause_and_no_estimate_is_known(one, stored):
    assert "no window" in one.causes.why_no_cause
    assert "learnt" in one.causes.why_no_estimate
    one.causes.reference(stored)
    verdict = types.SimpleNamespace(judged=True, alarm=True, ratio=2.0)
    one.causes.judge(verdict, np.zeros((0, len(FEATURES)), dtype=np.float32))
    assert "has not been learnt yet" in one.causes.why_no_cause
    few = types.SimpleNamespace(enough=False, boxes=1)
    for trials, why in (
        (None, "the model has not been learnt"),
        (few, "finds 1 object on the kept frames"),
        (types.SimpleNamespace(enough=True), "no idle time"),
    ):
        one.causes.learnt(types.SimpleNamespace(frames=mark_of(()) + "-1", trials=trials))
        assert why in one.causes.why_no_estimate
    one.causes.set_hidden(None)
    assert "keep_frames" in one.causes.why_no_cause
    assert "keep_frames" in one.causes.why_no_estimate
