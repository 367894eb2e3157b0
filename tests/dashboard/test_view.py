"""What a person reads on a screen of 80×24 and of 120×40: what fires on top, nothing cut, nothing out of the screen."""

import pytest
from rich.cells import cell_len

from agent.dashboard.fleet import Fleet
from agent.dashboard.readings import read_camera
from agent.dashboard.view import classes_text, clock, drift_text, number, spark
from agent.dashboard.web.rows import COLUMNS, row_of
from tests.dashboard.conftest import fuzzed, receive, shown

SIZES = [(80, 24), (120, 40)]


def a_fleet(cameras=4, alerts=2, devices=1):
    fleet = Fleet()
    for one in range(devices):
        name = f"box{one}" if one else "box"
        receive(fleet, "status", device=name, state="online")
        receive(fleet, "info", device=name, model_name="yolo11n", model_provider="cpu")
        receive(fleet, "host", device=name, cpu_ratio=0.5, memory_used_ratio=0.25, process_memory_bytes=3e8)
        for index in range(cameras):
            frozen = index == cameras - 1
            receive(
                fleet, f"camera/camera-{index:02d}", device=name, state="frozen" if frozen else "online", fps_inferred=12.5,
                latency_p50_seconds=0.021, latency_p99_seconds=0.05, detections_per_frame=3.2, detections_car=7,
                drift_ratio=1.4 if frozen else 0.3, drift_feature="sharpness", frames_dropped=1234567,
            )  # fmt: skip
    for index in range(alerts):
        severity = "critical" if index == alerts - 1 else "warning"
        receive(
            fleet, f"alert/{index}", id=str(index), state="firing", severity=severity, changed_at="2026-01-31T12:04:05.000Z",
            what=f"camera camera-{index:02d} is frozen", expected="motion",
        )  # fmt: skip
    return fleet


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize(("cameras", "alerts", "devices"), [(1, 0, 1), (4, 2, 1), (60, 40, 1), (5, 3, 30)])
def test_it_stays_within_the_screen(width, height, cameras, alerts, devices):
    lines = shown(a_fleet(cameras, alerts, devices), width=width, height=height).splitlines()
    assert len(lines) <= height
    assert max(cell_len(line) for line in lines) <= width


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_person_reads_every_figure_whole(width, height):
    text = shown(a_fleet(), width=width, height=height)
    for words in (
        "north/box online", "yolo11n on cpu", "cpu 50 %", "p50", "p99 ms", "camera-03", "frozen", "12.5", "21", "50", "3.2",
        "1.40 sharpness", "WARNING", "CRITICAL", "camera camera-01 is frozen; expected motion",
    ):  # fmt: skip
        assert words in text, words
    assert "…" not in text


def test_what_fires_stands_on_top_the_worst_first():
    lines = shown(a_fleet(alerts=3), width=80, height=24).splitlines()
    assert "CRITICAL" in lines[1]
    assert "WARNING" in lines[2]
    assert "north/box" in lines[4]


def test_a_long_sentence_is_folded_where_there_is_room_and_shortened_where_there_is_not():
    long = "drift of noise, sharpness, embedding 1 and edges, 1.9 times the limit, compared with the hours of the last week"
    fleet = a_fleet(alerts=0)
    receive(
        fleet,
        "alert/a",
        id="a",
        state="firing",
        severity="warning",
        what=long,
        expected="drift ratio below its limit",
    )
    lines = shown(fleet, width=80, height=24).splitlines()
    output = " ".join(" ".join(lines[1:4]).split())
    assert output == f"--:--:-- WARNING {long}; expected drift ratio below its limit"
    assert lines[2][:18].isspace()
    assert lines[2][18] != " "
    for index in range(12):
        receive(fleet, f"alert/{index}", id=str(index), state="firing", severity="warning", what=long)
    lines = shown(fleet, width=80, height=24).splitlines()
    assert len(lines) <= 24
    assert lines[1].endswith("…")


def test_resolved_alerts_fold_into_one_line():
    fleet = a_fleet(alerts=3)
    for index in range(2):
        receive(
            fleet,
            f"alert/{index}",
            id=str(index),
            state="resolved",
            what=f"camera {index} is again as it was",
        )
    text = shown(fleet, width=80, height=24)
    assert "2 resolved, the last at --:--:--: camera 1 is again as it was" in text
    assert text.count("resolved") == 1
    assert text.count("CRITICAL") == 1


def test_a_wide_terminal_uses_its_width():
    text = shown(a_fleet(), width=120, height=40)
    assert "drop" in text
    assert "1M" in text
    assert "█" in text
    assert "drop" not in shown(a_fleet(), width=80, height=24)


def test_more_cameras_than_lines_show_those_in_trouble_and_count_the_rest():
    text = shown(a_fleet(cameras=60), width=80, height=24)
    assert "camera-59" in text, "the frozen one"
    hidden = int(next(line for line in text.splitlines() if line.startswith("and ")).split()[1])
    assert hidden + text.count("camera-") - 2 == 60


def test_more_devices_than_lines_are_counted_by_state():
    fleet = a_fleet(devices=30, alerts=0)
    receive(fleet, "status", device="box7", state="offline")
    lines = shown(fleet, width=80, height=24).splitlines()
    assert lines[2].startswith("30 devices: 29 online, 1 offline  ")
    assert "north/box7 offline" in lines[3]
    assert "more devices: " in lines[-1]


def test_it_shows_the_facts_of_the_fleet_page():
    fleet = a_fleet(cameras=2, alerts=0)
    receive(fleet, "status", state="degraded", since=20.0, version="1.0.0", reason="a disk is nearly full")
    receive(fleet, "host", cpu_ratio=0.5, memory_used_ratio=0.25, outbox_messages=1234)
    text = shown(fleet, now=200.0, width=140)
    for words in ("1/2 cameras well", "for 3 min", "version 1.0.0", "a disk is nearly full", "outbox 1234"):
        assert words in text, words
    assert "north/box silent" in shown(fleet, now=7200.0, width=140)


def test_an_empty_fleet_reports_it():
    assert "no message yet" in shown(Fleet())


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_no_screen_of_a_hostile_fleet_holds_a_control_character(width, height):
    fleet = Fleet()
    for topic, payload in fuzzed(7, 800):
        fleet.process(topic, payload, 0.0)
    receive(
        fleet, "camera/\x1b]52;c;x\x07", state="\x1b[2J", drift_ratio=2, drift_feature="[link=http://evil]x"
    )
    text = shown(fleet, width=width, height=height)
    assert all(sign.isprintable() or sign == "\n" for sign in text)
    assert "\x1b]" not in shown(fleet, width=width, height=height, raw=True), "no title, clipboard or link"
    assert len(text.splitlines()) <= height


def test_small_pieces():
    assert spark([]) == spark([0, 0]) == ""
    assert spark([1, 2, 4])[-1] == "█"
    seen = read_camera({"detections_car": 3, "detections_traffic_light": 9, "detections_per_frame": 2.0})
    assert classes_text(seen) == "traffic light 9, car 3"
    assert drift_text(read_camera({})).plain == "-"
    assert drift_text(read_camera({"drift_ratio": 1.2})).style == "bold red"
    body = {"drift_ratio": 0.6, "drift_state": "drift", "drift_feature": "noise"}
    assert drift_text(read_camera({**body, "drift_cause": "fog"})).plain == "0.60 fog"
    both = {**body, "drift_cause": "fog", "drift_cause_also": "dirt"}
    assert drift_text(read_camera(both)).plain == "0.60 fog + dirt"
    assert drift_text(read_camera({**body, "drift_cause": "unknown"})).plain == "0.60 noise"
    drifted = drift_text(read_camera(body))
    assert (drifted.plain, drifted.style) == ("0.60 noise", "bold red"), "the alarm outlasts the score"
    assert drift_text(read_camera({"drift_state": "unusable"})).plain == "unusable"
    assert [number(value) for value in (None, 0, 12345, 1234567, 1e15)] == ["-", "0", "12345", "1M", "1P"]
    assert clock(None) == "--:--:--"


def test_a_terminal_shows_what_the_fleet_page_does():
    fleet = a_fleet(cameras=2, alerts=2)
    receive(
        fleet, "status", state="degraded", since="2026-01-31T12:00:00Z", version="1.2.3", reason="it is slow"
    )
    receive(fleet, "host", cpu_ratio=0.5, memory_used_ratio=0.25, temperature_celsius=61, outbox_messages=17)
    receive(fleet, "gpu/0", gpu_utilization_ratio=0.33, gpu_temperature_celsius=72)
    (device,) = fleet.devices.values()
    since = 1_769_860_800.0
    device.last_message_at = since + 7200
    row = dict(zip(COLUMNS, row_of(device, since + 7200), strict=True))
    words = {
        "site": "north/", "name": "/box", "state": "degraded", "since": "for 2 h", "cameras": "1/2 cameras well",
        "cameras_well": "1/2", "fps": "12.5", "p99_ms": "50", "cpu": "cpu 50 %", "memory": "memory 25 %", "temperature": "61 °C",
        "gpu": "gpu0 33 %", "gpu_temperature": "72 °C", "drift": "1.40", "drift_camera": "camera-01", "firing": "2 alerts",
        "severity": "(critical)", "outbox": "outbox 17", "version": "version 1.2.3", "model": "yolo11n on cpu", "reason": "it is slow",
    }  # fmt: skip
    assert words.keys() == row.keys() and None not in row.values()
    text = shown(fleet, now=since + 7200, width=200)
    assert [word for word in words.values() if word not in text] == []
