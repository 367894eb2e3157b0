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
from agent.dashboard.web.rows import COLUMNS, row_of
from agent.dashboard.web.store import HOUR
from agent.dashboard.web.stream import RowStream
from tests.dashboard.web.conftest import alert, camera_window, rfc3339, window

EVIL = "<script>alert(1)</script>"


class Away:
    connected, away, refused, dropped, subscriptions = False, "", "", 0, 0


@pytest.fixture
def collected(tmp_path):
    """A collector that is fed by hand, and the folder of its history."""
    history = History(tmp_path)
    history.open()
    stream = RowStream(1)
    collector = Collector(Away(), history, stream, Commands("vedette", lambda *_: None), "vedette")

    def feed(topic, now, **body):
        collector.process(f"vedette/north/box/{topic}", json.dumps(body).encode(), now)

    collector.feed, collector.rows, collector.history = feed, lambda: stream.snapshot()["rows"], history
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


def test_a_report_about_an_alert_has_its_time_its_words_an_image_and_nothing_of_another_camera(
    collected, tmp_path, capsys
):
    now = clock.wall()
    for minute in range(300):
        end = now - 60 * minute
        usual = {
            "drift_cause": "noise",
            "drift_cause_confidence": 0.8,
            "drift_cause_also": "wet_dirt",
            "light_mode": "night",
            "drift_state": "drift",
        }
        collected.feed("camera/front", now, **camera_window(end, **usual))
    collected.feed("advice/front", now, words="clean the lens", command="vedette drift explain", for_it=EVIL)
    collected.feed("accuracy/front", now, f1_ratio=0.9, f1_low_ratio=0.8, f1_high_ratio=0.95)
    collected.feed("alert/a", now, **alert(now - 3600, "first", what="front is slow"))
    collected.feed("alert/a", now, **alert(now - 1800, "first", "resolved", what="front was slow"))
    collected.feed("alert/b", now, **alert(now, "second", what="yard is dark", label_camera="yard"))
    collected.flush(now)
    image, out = tmp_path / "x.jpg", tmp_path / "report.html"
    image.write_bytes(b"\xff\xd8\xff\xe0 not all of a JPEG")
    base = ["report", "--data", str(tmp_path), "--out", str(out)]
    assert main([*base, "--alert", "first", "--image", str(image)]) == 0
    page = out.read_text()
    for text in (
        "latency_p99",
        "front was slow",
        "Most likely cause",
        "noise (80 % sure)",
        "wet dirt",
        "clean the lens",
        "night",
    ):
        assert text in page, text
    assert "90 % (80 to 95 %)" in page and "data:image/jpeg;base64," in page and "yard is dark" not in page
    assert EVIL not in page and not re.search(r"<script|src=(?!\"data:image/jpeg)|href=", page)
    assert page.count("<h3>") >= 4 and "Runbook" in page
    assert main([*base, "--device", "box", "--since", "1h", "--until", "1m"]) == 0
    assert "Device north/box" in out.read_text()
    for wrong, words in (
        (["--alert", "third"], "no alert third"), (["--camera", "frnt"], "did you mean 'front'"), ([], "--alert"),
        (["--camera", "front", "--until", "3h"], "is not after"), (["--alert", "first", "--image", str(out)], "not a JPEG"),
        (["--device", "bx"], "there is north/box"),
    ):  # fmt: skip
        assert main([*base, *wrong]) != 0
        assert words in capsys.readouterr().err


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


def test_a_feature_is_in_the_heat_map_between_the_messages_that_have_it_as_long_as_drift_is_judged():
    times = [60.0 * minute for minute in range(1, 31)]
    known = {1: 0.9, 16: 0.2}  # the complete messages; between them it is below three quarters of its limit
    series = {
        "drift_ratio": [None if minute > 25 else 0.3 for minute in range(1, 31)],
        "drift_contrast_ratio": [known.get(minute) for minute in range(1, 31)],
    }
    found = heat_map({"times": times, "series": series}, 0.0, 1800.0)
    cells = found["cells"][found["features"].index("contrast")]
    at = lambda minute: cells[int(60 * minute / found["width"])]  # noqa: E731  (a name for one line of three)
    assert (at(1), at(8), at(20), at(29)) == (0.9, 0.74, 0.2, None)


def test_what_a_message_leaves_out_since_it_is_zero_is_zero_on_curves_and_ends_what_was_said(collected):
    now = (clock.wall() // HOUR) * HOUR + 1800
    start = now - 1800 - 2 * HOUR
    for minute in range(1, 11):
        halted = {"throttled_ratio": 0.5, "throttle_reasons": "heat"} if minute < 5 else {}
        body = window(start + 60 * minute, gpu_utilization_ratio=0.5, **halted)
        collected.feed("gpu/0", now, **body)
        frozen = {"state": "frozen", "state_reason": "the same frame for 15 s"} if minute == 5 else {}
        collected.feed("camera/front", now, **camera_window(start + 60 * minute, **frozen))
    collected.flush(now)
    collected.flush(now)
    queries, key = Queries(SqliteRows(collected.history.path)), ("north", "box", "gpu/0")
    fine = queries.curves(key, ["throttled_ratio"], span(start, now, now))["series"]["throttled_ratio"]
    assert fine == [0.5] * 4 + [0.0] * 6
    hour = queries.curves(key, ["throttled_ratio"], span(now - 30 * 86400, now, now))["series"]
    assert hour["throttled_ratio"] == [pytest.approx(0.2)]
    marks = queries.marks("north", "box", span(start, now, now))
    assert [mark["text"] for mark in marks if mark["entity"] == "camera/front"] == [
        "online", "frozen: the same frame for 15 s", "online"
    ]  # fmt: skip
    assert [mark["text"] for mark in marks if mark["kind"] == "throttled"] == [""]
    latest = queries.latest("north", "box")
    assert "state_reason" not in latest["camera/front"] and "throttle_reasons" not in latest["gpu/0"]


def test_a_device_that_is_cut_off_is_an_alert_since_its_last_message_until_it_is_back(collected):
    now = clock.wall()

    def alerts(*, firing):
        return Queries(SqliteRows(collected.history.path)).alerts(firing=firing)

    connected = rfc3339(now - 5 * 86400)
    collected.feed("status", now - 100, state="online", since=connected)
    collected.feed("status", now - 40, state="offline", since=connected, reason="connection lost")
    collected.feed(
        "status", now - 20, state="offline", since=connected, reason="connection lost"
    )  # once more
    collected.flush(now)
    (alert,) = alerts(firing=True)
    assert (alert["rule"], alert["severity"]) == ("device_offline", "critical")
    assert alert["first_seen"] == pytest.approx(now - 40)
    assert alert["what"] == "the device is offline: connection lost"
    assert row_of(collected.fleet.devices["north", "box"], now)[COLUMNS.index("since")] == int(now - 40)
    collected.feed("status", now, state="online", since=rfc3339(now - 10))
    collected.flush(now)
    assert alerts(firing=True) == []
    (alert,) = alerts(firing=False)
    assert alert["state"] == "resolved" and alert["what"] == "the device was offline for 30 s; it is back"


def test_what_is_cleared_at_the_broker_goes_from_fleet_and_alerts(collected):
    now = clock.wall()
    collected.feed("status", now, state="offline", since=rfc3339(now), reason="stopped")
    collected.feed("alert/a", now, **alert(now, "a"))
    collected.flush(now)
    for topic in ("alert/a", "status"):
        collected.process(f"vedette/north/box/{topic}", b"", now)
    collected.flush(now)
    found = Queries(SqliteRows(collected.history.path)).alerts(firing=False)
    assert {one["state"] for one in found} == {"ended"} and len(found) == 2
    assert collected.fleet.devices == {} and collected.rows() == []


def test_advice_accuracy_controls_and_what_else_stands_for_a_camera_is_kept_as_it_was_last(collected):
    now = clock.wall()
    collected.feed("advice/front", now, camera="front", action="look", words="look at it")
    collected.feed("advice/front", now + 1, camera="front", action="mend", words="mend it " * 60)
    collected.feed("accuracy/front", now, f1_ratio=0.9, f1_low_ratio=0.8, f1_high_ratio=0.95)
    acknowledged = {"acknowledged": {"who": EVIL, "at": now, "why": "on it"}}
    collected.feed(
        "alert/a", now, **alert(now, controls=acknowledged, evidence={"hours": [8, 9], "deep": {"a": 1}})
    )
    collected.flush(now)
    queries = Queries(SqliteRows(collected.history.path))
    latest = queries.latest("north", "box")
    assert latest["advice/front"]["action"] == "mend" and len(latest["advice/front"]["words"]) == 480
    assert latest["accuracy/front"]["f1_low_ratio"] == 0.8
    (found,) = queries.alerts(firing=True)
    assert found["controls"]["acknowledged.who"] == EVIL and found["controls"]["acknowledged.why"] == "on it"
    assert found["evidence"] == {"hours": "8, 9", "deep.a": 1}


def test_a_reload_a_model_and_the_light_are_marks(collected):
    now = clock.wall()
    for step, (config, model) in enumerate((("a1", "m1"), ("b2", "m1"), ("b2", "m2"))):
        collected.feed("info", now + step, time=rfc3339(now + step), config_sha256=config, model_sha256=model)
    collected.feed("camera/front", now, **camera_window(now - 60, light_mode="day"))
    collected.feed("camera/front", now, **camera_window(now, light_mode="night"))
    collected.flush(now + 3)
    marks = Queries(SqliteRows(collected.history.path)).marks("north", "box", span(now - 600, now + 10, now))
    assert [(mark["kind"], mark["text"]) for mark in marks if mark["kind"] != "state"] == [
        ("light", "day"), ("light", "night"), ("config", "reloaded: b2"), ("model", "m2")
    ]  # fmt: skip
