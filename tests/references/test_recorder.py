import dataclasses
import json

import numpy as np
import pytest

from agent.core.errors import ReferenceMismatch
from agent.drift.judge import DriftJudge
from agent.references.recorder import LEAST_WINDOWS, ReferenceRecorder
from tests.references.conftest import NOON, SUBJECT, Source, recorded


def test_too_short_a_recording_says_how_much_is_needed():
    with pytest.raises(ReferenceMismatch, match=r"9 windows .* at least 10 are needed: record for longer"):
        recorded(windows=LEAST_WINDOWS - 1).make(NOON, final=True)
    assert recorded(windows=LEAST_WINDOWS).make(NOON, final=True).reference.provisional


def test_windows_without_frames_do_not_count():
    source, recorder = Source(), ReferenceRecorder(SUBJECT, made_by="auto", length=600.0, started_at=NOON)
    for _ in range(30):
        window, vectors = source.window(samples=0)
        recorder.add(window, vectors, [])
    assert (recorder.windows, recorder.covered, recorder.complete) == (0, 0.0, False)
    with pytest.raises(ReferenceMismatch):
        recorder.make(NOON, final=False)


def test_it_is_complete_when_it_covers_what_was_asked_for():
    source, recorder = Source(), ReferenceRecorder(SUBJECT, made_by="asked", length=600.0, started_at=NOON)
    for number in range(10):
        assert not recorder.complete, number
        recorder.add(*source.window(), source.embeddings())
    assert recorder.complete


def test_a_restart_in_between_changes_nothing():
    through, stopped = Source(), Source()
    whole = recorded(windows=30, source=through)
    half = recorded(windows=15, source=stopped)
    half = ReferenceRecorder.from_text(half.to_text())
    half.length = whole.length
    for _ in range(15):
        window, vectors = stopped.window()
        half.add(window, vectors, stopped.embeddings())
    first, second = whole.make(NOON, final=True), half.make(NOON, final=True)
    assert second.low == pytest.approx(first.low)
    assert second.embedding.count == first.embedding.count == 240
    assert second.reference.origin == first.reference.origin
    probe = Source(start=NOON + 3600, seed=9)
    for _ in range(5):
        window, _ = probe.window()
        a = DriftJudge(first.reference).judge(window, window.end)
        b = DriftJudge(second.reference).judge(window, window.end)
        assert b.ratio == pytest.approx(a.ratio, rel=0.1)


def test_features_that_are_undefined_throughout_are_no_obstacle():
    source, recorder = Source(), ReferenceRecorder(SUBJECT, made_by="asked", length=600.0, started_at=NOON)
    for _ in range(12):
        window, vectors = source.window(brightness=np.nan, box_x=np.inf)
        recorder.add(window, vectors, [])
    made = recorder.make(NOON, final=True)
    judge = DriftJudge(made.reference)
    window, _ = Source(start=NOON + 900).window()
    assert judge.judge(window, window.end).judged


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"format": "vedette-recording"}', '{"format": "vedette-reference"}']
)
def test_anything_else_is_no_recording(text):
    with pytest.raises(ReferenceMismatch):
        ReferenceRecorder.from_text(text)


def test_a_truncated_or_mixed_up_recording_is_refused():
    text = recorded(windows=10).to_text()
    for share in (0.1, 0.5, 0.95):
        with pytest.raises(ReferenceMismatch):
            ReferenceRecorder.from_text(text[: int(share * len(text))])
    body = json.loads(text)
    body["subject"]["features"] = body["subject"]["features"][:-1]
    with pytest.raises(ReferenceMismatch, match="do not fit"):
        ReferenceRecorder.from_text(json.dumps(body))


def test_a_reference_is_for_windows_as_configured():
    late = dataclasses.replace(SUBJECT, window_seconds=50.0)
    recorder = ReferenceRecorder(late, made_by="asked", length=600.0, started_at=NOON)
    source = Source()
    for _ in range(10):
        recorder.add(*source.window(), [])
    assert recorder.make(NOON, final=True).reference.origin.window_seconds == 50.0


def test_long_windows_are_complete_only_once_there_are_enough_of_them():
    recorder = recorded(windows=9)
    recorder.length = 60.0
    assert recorder.complete
    assert not recorder.enough
    assert recorded(windows=10).enough
