import dataclasses
import json
import shutil
import time
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agent.core.types import AlertState, Draft, Priority
from agent.delivery.messages import unix_time
from agent.delivery.mqtt.routing import is_late
from agent.delivery.outbox.queue import Outbox
from agent.delivery.outbox.rows import OutboxRow, unpack
from agent.delivery.outbox.store import COLUMNS, LANES, StoreUnwritable, table
from tests.delivery.conftest import IDENTITY, NOW, Drafts, FakeClock, bodies, bulk, depth_of, put_all
from tests.payloads import check_payload


def test_what_was_put_comes_out_in_order_and_survives_reopening(make_outbox, drafts):
    first = make_outbox()
    stamps = put_all(first, [drafts.host(n_count=i) for i in range(5)] + [drafts.camera()])
    assert [s.seq for s in stamps] == [1, 2, 3, 4, 5, 1]
    first.close()
    again = make_outbox()
    assert again.depth == 6
    assert [body["seq"] for body in bodies(again, Priority.SUMMARY) if body["schema"] == "host/1"] == [
        1,
        2,
        3,
        4,
        5,
    ]
    assert again.put_many([drafts.host()])[0].seq == 6
    assert again.boot == first.boot


def test_acknowledged_rows_are_gone_and_leased_ones_come_once(make_outbox, drafts):
    outbox = make_outbox()
    put_all(outbox, [drafts.host() for _ in range(10)])
    rows = outbox.lease(Priority.SUMMARY, 4)
    assert len(outbox.lease(Priority.SUMMARY, 100)) == 6
    assert not outbox.waiting(Priority.SUMMARY)
    outbox.ack([(row.priority, row.id) for row in rows])
    outbox.release()
    assert [json.loads(unpack(r.payload))["seq"] for r in outbox.lease(Priority.SUMMARY, 100)] == [
        5,
        6,
        7,
        8,
        9,
        10,
    ]
    assert outbox.depth == 6


def test_an_emptied_lane_goes_on(make_outbox, drafts):
    outbox = make_outbox()
    for _ in range(3):
        put_all(outbox, [drafts.host()])
        outbox.ack([(row.priority, row.id) for row in outbox.lease(Priority.SUMMARY, 9)])
    assert outbox.depth == 0
    put_all(outbox, [drafts.host()])
    assert outbox.waiting(Priority.SUMMARY)
    assert outbox.lease(Priority.SUMMARY, 9)[0].seq == 4


def test_a_draft_that_cannot_be_sent_is_refused_and_counted(make_outbox, drafts):
    outbox = make_outbox()
    stamps = put_all(outbox, [drafts.host(), Draft(topic="host", body={"x": "y" * 70_000}), drafts.host()])
    assert [s and s.seq for s in stamps] == [1, None, 3]
    assert [body.get("lost") for body in bodies(outbox, Priority.SUMMARY)] == [None, 1]


def test_drafts_dropped_on_the_way_are_told_in_the_next_message(make_outbox, drafts):
    outbox = make_outbox()
    outbox.put_many([drafts.host()], {"host": 3, "camera": 2})
    assert [(b["seq"], b["lost"]) for b in bodies(outbox, Priority.SUMMARY)] == [(4, 3)]
    outbox.put_many([drafts.camera()])
    assert [(b["seq"], b.get("lost")) for b in bodies(outbox, Priority.SUMMARY)][1] == (3, 2)
    assert outbox.lost_total() == {"host": 3, "camera": 2}


def test_a_new_file_is_a_new_epoch_so_ids_never_repeat(make_outbox, drafts, tmp_path):
    one = make_outbox()
    ids = {(s.boot, s.seq) for s in put_all(one, [drafts.host()])}
    one.close()
    (tmp_path / "outbox.db").unlink()
    ids |= {(s.boot, s.seq) for s in put_all(make_outbox(), [drafts.host()])}
    assert len(ids) == 2


def test_firing_alerts_stand_until_resolved_over_restarts(make_outbox, drafts):
    outbox = make_outbox()
    put_all(
        outbox,
        [drafts.alert("a"), drafts.alert("b"), drafts.alert("b", AlertState.RESOLVED), drafts.alert("c")],
    )
    assert outbox.retained.standing("box") == []  # they are still queued: the queue will say it
    outbox.ack([(row.priority, row.id) for row in outbox.lease(Priority.ALERT, 3)])
    assert [alert.topic for alert in outbox.retained.standing("box")] == ["alert/a"]
    outbox.close()
    assert [alert.topic for alert in make_outbox().retained.standing("box")] == ["alert/a"]


def test_a_clock_that_jumps_changes_neither_order_nor_age(make_outbox, drafts, clock):
    outbox = make_outbox(clock=clock)
    put_all(outbox, [drafts.host()])
    clock.now += 86400 * 365
    put_all(outbox, [drafts.host()])
    clock.now -= 86400 * 3650
    put_all(outbox, [drafts.host()])
    clock.up += 5
    rows = outbox.lease(Priority.SUMMARY, 9)
    assert [row.seq for row in rows] == [1, 2, 3]
    ages = [row.age(wall=clock.wall(), boottime=clock.boottime(), boot=outbox.boot) for row in rows]
    assert ages == [5.0, 5.0, 5.0]
    assert not any(is_late(row, age) for row, age in zip(rows, ages, strict=True))


def test_unsynchronised_clocks_are_told(make_outbox, drafts, clock):
    clock.is_synced = False
    outbox = make_outbox(clock=clock)
    put_all(outbox, [drafts.host()])
    assert bodies(outbox, Priority.SUMMARY)[0]["clock_synced"] is False


def reboot(clock, off=86400.0, *, rtc=False):
    clock.true = clock.now + off
    clock.up, clock.now, clock.is_synced = 20.0, clock.true if rtc else 60.0, rtc
    return dataclasses.replace(IDENTITY, boot="b00t0002")


def test_what_an_earlier_boot_left_is_late_where_no_clock_tells_its_age(make_outbox, drafts, clock, tmp_path):
    outbox = make_outbox(clock=clock)
    put_all(outbox, [drafts.host(), drafts.alert()])
    outbox.close()
    again = make_outbox(clock=clock, identity=reboot(clock))
    put_all(again, [drafts.host()])
    left, fresh = again.lease(Priority.SUMMARY, 9)
    (alert,) = again.lease(Priority.ALERT, 9)
    ages = [age_of(row, clock, again) for row in (left, fresh, alert)]
    assert ages == [None, 0.0, None]
    assert [is_late(row, age) for row, age in zip((left, fresh, alert), ages, strict=True)] == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(("off", "late"), [(30.0, False), (86400.0, True)])
def test_over_a_reboot_with_a_good_clock_age_is_wall_time(make_outbox, drafts, clock, off, late):
    outbox = make_outbox(clock=clock)
    put_all(outbox, [drafts.host()])
    outbox.close()
    again = make_outbox(clock=clock, identity=reboot(clock, off, rtc=True))
    (left,) = again.lease(Priority.SUMMARY, 9)
    assert age_of(left, clock, again) == off
    assert is_late(left, off) is late


def test_a_restart_within_a_boot_ages_by_the_boot_clock_whatever_the_epoch(make_outbox, drafts, clock):
    outbox = make_outbox(clock=clock)
    put_all(outbox, [drafts.host()])
    (row,) = outbox.lease(Priority.SUMMARY, 9)
    clock.up, clock.is_synced = clock.up + 7, False
    assert row.age(wall=0.0, boottime=clock.up, boot=f"{IDENTITY.boot}-0ther", synced=False) == 7.0


def age_of(row, clock, outbox):
    return row.age(wall=clock.wall(), boottime=clock.boottime(), boot=outbox.boot, synced=clock.synced())


STEP = 56 * 365.25 * 86400


def test_times_of_an_unsynchronised_boot_are_corrected_before_they_are_first_sent(make_outbox, clock):
    clock.now, clock.is_synced = 60.0, False
    drafts = Drafts()
    drafts.at = 60.0
    outbox = make_outbox(clock=clock)
    put_all(outbox, [drafts.camera(start=0.0), drafts.alert()])
    before = {
        lane: json.loads(unpack(peek(outbox, lane).payload)) for lane in (Priority.SUMMARY, Priority.ALERT)
    }
    clock.pass_seconds(5)
    clock.now, clock.is_synced = clock.now + STEP, True
    for lane, old in before.items():
        (row,) = outbox.lease(lane, 9)
        body = json.loads(unpack(row.payload))
        assert body["clock_synced"] is True
        assert body["clock_corrected_seconds"] == pytest.approx(STEP, abs=0.01)
        moments = [
            name for name, value in old.items() if isinstance(value, str) and value.startswith("1970-")
        ]
        assert len(moments) >= 3
        for name in moments:
            assert unix_time(body[name]) - unix_time(old[name]) == pytest.approx(STEP, abs=0.01)
        unmoved = old.keys() - {*moments, "clock_synced"}
        assert {name: body[name] for name in unmoved} == {name: old[name] for name in unmoved}
        check_payload(row.family, body)
        outbox.release()
        assert outbox.lease(lane, 9)[0] == row, "what is sent again stays as it was"


def test_what_may_have_been_sent_is_not_corrected(make_outbox, drafts, clock):
    clock.now, clock.is_synced, drafts.at = 60.0, False, 50.0
    outbox = make_outbox(clock=clock)
    put_all(outbox, [drafts.camera(start=0.0), drafts.alert()])
    sent = [outbox.lease(lane, 9)[0] for lane in (Priority.SUMMARY, Priority.ALERT)]
    clock.now, clock.is_synced = STEP, True
    outbox.release()
    assert [outbox.lease(row.priority, 9)[0] for row in sent] == sent
    outbox.close()
    again = make_outbox(clock=clock)  # killed: its first rows may have been sent
    assert [again.lease(row.priority, 9)[0].values()[:-1] for row in sent] == [
        row.values()[:-1] for row in sent
    ]


def test_a_standing_alert_stands_with_its_corrected_times(make_outbox, drafts, clock):
    clock.now, clock.is_synced, drafts.at = 60.0, False, 50.0
    outbox = make_outbox(clock=clock)
    put_all(outbox, [drafts.alert()])
    clock.now, clock.is_synced = STEP, True
    (row,) = outbox.lease(Priority.ALERT, 9)
    outbox.ack([(row.priority, row.id)])
    (standing,) = outbox.retained.standing("box")
    assert standing.payload == unpack(row.payload)
    assert json.loads(standing.payload)["changed_at"].startswith("20")


def test_a_small_difference_and_a_clock_that_was_right_are_left_alone(make_outbox, drafts, clock):
    outbox = make_outbox(clock=clock)
    put_all(outbox, [drafts.host()])
    clock.is_synced = False
    put_all(outbox, [drafts.host()])
    clock.now, clock.is_synced = clock.now + 0.5, True
    assert not [body for body in bodies(outbox, Priority.SUMMARY) if "clock_corrected_seconds" in body]


def peek(outbox, lane):
    """The oldest row, as it lies on disk."""
    (values,) = outbox.store.query(f"SELECT {COLUMNS} FROM {table(lane)} ORDER BY id LIMIT 1")
    return OutboxRow.from_values(lane, values)


def test_the_file_stays_under_its_size_and_summaries_are_merged_exactly(make_outbox, tmp_path):
    drafts, size = Drafts(), 1 << 20
    outbox = make_outbox(size=size, careless=True)
    windows = 800
    for i in range(windows):
        put_all(outbox, [drafts.camera(name, start=NOW + 60 * i, features=4) for name in ("front", "back")])
        outbox.shed()
        assert (
            sum(p.stat().st_size for p in tmp_path.glob("outbox.db*") if not p.name.endswith("-shm")) <= size
        )
    told = bodies(outbox, Priority.SUMMARY)
    assert outbox.lost_total() == {}
    assert sum(body["frames_seen"] for body in told) == 2 * 600 * windows
    assert sum(body.get("merged", 1) for body in told) == 2 * windows
    assert [body["seq"] for body in told] == sorted(body["seq"] for body in told)
    assert max(body.get("merged", 1) for body in told) == 60
    assert outbox.depth == len(told)


def test_a_week_without_a_broker_leaves_an_even_and_exact_picture(make_outbox, clock):
    """Compressed time, a queue of two megabytes: every minute is told of once, in windows that no gap parts."""
    minutes, drafts = 7 * 24 * 60, Drafts()
    sketches = {"latency": drafts.sketch(64)}
    outbox = make_outbox(size=2 << 20, careless=True, clock=clock)
    for first in range(0, minutes, 10):
        clock.pass_seconds(600)
        starts = [NOW + 60 * minute for minute in range(first, first + 10)]
        put_all(outbox, [drafts.camera(start=at, features=2, frames=64, sketches=sketches) for at in starts])
        outbox.shed()
    told = bodies(outbox, Priority.SUMMARY)
    assert outbox.lost_total() == {}
    assert sum(body["frames_seen"] for body in told) == 64 * minutes
    covered = 0.0
    for body, following in pairwise(told):
        assert body["end"] == following["start"]
        covered += unix_time(body["end"]) - unix_time(body["start"])
    assert covered + 60 * told[-1].get("merged", 1) == 60 * minutes
    spans = [body.get("merged", 1) for body in told]
    assert spans[1:] == sorted(spans[1:], reverse=True)  # (the first hour had begun) hours, tens, minutes
    assert {1, 10, 60} <= set(spans)
    assert spans.count(60) > 40


def test_sketches_go_first_then_summaries_and_alerts_stay(make_outbox):
    drafts = Drafts()
    outbox = make_outbox(size=2 << 20, careless=True)
    put_all(outbox, [drafts.alert(f"a{i}") for i in range(50)])
    for i in range(600):
        put_all(outbox, [drafts.camera(start=NOW + 60 * i), drafts.feature_sketches(start=NOW + 60 * i)])
        outbox.shed()
    assert depth_of(outbox, Priority.ALERT) == 50
    assert outbox.lost_total().keys() == {"sketch"}
    assert sum(body.get("merged", 1) for body in bodies(outbox, Priority.SUMMARY)) == 600
    for _ in range(200):
        put_all(outbox, bulk(50))
        outbox.shed()
    assert outbox.lost_total().keys() == {"sketch", "camera", "host"}
    assert depth_of(outbox, Priority.ALERT) == 50


def test_every_number_given_out_is_accounted_for(make_outbox):
    drafts = Drafts()
    outbox = make_outbox(size=1 << 20, careless=True)
    for i in range(400):
        put_all(outbox, [*bulk(5, size=2000), drafts.feature_sketches(start=NOW + 60 * i)])
        outbox.shed()
    assert set(outbox.lost_total()) == {"sketch", "host"}
    for lane, family in ((Priority.SUMMARY, "host"), (Priority.SKETCH, "sketch")):
        told = bodies(outbox, lane)
        given = outbox.put_many([Draft(topic=family, body={}, priority=lane)])[0]
        spoken_for = sum(body.get("merged", 1) + body.get("lost", 0) for body in told)
        assert spoken_for + given.lost + 1 == given.seq
        left = sum(body.get("merged", 1) for body in told)
        assert (
            outbox.lost_total()[family] == given.seq - 1 - left
        )  # a loss is counted once, however often it is retold


def test_leased_rows_are_neither_merged_nor_dropped(make_outbox):
    drafts = Drafts()
    outbox = make_outbox(size=1 << 20)
    put_all(outbox, [drafts.camera(start=NOW + 60 * i) for i in range(30)])
    leased = outbox.lease(Priority.SUMMARY, 30)
    while outbox.shed(forced=True):
        pass
    assert outbox.depth == 30
    outbox.ack([(row.priority, row.id) for row in leased])
    assert outbox.depth == 0


@pytest.mark.parametrize("restart", [False, True])
def test_what_may_have_been_sent_is_never_merged(make_outbox, restart):
    """Its id would come to mean another message, and a subscriber would drop nine windows as duplicates."""
    drafts, outbox = Drafts(), make_outbox()
    put_all(outbox, [drafts.camera(start=NOW + 60 * i) for i in range(160)])
    outbox.lease(Priority.SUMMARY, 20)
    outbox.release()  # the connection broke, or the process was killed
    if restart:
        outbox.close()
        outbox = make_outbox()
    outbox.shed(forced=True)
    told = {body["seq"]: body.get("merged", 1) for body in bodies(outbox, Priority.SUMMARY)}
    assert {seq: merged for seq, merged in told.items() if seq <= 20} == dict.fromkeys(range(1, 21), 1)
    assert sum(told.values()) == 160
    assert max(told.values()) > 1


def test_unmergeable_rows_do_not_stop_the_merging_of_others(make_outbox):
    drafts = Drafts()
    outbox = make_outbox(size=1 << 20)
    put_all(outbox, [drafts.camera(start=NOW + 60 * i) for i in range(40)])
    outbox.store.sql.execute("UPDATE lane_summary SET payload = x'7801' WHERE id = 32")
    assert outbox.shed(forced=True)
    assert outbox.merged_total > 0
    assert outbox.depth < 40


class AgainstAList(RuleBasedStateMachine):
    """An outbox does what a list would do, restarts included."""

    def __init__(self):
        super().__init__()
        import tempfile

        self.directory = tempfile.mkdtemp()
        self.clock, self.drafts = FakeClock(), Drafts()
        self.queued = {lane: [] for lane in LANES}
        self.leased = Counter()
        self.out = []
        self._open()

    def _open(self):
        from pathlib import Path

        self.outbox = Outbox(Path(self.directory) / "o.db", size=8 << 20, identity=IDENTITY, clock=self.clock)
        self.outbox.open()

    @rule(lane=st.sampled_from(LANES), count=st.integers(1, 4))
    def put(self, lane, count):
        family = {
            Priority.ALERT: "alert",
            Priority.STATUS: "reply",
            Priority.SUMMARY: "host",
            Priority.SKETCH: "sketch",
        }
        made = [Draft(topic=family[lane] + "/x", body={}, priority=lane) for _ in range(count)]
        self.queued[lane] += [stamp.seq for stamp in put_all(self.outbox, made)]

    @rule(lane=st.sampled_from(LANES), count=st.integers(1, 3))
    def lease(self, lane, count):
        rows = self.outbox.lease(lane, count)
        start = self.leased[lane]
        assert [row.seq for row in rows] == self.queued[lane][start : start + count]
        self.leased[lane] += len(rows)
        self.out += rows

    @rule(lazily=st.booleans())
    def deliver(self, lazily):
        remove = self.outbox.note_delivered if lazily else self.outbox.ack
        remove([(row.priority, row.id) for row in self.out])
        for row in self.out:
            self.queued[row.priority].remove(row.seq)
            self.leased[row.priority] -= 1
        self.out = []

    @rule()
    def release(self):
        self.outbox.release()
        self.leased.clear()
        self.out = []

    @rule()
    def restart(self):
        self.outbox.close()
        self._open()
        self.leased.clear()
        self.out = []

    @invariant()
    def depth_agrees(self):
        on_disk = {
            lane: self.outbox.store.query(f"SELECT count(*) FROM {table(lane)}")[0][0] for lane in LANES
        }
        assert {lane: depth_of(self.outbox, lane) for lane in LANES} == on_disk
        assert self.outbox.depth == sum(map(len, self.queued.values()))
        assert sum(on_disk.values()) - self.outbox.delivered_rows == self.outbox.depth

    def teardown(self):
        self.outbox.close()
        shutil.rmtree(self.directory)


TestAgainstAList = AgainstAList.TestCase
TestAgainstAList.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


def test_opening_a_long_queue_is_quick(make_outbox, tmp_path):
    outbox = make_outbox(size=1 << 30)
    row = outbox.lease(Priority.SUMMARY, 1) or None
    outbox.put_many([Draft(topic="host", body={"x": "y" * 120})])
    outbox.store.sql.execute("PRAGMA synchronous=OFF")
    outbox.store.sql.execute(
        """WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
        INSERT INTO lane_summary SELECT i, topic, i, retain, expiry, created, boottime, boot, start, window, span,
        weight, payload, sketches FROM n, (SELECT * FROM lane_summary WHERE id = 1)"""
    )
    outbox.store.sql.execute("UPDATE lane SET depth = 200000")
    outbox.close()
    started = time.perf_counter()
    again = make_outbox(size=1 << 30)
    rows = again.lease(Priority.SUMMARY, 64)
    assert time.perf_counter() - started < 5.0  # it reads no list of what waits
    assert (row, again.depth, len(rows)) == (None, 200_000, 64)


def rows_on_disk(outbox):
    return outbox.store.query("SELECT count(*) FROM lane_summary")[0][0]


def test_what_was_delivered_is_removed_with_the_next_commit(make_outbox):
    drafts, outbox = Drafts(), make_outbox()
    put_all(outbox, [drafts.camera(start=NOW + 60 * i) for i in range(5)])
    commits = outbox.store.commits_total
    outbox.note_delivered([row.key for row in outbox.lease(Priority.SUMMARY, 3)])
    assert (outbox.depth, outbox.delivered_rows, rows_on_disk(outbox)) == (2, 3, 5)
    assert depth_of(outbox, Priority.SUMMARY) == 5, "the file counts what is in it"
    put_all(outbox, [drafts.camera(start=NOW + 300)])
    assert (outbox.depth, outbox.delivered_rows, rows_on_disk(outbox)) == (3, 0, 3)
    assert (depth_of(outbox, Priority.SUMMARY), outbox.store.commits_total) == (3, commits + 1)


@pytest.mark.parametrize("end", ["released", "closed", "killed"])
def test_what_was_delivered_is_not_sent_again_but_by_a_killed_process(make_outbox, end):
    drafts, outbox = Drafts(), make_outbox()
    put_all(outbox, [drafts.camera(start=NOW + 60 * i) for i in range(5)])
    outbox.note_delivered([row.key for row in outbox.lease(Priority.SUMMARY, 3)])
    if end == "released":
        outbox.release()
    else:
        (outbox if end == "closed" else outbox.store).close()
        outbox = make_outbox()
    again = [row.seq for row in outbox.lease(Priority.SUMMARY, 9)]
    assert again == ([1, 2, 3, 4, 5] if end == "killed" else [4, 5])
    assert outbox.depth == len(again) == depth_of(outbox, Priority.SUMMARY)


def test_a_disk_that_refuses_the_removal_is_asked_again_and_nothing_goes_twice(make_outbox, monkeypatch):
    drafts, outbox = Drafts(), make_outbox()
    put_all(outbox, [drafts.camera(start=NOW + 60 * i) for i in range(5)])
    outbox.note_delivered([row.key for row in outbox.lease(Priority.SUMMARY, 3)])
    with monkeypatch.context() as broken:
        broken.setattr(outbox.store, "transaction", _refusing)
        with pytest.raises(StoreUnwritable):
            outbox.settle()
        outbox.release()
        assert [row.seq for row in outbox.lease(Priority.SUMMARY, 9)] == [4, 5]
    outbox.settle()
    assert (rows_on_disk(outbox), depth_of(outbox, Priority.SUMMARY)) == (2, 2)


def _refusing():
    raise StoreUnwritable("read-only")
