"""Damaged files, full and read-only disks: what is kept, where, and how it comes back."""

import os
import random
import sqlite3
import subprocess
from contextlib import closing, contextmanager

import pytest

from agent.core.types import AlertState, Draft, Priority
from agent.delivery.outbox.queue import Outbox
from agent.delivery.outbox.recovery import OutboxRecovery
from agent.delivery.outbox.store import LANES, MessageStore, StoreCorrupt, StoreFull, StoreUnwritable
from tests.delivery.conftest import IDENTITY, NOW, FakeClock, bodies, bulk, depth_of, put_all


def keep(tmp_path, size=8 << 20, clock=None):
    safe = OutboxRecovery(
        tmp_path / "outbox.db", size=size, identity=IDENTITY, clock=clock or FakeClock(), patience=0.0
    )
    safe.open(0.0)
    return safe


@pytest.mark.parametrize("table", ["lane", "meta", "family"])
def test_a_schema_that_is_not_ours_is_damage_and_not_a_failing_disk(tmp_path, drafts, table):
    safe = keep(tmp_path)
    put_all(safe.outbox, bulk(50))
    safe.close()
    with closing(sqlite3.connect(tmp_path / "outbox.db")) as database, database:
        (column,) = database.execute(f"SELECT name FROM pragma_table_info('{table}') LIMIT 1").fetchone()
        database.execute(f"ALTER TABLE {table} RENAME COLUMN {column} TO oddity")
    safe = keep(tmp_path)
    try:
        safe.outbox.put_many([drafts.host()])
    except StoreCorrupt as error:
        assert safe.failed(error, 1.0)
        safe.outbox.put_many([drafts.host()])
    assert safe.outbox.durable and safe.damaged_total == 1
    assert depth_of(safe.outbox, Priority.SUMMARY) == 51, "the messages themselves were sound"
    safe.close()


@pytest.mark.parametrize("where", ["middle", "header", "empty", "text"])
def test_a_damaged_file_is_set_aside_and_what_is_readable_saved(tmp_path, drafts, where):
    safe = keep(tmp_path)
    put_all(safe.outbox, [drafts.alert(f"a{i}") for i in range(5)] + bulk(2000))
    boot = safe.outbox.boot
    safe.close()
    path = tmp_path / "outbox.db"
    content = bytearray(path.read_bytes())
    if where == "middle":
        pages = len(content) // 4096
        leaves = [
            at
            for at in range(pages // 2, pages - 4)
            if all(content[(at + n) * 4096] == 0x0D for n in range(4))
        ]
        content[leaves[0] * 4096 : (leaves[0] + 4) * 4096] = os.urandom(4096 * 4)
    elif where == "header":
        content[:100] = os.urandom(100)
    else:
        content = bytearray(b"" if where == "empty" else b"this is no database, somebody edited it\n" * 200)
    path.write_bytes(content)

    safe = keep(tmp_path)
    found = 0
    for lane in LANES:
        while True:
            try:
                rows = safe.outbox.lease(lane, 100)
            except Exception as error:
                assert safe.failed(error, 1.0)
                rows = safe.outbox.lease(lane, 100)
            found += len(rows)
            if not rows:
                break
    assert safe.outbox.durable
    assert safe.outbox.put_many([drafts.host()])[0].boot != boot
    if where == "header":
        safe.outbox.release()
        assert sum(len(bodies(safe.outbox, lane)) for lane in LANES) == 2006
    if where == "middle":
        safe.outbox.release()
        whole = sum(len(bodies(safe.outbox, lane)) for lane in LANES)
        assert 1900 < whole < 2006
        lost = safe.outbox.lost_total()
        assert sum(lost.values()) == 2006 - whole
    if where != "empty":
        assert list(tmp_path.glob("outbox.db.damaged-*"))
        assert safe.damaged_total == 1
    safe.close()


def test_no_permission_means_memory_and_later_disk_again(tmp_path, drafts):
    blocked = tmp_path / "state"
    blocked.write_text("a file where the directory should be")
    safe = OutboxRecovery(
        blocked / "outbox.db", size=8 << 20, identity=IDENTITY, clock=FakeClock(), patience=0.0
    )
    safe.open(0.0)
    assert not safe.outbox.durable
    memory_boot = put_all(safe.outbox, [drafts.host(), drafts.alert()])[0].boot
    assert not safe.revisit(1.0)
    assert not safe.revisit(31.0)
    blocked.unlink()
    assert safe.revisit(100.0)
    assert safe.outbox.durable
    assert safe.outbox.boot != memory_boot
    assert [body["boot"] for body in bodies(safe.outbox, Priority.SUMMARY)] == [memory_boot]
    assert safe.outbox.depth == 2
    safe.close()


def mount(path, size):
    path.mkdir()
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], capture_output=True
        )
    except OSError:
        pytest.skip("mount is not there")
    if done.returncode:
        pytest.skip("may not mount a small disk")


@pytest.fixture
def small_disk(tmp_path):
    path = tmp_path / "disk"
    mount(path, "4m")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def test_a_full_disk_still_lets_messages_through_and_recovers(small_disk, drafts):
    outbox = Outbox(small_disk / "outbox.db", size=64 << 20, identity=IDENTITY)
    outbox.open()
    accepted = 0
    put_all(outbox, [drafts.alert(f"a{i}") for i in range(20)])
    hog = small_disk / "hog"
    with pytest.raises(OSError, match="No space"), hog.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    for _ in range(30):
        try:
            accepted += len(put_all(outbox, bulk(20, size=1000)))
        except StoreFull:
            break
        rows = outbox.lease(Priority.SUMMARY, 1000)
        outbox.ack([(row.priority, row.id) for row in rows])
    assert accepted == 600  # what is delivered makes room for what comes: the disk is not needed
    for _ in range(60):
        put_all(outbox, bulk(50, size=2000))
    assert depth_of(outbox, Priority.ALERT) == 20
    assert outbox.lost_total().keys() == {"host"}
    hog.unlink()
    before = outbox.lost_total()["host"]
    put_all(outbox, bulk(200, size=1000))
    assert outbox.lost_total()["host"] == before
    outbox.close()


def test_alerts_that_stand_and_commands_that_ran_are_known_wherever_messages_are_kept(tmp_path, drafts):
    """On disk, in memory when that fails, on disk again, and after the file was damaged."""
    clock = FakeClock()
    safe = keep(tmp_path, clock=clock)

    def deliver_all():
        safe.outbox.release()
        for lane in LANES:
            safe.outbox.ack([(row.priority, row.id) for row in safe.outbox.lease(lane, 100)])

    def known():
        return sorted(alert.topic for alert in safe.outbox.retained.standing("box"))

    put_all(safe.outbox, [drafts.alert("a"), drafts.alert("b")])
    assert safe.outbox.executed.first_time("c1", NOW)
    deliver_all()
    assert safe.failed(StoreUnwritable("disk I/O error"), 0.0)
    assert not safe.outbox.durable
    assert known() == ["alert/a", "alert/b"]
    assert not safe.outbox.executed.first_time("c1", NOW)

    put_all(safe.outbox, [drafts.alert("a", AlertState.RESOLVED), drafts.alert("c")])
    assert safe.outbox.executed.first_time("c2", NOW)
    deliver_all()
    assert safe.revisit(1000.0)
    assert safe.outbox.durable
    assert known() == ["alert/b", "alert/c"]
    assert not safe.outbox.executed.first_time("c1", NOW)
    assert not safe.outbox.executed.first_time("c2", NOW)

    safe.outbox.store.sql.execute("INSERT INTO standing VALUES ('alert/torn', 99, x'789c00')")
    assert safe.failed(StoreCorrupt("malformed"), 1001.0)
    assert safe.damaged_total == 1
    assert known() == ["alert/b", "alert/c"]
    assert not safe.outbox.executed.first_time("c2", NOW)
    safe.close()


def test_an_alert_that_stood_on_a_disk_that_could_not_be_read_still_stands_when_it_is_back(tmp_path, drafts):
    safe = keep(tmp_path)
    put_all(safe.outbox, [drafts.alert("a")])
    safe.outbox.ack([(row.priority, row.id) for row in safe.outbox.lease(Priority.ALERT, 9)])
    safe.outbox.close()  # every read fails
    assert safe.failed(StoreUnwritable("disk I/O error"), 0.0)
    put_all(safe.outbox, [drafts.alert("b")])
    safe.outbox.ack([(row.priority, row.id) for row in safe.outbox.lease(Priority.ALERT, 9)])
    assert safe.revisit(1000.0)
    assert sorted(alert.topic for alert in safe.outbox.retained.standing("box")) == ["alert/a", "alert/b"]
    safe.close()


@pytest.mark.parametrize("seed", range(20))
def test_a_disk_that_fails_now_and_then_on_the_way_back_loses_nothing(tmp_path, monkeypatch, seed):
    """Each return to the disk may stop after any of its transactions; then memory goes on, and tries again."""
    rng = random.Random(seed)
    safe = keep(tmp_path)
    put_all(safe.outbox, bulk(3))
    retries = [safe.failed(StoreUnwritable("disk I/O error"), 0.0)]
    for row in safe.outbox.lease(Priority.SUMMARY, 3)[: rng.randrange(4)]:
        safe.outbox.ack([row.key])
    expected = bodies(safe.outbox, Priority.SUMMARY) + [{"n": 100 + n} for n in range(520)]
    put_all(safe.outbox, [Draft(topic="host", body=body) for body in expected[-520:]])
    whole = MessageStore.transaction
    left = [0]

    @contextmanager
    def failing(store):
        if store.path is not None:
            left[0] -= 1
            if left[0] < 0:
                raise StoreUnwritable("disk I/O error")
        with whole(store) as sql:
            yield sql

    monkeypatch.setattr(MessageStore, "transaction", failing)
    while not safe.outbox.durable:
        left[0] = rng.randrange(9) if len(retries) < 6 else 99  # it takes up to eight to open and to move all
        retries.append(safe.revisit(1000.0 * len(retries)))
    assert retries[-1]
    found = [body["n"] for body in bodies(safe.outbox, Priority.SUMMARY)]
    assert sorted(found) == sorted(body["n"] for body in expected)
    safe.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE lane_summary SET boot = CAST(x'62ff62' AS TEXT) WHERE id = 7",  # no text
        "UPDATE lane_summary SET created = x'00' WHERE id = 7",  # no number
        "UPDATE lane_summary SET window = 9e999 WHERE id = 7",
        "UPDATE lane SET depth = 'many' WHERE priority = 1",
        "UPDATE lane SET depth = 0 WHERE priority = 1",  # nothing would ever be sent
        "UPDATE lane SET depth = -3 WHERE priority = 1",
        "UPDATE lane SET depth = 149 WHERE priority = 1",  # the last one would always wait
        "UPDATE lane SET depth = 2147483647 WHERE priority = 1",
        "INSERT INTO lane VALUES (77, 1)",
        "UPDATE family SET seq = 'one'",
        "UPDATE meta SET value = x'00' WHERE name = 'epoch'",
        "INSERT INTO command VALUES ('c', 'never')",
        "INSERT INTO retained VALUES ('b', x'00', 'c', 'd')",
        "UPDATE standing SET payload = 'text'",
        "UPDATE standing SET payload = x'789c00'",
    ],
)
def test_a_value_that_nobody_wrote_is_damage_that_costs_itself_alone(tmp_path, drafts, damage):
    """A flipped bit that SQLite does not notice ends neither the delivery nor what waits behind it."""
    safe = keep(tmp_path)
    assert Priority.SUMMARY == 1
    put_all(safe.outbox, [drafts.alert("a"), *bulk(150, size=100)])
    safe.outbox.ack([row.key for row in safe.outbox.lease(Priority.ALERT, 9)])  # it stands
    safe.close()
    with closing(sqlite3.connect(tmp_path / "outbox.db")) as database, database:
        database.execute("PRAGMA ignore_check_constraints = 1")
        assert database.execute(damage).rowcount
    safe, found = keep(tmp_path), []

    def carry_out(step):
        try:
            step(safe.outbox)
        except StoreCorrupt as error:
            assert safe.failed(error, 1.0)
            step(safe.outbox)

    carry_out(lambda outbox: found.extend(bodies(outbox, Priority.SUMMARY)))
    carry_out(lambda outbox: outbox.retained.standing("box"))
    carry_out(lambda outbox: outbox.retained.copy())
    carry_out(lambda outbox: outbox.executed.copy())
    carry_out(lambda outbox: outbox.put_many([drafts.host()]))
    assert safe.outbox.durable
    assert len({body["n"] for body in found}) >= 149
    assert depth_of(safe.outbox, Priority.SUMMARY) == len(bodies(safe.outbox, Priority.SUMMARY))
    safe.close()


def test_rows_that_are_not_in_order_are_damage_and_are_not_sent_for_ever(tmp_path):
    safe = keep(tmp_path)
    put_all(safe.outbox, bulk(150, size=100))
    safe.close()
    with closing(sqlite3.connect(tmp_path / "outbox.db")) as database:
        (root,) = database.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'lane_summary'"
        ).fetchone()
    path = tmp_path / "outbox.db"
    content = bytearray(path.read_bytes())
    first = content[(root - 1) * 1024 :]
    assert first[0] == 0x05, "an interior page: its first cell names the first leaf"
    leaf = int.from_bytes(first[(cell := int.from_bytes(first[12:14], "big")) : cell + 4], "big")
    at = (leaf - 1) * 1024 + 8
    content[at : at + 4] = (
        content[at + 2 : at + 4] + content[at : at + 2]
    )  # its first two cells change places
    path.write_bytes(content)
    safe = keep(tmp_path)
    with pytest.raises(StoreCorrupt):
        bodies(safe.outbox, Priority.SUMMARY)
    assert safe.failed(StoreCorrupt("out of order"), 1.0)
    found = [body["n"] for body in bodies(safe.outbox, Priority.SUMMARY)]
    assert len(found) >= 148 and found == sorted(found)
    safe.close()


def test_a_file_that_is_damaged_while_messages_are_in_memory_is_set_aside_and_nothing_goes_twice(tmp_path):
    safe = keep(tmp_path)
    put_all(safe.outbox, bulk(50))
    assert safe.failed(StoreUnwritable("disk I/O error"), 0.0)
    put_all(safe.outbox, bulk(10, family="camera"))
    safe.outbox.ack([row.key for row in safe.outbox.lease(Priority.SUMMARY, 20)])
    path = tmp_path / "outbox.db"
    with path.open("r+b") as file:
        file.write(b"\xff" * 100)
    assert safe.revisit(1000.0), "else it stays in memory until the agent ends, which loses it"
    assert safe.outbox.durable and safe.damaged_total == 1
    found = bodies(safe.outbox, Priority.SUMMARY)
    assert [body["n"] for body in found] == [*range(20, 50), *range(10)]
    safe.close()
