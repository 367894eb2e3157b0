"""Twin of agent/delivery/outbox/unsettled.py: sketches are written for windows that may be merged, and for no others."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.core.types import Priority
from agent.delivery.outbox.rows import LEFT_OUT, unpack_sketches
from agent.delivery.outbox.unsettled import DELIVERED_ROWS
from tests.delivery.conftest import IDENTITY, Drafts, put_all

LANE = Priority.SUMMARY


def sketches(outbox):
    return [blob for (blob,) in outbox.store.query("SELECT sketches FROM lane_summary ORDER BY id")]


def window(drafts):
    made = drafts.camera()
    drafts.at += 60.0
    return made


def test_what_is_sent_at_once_is_stored_without_its_sketches(make_outbox, drafts):
    outbox = make_outbox()
    for _ in range(3):
        put_all(outbox, [window(drafts)])
        assert sketches(outbox) == [LEFT_OUT]
        (row,) = outbox.lease(LANE, 20)
        assert unpack_sketches(row.sketches), "whoever moves it to another queue gets all of it"
        outbox.note_delivered([row.key])
    outbox.settle()
    assert sketches(outbox) == []


def test_what_waits_has_them_with_the_next_commit_or_the_end(make_outbox, drafts):
    outbox = make_outbox()
    put_all(outbox, [window(drafts)])
    put_all(outbox, [window(drafts)])
    assert [blob == LEFT_OUT for blob in sketches(outbox)] == [False, True]
    outbox.close()
    again = make_outbox()
    assert all(unpack_sketches(blob) for blob in sketches(again))


def test_what_was_leased_and_came_back_may_have_been_sent_and_needs_none(make_outbox, drafts):
    outbox = make_outbox()
    put_all(outbox, [window(drafts)])
    outbox.lease(LANE, 20)
    outbox.release()
    put_all(outbox, [window(drafts)])
    assert sketches(outbox) == [LEFT_OUT, LEFT_OUT]


def test_a_deeper_queue_has_them_at_once(make_outbox, drafts):
    outbox = make_outbox()
    put_all(outbox, [window(drafts) for _ in range(DELIVERED_ROWS)])
    put_all(outbox, [window(drafts)])
    assert all(unpack_sketches(blob) for blob in sketches(outbox))


STEPS = st.lists(
    st.sampled_from(["window", "lease", "deliver", "kill", "connection ends", "stop"]), max_size=160
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, st.integers(1, 20))
def test_every_window_that_may_be_merged_has_its_sketches_whatever_happened(
    tmp_path_factory, steps, in_flight
):
    """After any of it the windows that no process may have sent are whole."""
    from agent.delivery.outbox.queue import Outbox

    folder, drafts = tmp_path_factory.mktemp("steps"), Drafts()

    def opened():
        outbox = Outbox(folder / "outbox.db", size=8 << 20, identity=IDENTITY, in_flight=in_flight)
        outbox.open()
        outbox.store.query("PRAGMA synchronous=OFF")
        return outbox

    outbox, leased = opened(), []
    for step in steps:
        if step == "window":
            for _ in range(7):
                put_all(outbox, [window(drafts)])
        elif step == "lease":
            leased += outbox.lease(LANE, in_flight - len(leased)) if len(leased) < in_flight else []
        elif step == "deliver" and leased:
            outbox.note_delivered([leased.pop(0).key])
        elif step == "connection ends":
            outbox.release()
            leased = []
        elif step in {"kill", "stop"}:
            (outbox.store if step == "kill" else outbox).close()
            outbox, leased = opened(), []
        lacking = [row_id for (row_id, blob) in outbox.store.query("SELECT id, sketches FROM lane_summary")
                   if blob == LEFT_OUT]  # fmt: skip
        newest = outbox._next_ids[LANE] - 1  # whose commit is the last: it is whole with the next
        assert all(row_id <= outbox._touched[LANE] or row_id == newest for row_id in lacking), step
    outbox.close()


@pytest.mark.parametrize("lacking", [0, 1])
def test_a_row_that_lacks_them_is_never_merged(make_outbox, drafts, lacking):
    from agent.delivery.outbox.compaction import merge_rows

    outbox = make_outbox()
    put_all(outbox, [window(drafts) for _ in range(3)])
    rows = outbox.lease(LANE, 9)
    assert merge_rows(rows, 600) is not None
    rows[lacking] = replace(rows[lacking], sketches=LEFT_OUT)
    assert merge_rows(rows, 600) is None
