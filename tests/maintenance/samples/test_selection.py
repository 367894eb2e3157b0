import functools
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.maintenance.samples.sample import AUDIT
from agent.maintenance.samples.selection import DAY, Selection, signature_of


@functools.cache
def looks(kind):
    """The signature of a kind of frame, nearly at a right angle to every other."""
    return signature_of(np.random.default_rng(abs(hash(kind))).normal(size=64))


def day_of(selection, frames, seconds=DAY):
    """Feed (interests, signature) rows, evenly spread; the contents (row numbers) of the picks, by reason."""
    picks = []
    for number, (interests, signature) in enumerate(frames):
        picks += selection.add(
            number * seconds / len(frames), interests, signature, lambda number=number: number
        )
    return picks + selection.due(seconds + DAY)


def test_a_fifth_of_a_days_samples_is_drawn_at_random():
    frames = [({"a": 0.5}, looks(number)) for number in range(2000)]
    picks = day_of(Selection(40, ("a", "b"), random.Random(1)), frames)
    assert Counter(pick.reason for pick in picks) == {AUDIT: 8, "a": 32}


def test_the_audit_does_not_care_what_a_frame_shows():
    chosen = []
    for seed in range(200):
        frames = [({"a": float(number % 2)}, looks(0.0)) for number in range(50)]
        picks = day_of(Selection(5, ("a",), random.Random(seed)), frames)
        chosen += [pick.content for pick in picks if pick.reason == AUDIT]
    assert len(chosen) == 200
    assert np.histogram(chosen, bins=5, range=(0, 50))[0] == pytest.approx([40] * 5, abs=28)
    assert np.mean(np.array(chosen) % 2) == pytest.approx(0.5, abs=0.15)


def test_the_reason_that_had_least_goes_first():
    frames = [({"often": 1.0, "seldom": 0.01}, looks(number)) for number in range(1500)]
    picks = day_of(Selection(40, ("often", "seldom"), random.Random(2)), frames)
    reasons = Counter(pick.reason for pick in picks)
    assert reasons["seldom"] == reasons["often"] == 16


def test_what_looks_like_a_chosen_frame_is_not_chosen_again():
    frames = [({"a": 1.0}, looks(0.0)) for _ in range(2000)]
    picks = day_of(Selection(40, ("a",), random.Random(3)), frames)
    assert [pick.reason for pick in picks].count("a") == 1
    assert [pick.reason for pick in picks].count(AUDIT) == 8, (
        "but the audit is: else it would not be a fair draw"
    )


def test_of_two_kinds_of_frames_both_are_chosen():
    frames = [({"a": 1.0}, looks(number % 50 == 0)) for number in range(1500)]
    picks = day_of(Selection(40, ("a",), random.Random(4)), frames)
    kinds = {pick.content % 50 == 0 for pick in picks if pick.reason == "a"}
    assert kinds == {True, False}


@pytest.mark.parametrize("spread", [0.05, 0.5])
def test_frames_of_a_fixed_camera_are_told_apart_however_close_their_embeddings_are(spread):
    chance, scene = np.random.default_rng(4), np.random.default_rng(5).normal(size=64)
    signatures = [signature_of(scene + spread * chance.normal(size=64)) for _ in range(1500)]
    frames = [({"a": 1.0}, signatures[number - number % 3]) for number in range(1500)]
    picks = day_of(Selection(40, ("a",), random.Random(8)), frames)
    chosen = [pick.content // 3 for pick in picks if pick.reason == "a"]
    assert len(chosen) == len(set(chosen)) == 32, "each once, none left out"


def test_a_frame_costs_its_image_only_when_it_is_the_best_so_far():
    made = []
    selection, chance = Selection(5, ("a",), random.Random(5)), random.Random(6)
    for number in range(4000):
        selection.add(number * 0.25, {"a": chance.random()}, looks(number), lambda: made.append(1))
    assert len(made) < 60


def test_without_reasons_all_samples_are_audit():
    picks = day_of(Selection(10, (), random.Random(7)), [({}, looks(number)) for number in range(500)])
    assert Counter(pick.reason for pick in picks) == {AUDIT: 10}


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 200_000), st.floats(0, 1), st.floats(-3, 3)), max_size=60),
    st.integers(5, 10_000),
    st.integers(0, 99),
)
def test_no_more_than_asked_for_whenever_frames_come(frames, per_day, seed):
    selection = Selection(per_day, ("a",), random.Random(seed))
    times = sorted(at for at, _, _ in frames)
    picks = []
    for at, (_, interest, angle) in zip(times, frames, strict=True):
        picks += selection.add(at, {"a": interest}, looks(angle), lambda: None)
    span = (times[-1] - times[0]) if times else 0.0
    assert len(picks) <= per_day * span / DAY + 2


def test_what_has_no_direction_has_no_signature():
    assert signature_of(np.zeros(4)) is None
    assert signature_of(np.array([np.nan, 3.0, 4.0])).tolist() == pytest.approx([0.0, 0.6, 0.8])
