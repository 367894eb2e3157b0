"""The references folder of a state directory written by the version before (845a528) is read and gone on with.

It holds one reference, a judge in alarm and 6 of 20 windows of a recording: 20 windows of Source(samples=12), 3 more,
and 10 with `contrast` 8 sigma down, of which the last 6 were recorded.
"""

import tarfile
from pathlib import Path

import pytest

from tests.references.conftest import NOON, Source

STATE = Path(__file__).parents[1] / "data" / "upgrade" / "845a528" / "references.tar.gz"
REFERENCE = "79a46291e5f2"
SAVED_AT = NOON + 33 * 60.0


@pytest.fixture
def resumed(tmp_path, room):
    with tarfile.open(STATE) as archive:
        archive.extractall(tmp_path, filter="data")
    made = room(auto_reference=False)
    made.monitor.open(SAVED_AT)
    return made


@pytest.fixture
def source():
    """The windows after those that the state was made of."""
    source = Source(samples=12)
    for _ in range(33):
        source.window()
        source.embeddings()
    return source


def test_reference_judge_and_recording_are_restored(resumed):
    status = resumed.monitor.status()
    assert status["problem"] == ""
    assert (status["reference"]["id"], status["reference"]["covered"]) == (REFERENCE, 1200.0)
    assert status["recording"] == {
        "made_by": "asked",
        "started_at": NOON + 27 * 60.0,
        "covered": 360.0,
        "length": 1200.0,
        "windows": 6,
    }
    history = resumed.monitor.explanation()["history"]
    assert [verdict["end"] for verdict in history] == [NOON + 60.0 * minute for minute in range(21, 34)]
    assert [verdict["alarm"] for verdict in history] == [False] * 4 + [True] * 9


def test_the_next_window_is_judged_as_that_version_would_have(resumed, source):
    fields, observations = resumed.feed(source, 1, contrast=-8)[0]
    assert fields["drift_state"] == "drift"
    assert fields["drift_since"] == NOON + 25 * 60.0
    assert fields["drift_recorded_ratio"] == 0.35
    assert (fields["drift_ratio"], fields["drift_ks"], fields["drift_psi"]) == pytest.approx(
        (1.59, 0.708, 2.44), rel=0.01
    )
    assert observations[0].metric == "drift.ratio"
    assert observations[0].value == pytest.approx(1.593, rel=0.001)


def test_the_recording_becomes_the_next_reference(resumed, source):
    resumed.feed(source, 14)
    versions = resumed.store.versions("front")
    assert versions[0].id == REFERENCE
    assert [version.current for version in versions] == [False, True]
    assert resumed.monitor.status()["reference"]["covered"] == 1200.0
    assert resumed.monitor.status()["recording"] is None
