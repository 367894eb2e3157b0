"""Steady time over restarts by its file, and the lines that the journal gets of the wall clock."""

from __future__ import annotations

import json

import pytest
from structlog.testing import capture_logs

from agent.app.clock_watch import FILE_NAME, SAVE_SECONDS, ClockWatch
from tests.clocks import Machine

YEARS_56 = 56 * 365.25 * 86400


@pytest.fixture
def box():
    return Machine()


def opened(box, folder):
    steady = box.clock()
    watch = ClockWatch(folder, steady)
    watch.open()
    return watch, steady


def test_steady_time_goes_on_over_a_restart_and_a_reboot(box, tmp_path):
    watch, steady = opened(box, tmp_path)
    at = steady.now()
    box.step(-YEARS_56)
    watch.tick()
    box.run(10)
    watch.save()
    _, second = opened(box, tmp_path)
    assert second.now() - at == pytest.approx(10)
    box.reboot(off=3600, rtc=False)
    _, third = opened(box, tmp_path)
    assert third.now() - at == pytest.approx(10 + box.up)


def test_a_killed_agent_loses_no_more_of_an_unsynchronised_boot_than_a_save(box, tmp_path):
    watch, steady = opened(box, tmp_path)
    began = steady.now()
    for _ in range(1000):
        box.run(1)
        watch.tick()
    box.reboot(off=60, rtc=False)
    _, second = opened(box, tmp_path)
    assert 1000 - SAVE_SECONDS <= second.now() - began <= 1000 + box.up


def test_a_clock_that_is_set_is_logged_once_and_stored(box, tmp_path):
    watch, _ = opened(box, tmp_path)
    with capture_logs() as logs:
        watch.tick()
        box.step(-1200.0)
        for _ in range(5):
            box.run(1)
            watch.tick()
    (line,) = logs
    assert line["event"] == "the clock was set back by 20 min; durations are unaffected, times follow it"
    assert line["log_level"] == "info"
    assert json.loads((tmp_path / FILE_NAME).read_text())["offset"] == pytest.approx(-1200.0)


def test_many_small_steps_fill_no_journal(box, tmp_path):
    watch, _ = opened(box, tmp_path)
    with capture_logs() as logs:
        for number in range(200):
            box.run(1)
            box.step(0.5 if number % 2 else -0.5)
            watch.tick()
    assert logs == []


def test_a_clock_of_1970_is_warned_of_and_its_sync_is_logged(tmp_path):
    box = Machine(error=60.0 - 1_790_000_000.0, synced=False)
    with capture_logs() as logs:
        watch, _ = opened(box, tmp_path)
        box.sync()
        box.run(2)
        watch.tick()
    wrong, forward = logs
    assert (wrong["log_level"], wrong["clock"][:4]) == ("warning", "1970")
    assert wrong["event"].startswith("the clock is wrong")
    assert forward["event"].startswith("the clock was set forward by ")
    assert forward["synchronised"] is True


def test_a_box_without_ntp_is_not_warned_at_each_start(tmp_path):
    with capture_logs() as logs:
        opened(Machine(synced=False), tmp_path)
    assert [line["log_level"] for line in logs] == ["info"]


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"boot": 1', '{"boot": "b", "anchor": NaN, "now": 1, "offset": 0, "synced": true}'],
)
def test_a_damaged_file_begins_anew(box, tmp_path, text):
    (tmp_path / FILE_NAME).write_text(text)
    with capture_logs() as logs:
        _, steady = opened(box, tmp_path)
    assert steady.now() == pytest.approx(box.wall())
    assert "steady time starts again" in logs[0]["event"]
    assert json.loads((tmp_path / FILE_NAME).read_text())["boot"] == steady.boot


def test_a_disk_that_cannot_be_written_is_logged_once(box, tmp_path):
    watch, _ = opened(box, tmp_path)
    (tmp_path / FILE_NAME).unlink()
    (tmp_path / FILE_NAME).mkdir()
    with capture_logs() as logs:
        watch.save()
        watch.save()
    assert [line["log_level"] for line in logs] == ["warning"]
