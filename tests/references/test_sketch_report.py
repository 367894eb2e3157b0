"""Published sketches: windows of an hour as one, none counted twice, none left out."""

import numpy as np
import pytest

from agent.app.kinds import KINDS
from agent.config.load import parse
from agent.config.report_plan import ReportPlan
from agent.drift.sketch import WIRE_ITEMS, Window, WindowSketch, merge
from agent.references.sketch_report import SketchReport

HOUR = 1_800_000_000.0  # a full hour, UTC


def windows(start, count, frames=120, seed=1):
    rng = np.random.default_rng(seed)
    for n in range(count):
        window = Window("front", ("a", "b"), "v")
        at = start + 60.0 * n
        window.extend(
            rng.gamma(3.0, 1.0, (frames, 2)).astype(np.float32), [1] * n, at=at + np.arange(frames) / 2
        )
        yield window.close(at, at + 60.0)


def reports(seconds, fed, items=WIRE_ITEMS):
    sent = []
    report = SketchReport(seconds, lambda window, items: sent.append((window, items)), items)
    for window in fed:
        report.add(window)
    report.flush()
    return sent


@pytest.mark.parametrize("offset", [0.0, 600.0, 1799.0, 1801.0, 3000.0])
def test_a_report_ends_at_the_full_hour_and_covers_half_an_hour_or_more(offset):
    assert HOUR % 3600 == 0
    sent = reports(3600.0, windows(HOUR + offset, 180))
    lengths = [window.seconds for window, _ in sent]
    assert sum(lengths) == 180 * 60.0
    assert all(1800.0 <= length <= 5460.0 for length in lengths[:-1])
    assert all(window.end % 3600 < 60.0 for window, _ in sent[:-1])
    assert sum(window.frames for window, _ in sent) == 180 * 120
    assert sum(window.classes.get(1, 0) for window, _ in sent) == sum(range(180))


def test_the_hour_published_has_the_quantiles_of_all_its_frames():
    fed = list(windows(HOUR, 60))
    ((window, items),) = reports(3600.0, fed)
    heard = WindowSketch.from_body(window.to_body(items))
    everything = np.random.default_rng(1).gamma(3.0, 1.0, (60 * 120, 2)).astype(np.float32)
    for column, sketch in zip(everything.T, heard.sketches, strict=True):
        assert sketch.count == everything.shape[0]
        ranks = np.searchsorted(np.sort(column), sketch.quantiles([0.1, 0.5, 0.9, 0.99])) / column.size
        assert np.abs(ranks - [0.1, 0.5, 0.9, 0.99]).max() < 0.04
        assert (sketch.minimum, sketch.maximum) == (column.min(), column.max())


def test_a_lean_profile_publishes_two_thirds_of_the_bytes_and_ranks_within_six_percent():
    plan = ReportPlan.of(parse('[reports]\nprofile = "lean"', KINDS))
    ((window, items),) = reports(plan.sketch_seconds, windows(HOUR, 60), plan.sketch_items)
    ((_, usual),) = reports(3600.0, windows(HOUR, 60))
    lean, normal = (len(window.to_body(kept)["a_kll"]) for kept in (items, usual))
    assert lean < 0.75 * normal
    heard = WindowSketch.from_body(window.to_body(items))
    everything = np.random.default_rng(1).gamma(3.0, 1.0, (60 * 120, 2)).astype(np.float32)
    for column, sketch in zip(everything.T, heard.sketches, strict=True):
        assert sketch.count == column.size
        ranks = np.searchsorted(np.sort(column), sketch.quantiles([0.1, 0.5, 0.9, 0.99])) / column.size
        assert np.abs(ranks - [0.1, 0.5, 0.9, 0.99]).max() < 0.06


def test_each_window_is_published_where_that_is_wanted_and_none_where_it_is_not():
    assert len(reports(0.0, windows(HOUR, 5))) == 5
    assert reports(None, windows(HOUR, 5)) == []


def test_empty_windows_are_not_published_and_move_time_on():
    assert reports(0.0, windows(HOUR, 3, frames=0)) == []
    sent = reports(3600.0, [*windows(HOUR, 40), *windows(HOUR + 2400, 30, frames=0)])
    assert [(window.frames, window.seconds) for window, _ in sent] == [(4800, 2400.0)]


@pytest.mark.parametrize("step", [-86400.0, 86400.0, -1.8e9 + 60])
def test_a_clock_that_was_set_ends_the_report(step):
    before, after = list(windows(HOUR + 300, 10)), list(windows(HOUR + 300 + step, 10))
    sent = reports(3600.0, [*before, *after])
    assert sum(window.frames for window, _ in sent) == 20 * 120
    assert len(sent) == 2, "ten minutes of the old time and ten of the new are never one window of a day"
    assert merge(before[0], before[-1]).seconds == sent[0][0].seconds
