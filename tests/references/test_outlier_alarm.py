import pytest

from agent.core.untrusted import BadInput
from agent.drift.verdict import OutlierCount
from agent.references.outlier_alarm import HOLD, OutlierAlarm
from tests.references.conftest import NOON, Source, recorded
from tests.references.test_monitor import with_reference


def shares(alarm, *percents):
    return [
        (alarm.step(OutlierCount(frames=100, outliers=each, reasons=()), 60.0 * n), alarm.since is not None)[
            1
        ]
        for n, each in enumerate(percents)
    ]


def test_it_takes_some_windows_to_go_on_and_to_go_off():
    alarm = OutlierAlarm()
    assert shares(alarm, 100, 100, 0, 60, 60) == [False] * 5, "a window or two are no drift"
    assert shares(alarm, 60, 40, 10, 10, 30, 10, 10, 10) == [True] * 7 + [False]


def test_a_large_change_by_a_short_reference_is_a_drift_with_its_way_out_and_over_when_it_is_gone(room):
    made = with_reference(room, recorded(windows=12).make(NOON + 720, final=True))
    source = Source(start=NOON + 3600, seed=8)
    made.feed(source, 2)
    change = dict.fromkeys(("brightness", "contrast", "warmth", "tint", "saturation"), -12.0)
    judged = made.feed(source, HOLD, **change)
    fields, observations = judged[-1]
    assert fields["drift_state"] == "drift"
    assert fields["drift_since"] == made.monitor.status()["drift_since"]
    assert made.monitor.status()["drift_state"] == "drift", "the status on request says what the summary says"
    ratio = next(each for each in observations if each.metric == "drift.ratio")
    assert ratio.value >= 1.0
    assert "vedette reference accept --camera front --since" in ratio.advice
    made.monitor.save(NOON + 5000)
    made.settle()
    made.new().open(NOON + 5001)
    assert made.monitor.status()["drift_state"] == "drift", "and so after a restart"
    assert made.feed(source, 12)[-1][0]["drift_state"] == "normal"
    assert made.monitor.status()["drift_state"] == "normal"


def test_one_drift_is_one_alarm_whichever_goes_on_first_and_off_last():
    alarm = OutlierAlarm()
    assert alarm.drift_since(None) is None
    alarm.since = 10.0
    assert alarm.drift_since(None) == 10.0
    assert alarm.drift_since(30.0) == 10.0, "the judge follows"
    alarm.since = None
    assert alarm.drift_since(30.0) == 10.0, "and goes on with what is left"
    assert alarm.drift_since(None) is None
    assert alarm.drift_since(90.0) == 90.0, "the next one is another"


def test_it_goes_on_after_a_restart():
    alarm = OutlierAlarm(since=7.0, run=1, first=5.0)
    assert OutlierAlarm.restore(alarm.state()) == alarm
    assert OutlierAlarm.restore({}) == OutlierAlarm()
    with pytest.raises(BadInput):
        OutlierAlarm.restore({"since": "now"})
