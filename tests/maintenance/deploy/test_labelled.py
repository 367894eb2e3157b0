"""A model that is worse on labelled images is refused, one that is better passes; models and processes are real."""

import json
import re
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from agent.cameras.kinds.synthetic.drawing.sprites import CLASSES
from agent.config.deploy_settings import DeploySettings
from agent.core.errors import ModelError
from agent.detection.opening import DEMO_MODEL
from agent.maintenance.deploy.gates import check_classes, check_numbers, shown_better
from agent.maintenance.deploy.labelled import evaluate as evaluate_labelled
from agent.maintenance.evaluation import beside
from agent.maintenance.evaluation.beside import compare_beside
from agent.maintenance.evaluation.comparison import NeverFound, compare
from agent.maintenance.evaluation.labels import read_set
from agent.maintenance.evaluation.process import EvaluationRequest
from tests.maintenance.deploy.conftest import MODEL, QUICK, ask, outcome
from tests.maintenance.drawn import put_samples, write_data

IMAGES = 20  # the fewest that a bootstrap is made of


@pytest.fixture(autouse=True)
def no_nicer(monkeypatch):
    """A box whose cores are all busy would take minutes."""
    monkeypatch.setattr(beside, "NICE", 0)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data.yaml of drawn images."""
    pytest.importorskip("yaml")
    return write_data(tmp_path_factory.mktemp("drawn"), {"val": IMAGES})


@pytest.fixture
def confused(tmp_path):
    """The demo model with its class names rotated: it finds all, and calls everything by a wrong name."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(DEMO_MODEL)
    for entry in model.metadata_props:
        if entry.key == "names":
            names = list(json.loads(entry.value)) if entry.value.startswith("[") else list(CLASSES)
            entry.value = json.dumps(names[1:] + names[:1])
    path = tmp_path / "confused.onnx"
    onnx.save(model, path)
    return path


def test_a_model_that_is_worse_on_labelled_images_is_refused_with_both_numbers(box, confused, data):
    service = box(replace(QUICK, least_agreement=0.0, labelled_data=str(data)))
    done = outcome(service, ask(service, "model_deploy", path=str(confused)))
    assert done["state"] == "refused", done
    numbers = done["numbers"]
    assert numbers["labelled_images"] == IMAGES
    assert numbers["map50_95"] < 0.2 < numbers["running_map50_95"]
    assert f"mAP50-95 is {numbers['map50_95']:.3f}, the running model's" in done["reason"]
    assert "it is worse than the running model" in done["reason"]
    assert "95 % interval -" in done["reason"]
    assert "[deploy] most_accuracy_loss permits 0" in done["reason"]

    off = replace(service.deployer.settings, most_accuracy_loss=1.0)
    model = service.deployments.models.history[0].model
    assert evaluate_labelled(service.deployments, model, off, time.sleep) == ({}, ()), "1 switches it off"


def test_labelled_samples_of_the_audit_show_that_a_model_is_better_and_it_need_not_agree(
    box, confused, tmp_path
):
    """The running model calls everything by a wrong name; what people labelled says which of the two is right."""
    put_samples(tmp_path / "state", IMAGES)
    service = box(QUICK, model=replace(MODEL, path=str(confused)))
    good = tmp_path / "good.onnx"
    good.write_bytes(DEMO_MODEL.read_bytes())
    done = outcome(service, ask(service, "model_deploy", path=str(good)))
    assert done["state"] == "kept", done
    assert done["numbers"]["agreement_ratio"] < QUICK.least_agreement
    assert done["numbers"]["map50_95_difference_low"] > 0


def test_the_process_gives_what_an_evaluation_here_gives(data, confused):
    from agent.maintenance.evaluation.evaluate import evaluate

    images = read_set(data, "val", CLASSES, most=5)
    outcomes = [evaluate(replace(MODEL, path=path), images).outcome for path in ("", str(confused))]
    models = {"first": MODEL, "second": replace(MODEL, path=str(confused))}
    request = EvaluationRequest(**models, data=str(data), split="val", state="", most=5)
    assert EvaluationRequest.parse(request.line()) == request
    here = compare(*outcomes, 5, names=CLASSES, confidence=MODEL.confidence)
    assert compare_beside(request, time.sleep) == here
    assert not here.never_found, "the first is the model that is right"


def test_what_cannot_be_evaluated_is_named_and_a_stop_ends_it(data, tmp_path):
    models = {"first": MODEL, "second": replace(MODEL, path=str(tmp_path / "none.onnx"))}
    request = EvaluationRequest(**models, data=str(data), split="val", state="", most=100)
    with pytest.raises(ModelError, match=r"failed: model .*none\.onnx"):
        compare_beside(request, time.sleep)
    with pytest.raises(ModelError, match="names no images under 'test'"):
        compare_beside(replace(request, split="test"), time.sleep)

    class StoppedError(Exception):
        pass

    def stop(_seconds):
        raise StoppedError

    with pytest.raises(StoppedError):
        compare_beside(request, stop)


def test_an_answer_that_no_pipe_holds_is_read(monkeypatch):
    """The figures of many cameras: nobody read them before the process had ended, which waited to be read."""
    row = {"camera": "yard", "frames": 1, "labels": 1, "corrected_frames": 0, "precision": 0.123456789}
    code = f"import sys, json; sys.stdin.readline(); print(json.dumps(dict(rows=1000 * [{row}])))"
    monkeypatch.setattr(beside, "own_python", lambda *_words: [sys.executable, "-c", code])
    monkeypatch.setattr(beside, "LONGEST_SECONDS", 60.0)
    found = beside.accuracy_beside(EvaluationRequest(first=MODEL, second=None, state="", most=1), time.sleep)
    assert len(found) == 1000
    assert found[-1].precision == 0.123456789


def test_images_without_any_object_say_nothing(box, other_model, tmp_path):
    store = put_samples(tmp_path / "state", IMAGES)
    for kept in list(store.samples()):
        store.label(kept, ())
    service = box(QUICK)
    done = outcome(service, ask(service, "model_deploy", path=str(other_model)))
    assert done["state"] == "kept", done
    assert "map50_95" not in done["numbers"], "it would be 0 of both"


def without(model, name, target):
    """The model as it is, with scores of a class that stay below what the agent reports."""
    onnx = pytest.importorskip("onnx")
    from onnx import helper, numpy_helper

    loaded = onnx.load(model)
    graph, number = loaded.graph, CLASSES.index(name)
    boxes = graph.output[0].name
    for node in graph.node:
        node.output[:] = ["seen" if each == boxes else each for each in node.output]
        node.input[:] = ["seen" if each == boxes else each for each in node.input]
    factors = np.ones((1, 4 + len(CLASSES), 1), np.float32)
    factors[0, 4 + number] = 0.2
    graph.initializer.append(numpy_helper.from_array(factors, "factors"))
    graph.node.append(helper.make_node("Mul", ["seen", "factors"], [boxes]))
    onnx.save(loaded, target)
    return target


def test_a_model_that_never_finds_a_class_is_refused_where_it_is_lost_and_noted_where_it_is_not(
    box, data, tmp_path
):
    """It ranks the class as right as before, so that its mAP is the same: only the agent's threshold stands between."""
    blind = without(DEMO_MODEL, "person", tmp_path / "blind.onnx")
    settings = replace(QUICK, least_agreement=0.0, labelled_data=str(data), least_class_labels=5)
    service = box(settings)
    done = outcome(service, ask(service, "model_deploy", path=str(blind)))
    assert done["state"] == "refused", done
    assert done["numbers"]["map50_95_difference_high"] >= 0
    assert re.search(
        r"it finds none of \d+ of person \(the running one finds \d+\); train it", done["reason"]
    )

    service = box(settings, model=replace(MODEL, path=str(blind)))
    other = tmp_path / "other.onnx"
    other.write_bytes(blind.read_bytes() + b"\x1a\x05other")
    done = outcome(service, ask(service, "model_deploy", path=str(other)))
    assert done["state"] == "kept", done
    assert re.match(r"at the agent's confidence it finds none of person \(\d+ labelled boxes\)", done["note"])
    assert service.deploy_requests.facts()["deployment_note"] == done["note"]


def test_few_labels_or_finds_are_no_ground_and_0_looks_at_none():
    settings = DeploySettings()
    unfound = NeverFound(name="balloon", labels=19, second=19)
    assert check_classes([unfound], settings) == ""
    many = [replace(unfound, labels=20, second=0, name="n" * 200)] * 1000
    assert len(check_classes(many, settings)) < 2500
    assert ", 992 other classes, nor does the model before" in check_classes(many, settings)
    assert "balloon (20" in check_classes([replace(unfound, labels=20, second=4)], settings)
    with pytest.raises(ModelError, match=r"none of 20 of balloon \(the running one finds 5\)"):
        check_classes([replace(unfound, labels=20, second=5)], settings)
    assert (
        check_classes([replace(unfound, labels=90, second=90)], replace(settings, least_class_labels=0)) == ""
    )


def test_the_gate_is_a_number_and_chance_is_no_loss():
    settings = DeploySettings()

    def checked(low, high, **limits):
        numbers = {
            "labelled_images": 40.0, "map50_95": 0.4, "running_map50_95": 0.5,
            "map50_95_difference_low": low, "map50_95_difference_high": high, "agreement_ratio": 0.3,
        }  # fmt: skip
        better = shown_better(numbers)
        try:
            check_numbers(numbers, replace(settings, **limits), better=better)
        except ModelError as error:
            return str(error)
        return ""

    assert "labelled images" in checked(-0.2, -0.01)
    assert "agrees" in checked(-0.2, -0.01), "all that is wrong is named"
    assert "labelled images" not in checked(-0.2, 0.01), "that may be chance"
    assert "labelled images" not in checked(-0.2, -0.01, most_accuracy_loss=0.05)
    assert "labelled images" in checked(-0.2, -0.06, most_accuracy_loss=0.05)
    assert checked(0.01, 0.2) == "", "what is better need not agree"
