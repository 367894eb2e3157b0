"""An outbox written by the version before (commit 845a528) is read, and delivered in order by a real broker.

`tests/data/upgrade/845a528/outbox.db` was written by that version's own code: three windows of each family, an alert
that fires and is delivered, one that was resolved, one that waits, an answer, a refused message and a command that ran.
"""

import shutil
from pathlib import Path

import pytest

from agent.core.types import Priority
from agent.delivery.outbox.store import LANES
from agent.delivery.verify.stream import Verifier
from tests.delivery.conftest import NOW, bodies

WRITTEN = Path(__file__).parents[2] / "data" / "upgrade" / "845a528" / "outbox.db"
BOOT = "b00t0001-ecfe935b"
PREFIX = "vedette/dock/box/"
WAITING = {
    Priority.ALERT: [("alert/new", 4)],
    Priority.STATUS: [("reply/c2", 1)],
    Priority.SUMMARY: [(t, n + (t == "host")) for n in (1, 2, 3) for t in ("camera/front", "host", "gpu/0")],
    Priority.SKETCH: [("sketch/front", n) for n in (1, 2, 3)],
}


@pytest.fixture
def state(tmp_path):
    (tmp_path / "state").mkdir()
    shutil.copy(WRITTEN, tmp_path / "state" / "outbox.db")
    return tmp_path / "state"


def test_what_waits_what_is_retained_and_what_was_lost_are_read(state, make_outbox, drafts):
    outbox = make_outbox("state/outbox.db")
    waiting = {lane: [(row.topic, row.seq) for row in outbox.lease(lane, 99)] for lane in LANES}
    assert waiting == WAITING
    assert (outbox.boot, outbox.depth, outbox.lost_total()) == (BOOT, 14, {"host": 1})
    assert [alert.topic for alert in outbox.retained.standing("box")] == ["alert/standing"]
    assert not outbox.executed.first_time("c1", NOW)
    assert outbox.executed.first_time("c2", NOW)
    assert outbox.put_many([drafts.host()])[0].seq == 5
    assert {
        body["seq"]: body.get("lost")
        for body in bodies(outbox, Priority.SUMMARY)
        if body["schema"] == "host/1"
    } == {
        2: 1,
        3: None,
        4: None,
        5: None,
    }


@pytest.mark.broker
def test_everything_is_delivered_in_order(state, mosquitto, listen, publish, clock):
    broker = mosquitto()
    listener = listen(broker.port)
    clock.pass_seconds(3600)
    running = publish(broker.url, directory=state, clock=clock)
    wanted = {topic for rows in WAITING.values() for topic, _ in rows} | {"alert/standing"}
    heard = listener.wait(
        lambda heard: len([m for m in heard if m.topic != f"{PREFIX}status"]) >= 15 and heard
    )
    found = [(m.topic.removeprefix(PREFIX).removeprefix("replay/"), m.body["seq"]) for m in heard]
    assert {topic for topic, _ in found} - {"status"} == wanted
    for rows in WAITING.values():
        for topic in {topic for topic, _ in rows}:
            assert [row for row in found if row[0] == topic] == [row for row in rows if row[0] == topic]
    verifier = Verifier()
    for message in heard:
        verifier.process(message.topic, message.payload, retained=message.retain, now=message.at)
    device = verifier.report()["devices"]["dock/box"]
    gaps = {stream["family"]: stream["gaps"] for stream in device["streams"] if stream["gaps"]}
    assert (device["invalid"], gaps) == (0, {"alert": 2}), "seq 2 and 3 were delivered before"
    assert running.publisher.drain(10)
