"""Twin of agent/alerts/memory_pieces.py: the memory of anomaly rules in pieces, and as it was saved before."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.alerts.hourly_memory import DAY, HOUR, RECENT_DAYS, HourlyMemory
from agent.alerts.memory_pieces import NAME, joined, split

CAMERAS = ("door", "yard")


def remembered(seconds, spacing=300.0):
    memories = {camera: HourlyMemory() for camera in CAMERAS}
    for number in range(int(seconds / spacing)):
        for offset, memory in enumerate(memories.values()):
            memory.add(number + 0.5 * offset, 1_790_000_000.0 + number * spacing)
    return [
        {"metric": "camera.fps_in", "labels": {"camera": camera}, **memory.to_snapshot()}
        for camera, memory in memories.items()
    ]


def plain(value):
    return json.loads(json.dumps(value))


@given(st.integers(0, 40))
def test_what_was_split_is_joined(hours):
    whole = remembered(hours * HOUR)
    assert joined(plain(split(whole))) == plain(whole)


def test_an_hour_changes_one_piece_and_two_weeks_are_kept():
    before, after = (split(remembered((RECENT_DAYS + 1) * DAY + extra)) for extra in (0, 600))
    changed = {name for name in after if after[name] != before.get(name)}
    assert len(changed) == 2 and NAME in changed
    assert RECENT_DAYS * 24 <= len(after) - 1 <= (RECENT_DAYS + 1) * 24
    assert max(len(json.dumps(piece)) for name, piece in after.items() if name != NAME) < 1000


def test_pieces_of_a_series_that_is_no_more_are_left_out():
    pieces = split(remembered(HOUR))
    pieces[NAME] = pieces[NAME][:1]
    assert [entry["labels"]["camera"] for entry in joined(pieces)] == ["door"]


@pytest.mark.parametrize(
    "wrong", [{NAME: 5}, {NAME: [{}]}, {NAME: [], "hours/1": []}, {NAME: [], "hours/1/2": 5}]
)
def test_what_is_no_memory_is_an_error(wrong):
    with pytest.raises((KeyError, TypeError, ValueError)):
        joined(wrong)
