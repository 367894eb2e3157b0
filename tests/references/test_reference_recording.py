"""How long a recording may be: one that is longer than can be read again is lost at the next restart."""

import dataclasses

import pytest
from structlog.testing import capture_logs

from agent.config.schema import DriftSettings
from agent.core.errors import ReferenceMismatch
from agent.references.recorder import ReferenceRecorder
from agent.references.reference_recording import LONGEST_WAIT, MOST_WINDOWS, ReferenceRecording
from agent.references.store import LARGEST_RECORDING
from tests.references.conftest import NOON, SUBJECT, recorded

DAY = 86_400.0


def test_the_longest_recording_can_be_read_again():
    a_window = (len(recorded(windows=400).to_text()) - len(recorded(windows=200).to_text())) / 200
    assert LONGEST_WAIT * MOST_WINDOWS * a_window < LARGEST_RECORDING
    assert MOST_WINDOWS * 60.0 == 28 * DAY


@pytest.mark.parametrize(("seconds", "days", "most"), [(60.0, 28, "28d"), (1.0, 28 / 60, "672m")])
def test_a_longer_one_is_refused_with_the_longest_there_is(seconds, days, most):
    recording = ReferenceRecording(dataclasses.replace(SUBJECT, window_seconds=seconds))
    with pytest.raises(ReferenceMismatch, match=rf"too long .* at most {most} \(40320 windows\)"):
        recording.request(days * DAY + 1.0, NOON)
    recording.request(days * DAY, NOON)
    assert recording.recorder.length == days * DAY


def test_an_automatic_one_is_as_long_as_can_be_and_says_so():
    recording = ReferenceRecording(SUBJECT)
    with capture_logs() as logs:
        recording.begin_if_needed(None, DriftSettings(reference_length=60 * DAY), NOON)
    assert recording.recorder.length == 28 * DAY
    assert logs[0]["event"] == "drift.reference_length is longer than can be recorded"


def test_one_that_an_earlier_version_began_ends_in_time():
    old = ReferenceRecorder(SUBJECT, made_by="asked", length=365 * DAY, started_at=NOON)
    recording = ReferenceRecording(SUBJECT)
    recording.resume(old.to_text(), None)
    assert recording.recorder.length == 28 * DAY
