"""Windows become messages: merged exactly, thinned, and none of them forgotten."""

import numpy as np
import pytest

from agent.app.kinds import KINDS
from agent.config.load import parse
from agent.config.report_plan import ReportPlan
from agent.core.kll import Sketch
from agent.delivery.messages import camera_draft, host_draft
from agent.delivery.reports import Reports

LEAN = ReportPlan(profile="lean", windows=10, complete_every=6, sketch_seconds=3600.0, sketch_items=24)
START = 1.8e9


def window(n, values, seconds=60.0, **fields):
    sketch = Sketch()
    sketch.update(np.asarray(values, dtype=np.float32))
    p50, p99 = sketch.quantiles([0.5, 0.99])
    body = {
        "state": "online",
        "frames_seen": len(values),
        "frames_inferred": len(values),
        "detections_person": n,
        "latency_p50_seconds": float(p50),
        "latency_p99_seconds": float(p99),
        "latency_max_seconds": float(sketch.maximum),
        **fields,
    }
    start = START + 60.0 * n
    return camera_draft("front", body, {"latency": sketch}, start=start, end=start + seconds)


def test_ten_windows_are_one_message_with_their_counts_and_the_quantiles_of_all_their_frames():
    rng, sent = np.random.default_rng(1), []
    reports = Reports(LEAN, sent.append)
    values = [rng.gamma(3.0, 0.01 * (1 + n), 300) for n in range(20)]
    reports.add(window(-1, values[0], seconds=10.0))
    assert len(sent) == 1, "the opening window is published by itself: people wait for it"
    for n, chunk in enumerate(values):
        reports.add(window(n, chunk))
    assert [one.body["frames_seen"] for one in sent] == [300, 3000, 3000]
    assert [one.body["detections_person"] for one in sent[1:]] == [sum(range(10)), sum(range(10, 20))]
    assert (sent[1].body["start"], sent[1].body["end"]) == (START, START + 600)
    everything = np.sort(np.concatenate(values[:10]))
    for rank in (0.5, 0.99):
        value = sent[1].body[f"latency_p{round(rank * 100)}_seconds"]
        assert abs(np.searchsorted(everything, value) / everything.size - rank) < 0.02
    assert sent[1].body["latency_max_seconds"] == np.float32(everything[-1])
    assert "merged" not in sent[1].body, "numbers are given out once: that is for the queue's own merging"


def test_a_change_of_state_does_not_wait_for_the_rest_of_the_report():
    sent = []
    reports = Reports(LEAN, sent.append)
    for n, state in enumerate(["online", "online", "online", "down", "down", "online"]):
        reports.add(window(n, [0.1], state=state))
    assert [one.body["state"] for one in sent] == ["online", "down", "online"]
    assert [one.body["frames_seen"] for one in sent] == [1, 3, 2]


def test_a_drift_alarm_does_not_wait_and_whether_a_window_could_be_judged_does():
    sent = []
    reports = Reports(LEAN, sent.append)
    for n, state in enumerate(["normal", "silent", "normal", "silent", "drift", "drift", "normal", "silent"]):
        reports.add(window(n, [0.1], drift_state=state))
    reports.flush()
    assert [one.body["drift_state"] for one in sent] == ["normal", "drift", "normal", "silent"]
    assert [one.body["frames_seen"] for one in sent] == [1, 4, 2, 1]


def test_news_bring_no_complete_message_before_its_time():
    """They were counted in messages: each change of state brought the next one, of three kilobytes, ten minutes closer."""
    sent, reports = [], Reports(LEAN, lambda draft: sent.append((n, draft)))
    for n in range(400):
        reports.add(window(n, [0.1], state="down" if n % 25 in (7, 8) else "online"))
    complete = [at for at, one in sent if one.body.get("complete")]
    assert len(sent) > 60, "many messages are shorter than usual"
    apart = np.diff(complete)
    assert len(apart) >= 5
    assert np.all(np.abs(apart - 60) <= 10)
    assert abs(apart.mean() - 60) <= 3


def test_what_is_gathered_is_published_at_the_end_and_where_a_camera_goes():
    sent = []
    reports = Reports(LEAN, sent.append)
    for n in range(4):
        reports.add(window(n, [0.1]))
        reports.add(host_draft({"cpu_ratio": n / 10}, start=START + 60 * n, end=START + 60 * n + 60))
    reports.end("camera/front")
    reports.flush()
    reports.end("camera/never")
    reports.flush()
    assert [(one.topic, one.body.get("frames_seen")) for one in sent] == [
        ("camera/front", 1), ("host", None), ("camera/front", 3), ("host", None)
    ]  # fmt: skip
    assert sent[-1].body["cpu_ratio"] == 0.2


def test_the_complete_messages_of_several_topics_are_spread():
    plan, sent = ReportPlan(profile="normal", complete_every=15), []
    reports = Reports(plan, sent.append)
    for n in range(31):
        for camera in ("a", "b", "c"):
            draft = window(n, [0.1])
            reports.add(camera_draft(camera, draft.body, {}, start=START + 60 * n, end=START + 60 * n + 60))
    complete = [(n // 3, one.topic[-1]) for n, one in enumerate(sent) if one.body.get("complete")]
    assert complete == [(1, "a"), (2, "b"), (3, "c"), (16, "a"), (17, "b"), (18, "c")]


def plan_of(text):
    return ReportPlan.of(parse(text, KINDS))


def test_a_profile_is_a_set_of_intervals_and_each_can_be_chosen():
    assert plan_of("") == ReportPlan(profile="normal", windows=1, complete_every=15, sketch_seconds=3600.0)
    assert plan_of('[reports]\nprofile = "lean"') == LEAN
    assert plan_of('[reports]\nprofile = "full"') == ReportPlan()
    chosen = plan_of('[reports]\nprofile = "lean"\nsummary_interval = "5m"\nsketch_interval = "10m"')
    assert (chosen.windows, chosen.complete_every, chosen.sketch_seconds) == (5, 12, 600.0)
    long = plan_of('[windows]\nlength = "30m"\n[reports]\nprofile = "lean"')
    assert (long.windows, long.complete_every, long.summary_seconds) == (1, 2, 1800.0)
    assert plan_of("[drift]\npublish_sketches = false").sketch_seconds is None


@pytest.mark.parametrize("step", [-86400.0, 86400.0, -1.7e9])
def test_windows_on_both_sides_of_a_clock_that_was_set_are_two_reports(step):
    sent = []
    reports = Reports(LEAN, sent.append)
    for n in range(12):
        draft = window(n, [0.1])
        start = float(draft.body["start"]) + (step if n >= 5 else 0.0)
        reports.add(camera_draft("front", {**draft.body}, {}, start=start, end=start + 60))
    reports.flush()
    assert sum(one.body["frames_seen"] for one in sent) == 12
    assert all(0 < one.body["end"] - one.body["start"] <= 600 for one in sent)
