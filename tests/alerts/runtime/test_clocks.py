"""The alert service on clocks that are set, sleep and reboot: the real store, log of observations, commands."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from agent.alerts.engine import AlertEngine
from agent.alerts.rules import compile_rules
from agent.alerts.runtime import observation_log
from agent.alerts.runtime.observation_log import KEEP_DAYS, ObservationLog, day_of
from agent.alerts.runtime.service import AlertService
from agent.alerts.runtime.store import AlertStore
from agent.config.alert_settings import AlertSettings, RuleSettings
from agent.core import clock
from agent.core.errors import VedetteError
from agent.core.types import AlertState, Observation
from tests.clocks import Machine

HOUR, DAY, YEAR = 3600.0, 86400.0, 365.25 * 86400
STEPS = [600.0, HOUR, 56 * YEAR, -600.0, -HOUR, -40 * YEAR]
RULES = compile_rules(
    [
        RuleSettings(name="hot", when="host.temperature_celsius > 80 for 5m"),
        RuleSettings(name="silent", when="absent(camera.frames_seen) for 1h", severity="critical"),
    ],
    AlertSettings(default_rules=False),
)


class Box:
    """A machine with an alert service on it."""

    def __init__(self, folder, monkeypatch):
        self.machine, self.folder, self.monkeypatch = Machine(true=1_790_000_000.0), folder, monkeypatch
        self.published, self.hot = [], False
        self.start()

    def start(self, before=None):
        steady = self.machine.clock()
        if before is not None:
            steady.resume(before)
        self.machine.install(self.monkeypatch, steady)
        self.service = AlertService(AlertEngine(RULES), AlertStore(self.folder), ObservationLog(self.folder))
        self.service.open()

    def restart(self, **reboot):
        self.service.close()
        before = clock.shared.state()
        if reboot:
            self.machine.reboot(**reboot)
        self.start(before)

    def run(self, seconds, *, report=True):
        for _ in range(round(seconds / 30)):
            self.machine.run(30)
            self.step(report=report)

    def step(self, *, report=True):
        now = clock.now()
        values = [("host.temperature_celsius", 95.0 if self.hot else 50.0, {})]
        values += [("camera.frames_seen", 100.0, {"camera": "front"})] if report else []
        seen = [
            Observation(metric=metric, value=value, at=now, labels=labels) for metric, value, labels in values
        ]
        self.published += self.service.step(seen, now).publish

    def ask(self, command, **args):
        return self.service.handlers()[command](args)

    def events(self):
        return [(alert.rule, alert.event.value) for alert in self.published]


@pytest.fixture
def box(tmp_path, monkeypatch):
    return Box(tmp_path, monkeypatch)


@pytest.mark.parametrize("step", STEPS)
def test_a_clock_that_is_set_fires_ends_and_forgets_nothing(box, step):
    box.hot = True
    box.run(600)
    (fired,) = box.published
    box.ask("acknowledge", id=fired.id, who="ada")
    box.run(60)
    box.published.clear()
    box.machine.step(step)
    box.run(2 * HOUR)
    assert box.events() == []
    (listed,) = box.ask("alerts")["alerts"]
    assert (listed["id"], listed["controls"]["acknowledged"]["who"]) == (fired.id, "ada")
    box.hot = False
    box.run(60)
    (over,) = box.published
    assert (over.id, over.state) == (fired.id, AlertState.RESOLVED)
    assert over.changed_at == pytest.approx(box.machine.wall(), abs=60)
    assert over.changed_at - over.first_seen == pytest.approx(600 + 60 + 2 * HOUR, abs=90)
    assert "lasted 2 h 11 min" in over.window


@pytest.mark.parametrize("step", STEPS)
def test_a_step_in_the_middle_of_a_hold_neither_shortens_nor_lengthens_it(box, step):
    box.run(60)
    box.hot = True
    box.run(180)
    box.machine.step(step)
    box.run(120)
    assert box.events() == []
    box.run(60)
    assert box.events() == [("hot", "fired")]
    assert box.published[0].changed_at - box.published[0].first_seen == pytest.approx(300, abs=31)


def test_absence_counts_the_time_that_passed(box):
    box.run(60)
    box.machine.step(56 * YEAR)
    box.run(HOUR - 120, report=False)
    box.machine.step(-56 * YEAR)
    assert box.events() == []
    box.run(240, report=False)
    assert box.events() == [("silent", "fired")]
    assert "for 1 h" in box.published[0].what


def test_what_is_absent_stays_so_over_a_restart(box):
    box.run(60)
    box.run(HOUR + 120, report=False)
    (fired,) = box.published
    box.restart(off=HOUR, rtc=True)
    box.run(600, report=False)
    assert box.published == [fired]
    box.run(60)
    assert box.events()[1:] == [("silent", "resolved")]


def test_a_box_that_slept_finds_nothing_stale_or_absent(box):
    box.hot = True
    box.run(600)
    box.machine.sleep(9 * HOUR)
    box.run(30, report=False)
    box.run(120)
    assert box.events() == [("hot", "fired")]


@pytest.mark.parametrize("step", STEPS)
def test_a_mute_for_two_hours_lasts_two_hours(box, step):
    box.ask("mute", rule="hot", who="ada", **{"for": "2h"})
    box.machine.step(step)
    box.hot = True
    box.run(2 * HOUR - 60)
    assert box.events() == []
    (control,) = box.ask("controls")["controls"]
    assert control["until"] - control["at"] == pytest.approx(2 * HOUR)
    assert control["until"] == pytest.approx(box.machine.wall() + 60, abs=31)
    box.run(120)
    assert box.events() == [("hot", "fired")]


def test_a_mute_until_a_time_ends_by_the_wall_clock(box):
    until = datetime.fromtimestamp(box.machine.wall() + 4 * HOUR, timezone.utc).isoformat()
    box.ask("mute", rule="hot", who="ada", until=until)
    box.hot = True
    box.run(HOUR)
    assert box.events() == []
    box.machine.step(3 * HOUR)
    box.run(60)
    assert box.events() == [("hot", "fired")]
    past = datetime.fromtimestamp(box.machine.wall() - 60, timezone.utc).isoformat()
    with pytest.raises(VedetteError, match="the end is in the past"):
        box.ask("mute", rule="hot", who="ada", until=past)


def test_a_mute_by_schedule_follows_the_wall_clock(box):
    wall = box.machine.wall()
    local = datetime.fromtimestamp(wall).astimezone()
    start, end = (local.replace(hour=(local.hour + add) % 24).strftime("%H:00") for add in (2, 4))
    box.ask("mute", rule="hot", who="ada", schedule=f"{start}-{end}")
    box.machine.step(2.5 * HOUR)
    box.hot = True
    box.run(600)
    assert box.events() == []
    box.machine.step(2 * HOUR)
    box.run(60)
    assert box.events() == [("hot", "fired")]


@pytest.mark.parametrize("rtc", [True, False])
def test_a_reboot_shortens_a_snooze_by_the_time_off_once_it_is_known(box, rtc):
    box.hot = True
    box.run(600)
    box.ask("snooze", id=box.published[0].id, who="ada", **{"for": "2h"})
    box.run(60)
    box.published.clear()
    box.restart(off=1.5 * HOUR, rtc=rtc)
    box.run(600)
    assert box.events() == []
    box.machine.sync()
    box.run(HOUR / 3)  # with the time off 2 h are over
    assert box.events() == [("hot", "reminder")]
    assert box.published[0].changed_at == pytest.approx(box.machine.true, abs=HOUR / 3)


def test_the_history_of_the_last_hour_is_asked_for_by_wall_time(box):
    box.hot = True
    box.run(600)
    box.machine.step(3 * HOUR)
    box.hot = False
    box.run(60)
    assert [alert["event"] for alert in box.ask("history", since="1h")["alerts"]] == ["resolved"]
    assert [alert["event"] for alert in box.ask("history", since="24h")["alerts"]] == ["fired", "resolved"]


def test_observations_are_recorded_under_the_time_of_the_wall_clock(box, tmp_path):
    box.machine.step(-56 * YEAR)
    box.run(300)
    wrong = day_of(box.machine.wall())
    box.machine.sync()
    box.run(300)
    box.service.close()
    days = observation_log.days(tmp_path)
    assert {wrong, day_of(box.machine.true)} <= days.keys()
    times = [item.at for item in observation_log.read(days[day_of(box.machine.true)])]
    assert max(times) == pytest.approx(box.machine.true, abs=61)


def test_days_of_a_clock_that_was_ahead_are_the_first_to_go(tmp_path):
    log, now = ObservationLog(tmp_path), 1_790_000_000.0

    def record(at):
        log.record([Observation(metric="host.cpu_ratio", value=0.5, at=at)], at)
        log.flush(at)

    for number in range(KEEP_DAYS):
        record(now + 10 * YEAR + number * DAY)
    for number in range(3):
        record(now + number * DAY)
    days = observation_log.days(tmp_path)
    assert len(days) == KEEP_DAYS
    assert {day_of(now + number * DAY) for number in range(3)} <= days.keys()


def test_a_boot_in_1970_takes_no_recorded_day_for_one_of_the_future(tmp_path):
    log, now = ObservationLog(tmp_path), 1_790_000_000.0
    for number in range(KEEP_DAYS):
        at = now + number * DAY
        log.record([Observation(metric="host.cpu_ratio", value=0.5, at=at)], at)
        log.flush(at)
    log.record([Observation(metric="host.cpu_ratio", value=0.5, at=100.0)], 100.0)
    log.flush(100.0, clock_synced=False)
    assert day_of(now + (KEEP_DAYS - 1) * DAY) in observation_log.days(tmp_path)
    assert "1970-01-01" in observation_log.days(tmp_path)
