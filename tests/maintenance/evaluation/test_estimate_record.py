"""Estimates count for as long as they held, of one model, over restarts; a sample has the one that held."""

import json

import pytest

from agent.drift.diagnosis.accuracy import HOLDS_SECONDS, Estimate
from agent.maintenance.evaluation.estimate_record import FILE_NAME, SAVE_SECONDS, EstimateRecord

NOW = 1_790_000_000.0


def estimate(ratio, trust=0.7, model="m"):
    return Estimate(ratio=ratio, low=0.0, high=1.0, trust=trust, model=model)


@pytest.fixture
def record(tmp_path):
    return EstimateRecord(tmp_path)


def test_each_counts_for_as_long_as_it_held_and_half_an_hour_at_most(record):
    record.add("yard", estimate(0.9), NOW)
    record.add("yard", estimate(0.5), NOW + 300)
    record.add("yard", estimate(0.1, trust=0.05), NOW + 400)
    record.add("yard", estimate(0.7), NOW + 1000)
    found = record.populations("m", NOW + 1300)["yard"]
    assert found.mean == pytest.approx((300 * 0.9 + 100 * 0.5 + 300 * 0.7) / 700)
    assert found.since == NOW
    assert 2.0 < found.number < 3.0, "three, of which one held for a third of the others' time"
    later = record.populations("m", NOW + 1000 + HOLDS_SECONDS)
    assert record.populations("m", NOW + 1e6) == later


def test_a_sample_is_given_the_one_that_holds_of_its_model(record):
    assert record.at("yard", "m", NOW) is None
    record.add("yard", estimate(0.8), NOW)
    assert record.at("yard", "m", NOW + 60) == 0.8
    assert record.at("yard", "other", NOW + 60) is None
    assert record.at("gate", "m", NOW + 60) is None
    assert record.at("yard", "m", NOW + HOLDS_SECONDS) is None
    record.add("yard", estimate(0.8, trust=0.0), NOW + 90)
    assert record.at("yard", "m", NOW + 91) is None, "one without trust says nothing, and ends the one before"


def test_another_model_begins_anew_and_a_restart_goes_on(record, tmp_path):
    for number in range(20):
        record.add("yard", estimate(0.8 - 0.01 * (number % 3)), NOW + 600 * number)
    before = record.populations("m", NOW + 600 * 19)["yard"]
    again = EstimateRecord(tmp_path)
    after = again.populations("m", NOW + 600 * 19)["yard"]
    assert after.number >= before.number - 2 * SAVE_SECONDS / 600
    assert again.at("yard", "m", NOW + 600 * 19) is None, "nothing ran meanwhile"
    again.add("yard", estimate(0.5, model="new"), NOW + 600 * 20)
    assert again.populations("m", NOW + 600 * 21) == {}
    assert again.populations("new", NOW + 600 * 21) == {}, "one estimate is no mean"


@pytest.mark.parametrize("text", ["", "[]", '{"yard": 1}', '{"yard": {"model": "m"}}'])
def test_a_damaged_file_is_left_aside(tmp_path, text):
    (tmp_path / FILE_NAME).write_text(text)
    assert EstimateRecord(tmp_path).populations("m", NOW) == {}


def test_a_clock_that_goes_back_begins_anew(record, tmp_path):
    for at in (NOW, NOW + 600, NOW - 5000):
        record.add("yard", estimate(0.9), at)
    assert record.populations("m", NOW - 4000) == {}
    assert json.loads((tmp_path / FILE_NAME).read_text())["yard"]["weight"] >= 0
