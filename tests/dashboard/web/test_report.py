"""The report from a history that was written as the collector writes it; and roll-ups against their windows."""

import json
import re

import numpy as np
import pytest

from agent.__main__ import main
from agent.core import clock
from agent.dashboard.web import rollup
from agent.dashboard.web.collector import Collector
from agent.dashboard.web.commands import Commands
from agent.dashboard.web.drift import heat_map
from agent.dashboard.web.history import FILE, History, SqliteRows
from agent.dashboard.web.queries import Queries, span
from agent.dashboard.web.store import HOUR
from agent.dashboard.web.stream import Stream
from tests.dashboard.web.conftest import alert, camera_window, window

EVIL = "<script>alert(1)</script>"


class Away:
    connected, refused, dropped, subscriptions = False, "", 0, 0


@pytest.fixture
def collected(tmp_path):
    """A collector that is fed by hand, and the folder of its history."""
    history = History(tmp_path)
    history.open()
    collector = Collector(Away(), history, Stream(1), Commands("vedette", lambda *_: None), "vedette")

    def feed(topic, now, **body):
        collector.process(f"vedette/north/box/{topic}", json.dumps(body).encode(), now)

    collector.feed, collector.folder, collector.history = feed, tmp_path, history
    yield collector
    history.close()


def test_a_report_holds_all_and_nothing_runs_in_it(collected, tmp_path, capsys):
    now = clock.wall()
    for minute in range(30):
        body = camera_window(now - 60 * minute, state_reason=EVIL, drift_feature=EVIL)
        collected.feed("camera/front", now, **body)
    collected.feed("alert/a", now, **alert(now, what=EVIL, rule="drift", evidence={"limit": EVIL}))
    collected.flush(now)
    out = tmp_path / "report.html"
    assert (
        main(["report", "--data", str(tmp_path), "--camera", "front", "--since", "1h", "--out", str(out)])
        == 0
    )
    page = out.read_text()
    assert page.count("<polyline") >= 5 and "<rect" in page and "Runbook" in page
    assert "&lt;script&gt;" in page and not re.search(r"<script|<img|src=|href=", page)
    arguments = ["report", "--data", str(tmp_path), "--camera", "front", "--out"]
    assert main([*arguments[:-2], "frnt", "--out", str(out)]) != 0
    assert "front" in capsys.readouterr().err
    other = tmp_path / "notes.txt"
    other.write_text("mine")
    assert main([*arguments, str(other)]) != 0 and other.read_text() == "mine"
    assert "--force" in capsys.readouterr().err
    assert main([*arguments, str(other), "--force"]) == 0 and other.read_text().startswith("<!doctype")
    assert main([*arguments, str(other)]) == 0  # a page replaces a page


def test_a_roll_up_is_that_of_its_windows_whenever_they_come_and_percentiles_are_not_averaged(collected):
    now = (clock.wall() // HOUR) * HOUR + 1800
    start = now - 1800 - 3 * HOUR
    rng = np.random.default_rng(3)
    values = rng.uniform(0.01, 0.2, 60)
    order = rng.permutation(60)
    key = ("north", "box", "camera/front")
    for place, number in enumerate(order):
        end = start + 60.0 * (number + 1)
        late = "replay/" if number % 2 else ""
        collected.feed(f"{late}camera/front", now, **camera_window(end, latency_p99_seconds=values[number]))
        if place == 40:
            collected.flush(now)
    collected.flush(now)
    collected.flush(now)
    found = Queries(SqliteRows(collected.history.path)).curves(
        key, ["latency_p99_seconds", "frames_seen", "cpu_ratio"], span(start - 40 * 86400, now, now)
    )
    assert found["resolution"] == "hour" and len(found["times"]) == 1
    assert found["series"]["latency_p99_seconds"] == [pytest.approx(values.max())]
    assert found["low"]["latency_p99_seconds"] == [pytest.approx(values.min())]
    assert found["series"]["frames_seen"] == [60 * 1500]
    assert found["series"]["cpu_ratio"] == [None]
    parts = [rollup.roll_up([(60.0, {"cpu_ratio": value})]) for value in values]
    assert rollup.merge(parts)["cpu_ratio"] == pytest.approx(
        rollup.roll_up([(60.0, {"cpu_ratio": v}) for v in values])["cpu_ratio"]
    )


def test_what_is_too_old_is_pruned_and_what_lies_in_the_future_refused(collected):
    now = clock.wall()
    for end in (now - 40 * 86400, now + 86400, 0.0):
        collected.feed("camera/front", now, **camera_window(end))
    device = collected.fleet.devices["north", "box"]
    assert device.bad == 3
    collected.feed("host", now, **window(now, cpu_ratio=0.5))
    collected.flush(now)
    within = span(now - 3600, now + 60, now)
    queries = Queries(SqliteRows(collected.history.path))
    assert queries.curves(("north", "box", "host"), ["cpu_ratio"], within)["series"]["cpu_ratio"] == [0.5]
    collected.flush(now + 4 * 86400)
    assert queries.curves(("north", "box", "host"), ["cpu_ratio"], within)["times"] == []


def test_a_damaged_history_is_named_and_a_missing_one_too(tmp_path, capsys):
    (tmp_path / FILE).write_bytes(b"no database" * 500)
    for folder in (tmp_path, tmp_path / "none"):
        arguments = ["report", "--data", str(folder), "--camera", "x", "--out", str(tmp_path / "o")]
        assert main(arguments) != 0
        assert FILE in capsys.readouterr().err


def test_a_disk_that_fails_stops_no_live_view_and_the_history_goes_on_after_it(collected):
    now = clock.wall()
    collected.feed("host", now, **window(now - 120, cpu_ratio=0.1))
    collected.flush(now)
    collected.history._open.execute("PRAGMA max_page_count = 1")  # as a full disk: SQLITE_FULL
    pages = collected.history._open.execute("PRAGMA page_count").fetchone()[0]
    collected.history._open.execute(f"PRAGMA max_page_count = {pages}")
    for camera in range(100):
        collected.feed(f"camera/c{camera}", now, **camera_window(now - 60))
    collected.flush(now)
    assert "full" in collected._stream.snapshot()["note"]["history_error"]
    assert len(collected.fleet.devices["north", "box"].cameras) == 100
    collected.history._open.execute("PRAGMA max_page_count = 1000000")
    collected.feed("camera/c7", now, **camera_window(now))
    collected.flush(now)
    assert collected._stream.snapshot()["note"]["history_error"] == ""
    found = Queries(SqliteRows(collected.history.path)).curves(
        ("north", "box", "camera/c7"), ["fps_in"], span(now - 600, now + 1, now)
    )
    assert found["series"]["fps_in"][-1] == 25.0


@pytest.mark.parametrize("length", [600.0, 3600.0, 6 * 3600.0, 86400.0])
@pytest.mark.parametrize("step", [10.0, 60.0, 300.0])
def test_no_column_of_the_heat_map_is_empty_between_two_windows(length, step):
    rng = np.random.default_rng(5)
    times = [at + rng.uniform(0, 0.05 * step) for at in np.arange(1e9, 1e9 + length, step)]
    found = heat_map({"times": times, "series": {"drift_ratio": [0.5] * len(times)}}, 1e9, 1e9 + length)
    (cells,) = found["cells"]
    assert len(cells) * found["width"] == pytest.approx(length)
    assert None not in cells and len(cells) >= min(96, len(times) / 2)
