"""The books of a family: every number given out is a message's, or lost, and each loss is reported once."""

from hypothesis import given
from hypothesis import strategies as st

from agent.delivery.outbox.families import Families
from agent.delivery.outbox.store import MessageStore

STEPS = st.lists(st.sampled_from(["accept", "refuse", "skip", "lose"]), max_size=40)


@given(STEPS)
def test_messages_and_losses_add_up_to_the_numbers_given_out(steps):
    families, given_out, waiting, reported = Families(), 0, 0, 0
    for step in steps:
        if step == "skip":
            families.skip("host", 3)
            given_out += 3
        elif step == "lose" and waiting:  # a message that waited is shed
            families.lose("host", 1)
            waiting -= 1
        elif step in {"accept", "refuse"}:
            given_out, report = families.next("host")
            if step == "refuse":
                families.refuse("host", report)
            else:
                waiting += 1
                reported += report
    seq, left = families.next("host")
    assert seq == given_out + 1
    lost = families.lost_total().get("host", 0)
    assert waiting + lost == given_out
    assert reported + left == lost, "what is lost is reported, and once"


def test_a_report_that_is_lost_is_made_again_and_counted_once():
    families = Families()
    families.skip("host", 5)
    assert families.next("host") == (6, 5)
    again = families.with_losses({"host": 6}, {"host": 5})  # the message is shed with its report
    assert again.next("host") == (7, 6)
    assert again.lost_total() == {"host": 6}
    assert families.lost_total() == {"host": 5}, "a copy was changed"


def test_only_what_changed_is_written_and_all_is_read_again():
    store = MessageStore(None, 1 << 20)
    store.open()
    sql = store.sql
    before = Families()
    after = before.copy()
    after.skip("host", 2)
    after.next("camera")
    after.write(sql, before)
    later = after.copy()
    later.next("camera")
    changes = sql.total_changes
    later.write(sql, after)
    assert sql.total_changes == changes + 1
    read = Families.read(store)
    assert (read.next("host"), read.next("camera")) == ((3, 2), (3, 0))
