"""The logbook: appended, bounded, sound after a power cut, and never in the agent's way."""

import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import logbook
from agent.core.logbook import Logbook, entries


def test_what_is_noted_is_read_back_in_order(tmp_path):
    book = Logbook(tmp_path)
    book.note("config", "a = 1", who="ada", why="reload")
    book.note("model", "new ü")
    first, second = entries(tmp_path)
    assert (first.kind, first.what, first.who, first.why) == ("config", "a = 1", "ada", "reload")
    assert (second.what, second.who) == ("new ü", "")
    assert first.at <= second.at
    assert (tmp_path / "logbook.jsonl").stat().st_mode & 0o777 == 0o600


@given(cut=st.integers(min_value=0, max_value=400))
def test_a_power_cut_costs_one_line(cut, tmp_path_factory):
    folder = tmp_path_factory.mktemp("state")
    book = Logbook(folder)
    for number in range(3):
        book.note("config", f"key = {number}")
    path = folder / "logbook.jsonl"
    kept = path.read_bytes()[:cut]
    path.write_bytes(kept)
    book.note("config", "after")
    found = [entry.what for entry in entries(folder)]
    assert found[-1] == "after"
    assert len(found) >= kept.count(b"\n") + 1


def test_it_is_bounded_and_keeps_the_newest(tmp_path, monkeypatch):
    monkeypatch.setattr(logbook, "LARGEST_BYTES", 5000)
    book = Logbook(tmp_path)
    for number in range(300):
        book.note("config", f"key = {number}")
    assert (tmp_path / "logbook.jsonl").stat().st_size < 5500
    found = [entry.what for entry in entries(tmp_path)]
    assert found == [f"key = {number}" for number in range(300 - len(found), 300)]
    assert len(found) > 10


def test_long_secret_and_unprintable_texts_are_bounded_masked_and_escaped(tmp_path):
    Logbook(tmp_path).note("config", "x" * 10_000, who="\x1b[31mada", why="rtsp://u:hunter2@cam/x")
    (entry,) = entries(tmp_path)
    assert len(entry.what) <= logbook.LONGEST + 1
    assert "\x1b" not in entry.who
    assert "hunter2" not in entry.why


@pytest.mark.parametrize("kind", ["folder", "link", "no folder"])
def test_what_cannot_be_written_stops_nothing(tmp_path, kind):
    state = tmp_path / "state"
    if kind != "no folder":
        state.mkdir()
    if kind == "folder":
        (state / "logbook.jsonl").mkdir()
    if kind == "link":
        (tmp_path / "target").write_text("kept")
        (state / "logbook.jsonl").symlink_to(tmp_path / "target")
    Logbook(state).note("config", "x")
    if kind == "link":
        assert (tmp_path / "target").read_text() == "kept"


@pytest.mark.parametrize(
    "line",
    [b"{", b"[]", b'{"at": "x"}', b'{"at": 1e99, "kind": "a", "what": "", "who": "", "why": ""}', b"\xff"],
)
def test_a_damaged_line_is_left_out(tmp_path, line):
    book = Logbook(tmp_path)
    book.note("config", "before")
    with (tmp_path / "logbook.jsonl").open("ab") as file:
        file.write(line + b"\n")
    book.note("config", "after")
    assert [entry.what for entry in entries(tmp_path)] == ["before", "after"]


def test_many_threads_write_whole_lines(tmp_path):
    book = Logbook(tmp_path)
    threads = [
        threading.Thread(target=lambda: [book.note("config", "x" * 300) for _ in range(20)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(entries(tmp_path)) == 160
    assert os.path.getsize(tmp_path / "logbook.jsonl") > 160 * 300
