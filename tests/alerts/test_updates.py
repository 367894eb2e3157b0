"""A standing alert is published anew where its observation says something else, ever more seldom, and wakes nobody."""

from itertools import pairwise

from agent.alerts.alert_text import journal_line
from agent.alerts.controls import Control, ControlKind
from agent.config.alert_settings import NotifierSettings, RuleSettings
from agent.notifiers.routes import Route
from tests.alerts.test_engine import restarted

DRIFT = RuleSettings(name="drift", when="drift.ratio >= 1", clear="0.9")
WEEK = RuleSettings(name="drift", when="drift.ratio >= 1", clear="0.9", repeat=7 * 86400.0)


def minute(box, headline, value=1.5, **more):
    box.now += 60.0
    return box.observe("drift.ratio", value, text=f"drift: {headline}", headline=headline, **more)


def test_a_drift_that_turns_out_larger_is_an_update_of_the_alert_in_the_same_words(drive):
    box = drive(DRIFT)
    (fired,) = minute(box, "a small change")
    (update,) = minute(box, "an extreme change", 30.0)
    assert (update.event.value, update.id, update.value) == ("updated", fired.id, 30.0)
    assert update.what == "camera front: drift: an extreme change"
    assert "WARNING updated: camera front: drift: an extreme change" in journal_line(update)
    assert [active.alert.what for active in box.engine.active_alerts(box.now)] == [update.what]
    assert minute(box, "an extreme change", 31.0) == []


def test_what_alternates_is_published_ever_more_seldom(drive):
    box = drive(WEEK)
    minute(box, "a change")
    for number in range(3 * 1440):
        minute(box, ("noise", "tint")[number % 2])
    updates = [alert.changed_at - box.published[0].first_seen for alert in box.published[1:]]
    assert len(updates) <= 15
    assert updates[0] == 60.0
    assert all(later >= 2 * before for before, later in pairwise(updates))


def test_an_update_is_no_notification_and_puts_off_no_reminder(drive):
    box, route = drive(WEEK), Route(settings=NotifierSettings(name="x", kind="webhook"))
    minute(box, "a change")
    for hour in range(8 * 24):
        box.now += 3540.0
        minute(box, ("noise", "tint")[hour % 2])
    reminders = [alert for alert in box.published if alert.event.value == "reminder"]
    assert [alert.changed_at - alert.first_seen for alert in reminders] == [7 * 86400.0]
    for alert in box.published:
        route.gather(alert, box.now) if alert.event.value == "updated" else None
    assert not route.batch


def test_a_muted_alert_has_no_updates_and_one_without_headline_neither(drive):
    box = drive(DRIFT)
    minute(box, "a change")
    control = Control(kind=ControlKind.MUTE, who="ada", at=box.now, why="", rule="drift", labels={})
    box.engine.apply(control)
    assert minute(box, "another") == []
    plain = drive(DRIFT)
    for value in (1.0, 5.0, 50.0):
        plain.now += 60
        plain.observe("drift.ratio", value)
    assert [alert.event.value for alert in plain.published] == ["fired"]


def test_after_a_restart_nothing_is_published_again_that_was(drive):
    box = drive(DRIFT)
    minute(box, "a change")
    minute(box, "a large change")
    again = restarted(box)
    assert minute(again, "a large change") == []
    assert minute(again, "a large change") == []
    (update,) = minute(again, "an extreme change")
    assert update.event.value == "updated"


def test_an_alert_ends_with_what_it_was(drive):
    box = drive(DRIFT)
    minute(box, "a change")
    (over,) = minute(box, "", 0.3, ended="something large in view for 10 min; it is over")
    assert over.what == "camera front: something large in view for 10 min; it is over"
    assert over.event.value == "resolved"
