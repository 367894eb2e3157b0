"""The golden check at work, with the model that ships and with damaged copies of it."""

import shutil

import numpy as np
import onnx
import pytest

from agent.config.schema import ModelSettings
from agent.core.errors import ConfigError
from agent.detection.layouts.layout import Candidates
from agent.detection.opening import DEMO_MODEL
from agent.detection.session import Detector
from agent.maintenance.golden.check import GoldenCheck
from agent.maintenance.golden.store import FILE_NAME


@pytest.fixture
def model(tmp_path):
    return shutil.copy(DEMO_MODEL, tmp_path / "model.onnx")


@pytest.fixture
def opened():
    detectors = []

    def make(path, provider="cpu"):
        detectors.append(Detector(ModelSettings(path=str(path), provider=provider, lanes=1)))
        detectors[-1].open()
        return detectors[-1]

    yield make
    for detector in detectors:
        detector.close()


def damaged(detector):
    """The detector as if its weights had been hit: its scores are off, its file is the same."""
    propose = detector.propose

    def wrong(frame, **options):
        result = propose(frame, **options)
        found = result.found
        off = Candidates(boxes=found.boxes, scores=found.scores * 0.5, class_ids=found.class_ids)
        return type(result)(
            found=off, letterbox=result.letterbox, suppressed=result.suppressed, seconds=result.seconds
        )

    detector.propose = wrong
    return lambda: detector.__dict__.pop("propose")


def with_flipped_bit(model, target, bit):
    """A copy of a model in which one bit of a weight is another: the largest one of the first convolution."""
    graph = onnx.load(model)
    first = next(each for each in graph.graph.initializer if len(each.dims) == 4)
    weights = onnx.numpy_helper.to_array(first).copy()
    bits = weights.reshape(-1).view(np.uint32)
    bits[np.abs(weights).argmax()] ^= np.uint32(1 << bit)
    first.CopyFrom(onnx.numpy_helper.from_array(weights, first.name))
    onnx.save(graph, target)
    return target


@pytest.mark.parametrize(
    ("bit", "state"),
    [
        pytest.param(31, "differs", id="its sign"),
        pytest.param(25, "differs", id="its size, by a factor of 2^8"),
        pytest.param(0, "agrees", id="its last digit, which changes nothing"),
    ],
)
def test_one_flipped_bit_in_what_runs_is_found_where_it_changes_results(tmp_path, model, opened, bit, state):
    """As in a damaged engine or memory: the model's file is what it was, by its checksum."""
    detector = opened(model)
    GoldenCheck(detector, tmp_path, 3600.0).step(0.0)
    hit = Detector(detector.settings).opened_with(
        with_flipped_bit(model, tmp_path / "hit.onnx", bit), detector.info.sha256
    )
    detector.exchange(hit)
    hit.close()
    check = GoldenCheck(detector, tmp_path, 3600.0)
    check.step(0.0)
    assert check.result.state == state, check.result.reason


def test_a_model_is_recorded_when_it_is_new_and_agrees_after_a_restart(tmp_path, model, opened):
    check = GoldenCheck(opened(model), tmp_path, 3600.0)
    assert check.result.state == "waiting"
    check.step(0.0)
    assert check.result.state == "agrees"
    first = (tmp_path / FILE_NAME).read_bytes()
    report = check.handlers()["golden"]({})
    assert report["boxes"] > 20
    assert report["checked_at"] >= report["recorded_at"], "it is checked by what was recorded before"
    again = GoldenCheck(opened(model), tmp_path, 3600.0)
    again.step(0.0)
    assert again.result.state == "agrees"
    assert (tmp_path / FILE_NAME).read_bytes() == first


def test_another_engine_of_the_same_precision_agrees(tmp_path, model, opened):
    pytest.importorskip("openvino")
    for provider in ("cpu", "openvino"):
        check = GoldenCheck(opened(model, provider), tmp_path, 3600.0)
        check.step(0.0)
        assert check.result.state == "agrees"
    assert check.handlers()["golden"]({})["recorded_on"] == "cpu"


def test_results_that_change_while_it_runs_are_found_within_the_interval_and_recover(tmp_path, model, opened):
    detector = opened(model)
    check = GoldenCheck(detector, tmp_path, 3600.0)
    check.step(0.0)
    repair = damaged(detector)
    for now in np.arange(1.0, 3601.0):
        check.step(float(now))
    assert check.result.state == "differs"
    (observed,) = check.observations(3600.0)
    assert (observed.metric, observed.value) == ("host.golden_mismatch", 1.0)
    assert "nothing that is recorded has changed" in observed.text
    repair()
    for now in np.arange(3601.0, 7300.0):
        check.step(float(now))
    assert check.result.state == "agrees"
    assert check.observations(7300.0)[0].value == 0.0


def test_a_result_that_is_wrong_once_is_no_alert(tmp_path, model, opened):
    detector = opened(model)
    check = GoldenCheck(detector, tmp_path, 3600.0)
    check.step(0.0)
    repair = damaged(detector)
    wrong = detector.propose
    detector.propose = lambda frame, **options: repair_after(wrong(frame, **options))

    def repair_after(result):
        repair()
        return result

    check.step(1000.0)
    assert check.result.state == "agrees"


def test_another_release_of_the_runtime_is_named(tmp_path, model, opened):
    check = GoldenCheck(opened(model), tmp_path, 3600.0)
    check.step(0.0)
    kept = (tmp_path / FILE_NAME).read_text()
    (tmp_path / FILE_NAME).write_text(kept.replace('"runtime":"onnxruntime ', '"runtime":"onnxruntime 0.'))
    detector = opened(model)
    damaged(detector)
    later = GoldenCheck(detector, tmp_path, 3600.0)
    later.step(0.0)
    assert later.result.state == "differs"
    assert "runtime onnxruntime 0." in later.result.reason


def test_new_results_are_taken_as_right_when_a_person_says_so(tmp_path, model, opened):
    detector = opened(model)
    check = GoldenCheck(detector, tmp_path, 3600.0)
    check.step(0.0)
    damaged(detector)
    check.step(1000.0)
    assert check.result.state == "differs"
    check.handlers()["golden_accept"]({})
    check.step(1001.0)
    assert check.result.state == "agrees"


def test_where_nothing_is_checked_nothing_is_taken_as_right(tmp_path, model, opened):
    check = GoldenCheck(opened(model), tmp_path, 0.0)
    assert check.handlers()["golden"]({})["state"] == "off"
    with pytest.raises(ConfigError, match="golden_every"):
        check.handlers()["golden_accept"]({})


def test_a_model_that_was_opened_again_is_checked_on_all_images_at_once(tmp_path, model, opened):
    detector = opened(model)
    check = GoldenCheck(detector, tmp_path, 3600.0)
    check.step(0.0)
    detector.close()
    detector.open()
    damaged(detector)
    check.step(1.0)
    assert check.result.state == "differs"


def test_another_model_has_a_record_of_its_own(tmp_path, model, opened):
    GoldenCheck(opened(model), tmp_path, 3600.0).step(0.0)
    changed = onnx.load(model)
    onnx.helper.set_model_props(changed, {one.key: one.value for one in changed.metadata_props} | {"x": "y"})
    onnx.save(changed, tmp_path / "other.onnx")
    check = GoldenCheck(opened(tmp_path / "other.onnx"), tmp_path, 3600.0)
    check.step(0.0)
    assert check.result.state == "agrees"
    assert (tmp_path / FILE_NAME).read_text().count('"model"') == 2


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"records": [{}]}', b'{"records": 3}', b"\xff\xfe"])
def test_a_damaged_file_is_recorded_anew(tmp_path, model, opened, content):
    (tmp_path / FILE_NAME).write_bytes(content)
    check = GoldenCheck(opened(model), tmp_path, 3600.0)
    check.step(0.0)
    assert check.result.state == "agrees"
    assert b'"model"' in (tmp_path / FILE_NAME).read_bytes()


def test_a_model_that_is_exchanged_in_the_middle_is_no_mismatch(tmp_path, model, opened):
    other = tmp_path / "other.onnx"
    other.write_bytes(DEMO_MODEL.read_bytes() + b"\x1a\x05other")
    detector, second = opened(model), opened(other)
    check = GoldenCheck(detector, tmp_path, 3600.0)
    check.step(0.0)
    propose, runs = detector.propose, []

    def exchanging(frame, **options):
        runs.append(frame.index)
        if len(runs) == 2:
            detector.exchange(second)
        found = propose(frame, **options)
        return found if len(runs) < 2 else wrong(found)

    def wrong(result):
        found = result.found
        off = Candidates(boxes=found.boxes, scores=found.scores * 0.5, class_ids=found.class_ids)
        return type(result)(
            found=off, letterbox=result.letterbox, suppressed=result.suppressed, seconds=result.seconds
        )

    detector.propose = exchanging
    detector.openings += 1
    check.step(1.0)
    assert check.result.state == "agrees", "what was run during an exchange does not count"
    del detector.propose
    check.step(2.0)
    assert check.result.state == "agrees"
    assert detector.info.name == "other"
