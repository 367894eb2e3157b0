"""The observation log as tables, and `vedette export` of them."""

import csv
import json

import pytest

from agent.__main__ import main
from agent.alerts.runtime.observation_log import ObservationLog
from agent.app.history import TimeRange, alert_row, columns, comparison, rows
from agent.core.errors import VedetteError
from agent.core.types import Observation

NOON = 1_769_860_800.0
ALL = TimeRange(since=NOON - 1e6, until=NOON + 1e6)


def observed(metric, value, at, **labels):
    return Observation(metric=metric, value=value, at=at, labels=labels)


@pytest.fixture
def state(tmp_path):
    """Two minutes before midnight and two after it."""
    log = ObservationLog(tmp_path / "state")
    midnight = NOON + 12 * 3600
    for minute in range(-2, 2):
        at = midnight + 60 * minute + 7
        log.record(
            [
                observed("camera.fps_in", 25.0 + minute, at, camera="front"),
                observed("drift.ratio", 0.5, at + 20, camera="front"),
                observed("camera.fps_in", 5.0, at + 1, camera="back"),
                observed("host.cpu_ratio", 0.25, at + 3),
                observed("gpu.temperature_celsius", 61.0, at, gpu="0"),
                observed("camera.latency_over_ratio", 0.1, at, camera="front", target="500 ms"),
                observed("other.thing", 1.0, at),
            ],
            at,
        )
    log.flush(midnight)
    return tmp_path / "state"


def test_a_row_holds_a_minute_of_one_camera_over_midnight_too(state):
    assert columns(state, ALL) == {
        "cameras": ("time", "camera", "drift_ratio", "fps_in"),
        "host": ("time", "cpu_ratio"),
        "gpus": ("time", "gpu", "temperature_celsius"),
    }
    found = list(rows(state, ALL, "cameras"))
    assert [row["fps_in"] for row in found if row["camera"] == "front"] == [23.0, 24.0, 25.0, 26.0]
    assert found[0] == {"time": NOON + 43_080, "camera": "front", "fps_in": 23.0, "drift_ratio": 0.5}
    assert [row["time"] for row in found] == sorted(row["time"] for row in found)
    assert {row["gpu"] for row in rows(state, ALL, "gpus")} == {"0"}


def test_a_span_leaves_out_what_lies_outside(state):
    late = TimeRange(since=NOON + 12 * 3600, until=NOON + 12 * 3600 + 60)
    assert [row["fps_in"] for row in rows(state, late, "cameras") if row["camera"] == "front"] == [25.0]
    assert columns(state, TimeRange(since=0, until=1)) == {}


def test_damaged_days_are_passed_over(state):
    day = next((state / "observations").iterdir())
    day.write_bytes(b"\x1f\x8b\x08" + b"\0" * 50)
    assert len(list(rows(state, ALL, "host"))) == 2
    (state / "observations" / "2026-01-30.jsonl").write_text('{"at": 1e999}\nnothing\n')
    assert len(list(rows(state, ALL, "host"))) == 2


def test_an_alert_is_a_row_for_each_change():
    row = alert_row(
        {"changed_at": 7.0, "labels": {"camera": "front"}, "rule": "x", "evidence": {"b": 1, "a": 2}}
    )
    assert (row["time"], row["camera"], row["rule"], row["evidence"]) == (
        7.0,
        "front",
        "x",
        '{"a": 2, "b": 1}',
    )
    assert alert_row({"changed_at": 7.0, "labels": {}})["value"] is None


@pytest.fixture
def export(state, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("agent.core.clock.wall", lambda: NOON + 86_400)

    def run(*words, code=0):
        words = ["export", "--out", str(tmp_path / "out"), "--state", str(state), *words]
        assert main(words) == code
        out, err = capsys.readouterr()
        return err if code else out

    return run


def test_the_tables_are_written_as_csv(export, tmp_path):
    assert "cameras.csv: 8 rows, 4 columns" in export()
    with (tmp_path / "out" / "cameras.csv").open() as file:
        first = next(csv.DictReader(file))
    assert first == {
        "time": "2026-01-31T23:58:00.000Z",
        "camera": "front",
        "drift_ratio": "0.5",
        "fps_in": "23.0",
    }
    assert "not empty" in export(code=1), "an export replaces nothing"


def test_the_tables_are_written_as_json_lines(export, tmp_path):
    export("--to", "jsonl")
    lines = (tmp_path / "out" / "gpus.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == {
        "time": "2026-01-31T23:58:00.000Z",
        "gpu": "0",
        "temperature_celsius": 61.0,
    }


def test_the_tables_are_written_as_parquet_with_types(export, tmp_path):
    from pyarrow import parquet

    export("--to", "parquet")
    table = parquet.read_table(tmp_path / "out" / "cameras.parquet")
    assert [str(kind) for kind in table.schema.types] == [
        "timestamp[ms, tz=UTC]",
        "string",
        "double",
        "double",
    ]
    assert table.column("fps_in").to_pylist()[0] == 23.0
    assert table.column("time").to_pylist()[0].isoformat() == "2026-01-31T23:58:00+00:00"


def test_for_evidently_there_are_two_tables_with_the_same_features(tmp_path):
    log = ObservationLog(tmp_path / "state")
    for minute in range(6):
        features = (
            {"brightness": 100.0 + minute, "noise": 2.0}
            if minute < 4
            else {"brightness": 50.0, "motion": 1.0}
        )
        at = NOON + 60 * minute
        seen = [
            observed(f"camera.feature_{name}_mean", value, at, camera="front")
            for name, value in features.items()
        ]
        log.record(
            [
                *seen,
                observed("camera.feature_samples", 9.0, at, camera="front"),
                observed("drift.ratio", 1.0, at, camera="back"),
            ],
            at,
        )
    log.flush(NOON)
    reference, current = comparison(tmp_path / "state", ALL, NOON + 240)
    assert (reference.name, current.name) == ("reference", "current")
    assert reference.columns == current.columns == ("time", "camera", "feature_brightness_mean")
    assert [row["feature_brightness_mean"] for row in reference.rows()] == [100.0, 101.0, 102.0, 103.0]
    assert [(row["camera"], row["feature_brightness_mean"]) for row in current.rows()] == [
        ("front", 50.0)
    ] * 2
    with pytest.raises(VedetteError, match="`reference`"):
        comparison(tmp_path / "state", ALL, NOON - 60)
    with pytest.raises(VedetteError, match="`current`"):
        comparison(tmp_path / "state", ALL, NOON + 900)


def test_the_export_for_evidently_is_written(export, state, tmp_path):
    assert "no features of cameras are recorded" in export("--for", "evidently", code=1)
    assert not (tmp_path / "out").exists()
    assert "is not a duration" in export("--for", "evidently", "--split", "noon", code=78)


def test_where_nothing_is_recorded_it_says_so(export):
    assert "nothing is recorded" in export("--since", "1m", code=1)
    assert "is not a duration" in export("--since", "soon", code=78)
