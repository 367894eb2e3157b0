import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.arrays import array, numbers
from agent.core.errors import ReferenceMismatch
from agent.core.untrusted import BadInput
from agent.drift.judge import DriftJudge
from agent.drift.recording import Recording, gather
from agent.drift.recording_storage import recording_state, restore_recording
from agent.drift.reference import build
from agent.drift.storage import from_json, to_json


@pytest.fixture(scope="module")
def text(day_reference):
    return to_json(day_reference)


def test_a_stored_reference_gives_exactly_the_same_verdicts(day_reference, text, camera):
    again = from_json(text)
    assert again.id == day_reference.id
    assert to_json(again) == text
    first, second = DriftJudge(day_reference), DriftJudge(again)
    for window in camera(6, day_reference.origin.end).windows(40, shift=1.0):
        assert first.judge(window, window.end) == second.judge(window, window.end)


def test_one_of_an_earlier_version_has_seen_all_between_its_start_and_end(day_reference, text):
    older = from_json(forged(text, lambda body: body.pop("seen")))
    assert older.seen == ()
    assert older.kinds_seen().tolist() == day_reference.kinds_seen().tolist()


def test_it_is_small(text):
    assert len(text) < 150_000  # 5 features, 24 hours


def test_provisional_ones_are_stored_too(short_reference):
    assert from_json(to_json(short_reference).encode()).provisional


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_refused_whatever_the_damage(text, data):
    raw = text.encode()
    kind = data.draw(st.sampled_from(["cut", "flip", "remove", "insert"]))
    at = data.draw(st.integers(0, len(raw) - 1))
    if kind == "cut":
        raw = raw[:at]
    elif kind == "flip":
        raw = raw[:at] + bytes([raw[at] ^ data.draw(st.integers(1, 255))]) + raw[at + 1 :]
    elif kind == "remove":
        raw = raw[:at] + raw[at + data.draw(st.integers(1, 99)) :]
    else:
        raw = raw[:at] + data.draw(st.binary(min_size=1, max_size=20)) + raw[at:]
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    if body == json.loads(text):
        return  # white space, or an escape that means the same
    with pytest.raises(ReferenceMismatch):
        from_json(raw)


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200)))
def test_foreign_bytes_are_refused(raw):
    with pytest.raises(ReferenceMismatch):
        from_json(raw)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("", "not JSON, or was cut off"),
        ("[" * 100_000, "not JSON"),
        ("[]", "something else"),
        ('{"format": "else"}', "something else"),
        ('{"format": "vedette-reference", "version": 99}', "format version 99"),
        ('{"format": "vedette-reference", "version": 1}', "checksum"),
    ],
)
def test_each_kind_of_wrong_file_is_named(content, named):
    with pytest.raises(ReferenceMismatch, match=named):
        from_json(content)


def forged(text, change):
    """A file that someone edited and gave a right checksum."""
    from agent.drift.storage import _checksum

    body = json.loads(text)
    del body["checksum"]
    change(body)
    return json.dumps({**body, "checksum": _checksum(body)})


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body["hours"].clear(),
        lambda body: body["hours"].update({"99": body["hours"]["3"]}),
        lambda body: body["hours"]["3"]["sketches"].pop(),
        lambda body: body["hours"]["3"].update(log_steps="AAAA"),
        lambda body: body["origin"].pop("camera"),
        lambda body: body["origin"].update(features=["one"]),
        lambda body: body["origin"].update(window_seconds=0.0),
        lambda body: body["origin"].update(window_seconds="long"),
        lambda body: body["calibration"]["tails"].pop("ks"),
        lambda body: body["calibration"]["tails"].update(ks=[1.0]),
        lambda body: body["calibration"]["tails"].update(joint=[-1.0]),
        lambda body: body["calibration"].update(noise=numbers(np.full((3, 5, 8), np.nan))),
        lambda body: body["calibration"].update(size=numbers(np.zeros((3, 5, 21)))),
        lambda body: body["calibration"].update(distances=numbers(-np.ones((2, 4, 5)))),
        lambda body: body["usual"].update(frames=float("nan")),
        lambda body: body.update(class_ids="many"),
        lambda body: body["origin"].update(made_at=float("inf")),
        lambda body: body.update(usual_boxes=None),
        lambda body: body.update(usual_boxes=-1.0),
        lambda body: body.update(any_hour="yes"),
        lambda body: body.update(class_ids=[1, 1]),
        lambda body: body.update(class_ids=[-1]),
        lambda body: body.update(class_ids=[[]]),
        lambda body: body.update(hours=[]),
        lambda body: body["hours"].update({"03": body["hours"].pop("3")}),
        lambda body: body["hours"]["3"].update(sketches="AAAA"),
        lambda body: body["hours"]["3"]["sketches"].append(7),
        lambda body: body["hours"]["3"].update(classes=numbers(np.full(2, -1.0))),
        lambda body: body["origin"].update(made_at=1e300),
        lambda body: body["origin"].update(made_at=-1.0),
        lambda body: body["origin"].update(start=2**62),
        lambda body: body["origin"].update(camera="x" * 100_000),
        lambda body: body["origin"].update(features=["../../etc/x"] * 5),
        lambda body: body["origin"].update(features=["a"] * 5),
        lambda body: body["origin"].update(features=[{}] * 5),
        lambda body: body["origin"].update(features=["a"] * 100_000),
        lambda body: body["calibration"].update(longest=2**40),
        lambda body: body["calibration"].update(blocks=-1),
        lambda body: body["calibration"].update(windows="many"),
        lambda body: body["calibration"].update(offset=numbers(np.full((3, 5), 1e300))),
        lambda body: body["calibration"].update(offset="A" * 5_000_000),
        lambda body: body["usual"].update(counts=numbers(np.full(5, -1.0))),
        lambda body: body.update(seen=[7, 3]),
        lambda body: body.update(seen=[3, 3]),
        lambda body: body.update(seen=[-1]),
        lambda body: body.update(seen=[2**62]),
        lambda body: body.update(seen="all"),
        lambda body: body.update(seen=list(range(100_000))),
    ],
)
def test_what_no_reference_can_hold_is_refused_though_the_checksum_fits(text, change):
    with pytest.raises(ReferenceMismatch, match="damaged"):
        from_json(forged(text, change))


def test_arrays_keep_their_bits():
    values = np.random.default_rng(1).standard_normal((3, 4))
    assert (array({"a": numbers(values)}, "a", (3, 4)) == values).all()
    assert np.isnan(array({"a": numbers(np.array([np.nan]))}, "a", (1,), unknown=True)[0])
    for wrong in (np.inf, -np.inf, np.nan, 1e31):
        with pytest.raises(BadInput, match="`a` holds values that are not from"):
            array({"a": numbers(np.array([wrong]))}, "a", (1,))


def test_an_array_is_of_its_length_before_it_is_decoded():
    for text, words in (
        ("A" * 10_000_000, "at most 8"),
        ("AAAA", "has 3 bytes; expected 4"),
        ("?", "not base64"),
    ):
        with pytest.raises(BadInput, match=words):
            array({"a": text}, "a", (1,), kind="<f4")
    with pytest.raises(BadInput, match="`a` is a list; expected a string"):
        array({"a": []}, "a", (1,))


def test_a_recording_goes_on_after_a_restart(camera):
    source, straight = camera(7), Recording(("brightness", "sharpness", "boxes", "confidence", "constant"))
    resumed = Recording(straight.features)
    for number, window in enumerate(source.windows(200)):
        straight.add(window)
        resumed.add(window)
        if number == 90:
            resumed = restore_recording(json.loads(json.dumps(recording_state(resumed))))
    where = {"camera": "front", "model_sha256": "0", "feature_version": "1", "now": source.now}
    first, second = build(straight, **where), build(resumed, **where)
    assert first.origin == second.origin
    one, other = gather(straight), gather(resumed)
    assert np.array_equal(one.looks.knots, other.looks.knots, equal_nan=True)
    assert np.array_equal(one.looks.steps, other.looks.steps, equal_nan=True)
    assert (one.class_counts == other.class_counts).all()


def test_an_empty_recording_is_stored_too():
    empty = Recording(("brightness",))
    assert restore_recording(recording_state(empty)).starts == []


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop("knots"),
        lambda state: state.update(frames=[1]),
        lambda state: state.update(classes=[]),
        lambda state: state.update(starts="????"),
        lambda state: next(iter(state["blocks"].values()))["sketches"].pop(),
        lambda state: next(iter(state["blocks"].values())).update(sketches=["AAAA"] * 5),
    ],
)
def test_a_damaged_recording_is_refused(camera, change):
    recording = Recording(("brightness", "sharpness", "boxes", "confidence", "constant"))
    for window in camera(8).windows(3):
        recording.add(window)
    state = recording_state(recording)
    change(state)
    with pytest.raises(ReferenceMismatch, match="recording is damaged"):
        restore_recording(state)
