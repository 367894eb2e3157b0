import base64
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.kll import Sketch
from agent.core.types import Priority
from agent.delivery.outbox.compaction import merge_bodies, merge_rows
from agent.delivery.outbox.rows import unpack, unpack_sketches
from tests.delivery.conftest import NOW, put_all


def rows_of(outbox, drafts, lane=Priority.SUMMARY):
    put_all(outbox, drafts)
    return outbox.lease(lane, 1000)


def test_ten_minutes_become_one_message_with_exact_counts_and_true_quantiles(make_outbox, drafts):
    rng = np.random.default_rng(1)
    values = [rng.gamma(3.0, 0.02 * (1 + i), 900).astype(np.float32) for i in range(10)]
    sketches = []
    for chunk in values:
        sketches.append(Sketch())
        sketches[-1].update(chunk)
    rows = rows_of(
        make_outbox(),
        [drafts.camera(start=NOW + 60 * i, sketches={"latency": s}) for i, s in enumerate(sketches)],
    )
    merged = merge_rows(rows, 600)
    body = json.loads(unpack(merged.payload))
    assert (body["frames_seen"], body["frames_dropped"], body["detections_person"]) == (6000, 30, 400)
    assert (body["merged"], merged.weight, merged.id, body["seq"]) == (10, 10, rows[-1].id, rows[-1].seq)
    assert (body["start"], body["end"]) == ("2026-09-21T14:13:20.000Z", "2026-09-21T14:23:20.000Z")
    everything = np.sort(np.concatenate(values))
    for field, rank in (
        ("latency_p50_seconds", 0.5),
        ("latency_p90_seconds", 0.9),
        ("latency_p99_seconds", 0.99),
    ):
        assert np.searchsorted(everything, body[field]) / everything.size == pytest.approx(rank, abs=0.02)
    assert body["latency_max_seconds"] == pytest.approx(float(everything[-1]), rel=1e-6)
    averaged = np.mean([float(s.quantiles([0.99])[0]) for s in sketches])
    assert abs(body["latency_p99_seconds"] - averaged) > 0.1  # what averaging percentiles would have said
    assert Sketch.from_bytes(unpack_sketches(merged.sketches)["latency"]).count == 9000


def test_hours_merged_from_merged_tens_equal_hours_merged_at_once(make_outbox, drafts):
    rows = rows_of(make_outbox(), [drafts.camera(start=NOW + 60 * i) for i in range(60)])
    tens = [merge_rows(rows[i : i + 10], 600) for i in range(0, 60, 10)]
    stepwise, direct = (json.loads(unpack(merge_rows(r, 3600).payload)) for r in (tens, rows))
    assert stepwise.keys() == direct.keys()
    for name, value in direct.items():
        if "_p" not in name:  # sketches differ within their error
            expected = value if isinstance(value, str) else pytest.approx(value, rel=1e-5)
            assert stepwise[name] == expected, name


def test_means_are_weighted_by_what_they_count():
    bodies = [
        {
            "frames_inferred": 100,
            "detections": 10,
            "confidence_mean": 0.9,
            "outlier_ratio": 0.0,
            "fps_in": 10.0,
        },
        {
            "frames_inferred": 300,
            "detections": 30,
            "confidence_mean": 0.5,
            "outlier_ratio": 1.0,
            "fps_in": 30.0,
        },
    ]
    merged = merge_bodies(bodies, [60.0, 60.0], {})
    assert merged["confidence_mean"] == pytest.approx(0.6)
    assert merged["outlier_ratio"] == pytest.approx(0.75)
    assert merged["fps_in"] == pytest.approx(20.0)


def test_a_feature_s_mean_is_weighted_by_its_samples_even_if_its_name_says_least_or_largest():
    bodies = [
        {"feature_samples": 10, "feature_confidence_min_mean": 0.4, "frames_inferred": 600},
        {"feature_samples": 30, "feature_confidence_min_mean": 0.8, "frames_inferred": 600},
    ]
    merged = merge_bodies(bodies, [60.0, 60.0], {})
    assert merged["feature_confidence_min_mean"] == pytest.approx(0.7)
    assert merged["feature_samples"] == 40


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("frames_seen", [1, 2, None], 3),
        ("reconnects", [1, 0, 2], 3),
        ("cpu_core_count", [4, 4, 4], 4),
        ("cpu_max_ratio", [0.2, 0.9, 0.1], 0.9),
        ("network_eth0_bytes_per_second", [10.0, 20.0, 30.0], 20.0),
        ("lost", [2, 5, 1], 8),
        ("detections_traffic_light", [4, 5, 6], 15),
        ("gpu_temperature_max_celsius", [60.0, 80.0, 70.0], 80.0),
        ("drift_ratio", [0.2, 1.4, 0.3], 1.4),
        ("memory_available_min_bytes", [5, 3, 4], 3),
        ("outbox_lost_total", [1, 5, 7], 7),
        ("state", ["online", "down", "online"], "online"),
        ("clock_synced", [False, True, True], True),
        ("cpu_ratio", [0.0, 0.5, 1.0], 0.5),
        ("cpu_ratio", [None, None, None], None),
        ("latency_p99_seconds", [0.1, 0.2, 0.3], None),
    ],
)
def test_the_rule_of_a_field_is_in_its_name(name, values, expected):
    bodies = [{name: value} for value in values]
    assert merge_bodies(bodies, [60.0] * len(values), {})[name] == expected


def test_a_field_that_only_some_windows_have_is_merged_over_those():
    merged = merge_bodies([{"a_ratio": 1.0}, {}, {"detections_cat": 2}], [60.0] * 3, {})
    assert (merged["a_ratio"], merged["detections_cat"], merged["merged"]) == (1.0, 2, 3)


def test_feature_sketches_are_merged_inside_the_payload(make_outbox, drafts):
    rows = rows_of(
        make_outbox(), [drafts.feature_sketches(start=NOW + 60 * i) for i in range(5)], Priority.SKETCH
    )
    body = json.loads(unpack(merge_rows(rows, 600).payload))
    assert Sketch.from_bytes(base64.b64decode(body["feature3_kll"])).count == 5 * 120
    assert body["frames_inferred"] == 600


def test_a_damaged_row_is_not_merged(make_outbox, drafts):
    import dataclasses

    rows = rows_of(make_outbox(), [drafts.host(start=NOW + 60 * i) for i in range(3)])
    assert merge_rows([rows[0], dataclasses.replace(rows[1], payload=b"{torn")], 600) is None
    assert merge_rows([rows[0], dataclasses.replace(rows[1], payload=b"\x78\x01nonsense")], 600) is None


def test_rows_of_another_topic_or_time_stay_apart(make_outbox, drafts):
    outbox = make_outbox(size=2 << 20, careless=True)
    for number in range(600):
        put_all(outbox, [drafts.camera(name, start=NOW + 60 * number) for name in ("a", "b")])
        outbox.shed()
    rows = outbox.lease(Priority.SUMMARY, 2000)
    merged = [row for row in rows if row.weight > 1]
    assert {row.topic for row in merged} == {"camera/a", "camera/b"}
    for row in merged:
        assert row.start // row.span == (row.start + row.window - 60.0) // row.span
    for topic in ("camera/a", "camera/b"):
        assert sum(row.weight for row in rows if row.topic == topic) == 600


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=30), st.data())
def test_counts_add_up_however_the_windows_are_grouped(counts, data):
    cut = data.draw(st.integers(1, len(counts) - 1))
    bodies = [{"frames_seen": count} for count in counts]
    parts = [merge_bodies(part, [60.0] * len(part), {}) for part in (bodies[:cut], bodies[cut:])]
    whole = merge_bodies(parts, [60.0 * cut, 60.0 * (len(counts) - cut)], {})
    assert (whole["frames_seen"], whole["merged"]) == (sum(counts), len(counts))
