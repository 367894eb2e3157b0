"""What is carried over from a damaged outbox, and what of it is counted as lost."""

import sqlite3
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.core.types import Priority
from agent.delivery.outbox.queue import Outbox
from agent.delivery.outbox.salvage import OLD_PAGE_BYTES, salvage, set_aside
from agent.delivery.outbox.store import LANES, PAGE_BYTES, MessageStore
from tests.delivery.conftest import IDENTITY, NOW, FakeClock, bodies, bulk, depth_of, put_all

PLANTED = 60  # small messages in the damaged file, beside three alerts


@pytest.fixture
def aside(tmp_path, make_outbox, drafts):
    """An outbox with three alerts, small messages and a command, closed and moved away."""
    outbox = make_outbox("old.db", careless=True)
    put_all(outbox, [drafts.alert(f"a{i}") for i in range(3)] + bulk(PLANTED, size=200))
    assert outbox.executed.first_time("c1", NOW)
    outbox.close()
    return tmp_path / "old.db"


def execute(path, *statements):
    with closing(sqlite3.connect(path, isolation_level=None)) as sql:
        for statement in statements:
            sql.execute(statement)


def waiting(outbox):
    outbox.release()
    found = {lane: [(row.topic, row.seq, row.boot) for row in outbox.lease(lane, 10_000)] for lane in LANES}
    outbox.release()
    return found


def test_the_files_are_moved_and_only_the_newest_damaged_one_is_kept(tmp_path):
    path = tmp_path / "outbox.db"
    for stamp, text in ((1, "first"), (2, "second")):
        for end in ("", "-wal", "-shm"):
            (tmp_path / f"outbox.db{end}").write_text(text)
        assert set_aside(path, stamp) == tmp_path / f"outbox.db.damaged-{stamp}"
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        "outbox.db.damaged-2": "second",
        "outbox.db.damaged-2-wal": "second",
    }


def test_a_file_without_a_log_is_moved_too(tmp_path):
    (tmp_path / "outbox.db").write_text("x")
    assert set_aside(tmp_path / "outbox.db", 1).read_text() == "x"


def test_a_whole_file_is_carried_over_with_its_stamps_in_order(aside, make_outbox, drafts):
    old = make_outbox("old.db")
    before, boot = waiting(old), old.boot
    old.close()
    fresh = make_outbox("new.db", careless=True)
    result = salvage(aside, fresh)
    assert (result.aside, result.saved, result.lost) == (aside, PLANTED + 3, 0)
    assert waiting(fresh) == before
    assert fresh.boot != boot
    assert fresh.lost_total() == {}
    assert [row[0] for row in fresh.retained.copy().standing] == ["alert/a0", "alert/a1", "alert/a2"]
    assert not fresh.executed.first_time("c1", NOW)
    assert fresh.put_many([drafts.host()])[0].seq == 1, "a new epoch counts from one"


def test_an_empty_outbox_gives_nothing(tmp_path, make_outbox):
    make_outbox("old.db").close()
    result = salvage(tmp_path / "old.db", make_outbox("new.db"))
    assert (result.saved, result.lost) == (0, 0)


@pytest.mark.parametrize("damage", ["payload = x'7800'", "payload = x''"])
def test_a_row_that_cannot_be_read_is_left_out_and_counted(aside, make_outbox, drafts, damage):
    execute(aside, f"UPDATE lane_summary SET {damage} WHERE id IN (7, 8)")
    fresh = make_outbox("new.db", careless=True)
    result = salvage(aside, fresh)
    assert (result.saved, result.lost) == (PLANTED + 3 - 2, 2)
    assert fresh.lost_total() == {"camera": 2}
    assert depth_of(fresh, Priority.SUMMARY) == PLANTED - 2
    put_all(fresh, [drafts.camera()])
    assert bodies(fresh, Priority.SUMMARY)[-1]["lost"] == 2


def test_a_table_that_is_not_there_costs_its_messages_alone(aside, make_outbox):
    execute(aside, "DROP TABLE lane_summary")
    result = salvage(aside, make_outbox("new.db", careless=True))
    assert (result.saved, result.lost) == (3, PLANTED)


def test_where_the_counts_cannot_be_read_nobody_knows_how_many_are_lost(aside, make_outbox):
    execute(aside, "DROP TABLE lane", "DELETE FROM lane_summary WHERE id = 1")
    result = salvage(aside, make_outbox("new.db", careless=True))
    assert (result.saved, result.lost) == (PLANTED + 3 - 1, None)


def test_records_that_cannot_be_read_are_left_out(aside, make_outbox):
    execute(
        aside,
        "INSERT INTO standing VALUES ('alert/torn', 9, x'789c00')",
        "INSERT INTO standing VALUES ('alert/text', 9, 'text')",
        "INSERT INTO command VALUES ('late', 'never')",
        "INSERT INTO retained VALUES ('mqtt://b:1883', 'vedette/dock/box/info', 'vedette/dock/box', 'info')",
        "INSERT INTO retained VALUES ('mqtt://b:1883', 'home/#', 'vedette/dock/box', 'discovery')",
        "INSERT INTO retained VALUES ('mqtt://b:1883', 'home/light', x'00', 'discovery')",
    )
    fresh = make_outbox("new.db", careless=True)
    salvage(aside, fresh)
    assert [row[0] for row in fresh.retained.copy().standing] == ["alert/a0", "alert/a1", "alert/a2"]
    assert [row[0] for row in fresh.executed.copy()] == ["c1"]
    assert [record.topic for record in fresh.retained.topics()] == ["vedette/dock/box/info"]


def test_what_does_not_fit_into_the_new_outbox_is_counted_as_lost(tmp_path, make_outbox, drafts):
    old = make_outbox("old.db", careless=True)
    put_all(old, [drafts.alert("a"), *bulk(2000, size=2000)])
    old.close()
    fresh = make_outbox("new.db", size=1 << 20, careless=True)
    result = salvage(tmp_path / "old.db", fresh)
    assert 0 < result.saved < 2001
    assert result.saved + result.lost == 2001
    assert depth_of(fresh, Priority.ALERT) == 1, "the most important are carried over first"


@pytest.mark.parametrize(
    ("page_bytes", "page"), [(OLD_PAGE_BYTES, 0), *((PAGE_BYTES, page) for page in (0, 7, 9, 12))]
)
def test_a_damaged_page_of_the_schema_costs_no_message(tmp_path, make_outbox, drafts, page_bytes, page):
    made = MessageStore(tmp_path / "old.db", 1 << 20, page_bytes=page_bytes)
    made.open()
    made.close()
    old = make_outbox("old.db", careless=True)
    put_all(old, [drafts.alert("a"), drafts.camera()])
    old.close()
    with (tmp_path / "old.db").open("r+b") as file:
        assert file.read(18)[16:] == page_bytes.to_bytes(2, "big"), "a file keeps its pages"
        file.seek(page * page_bytes)
        file.write(b"\xff" * page_bytes)
    result = salvage(tmp_path / "old.db", make_outbox("new.db", careless=True))
    assert (result.saved, result.lost) == (2, 0)


@pytest.mark.parametrize("end", ["min", "max"])
def test_a_damaged_page_at_the_end_of_a_table_costs_its_own_messages_alone(tmp_path, make_outbox, end):
    old = make_outbox("old.db", careless=True)
    put_all(old, bulk(300, size=100))
    old.close()
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as sql:
        (root,) = sql.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'lane_summary'").fetchone()
    content = bytearray(path.read_bytes())
    page = content[(root - 1) * PAGE_BYTES :]
    while page[0] == 5:  # down to the first or last leaf
        cell = int.from_bytes(page[12:14], "big")
        at = cell if end == "min" else 8
        leaf = int.from_bytes(page[at : at + 4], "big")
        page = content[(leaf - 1) * PAGE_BYTES :]
    content[(leaf - 1) * PAGE_BYTES : leaf * PAGE_BYTES] = bytes(PAGE_BYTES)
    path.write_bytes(content)
    result = salvage(path, make_outbox("new.db", careless=True))
    assert 290 <= result.saved < 300
    assert result.saved + result.lost == 300


PAGES = st.lists(st.integers(0, 200), min_size=1, max_size=6, unique=True)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PAGES, st.text("abcxyz", min_size=1, max_size=64).map(str.encode))
def test_whatever_pages_are_damaged_each_row_is_saved_once_and_in_order(
    aside, tmp_path_factory, pages, noise
):
    """Each saved row is one that was there; saved and lost add up where the counts could be read."""
    scratch = tmp_path_factory.mktemp("salvage")
    content = bytearray(aside.read_bytes())
    for page in pages:
        at = page * PAGE_BYTES % len(content)
        content[at : at + PAGE_BYTES] = (noise * PAGE_BYTES)[:PAGE_BYTES]
    damaged = scratch / "outbox.db.damaged-1"
    damaged.write_bytes(content)
    fresh = Outbox(scratch / "outbox.db", size=8 << 20, identity=IDENTITY, clock=FakeClock())
    fresh.open()
    try:
        result = salvage(damaged, fresh)
        found = waiting(fresh)
        assert result.saved == sum(map(len, found.values()))
        alerts = [topic for topic, _, _ in found[Priority.ALERT]]
        assert alerts == [topic for topic in ("alert/a0", "alert/a1", "alert/a2") if topic in alerts]
        seqs = [seq for _, seq, _ in found[Priority.SUMMARY]]
        assert seqs == sorted(set(seqs))
        assert set(seqs) <= set(range(1, PLANTED + 1))
        if result.lost is not None:
            assert result.saved + result.lost == PLANTED + 3
    finally:
        fresh.close()
