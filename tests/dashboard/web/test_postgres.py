"""PostgreSQL as it is in use: several writers at once, rows that it refuses, a server that goes away, odd clocks."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from agent.core.errors import ConfigError
from agent.core.secret import Secret
from agent.dashboard.web.fields import DAY, Update
from agent.dashboard.web.queries import Queries, span
from agent.dashboard.web.store import HOUR, StoreError, kept, start_of

pytest.importorskip("psycopg")
pytest.importorskip("psycopg_pool")

from agent.dashboard.web.postgres import schema
from agent.dashboard.web.postgres.address import parse_database
from agent.dashboard.web.postgres.reader import PostgresRows
from agent.dashboard.web.postgres.writer import PostgresHistory

pytestmark = pytest.mark.xdist_group("postgres")
NOW = 1_800_000_000.0
CAMERA = ("north", "box", "camera/front")


@pytest.fixture
def writers(database):
    """Makes writers of one database, and closes them."""
    made = []

    def make():
        made.append(PostgresHistory(parse_database(database.url)))
        return made[-1]

    yield make
    for writer in made:
        writer.close()


def at_once(*jobs):
    """Run jobs in threads that begin together; their results, or the first error."""
    gate = threading.Barrier(len(jobs))

    def run(job):
        gate.wait(60)
        return job()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return [future.result(120) for future in [pool.submit(run, job) for job in jobs]]


def state(at, value="online"):
    return Update(family="camera", at=at, fields={"state": value, "fps": 1}, complete=False, changed_at=at)


def test_writers_that_meet_the_same_new_tables_devices_days_and_alerts_do_not_disturb_each_other(
    database, writers
):
    def write(writer, number):
        for step in range(6):
            now = NOW + step * DAY  # each step needs partitions that are not there
            for device in range(12):
                place = device if number % 2 else 11 - device  # in opposite orders
                key = ("north", f"box-{step}-{place}", "camera/front")
                writer.add_window(key, now, 60.0, {"fps_in": 1.0})  # the same window from all
                writer.add_window(key, now - 60 * (number + 1), 60.0, {"fps_in": 1.0})
                writer.add_sketch(key, now, {"x": 1})
                writer.update(key, state(now - number, f"s{number}"))
                writer.set_alert((*key[:2], "a"), "firing", now, now + number, {})
            writer.commit(now)

    at_once(*[lambda number=number: write(writers(), number) for number in range(3)])
    assert database.sql("SELECT count(*) FROM vedette.series") == [(72,)]
    assert database.sql('SELECT count(*) FROM vedette."window"') == [(72 * 4,)]
    assert database.sql("SELECT count(*), min(changed_at - first_seen) FROM vedette.alert") == [(72, 2.0)]
    latest = database.sql("SELECT DISTINCT body::json->>'state' FROM vedette.latest")
    assert latest == [("s0",)]  # the newest message, whoever came last


def test_no_window_is_missing_in_an_hour_that_was_rolled_up_while_it_was_written(database, writers):
    hour = start_of(NOW, HOUR)
    now = hour + 2 * HOUR
    keys = [("north", f"box-{number}", "host") for number in range(4)]
    done = threading.Event()

    def write(writer, first):
        for minute in range(first, 60, 2):
            for key in keys:
                writer.add_window(key, hour + 60.0 * (minute + 1), 60.0, {"frames_seen": 1})
            writer.commit(now)

    def both():
        at_once(lambda: write(writers(), 0), lambda: write(writers(), 1))
        done.set()

    def roll(writer):
        rolled = 0
        while not done.is_set():
            rolled += writer.roll_up(now)
        return rolled

    _, *rolled = at_once(both, lambda: roll(writers()), lambda: roll(writers()))
    rolled.append(writers().roll_up(now))
    bodies = database.sql("SELECT body FROM vedette.hour") + database.sql("SELECT body FROM vedette.day")
    assert [kept(body)["frames_seen"][:2] for (body,) in bodies] == [[60, 3600.0]] * 8, rolled
    assert database.sql("SELECT count(*) FROM vedette.stale") == [(0,)]


def test_a_row_that_the_database_can_never_take_is_left_out_alone(database, writers):
    writer = writers()
    wide = "\U000e0001"  # each is ten characters once it is escaped: an index entry has 2.7 kB at most
    for number in range(20):
        writer.add_window(("north", f"box-{number}", "host"), NOW, 60.0, {"cpu_ratio": 0.5})
        writer.set_alert(("north", "box", f"a{number}"), "firing", NOW, NOW, {})
    for bad in ("nul\0", "half\ud800"):
        writer.add_window(("north", bad, "host"), NOW, 60.0, {"cpu_ratio": 0.5})
        writer.update(("north", bad, "host"), state(NOW))
    dice = random.Random(1)
    long = "".join(chr(dice.randrange(0x4E00, 0x9FFF)) for _ in range(2000))
    writer.set_alert(("north", "box", long), "firing", NOW, NOW, {})
    writer.set_alert(("north", "box", wide * 10), "firing", NOW, NOW, {})
    writer.add_sketch(("north", "box-1", "camera/x"), NOW, {"odd": "\ud800"})
    writer.commit(NOW)
    assert writer.refused == 4 and writer.refused_reason
    assert database.sql('SELECT count(*) FROM vedette."window"') == [(20,)]
    assert database.sql("SELECT count(*) FROM vedette.alert") == [(21,)]
    with PostgresRows(parse_database(database.url)) as rows:
        for site in ("a\0b", "a\ud800"):  # and what a page may ask for
            with pytest.raises(StoreError):
                Queries(rows).latest(site, "box")
        assert Queries(rows).latest("north", "box-1") == {}


def test_clocks_that_are_years_off_make_no_more_partitions_than_are_kept(database, writers):
    writer = writers()
    for days in (*range(-4000, -100, 97), *range(-100, 5), *range(5, 4000, 97)):
        at = NOW + days * DAY
        writer.add_window(CAMERA, at, 60.0, {"fps_in": 1.0})
        writer.add_sketch(CAMERA, at, {})
        writer.update(CAMERA, state(at, f"s{days}"))
    for at in (0.0, 1.0, 253402300799.0, -1e15, 1e300):
        writer.add_window(CAMERA, at, 60.0, {"fps_in": 1.0})
        writer.update(
            CAMERA, Update(family="camera", at=NOW, fields={"state": str(at)}, complete=True, changed_at=at)
        )
    writer.commit(NOW)
    with PostgresRows(parse_database(database.url)) as rows, rows._pool.connection() as db:
        counts = {table: len(schema.partitions(db, table)) for table in schema.WIDTHS}
    assert all(0 < count <= schema.most_partitions(table) for table, count in counts.items()), counts
    assert database.sql('SELECT count(*) FROM vedette."window"')[0][0] < 40
    writer.roll_up(NOW, 1000)
    for later in range(2):
        writer.prune(NOW + later * 2 * HOUR)
    assert len(database.sql("SELECT 1 FROM pg_class WHERE relname LIKE 'window\\_%' AND relkind = 'r'")) <= 5


def test_what_a_server_did_not_take_is_written_once_it_is_back(database, writers):
    writer = writers()
    writer.add_window(CAMERA, NOW, 60.0, {"fps_in": 1.0})
    database.server.stop(kill=True)
    for _ in range(2):
        with pytest.raises(StoreError, match="postgresql://"):
            writer.commit(NOW)
    with PostgresRows(parse_database(database.url)) as rows:
        rows._pool.timeout = 0.1
        with pytest.raises(StoreError):
            rows.rows("SELECT 1")
        database.server.start()
        rows._pool.timeout = 60
        writer.commit(NOW)
        writer.add_window(CAMERA, NOW + 60, 60.0, {"fps_in": 2.0})
        database.server.stop()  # in between, with a connection open
        with pytest.raises(StoreError):
            writer.commit(NOW + 60)
        database.server.start()
        writer.commit(NOW + 60)
        found = Queries(rows).curves(CAMERA, ["fps_in"], span(NOW - 9, NOW + 99, NOW + 99))
        assert found["series"]["fps_in"] == [1.0, 2.0]


def test_a_full_disk_loses_nothing_and_a_partition_that_another_dropped_is_made_again(database, writers):
    writer = writers()
    writer.add_window(CAMERA, NOW, 60.0, {"fps_in": 1.0})
    writer.commit(NOW)
    database.sql(
        "CREATE OR REPLACE FUNCTION full_disk() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'No space left on device'"
        " USING ERRCODE = '53100'; END $$ LANGUAGE plpgsql;"
        ' CREATE TRIGGER full_disk BEFORE INSERT ON vedette."window" FOR EACH ROW EXECUTE FUNCTION full_disk()'
    )
    writer.add_window(CAMERA, NOW + 60, 60.0, {"fps_in": 1.0})
    writer.update(CAMERA, state(NOW + 60))
    with pytest.raises(StoreError, match="No space left"):
        writer.commit(NOW)
    assert database.sql("SELECT count(*) FROM vedette.mark") == [(0,)]
    database.sql('DROP TRIGGER full_disk ON vedette."window"')
    name = schema.partition_name("window", schema.begin_of("window", NOW))
    database.sql(f"DROP TABLE vedette.{name}")
    writer.commit(NOW)
    assert database.sql('SELECT at FROM vedette."window"') == [(NOW + 60,)]
    assert writer.refused == 0


def test_the_login_of_a_database_is_never_shown():
    secret = "s3cr%40t"
    for url in (
        f"postgresql://ada:{secret}@db.example:5433/fleet",
        f"postgres://ada@db.example:5433/fleet?password={secret}",
    ):
        database = parse_database(Secret(url))
        assert database.shown == "postgresql://db.example:5433/fleet"
        assert secret not in repr(database) and "s3cr" not in str(database)
        assert "s3cr@t" in database.conninfo.reveal()
    for wrong in (
        "postgresql://ada:xy@zzy@db/x", "postgresql://ada:xy/zzy@db/x", "postgresql://ada:xy?zzy@db/x",
        "postgresql://ada:xy%zzy@db/x", "mysql://ada:xyzzy@db/x", "host=db password=xyzzy", "",
        "postgresql://ada:xyzzy@db/x?y=z", "postgresql://ada:xy\0zzy@db/x", "postgresql://ada:xyzzy@[db/x",
    ):  # fmt: skip
        with pytest.raises(ConfigError) as found:
            parse_database(wrong)
        assert "xy" not in str(found.value) and "--store" in str(found.value)


def test_an_older_vedette_leaves_newer_tables_alone_and_a_reader_waits_for_tables(database, writers):
    with PostgresRows(parse_database(database.url)) as rows:
        with pytest.raises(Exception, match="vedette collect"):
            Queries(rows).cameras()
        writers().open()
        assert Queries(rows).cameras() == []
    database.sql("UPDATE vedette.version SET number = 99")
    with pytest.raises(Exception, match="version 99"):
        writers().open()
