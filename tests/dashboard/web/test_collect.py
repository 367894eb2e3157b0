"""Collectors on a real broker and a real PostgreSQL: they share the messages, and none is lost whatever dies."""

import functools
import json
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest

from agent.config.delivery_settings import BrokerSettings
from agent.core.secret import Masked
from agent.delivery.messages import rfc3339
from tests.conftest import MOSQUITTO
from tests.dashboard.web.conftest import Web, alert, camera_window

pytest.importorskip("psycopg")
pytest.importorskip("psycopg_pool")

from agent.dashboard.web.collect import CollectOptions, SharedCollector
from agent.dashboard.web.postgres.address import parse_database
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(not MOSQUITTO, reason="needs mosquitto"),
    pytest.mark.xdist_group("postgres"),
]


@contextmanager
def collecting(mosquitto, database, name, **options):
    """A collector in a thread; `stop` ends it as SIGTERM would."""
    usual = {"orphan_seconds": 2.0, "beat_seconds": 0.2, "drain_seconds": 1.0}
    notes, stop = [], threading.Event()
    collector = SharedCollector(
        BrokerSettings(url=Masked(mosquitto.url)), parse_database(database.url),
        CollectOptions(name=name, **{**usual, **options}), notes.append,
    )  # fmt: skip
    collector.notes = notes
    thread = threading.Thread(target=collector.run, args=(stop,))
    thread.start()

    def end():
        stop.set()
        thread.join(90)
        assert not thread.is_alive()

    collector.end = end
    try:
        yield collector
    finally:
        end()


until = functools.partial(wait_until, seconds=90)


def rows(database):
    return database.sql('SELECT count(*) FROM vedette."window"')[0][0]


def sessions(database):
    return [name for (name,) in database.sql("SELECT client FROM vedette.collector ORDER BY 1")]


class Fleet:
    """Publishes one window after the other, each of another minute, and counts them."""

    def __init__(self, publish, now):
        self._publish, self._now, self.count = publish, now, 0

    def send(self, number):
        sent = []
        for _ in range(number):
            device, minute = self.count % 7, self.count // 7
            self.count += 1
            topic = f"vedette/north/box-{device}/camera/front"
            body = camera_window(self._now - 60 * minute)
            sent.append(self._publish.client.publish(topic, json.dumps(body).encode(), qos=1))
        for one in sent:
            one.wait_for_publish(60)


@pytest.fixture
def fleet(publish):
    return Fleet(publish, time.time())


def test_two_share_the_messages_and_what_one_had_when_it_was_killed_is_written_by_the_other(
    mosquitto, database, publish, fleet
):
    now = time.time()
    publish("status", {"state": "online", "since": rfc3339(now), "version": "1"}, retain=True)
    publish("alert/a", alert(now), retain=True)
    command = [sys.executable, "-m", "agent", "collect", "--broker", mosquitto.url, "--name", "doomed"]
    doomed = subprocess.Popen([*command, "--store", database.url], stdout=subprocess.PIPE, text=True)
    try:
        assert "collector doomed: into postgresql://" in doomed.stdout.readline()
        assert "connected" in doomed.stdout.readline()
        until(lambda: database.sql("SELECT id FROM vedette.alert"))  # retained, and so subscribed
        fleet.send(30)
        until(lambda: rows(database) == 30)
        with collecting(mosquitto, database, "survivor") as survivor:
            until(lambda: survivor._session.subscriptions and len(sessions(database)) == 2)
            fleet.send(40)
            until(lambda: rows(database) == 70)
            assert 0 < survivor.written < 40 + 10  # it had its share, and all of status and alerts
            doomed.send_signal(signal.SIGSTOP)
            fleet.send(600)  # the half of them is on its way to a process that will never write it
            doomed.kill()
            until(lambda: rows(database) == 670)
            until(lambda: sessions(database) == ["vedette-collect-survivor"])
            assert any("vedette-collect-doomed is seen no more" in note for note in survivor.notes)
            fleet.send(50)
            until(lambda: rows(database) == 720)
            assert database.sql("SELECT state, count(*) FROM vedette.alert GROUP BY 1") == [("firing", 1)]
    finally:
        doomed.kill()
        doomed.wait(30)
        doomed.stdout.close()


def test_one_that_stops_leaves_its_share_to_the_others_and_the_last_leaves_it_to_whoever_comes(
    mosquitto, database, fleet
):
    with ExitStack() as running:
        first, second = (
            running.enter_context(collecting(mosquitto, database, name)) for name in ("first", "second")
        )
        until(lambda: first._session.subscriptions and second._session.subscriptions)
        until(lambda: len(sessions(database)) == 2 if database.sql(_TABLES) else 0)
        first.end()
        assert sessions(database) == ["vedette-collect-second"]
        fleet.send(50)
        until(lambda: rows(database) == 50)
        second.end()
        assert sessions(database) == ["vedette-collect-second"]
        fleet.send(50)  # to nobody
        with collecting(mosquitto, database, "third"):
            until(lambda: rows(database) == 100)
            until(lambda: sessions(database) == ["vedette-collect-third"])


_TABLES = "SELECT 1 WHERE to_regclass('vedette.collector') IS NOT NULL"


def test_a_database_that_is_away_at_the_start_and_in_between_costs_one_line_and_no_message(
    mosquitto, database, fleet
):
    database.server.stop()
    with collecting(mosquitto, database, "only") as collector:
        until(lambda: collector._session.subscriptions)
        fleet.send(20)
        until(lambda: collector.error)
        fleet.send(700)  # more than the broker sends ahead
        database.server.start()
        until(lambda: collector.written >= 720)
        assert rows(database) == 720 and not collector.error
        database.server.stop(kill=True)
        fleet.send(30)
        until(lambda: collector.error)
        database.server.start()
        until(lambda: rows(database) == 750)
        until(lambda: not collector.error)
    lines = [note for note in collector.notes if not note.startswith("broker ")]
    assert [("trying again" in line, "works again" in line) for line in lines] == [
        (True, False),
        (False, True),
    ] * 2
    assert all(line.startswith("postgresql://") for line in lines), lines


def test_dashboards_read_one_database_and_write_it_unless_they_only_read(mosquitto, database, publish):
    now = time.time()
    publish("status", {"state": "online", "since": rfc3339(now), "version": "1"}, retain=True)
    place = parse_database(database.url)
    with Web(mosquitto.url, database=place, read_only=True) as reader:
        assert reader.get("/api/alerts") is None and not database.sql(_TABLES)
        with Web(mosquitto.url, database=place) as web:
            until(lambda: database.sql(_TABLES) and "box" in web.rows())
            until(lambda: web.get("/api/device?site=north&device=box")["latest"])
            publish("camera/front", camera_window(now, fps_inferred=7.0))
            publish("alert/a", alert(now), retain=True)
            path = f"/api/curves?fields=fps_inferred&site=north&device=box&entity=camera/front&from={now - 600}&to={now + 5}"
            for page in (web, reader):
                until(lambda page=page: page.get(path)["series"]["fps_inferred"] == [7.0])
                assert until(lambda page=page: page.get("/api/alerts"))[0]["state"] == "firing"
                until(lambda page=page: page.rows()["box"]["firing"] == 1)
            database.server.stop()
            publish("camera/front", camera_window(now + 60, fps_inferred=9.0))
            until(lambda: "postgresql://" in web.get("/api/fleet")["note"]["history_error"])
            until(lambda: web.rows()["box"]["fps"] == 9.0)  # what is live goes on
            database.server.start()
            path = path.replace(f"to={now + 5}", f"to={now + 90}")
            until(
                lambda: (
                    (web.get(path) or {"series": {"fps_inferred": []}})["series"]["fps_inferred"]
                    == [7.0, 9.0]
                )
            )
            until(lambda: not web.get("/api/fleet")["note"]["history_error"])
