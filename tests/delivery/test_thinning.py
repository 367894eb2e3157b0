"""Which fields of a window are published: every count always, the rest where it says something new."""

import numpy as np
import pytest

from agent.core.metrics.catalogue import merge_of
from agent.core.metrics.definition import Merge, Sent
from agent.core.metrics.payloads import fields_of, sent_of
from agent.delivery.thinning import Thinner

STATE = {"state": "online", "state_reason": "", "state_since": 1.0, "frames_seen": 600, "reconnects": 0}


def windows(rng, count, level=100.0, noise=1.0):
    return [
        {**STATE, "feature_brightness_mean": level + noise * rng.normal(), "latency_p90_seconds": 0.1}
        for _ in range(count)
    ]


def test_a_complete_message_holds_everything_and_says_so():
    whole = windows(np.random.default_rng(1), 1)[0]
    thinned = Thinner("camera", every=15).thin(whole)
    assert thinned.body == {**whole, "complete": True}
    assert thinned.held == {}


def test_all_messages_are_complete_where_each_is():
    thinner = Thinner("camera", every=1)
    assert all(thinner.thin(window).body["complete"] for window in windows(np.random.default_rng(1), 3))


@pytest.mark.parametrize("first", [0, 3])
def test_complete_messages_come_in_turn(first):
    thinner = Thinner("camera", every=5, first=first)
    complete = [
        n
        for n, window in enumerate(windows(np.random.default_rng(1), 20))
        if "complete" in thinner.thin(window).body
    ]
    assert complete == list(range(first, 20, 5))


def test_noise_is_not_published_and_a_change_is_at_once():
    rng = np.random.default_rng(2)
    thinner = Thinner("camera", every=10_000)
    quiet = [thinner.thin(window) for window in windows(rng, 1000)]
    assert sum("feature_brightness_mean" in one.body for one in quiet[1:]) < 20
    changed = thinner.thin(windows(rng, 1, level=112.0)[0])
    assert changed.body["feature_brightness_mean"] > 100
    assert "latency_p90_seconds" not in changed.body
    back = [thinner.thin(window) for window in windows(rng, 10)]
    assert "feature_brightness_mean" in back[0].body
    assert sum("feature_brightness_mean" in one.body for one in back) < 4


def test_a_slow_climb_is_followed():
    rng = np.random.default_rng(3)
    thinner, shown, worst = Thinner("camera", every=10_000), 0.0, 0.0
    for n in range(500):
        level = 50.0 + 0.5 * n
        body = thinner.thin(windows(rng, 1, level=level)[0]).body
        shown = body.get("feature_brightness_mean", shown)
        worst = max(worst, abs(shown - level) if n > 10 else 0.0)
    assert worst < 12.0  # eight deviations of a step; the climb is 250


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("state_since", 5.0, 6.0),
        ("drift_reason", "too short", "the clock was set"),
        ("drift_provisional", True, False),
    ],
)
def test_a_text_a_time_or_a_flag_is_published_where_it_is_another(name, before, after):
    thinner = Thinner("camera", every=1000)
    for _ in range(3):
        thinner.thin({**STATE, name: before})
    assert name not in thinner.thin({**STATE, name: before}).body
    assert thinner.thin({**STATE, name: after}).body[name] == after
    assert name not in thinner.thin({**STATE, name: after}).body


def test_a_total_is_published_wherever_it_grew():
    thinner = Thinner("host", every=1000)
    shown = [
        thinner.thin({"outbox_lost_total": total}).body.get("outbox_lost_total") for total in (0, 0, 1, 1, 5)
    ]
    assert shown == [0, None, 1, None, 5]


def test_what_is_no_more_is_null_once_and_counts_of_zero_are_left_out():
    thinner = Thinner("camera", every=1000)
    thinner.thin({**STATE, "drift_since": 7.0})
    ended = thinner.thin({**STATE, "reconnects": 2, "state_reason": "no route"})
    assert ended.body == {
        "state": "online", "state_reason": "no route", "frames_seen": 600, "reconnects": 2, "drift_since": None
    }  # fmt: skip
    after = thinner.thin(STATE)
    assert after.body == {"state": "online", "frames_seen": 600}
    again = thinner.thin({**STATE, "drift_since": 9.0})
    assert again.body["drift_since"] == 9.0


def test_nothing_is_lost_between_what_is_published_and_what_is_held_back():
    rng = np.random.default_rng(4)
    thinner = Thinner("camera", every=7, first=3)
    for window in windows(rng, 50):
        thinned = thinner.thin(window)
        published = {name: value for name, value in thinned.body.items() if name in window}
        assert {**published, **thinned.held} == window
        assert not published.keys() & thinned.held.keys()


def test_every_count_that_is_added_up_is_in_every_message_or_zero():
    """Who sums the windows of a day must get the day."""
    for family in ("camera", "host", "gpu"):
        for field in fields_of(family):
            if merge_of(field.name) is Merge.SUM and field.name != "lost":
                assert sent_of(family, field.name) in {Sent.ALWAYS, Sent.NOT_ZERO}, field.name


def test_what_home_assistant_and_watch_show_is_in_every_message():
    shown = {
        "camera": "state fps_inferred latency_p50_seconds latency_p99_seconds detections confidence_mean drift_ratio",
        "host": "cpu_ratio memory_used_ratio disk_used_ratio temperature_celsius outbox_messages alerts_firing",
        "gpu": "gpu_lost gpu_state throttled gpu_utilization_ratio gpu_memory_used_ratio gpu_temperature_celsius",
    }
    for family, names in shown.items():
        for name in names.split():
            assert sent_of(family, name) is Sent.ALWAYS, name


def test_a_feature_near_its_limit_is_in_every_message_and_one_far_from_it_is_not():
    thinner = Thinner("camera", every=10_000)
    ratios = {"drift_contrast_ratio": 0.75, "drift_noise_ratio": 0.74, "drift_ratio": 0.75}
    thinner.thin({**STATE, **ratios})
    assert thinner.thin({**STATE, **ratios}).body.keys() & ratios.keys() == {
        "drift_contrast_ratio",
        "drift_ratio",
    }
