"""Who changed which reference is in force: the last changes, whatever one of them looks like."""

import json

import pytest

from agent.references.changes import MOST_KEPT, changes, note
from agent.references.store import CHANGES, ReferenceStore


def test_the_last_changes_are_kept_oldest_first(tmp_path):
    store = ReferenceStore(tmp_path)
    for number in range(MOST_KEPT + 5):
        note(store, "front", "imported", f"{number:012}", at=float(number), who="ann", why="new\x1b[31m lamp")
    found = changes(store, "front")
    assert [each["at"] for each in found] == list(range(5, MOST_KEPT + 5))
    assert found[0]["who"] == "ann" and found[0]["why"].isprintable()
    assert changes(store, "back") == []


@pytest.mark.parametrize(
    "entry", [7, {"at": -1}, {"at": 1, "what": "x", "reference": "", "who": "x" * 600, "why": ""}]
)
def test_a_change_that_cannot_be_read_costs_no_other_also_when_the_next_is_written(tmp_path, entry):
    store = ReferenceStore(tmp_path)
    note(store, "front", "imported", "a" * 12, at=1.0, who="ann")
    store.write("front", CHANGES, json.dumps([*json.loads(store.read("front", CHANGES)), entry]))
    note(store, "front", "accepted", "b" * 12, at=2.0, who="bob")
    assert [each["who"] for each in changes(store, "front")] == ["ann", "bob"]


@pytest.mark.parametrize("text", ["{", "{}", "[" * 500])
def test_a_file_that_cannot_be_read_is_begun_anew(tmp_path, text):
    store = ReferenceStore(tmp_path)
    store.write("front", CHANGES, text)
    assert changes(store, "front") == []
    note(store, "front", "accepted", "b" * 12, at=2.0, who="bob")
    assert [each["who"] for each in changes(store, "front")] == ["bob"]
