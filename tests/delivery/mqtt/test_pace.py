"""The pace: late messages as the config says, all of them as fast as a quota allows, and hardly ever faster."""

import pytest

from agent.delivery.mqtt.pace import QUOTA_EXCEEDED, SendPace


def test_without_a_quota_nothing_waits():
    pace = SendPace()
    assert all(pace.passes(0.0, late=late) for late in (True, False) for _ in range(10_000))


def test_late_messages_keep_their_rate_and_others_do_not_wait_for_them():
    pace = SendPace(2.0)
    passed = sum(pace.passes(at / 10, late=True) for at in range(600))
    assert passed == pytest.approx(2.0 * 60, abs=3)
    assert all(pace.passes(60.0, late=False) for _ in range(100))


@pytest.mark.parametrize("quota", [2.0, 10.0, 100.0, 700.0])
@pytest.mark.parametrize("burst", [1, 20, 500])
def test_a_quota_is_used_and_seldom_exceeded(quota, burst):
    """A broker with a bucket of tokens; delivery offers all it may, twenty times a second."""
    pace, left, taken, refused = SendPace(), float(burst), 0, 0
    seconds, began = 600, 300
    for turn in range(seconds * 20):
        now = turn / 20
        left = min(burst, left + quota / 20)
        for _ in range(200):
            if not pace.passes(now, late=False):
                break
            code = 0 if left >= 1 else QUOTA_EXCEEDED
            left -= code == 0
            pace.answered(code, now)
            taken += code == 0 and now >= began
            refused += code != 0 and now >= began
    assert taken >= 0.75 * min(quota, 20.0 * burst) * (seconds - began)
    tried = (
        seconds - began
    ) / 4.6  # a fifth less is made up for by 4.6 seconds of a twentieth more: then it is tried
    assert refused <= max(0.1 * taken, tried)


def test_the_bound_begins_once_and_ends_where_nothing_is_refused():
    pace = SendPace()
    for at in range(20):
        pace.passes(at / 100, late=False)
        pace.answered(0, at / 100)
    assert pace.answered(QUOTA_EXCEEDED, 0.2)
    assert not pace.answered(QUOTA_EXCEEDED, 0.3)  # of the same second
    assert pace.rate == pytest.approx(0.8 * 20 / 10)
    assert not pace.answered(QUOTA_EXCEEDED, 1.3)
    assert pace.rate == pytest.approx(0.8 * 0.8 * 20 / 10)
    pace.passes(400.0, late=False)
    assert pace.rate == 0.0


def test_other_refusals_are_no_matter_of_speed():
    pace = SendPace()
    assert not pace.answered(0x87, 1.0)
    assert pace.rate == 0.0


def test_one_a_second_goes_however_often_it_is_refused():
    pace = SendPace()
    for at in range(100):
        pace.answered(QUOTA_EXCEEDED, float(at))
    assert pace.rate == 1.0
    assert pace.passes(101.0, late=False)
