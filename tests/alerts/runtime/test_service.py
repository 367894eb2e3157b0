"""Twin of agent/alerts/runtime/service.py, with the real store; an operator's session over the real control socket."""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import shutil
import socket
import sqlite3
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent.alerts import memory_pieces
from agent.alerts.engine import MOST_PUBLISHED, AlertEngine
from agent.alerts.hourly_memory import HourlyMemory
from agent.alerts.rules import compile_rules
from agent.alerts.runtime.service import AlertService
from agent.alerts.runtime.store import FILE_NAME, AlertStore, changes
from agent.app.control_socket import ControlServer
from agent.cli import alerts as alerts_command
from agent.config.alert_settings import AlertSettings, RuleSettings
from agent.core.errors import VedetteError
from agent.core.types import AlertState, Observation
from tests.waiting import wait_until

HOT = RuleSettings(name="hot", when="host.temperature_celsius > 80", advice="Check the fan.")
QUIET = RuleSettings(name="quiet", when="host.cpu_ratio > 90%", tell="journal")
LOCAL = RuleSettings(name="local", when="host.broker_connected < 1", tell="local")


def service_in(folder, *rules):
    service = AlertService(
        AlertEngine(compile_rules(rules or (HOT,), AlertSettings(default_rules=False))),
        AlertStore(folder),
        cameras=lambda: ["hall", "yard"],
    )
    service.open()
    return service


def observe(service, value, metric="host.temperature_celsius"):
    now = time.time()
    return service.step([Observation(metric=metric, value=value, at=now)], now)


@pytest.fixture
def state():
    folder = Path(tempfile.mkdtemp(prefix="vd"))  # a socket's path must be short
    yield folder
    shutil.rmtree(folder)


def test_each_transition_is_one_journal_line(state):
    service = service_in(state)
    with capture_logs() as logs:
        observe(service, 90.0)
        observe(service, 50.0)
    assert [entry["log_level"] for entry in logs] == ["warning", "info"]
    fired, over = (entry["event"] for entry in logs)
    assert fired.startswith("WARNING: host: temperature 90 °C (expected at most 80 °C; at ")
    assert "Check the fan. [hot-box-" in fired
    assert over.startswith("resolved: host: temperature back to 50 °C (over ")
    assert "\n" not in fired + over


def test_a_rule_that_nothing_is_observed_for_is_spoken_of_once(state, monkeypatch):
    monkeypatch.setattr("agent.alerts.runtime.service.UNOBSERVED_SECONDS", 0.0)
    typo = RuleSettings(name="typo", when='camera.detections_peron{camera="front"} > 5')
    service = service_in(state, HOT, typo)
    with capture_logs() as logs:
        observe(service, 1.0, "camera.detections_person")
        observe(service, 1.0)
    assert [(entry["rule"], entry["event"]) for entry in logs] == [
        ("hot", "a rule cannot fire: nothing is observed of host.temperature_celsius"),
        ("typo", "a rule cannot fire: nothing is observed of camera.detections_peron{camera=\"front\"}; did you mean "
         "'camera.detections_person'?"),
    ]  # fmt: skip


def test_a_rule_chooses_its_audience(state):
    service = service_in(state, HOT, QUIET, LOCAL)
    now = time.time()
    step = service.step(
        [
            Observation(metric="host.temperature_celsius", value=90.0, at=now),
            Observation(metric="host.cpu_ratio", value=0.99, at=now),
            Observation(metric="host.broker_connected", value=0.0, at=now),
        ],
        now,
    )
    assert [alert.rule for alert in step.publish] == ["hot"]
    assert sorted(alert.rule for alert in step.notify) == ["hot", "local"]
    assert service.firing_count() == 3


class Minutes:
    """A service on a time of its own, with an observation a minute."""

    def __init__(self, monkeypatch, folder, *rules):
        self.now = 1_000_000.0
        for name in ("now", "monotonic", "boottime"):
            monkeypatch.setattr(f"agent.alerts.runtime.service.clock.{name}", lambda: self.now)
        self.folder, self.rules, self.service = folder, rules, None
        self.restart()

    def restart(self):
        """As after a kill: nothing is saved."""
        if self.service is not None:
            self.service._store.close()
        self.service = service_in(self.folder, *self.rules)

    def go(self, minutes, value, metric):
        """The events of so many minutes."""
        events = []
        for _ in range(minutes):
            for second in range(60):
                self.now += 1
                seen = [] if second else [Observation(metric=metric, value=value, at=self.now)]
                events += self.service.step(seen, self.now).publish
        return [alert.event.value for alert in events]


def test_what_a_budget_burnt_before_a_kill_counts_but_for_a_quarter_of_an_hour(state, monkeypatch):
    burn = RuleSettings(name="burn", when="burn(host.temperature_celsius > 80, 99%, 6h) > 10")
    box = Minutes(monkeypatch, state, burn)
    assert box.go(170, 90.0, "host.temperature_celsius") == []  # half of the window must be known
    box.restart()
    assert box.go(12, 90.0, "host.temperature_celsius") == ["fired"]


def test_what_an_agent_before_this_one_saved_is_taken_over(state, monkeypatch):
    """Samples were part of the state, and no size was a multiple of a page."""
    burn = RuleSettings(name="burn", when="burn(host.temperature_celsius > 80, 99%, 1h) > 10")
    box = Minutes(monkeypatch, state, burn)
    box.go(60, 90.0, "host.temperature_celsius")
    engine = box.service._engine
    old = {**engine.to_snapshot(box.now), "series": engine.samples_snapshot()}
    box.service._store.close()
    with closing(sqlite3.connect(state / FILE_NAME)) as kept, kept:
        kept.execute("DELETE FROM kept")
        kept.execute("INSERT OR REPLACE INTO kept VALUES ('state', ?)", (json.dumps(old),))
    box.restart()
    assert box.go(12, 90.0, "host.temperature_celsius") == []
    assert box.service.firing_count() == 1


def test_a_standing_alert_costs_the_disk_little(state, monkeypatch):
    """Its state is written every minute; in place, and without the samples of other rules."""
    box = Minutes(monkeypatch, state)
    box.service._store.close()
    box.service = AlertService(AlertEngine(compile_rules()), AlertStore(state))
    box.service.open()
    box.go(5, 0.99, "host.disk_used_ratio")
    assert box.service.firing_count() == 1
    log = state / f"{FILE_NAME}-wal"
    box.service._store._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    box.go(10, 0.99, "host.disk_used_ratio")
    assert 0 < log.stat().st_size < 10 * 3 * 4200, "not three pages a minute"


def usual(now):
    """Two weeks of what the built-in anomaly rules remember of four cameras, as `memory_snapshot` returns it."""
    series = [(f"camera.{name}", {"camera": f"cam{n}"}) for n in range(4)
              for name in ("latency_p99_seconds", "detections_per_frame", "fps_in")]  # fmt: skip
    series += [("host.temperature_celsius", {}), ("host.memory_used_ratio", {})]
    rng, whole = random.Random(1), []
    for metric, labels in series:
        memory = HourlyMemory()
        for number in range(14 * 288):
            memory.add(rng.gauss(1.0, 0.1), now - (14 * 288 - number) * 300)
        whole.append({"metric": metric, "labels": labels, **memory.to_snapshot()})
    return whole


@pytest.mark.parametrize("saved", ["in pieces", "by the version before"])
def test_two_weeks_of_memory_cost_the_disk_little_and_are_there_after_a_restart(state, monkeypatch, saved):
    """All of it was written anew every half hour: 40 MB a day."""
    box = Minutes(monkeypatch, state)
    box.service._store.close()
    whole, store = usual(box.now), AlertStore(state)
    store.open()
    store.record([], memory_pieces.split(whole) if saved == "in pieces" else {"memory": whole})
    store.close()
    box.service = AlertService(AlertEngine(compile_rules()), AlertStore(state))
    box.service.open()
    log = state / f"{FILE_NAME}-wal"

    def hour():
        box.service._store._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for second in range(3600):
            box.now += 1
            seen = [
                Observation(metric=one["metric"], value=0.8, at=box.now, labels=one["labels"])
                for one in whole
            ]
            box.service.step([] if second % 60 else seen, box.now)
        return log.stat().st_size

    hour()  # the first saving after an upgrade writes all of it, once
    assert 0 < hour() < 120_000
    remembered = box.service._engine.memory_snapshot()
    assert sum(len(days) for one in remembered for days in one["hours"].values()) > 14 * 14 * 23
    box.service.close()
    box.service = AlertService(AlertEngine(compile_rules()), AlertStore(state))
    box.service.open()
    assert box.service._engine.memory_snapshot() == remembered


def test_an_operators_session_survives_a_restart(state):
    service = service_in(state)
    (fired,) = observe(service, 90.0).publish
    handlers = service.handlers()
    handlers["acknowledge"]({"id": "hot", "who": "ada", "why": "on it"})
    handlers["snooze"]({"id": "hot", "for": "2h", "who": "ada"})
    handlers["mute"]({"camera": "yard", "schedule": "mon-fri 08:00-17:00", "who": "bob", "why": "works"})
    handlers["limit"]({"rule": "hot", "value": 85.0, "who": "ada", "why": "summer"})
    service._store.close()  # nothing is saved: the process was killed
    twin = service_in(state)
    published = observe(twin, 90.0).publish  # the controls, which it had no time to publish; nothing else
    assert [alert.event.value for alert in published] == ["acknowledged", "snoozed"]
    shown = twin.handlers()["alerts"]({})["alerts"]
    assert [(alert["id"], alert["told"]) for alert in shown] == [(fired.id, True)]
    assert {kind: control["who"] for kind, control in shown[0]["controls"].items()} == {
        "acknowledged": "ada", "snoozed": "ada", "limit": "ada",
    }  # fmt: skip
    controls = twin.handlers()["controls"]({})["controls"]
    assert [(entry["id"], entry["kind"]) for entry in controls] == [
        ("c1", "acknowledge"), ("c2", "snooze"), ("c3", "mute"), ("c4", "limit"),
    ]  # fmt: skip
    (over,) = observe(twin, 84.0).publish  # below the changed limit
    assert (over.id, over.state) == (fired.id, AlertState.RESOLVED)
    twin.handlers()["undo"]({"id": "c4", "who": "bob"})
    twin.handlers()["undo"]({"id": "c2", "who": "bob"})
    assert [alert.rule for alert in observe(twin, 84.0).publish] == ["hot"]
    twin.close()
    twin.close()


def test_history_is_kept_and_bounded(state):
    store = AlertStore(state, most_history=5)
    service = AlertService(AlertEngine(compile_rules([HOT], AlertSettings(default_rules=False))), store)
    service.open()
    for value in (90.0, 50.0) * 2:
        observe(service, value)
    service.close()
    again = service_in(state)
    history = again.handlers()["history"]({"since": "1h"})["alerts"]
    assert [alert["state"] for alert in history] == ["firing", "resolved"] * 2
    assert again.handlers()["history"]({"since": time.time() + 5})["alerts"] == []
    again.close()
    small = AlertStore(state, most_history=3)
    small.open()
    from agent.alerts.alert_json import alert_from_json

    small.record([alert_from_json(history[0])])
    assert len(changes(small.history())) == 3
    small.close()


@pytest.mark.parametrize(
    ("command", "args", "said"),
    [
        ("acknowledge", {}, "`id` is missing"),
        ("acknowledge", {"id": "cold"}, "there is no alert 'cold'"),
        ("acknowledge", {"id": 5}, "`id` is a number; expected a string"),
        ("snooze", {"id": "hot"}, "until when"),
        ("snooze", {"id": "hot", "for": "soon"}, 'expected a duration such as "2h"'),
        ("snooze", {"id": "hot", "until": "25:00"}, "is not a time"),
        ("snooze", {"id": "hot", "until": "2020-01-01T00:00"}, "in the past"),
        ("snooze", {"id": "hot", "for": "1h", "until": "18:00"}, "not both"),
        ("limit", {"rule": "hot", "value": "high"}, "expected a number"),
        ("limit", {"rule": "cold", "value": 5}, "no rule 'cold'"),
        ("limit", {"rule": "hto", "value": 5}, "no rule 'hto'; did you mean 'hot'?"),
        ("limit", {"rule": "hot", "value": 5, "camera": "hal"}, "no camera 'hal'; did you mean 'hall'?"),
        ("mute", {}, "say what to mute"),
        ("mute", {"rule": "nosuch"}, "no rule 'nosuch'; see `vedette rules list`"),
        ("mute", {"camera": "nosuch"}, "no camera 'nosuch'; there are hall, yard"),
        ("acknowledge", {"id": "hot-bx"}, "no alert 'hot-bx'; did you mean 'hot-box'?"),
        ("snooze", {"id": "hot-bx", "for": "1h"}, "no alert 'hot-bx'; did you mean 'hot-box'?"),
        ("mute", {"rule": "hot", "why": "x" * 501}, "at most 500"),
        ("undo", {"id": "c9"}, "there is no control 'c9'"),
        ("history", {"since": "yore"}, "is not a time"),
        ("history", {"since": 1e300}, "`since` is 1e\\+300"),
        ("history", {"since": float("inf")}, "`since` is inf"),
        ("history", {"since": 10**400}, "`since` is 1000"),
        ("history", {"since": "9" * 90 + "w"}, "at most 64"),
        ("history", {"since": -5}, "`since` is -5"),
        ("history", {"since": True}, "expected a"),
        ("history", {"since": [1]}, "expected a string"),
        ("history", {"limit": -1}, "`limit` is -1; expected from 1 to 500"),
        ("history", {"limit": 0}, "`limit` is 0"),
        ("history", {"limit": 1.5}, "whole number"),
        ("history", {"limit": float("nan")}, "`limit` is nan"),
        ("history", {"offset": 1e300}, "`offset` is 1e\\+300"),
        ("history", {"sinse": "1h"}, "did you mean 'since'"),
        ("alerts", {"all": "yes"}, "expected true or false"),
        ("snooze", {"id": "hot", "for": "9999999w"}, "expected a duration"),
        ("snooze", {"id": "hot", "for": 10**400}, "expected a duration"),
        ("snooze", {"id": "hot", "for": -5}, "expected a duration"),
        ("snooze", {"id": "hot", "until": 1e300}, "`until` is 1e\\+300"),
        ("snooze", {"id": "hot", "until": "99999999999999-01-01"}, "is not a time"),
        ("limit", {"rule": "hot", "value": float("inf")}, "`value` is inf"),
        ("limit", {"rule": "hot", "value": 10**400}, "`value` is 1000"),
        ("mute", {"camra": "yard"}, "did you mean 'camera'"),
        ("mute", {"schedule": "99:99-1:00"}, "is not a schedule"),
    ],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(state, command, args, said):
    service = service_in(state)
    observe(service, 90.0)
    with pytest.raises(VedetteError, match=said):
        service.handlers()[command](args)
    assert service.handlers()["controls"]({})["controls"] == []


def test_until_a_time_of_day_is_the_next_one(state):
    service = service_in(state)
    observe(service, 90.0)
    until = service.handlers()["snooze"]({"id": "hot", "until": "03:30", "who": "ada"})["control"]["until"]
    assert 0 < until - time.time() <= 86400
    assert time.localtime(until)[3:5] == (3, 30)


@pytest.mark.parametrize("content", [b"this is no database, but long enough to be one" * 100, b""])
def test_a_broken_store_is_set_aside(state, content):
    (state / FILE_NAME).write_bytes(content)
    with capture_logs() as logs:
        service = service_in(state)
    assert (state / "alerts.broken").exists() is bool(content)
    assert bool(logs) is bool(content)
    observe(service, 90.0)
    assert len(service.handlers()["history"]({})["alerts"]) == 1
    service.close()


def test_a_store_whose_tables_are_not_ours_is_set_aside(state):
    with closing(sqlite3.connect(state / FILE_NAME)) as database, database:
        database.execute("CREATE TABLE kept (title TEXT)")
    service = service_in(state)
    assert (state / "alerts.broken").exists()
    observe(service, 90.0)
    assert len(service.handlers()["history"]({})["alerts"]) == 1
    service.close()


def test_a_snapshot_that_makes_no_sense_is_left(state):
    store = AlertStore(state)
    store.open()
    store.record([], {"state": {"tracks": "none"}, "memory": 5})
    store.close()
    with capture_logs() as logs:
        service = service_in(state)
    assert [entry["event"] for entry in logs] == [
        "the stored state of the alerts cannot be used, starting without it"
    ] * 2
    assert len(observe(service, 90.0).publish) == 1


def test_without_a_disk_alerts_go_on(state):
    (state / "file").write_text("")
    with capture_logs() as logs:
        service = service_in(state / "file" / "below")
        assert len(observe(service, 90.0).publish) == 1
        assert observe(service, 50.0).publish[0].state is AlertState.RESOLVED
    assert sum("alerts continue without it" in entry["event"] for entry in logs) == 1


def test_ten_thousand_alerts_leave_a_readable_journal(state):
    service = service_in(state)
    now = time.time()
    burst = [
        Observation(metric="host.temperature_celsius", value=90.0, at=now, labels={"sensor": str(number)})
        for number in range(10_000)
    ]
    with capture_logs() as logs:
        step = service.step(burst, now)
    assert len(step.publish) == MOST_PUBLISHED
    assert [entry["event"] for entry in logs[-2:]] == [
        "and 450 more alerts; see `vedette alerts`",
        "more alerts fire than are published at a time; see `vedette alerts --all`",
    ]
    assert len(logs) == 52
    assert logs[-1]["waiting"] == 10_000 - MOST_PUBLISHED
    assert service.handlers()["alerts"]({})["count"] == MOST_PUBLISHED
    assert service.handlers()["alerts"]({"all": True})["count"] == 10_000
    with capture_logs() as logs:
        service.step([], now + 1)
    assert logs == []
    service.close()
    assert len(json.dumps(service_in(state).handlers()["alerts"]({}))) < 1_000_000


# -- the command, over the real socket --------------------------------------------------------------------------


@pytest.fixture
def agent(state, monkeypatch):
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    service = service_in(state)
    server, stop = ControlServer(state, {"status": dict, **service.handlers()}), threading.Event()
    thread = threading.Thread(target=server.run, args=(stop,))
    thread.start()
    wait_until(server.path.exists, 60)
    yield service
    stop.set()
    thread.join(5)
    service.close()


def vedette(state, *words):
    parser = argparse.ArgumentParser()
    alerts_command.add_arguments(parser)
    return alerts_command.run(parser.parse_args(["--state", str(state), "--who", "ada", *words]))


def test_the_command_line(agent, state, capsys):
    assert vedette(state) == 0
    assert capsys.readouterr().out == "nothing fires\n"
    observe(agent, 90.0)
    vedette(state, "ack", "hot", "--why", "on it")
    vedette(state, "limit", "hot", "85", "--for", "1d")
    vedette(state, "mute", "--camera", "yard", "--schedule", "sat-sun")
    capsys.readouterr()
    vedette(state, "--all")
    shown = capsys.readouterr().out
    assert "WARNING  host: temperature 90 °C" in shown
    assert "acknowledged by ada at " in shown
    assert "to do      Check the fan." in shown
    vedette(state, "controls")
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in shown] == ["acknowledge", "limit", "mute"]
    assert "hot = 85, by ada at " in shown[1]
    vedette(state, "undo", "c2")
    assert "undone: c2" in capsys.readouterr().out
    vedette(state, "history", "--since", "1h")
    assert "WARNING: host: temperature 90 °C" in capsys.readouterr().out
    with pytest.raises(VedetteError, match="there is no alert 'nothing'"):
        vedette(state, "ack", "nothing")


def test_history_without_an_agent_comes_from_the_store(state, capsys):
    with pytest.raises(VedetteError, match="there is no history"):
        vedette(state, "history")
    service = service_in(state)
    observe(service, 90.0)
    service.close()
    vedette(state, "history")
    assert "temperature 90 °C" in capsys.readouterr().out
    with socket.socket(socket.AF_UNIX) as left_behind:  # by an agent that was killed
        left_behind.bind(str(state / "control.sock"))
    vedette(state, "history")
    assert "temperature 90 °C" in capsys.readouterr().out
    with pytest.raises(VedetteError, match="no agent answers"):
        vedette(state)


def with_history(state, count):
    """An alert that fired, and in the history so many of its like after it: a0, a1, ..."""
    service = service_in(state)
    (fired,) = observe(service, 90.0).publish
    service.close()
    store = AlertStore(state)
    store.open()
    store.record([dataclasses.replace(fired, id=f"a{number}") for number in range(count)])
    store.close()
    return fired


def test_the_history_comes_in_pages_that_fit_a_message(state):
    fired = with_history(state, 299)
    again = service_in(state)
    seen, pages, offset = [], 0, 0
    while offset is not None:
        page = again.handlers()["history"]({"since": "1h", "offset": offset, "limit": 500})
        assert page["count"] == 300 and len(json.dumps(page)) < 64 * 1024
        seen, pages, offset = [*page["alerts"], *seen], pages + 1, page.get("next")
    assert pages > 1
    assert [alert["id"] for alert in seen] == [fired.id, *(f"a{number}" for number in range(299))]
    assert [alert["id"] for alert in again.handlers()["history"]({"limit": 2})["alerts"]] == ["a297", "a298"]


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize(
    ("before", "after", "published", "notified"),
    [
        ("all", "local", True, True),
        ("all", "journal", True, True),
        ("all", None, True, True),
        ("local", "all", False, True),
        ("local", None, False, True),
        ("journal", None, False, False),
    ],
)
def test_an_end_goes_where_the_beginning_went(state, restarted, before, after, published, notified):
    """A broker kept an alert for ever whose rule was made local; what was local went out once its rule was removed."""
    service = service_in(state, dataclasses.replace(HOT, tell=before), QUIET)
    assert bool(observe(service, 90.0).publish) is (before == "all")
    rules = [dataclasses.replace(HOT, tell=after), QUIET] if after else [QUIET]
    if restarted:
        service.close()
        service = service_in(state, *rules)
    else:
        service.set_rules(compile_rules(rules, AlertSettings(default_rules=False)))
    over = observe(service, 50.0)
    assert [alert.state for alert in over.publish] == [AlertState.RESOLVED] * published
    assert [alert.state for alert in over.notify] == [AlertState.RESOLVED] * notified
    service.close()


def test_of_a_long_history_only_the_page_is_read(state):
    """All before it was parsed under the lock that each step of the analyst takes: seconds for each page."""
    fired = with_history(state, 20)
    with closing(sqlite3.connect(state / FILE_NAME)) as database:
        database.execute("UPDATE history SET body = 'x' WHERE id >= 'a5' AND id <= 'a9'")
        database.commit()
    again = service_in(state)
    again._budget.spend(1e9, time.monotonic())  # what changes now waits to be saved
    over = observe(again, 50.0).publish
    assert len(over) == 1
    with capture_logs() as logs:
        page = again.handlers()["history"]({"offset": 16, "limit": 3})
        last = again.handlers()["history"]({"offset": 19, "limit": 9})
        newest = again.handlers()["history"]({"limit": 2})
    assert [alert["id"] for alert in page["alerts"]] == ["a2", "a3", "a4"]
    assert [alert["id"] for alert in last["alerts"]] == [fired.id, "a0", "a1"]
    assert [alert["id"] for alert in newest["alerts"]] == ["a19", over[0].id]
    assert not logs
    again.close()


def test_random_arguments_are_refused_or_taken_and_nothing_else(state):
    random_ = random.Random(1)
    service = service_in(state)
    observe(service, 90.0)
    values = [None, True, 0, -1, 1.5, 1e300, 10**400, float("nan"), float("-inf"), "", "hot", "1h", "18:00", "9" * 400, "a" * 9000,
              "\x1b]0;x", "\ud800", [], [1], {}, {"a": 1}, "2026-01-31T18:00", "0000-00-00", "mon-fri", "-", ":", "::", "24:00", "1:1"]  # fmt: skip
    names = [
        "id",
        "rule",
        "camera",
        "schedule",
        "value",
        "for",
        "until",
        "who",
        "why",
        "since",
        "limit",
        "offset",
        "all",
        "x" * 300,
    ]
    for _ in range(3000):
        handler = random_.choice(list(service.handlers().values()))
        args = {name: random_.choice(values) for name in random_.sample(names, random_.randint(0, 4))}
        try:
            reply = handler(args)
        except VedetteError as error:
            assert str(error).isprintable() and len(str(error)) < 2000, args
            continue
        json.dumps(reply)
