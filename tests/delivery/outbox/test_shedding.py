"""What is merged and what is dropped when the outbox fills, plan by plan."""

import json
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.core.types import Priority
from agent.delivery.outbox.queue import Outbox
from agent.delivery.outbox.rows import unpack
from agent.delivery.outbox.shedding import DROP_ROWS, STEPS, Shedder
from agent.delivery.outbox.store import LANES
from tests.delivery.conftest import IDENTITY, NOW, Drafts, FakeClock, bodies, bulk, depth_of, put_all

NONE_SENT = dict.fromkeys(LANES, 0)
HOUR = NOW - NOW % 3600 + 3600  # a full hour


def plan(outbox, leased=NONE_SENT, touched=NONE_SENT):
    return Shedder(outbox.store).plan(leased, touched)


def shed_all(outbox):
    """How many steps of shedding it takes until nothing is left to take."""
    steps = 0
    while outbox.shed(forced=True):
        steps += 1
        assert steps < 1000
    return steps


def test_an_empty_outbox_has_nothing_to_take(make_outbox):
    outbox = make_outbox()
    assert plan(outbox) is None
    assert not outbox.shed(forced=True)


def test_below_four_fifths_nothing_is_taken_unless_forced(make_outbox, drafts):
    outbox = make_outbox()
    put_all(outbox, bulk(10))
    assert not outbox.shed()
    assert outbox.shed(forced=True)
    assert outbox.depth == 0


def test_the_least_important_goes_first_and_alerts_last():
    assert [lane for lane, _ in STEPS] == sorted((lane for lane, _ in STEPS))
    assert STEPS[-1] == (Priority.ALERT, 0)
    merged = {lane for lane, span in STEPS if span}
    assert merged == {Priority.SKETCH, Priority.SUMMARY}


def test_each_lane_is_emptied_before_the_next(make_outbox, drafts):
    outbox = make_outbox(careless=True)
    put_all(outbox, [drafts.alert("a"), drafts.feature_sketches(), *bulk(2)])
    emptied = []
    while outbox.shed(forced=True):
        emptied += [lane for lane in LANES if lane not in emptied and not depth_of(outbox, lane)]
    assert [lane for lane in emptied if lane is not Priority.STATUS] == [
        Priority.SKETCH,
        Priority.SUMMARY,
        Priority.ALERT,
    ]


def test_windows_of_ten_minutes_become_one_and_the_newest_ten_minutes_stay_open(make_outbox, drafts):
    outbox = make_outbox(careless=True)
    put_all(outbox, [drafts.host(start=HOUR + 60 * i) for i in range(15)])
    found = plan(outbox)
    assert (found.lane, list(found.deleted)) == (Priority.SUMMARY, list(range(1, 10)))
    assert [(row.id, row.start, row.window, row.span, row.weight) for row in found.merged] == [
        (10, HOUR, 600.0, 600, 10)
    ]
    assert found.lost == {}
    assert json.loads(unpack(found.merged[0].payload))["merged"] == 10


def test_windows_of_different_topics_are_merged_apart(make_outbox, drafts):
    outbox = make_outbox(careless=True)
    for i in range(15):
        put_all(outbox, [drafts.camera(name, start=HOUR + 60 * i, features=1) for name in ("front", "yard")])
    found = plan(outbox)
    assert [(row.topic, row.weight) for row in found.merged] == [("camera/front", 10), ("camera/yard", 10)]


def test_what_may_have_been_sent_is_not_merged(make_outbox, drafts):
    outbox = make_outbox(careless=True)
    put_all(outbox, [drafts.host(start=HOUR + 60 * i) for i in range(15)])
    assert list(plan(outbox, touched={**NONE_SENT, Priority.SUMMARY: 4}).deleted) == list(range(5, 10))


def test_what_is_on_its_way_is_not_dropped(make_outbox):
    outbox = make_outbox(careless=True)
    put_all(outbox, bulk(10))
    found = plan(outbox, leased={**NONE_SENT, Priority.SUMMARY: 4})
    assert list(found.deleted) == list(range(5, 11))
    assert found.lost == {"host": 6}


def test_a_plan_drops_no_more_than_fits_one_transaction(make_outbox):
    outbox = make_outbox(careless=True)
    put_all(outbox, bulk(DROP_ROWS + 1, size=20))
    assert len(plan(outbox).deleted) == DROP_ROWS


def test_what_a_dropped_message_reported_as_lost_is_counted_once(make_outbox, drafts):
    outbox = make_outbox(careless=True)
    outbox.put_many([drafts.host()], {"host": 3})
    found = plan(outbox)
    assert (found.lost, found.reported) == ({"host": 4}, {"host": 3})
    assert shed_all(outbox) == 1
    assert outbox.lost_total() == {"host": 4}
    put_all(outbox, [drafts.host()])
    assert [body["lost"] for body in bodies(outbox, Priority.SUMMARY)] == [4]


def test_windows_that_cannot_be_read_are_not_merged_but_dropped(make_outbox, drafts):
    outbox = make_outbox(careless=True)
    put_all(outbox, [drafts.host(start=HOUR + 60 * i) for i in range(15)])
    outbox.store.sql.execute("UPDATE lane_summary SET payload = x'7800' WHERE id = 3")
    found = plan(outbox)
    assert found.merged == ()
    assert list(found.deleted) == list(range(1, 16))


WINDOWS = st.lists(
    st.tuples(st.sampled_from(["host", "camera", "sketch", "alert"]), st.integers(0, 200)), max_size=40
)


def draft(drafts, kind, minute):
    start = HOUR + 60.0 * minute
    if kind == "host":
        return drafts.host(start=start)
    if kind == "camera":
        return drafts.camera(start=start, features=1, sketches={})
    if kind == "sketch":
        return drafts.feature_sketches(start=start, features=1)
    return drafts.alert(f"a{minute}")


def stands_for(outbox):
    """How many sequence numbers of each family the messages that wait stand for."""
    found = Counter()
    for lane in LANES:
        outbox.release()
        for row in outbox.lease(lane, 1000):
            found[row.family] += row.weight
    outbox.release()
    return found


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(WINDOWS, st.integers(0, 30))
def test_every_number_is_waiting_merged_or_lost_after_any_number_of_steps(windows, steps):
    """Law 4 of the outbox; and what is left of each topic stays in order."""
    outbox, drafts = Outbox(None, size=8 << 20, identity=IDENTITY, clock=FakeClock()), Drafts()
    outbox.open()
    try:
        put_all(outbox, [draft(drafts, kind, minute) for kind, minute in windows])
        given_out = Counter(draft(drafts, kind, minute).topic.partition("/")[0] for kind, minute in windows)
        for _ in range(steps):
            outbox.shed(forced=True)
        assert stands_for(outbox) + Counter(outbox.lost_total()) == given_out
        seqs = {}
        for lane in LANES:
            for row in outbox.lease(lane, 1000):
                assert row.seq > seqs.get(row.family, 0)
                seqs[row.family] = row.seq
    finally:
        outbox.close()
