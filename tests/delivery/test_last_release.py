"""What was published by the last release is read today, and what a subscriber of that time relied on is still there.

`tests/data/payloads/` holds its schemas, and messages that an agent of it published.
"""

import json
from pathlib import Path

import pytest

from agent.dashboard.readings import read_alert, read_camera, read_host, read_status
from agent.delivery.verify.schemas import schema
from agent.drift.sketch import WindowSketch
from tests.payloads import check_payload

LAST = "0.1"
FOLDER = Path(__file__).resolve().parents[1] / "data" / "payloads"
MESSAGES = json.loads((FOLDER / f"{LAST}-messages.json").read_text())
FAMILIES = sorted(path.stem for path in (FOLDER / LAST).glob("*.json"))
READERS = {
    "status": lambda body: read_status(body).state,
    "camera": lambda body: read_camera(body).state,
    "host": read_host,
    "alert": read_alert,
    "sketch": lambda body: WindowSketch.from_body(body).frames,
}


def of_last(family):
    return json.loads((FOLDER / LAST / f"{family}.json").read_text())


def types_of(rule):
    kinds = rule.get("type", ())
    return {kinds} if isinstance(kinds, str) else set(kinds)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message["family"])
def test_a_message_of_the_last_release_is_valid_and_read_today(message):
    check_payload(message["family"], message["payload"])
    if message["family"] in READERS:
        assert READERS[message["family"]](message["payload"])


def test_the_messages_are_of_all_that_a_box_without_a_gpu_publishes():
    assert {message["family"] for message in MESSAGES} == {*FAMILIES} - {"gpu", "reply"}


def broken(before, now):
    """What a subscriber that relied on the schema `before` misses in `now`."""
    for name, rule in before["properties"].items():
        today = now["properties"].get(name)
        if today is None:
            yield f"{name} is gone"
        elif not types_of(today) <= types_of(rule):
            yield f"{name} may be {types_of(today) - types_of(rule)}"
        elif rule.get("const") != today.get("const"):
            yield f"{name} is {today.get('const')}"
    yield from (f"{name} may be absent" for name in set(before["required"]) - set(now["required"]))


@pytest.mark.parametrize("family", FAMILIES)
def test_no_field_of_the_last_release_is_gone_or_of_another_type(family):
    assert list(broken(of_last(family), schema(family))) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda made: made["properties"].pop("device"), "device is gone"),
        (lambda made: made["properties"]["seq"].update(type=["integer", "string"]), "seq may be"),
        (lambda made: made["properties"]["schema"].update(const="camera/2"), "schema is camera/2"),
        (lambda made: made["required"].remove("time"), "time may be absent"),
    ],
)
def test_such_a_change_is_noticed(change, fault):
    made = of_last("camera")
    change(made)
    assert any(fault in one for one in broken(of_last("camera"), made))
    made["properties"]["new"] = {"type": "number"}
    assert not any("new" in one for one in broken(of_last("camera"), made))
